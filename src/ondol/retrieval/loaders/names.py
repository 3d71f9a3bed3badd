"""Names that are never documents, and clean names for the members of containers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from ondol.retrieval.loaders import encoding

SKIPPED_FOLDERS = frozenset(("node_modules", "__pycache__", "__MACOSX", "$RECYCLE.BIN"))
# Written by programs for programs: long, and never what somebody asks about.
GENERATED_FILES = frozenset(("package-lock.json", "pnpm-lock.yaml", "npm-shrinkwrap.json"))
GENERATED_ENDINGS = (".min.js", ".min.css", "~")

MAX_NAME_CHARACTERS = 200
MAX_PATH_CHARACTERS = 1000

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_DRIVE = re.compile(r"[A-Za-z]:")


def is_passed_over(name: str) -> bool:
    """Hidden entries, tool folders, generated files and the lock files of office programs."""
    return (
        name.startswith((".", "~$"))
        or name in SKIPPED_FOLDERS
        or name in GENERATED_FILES
        or name.endswith(GENERATED_ENDINGS)
    )


def clean(name: str) -> str:
    """A member's name as a relative path that leads nowhere else; "unnamed" when nothing is left.

    Composed form: macOS writes decomposed Hangul."""
    readable = name.encode("utf-8", "replace").decode("utf-8").replace("\\", "/")
    readable = _DRIVE.sub("", readable, count=1) if _DRIVE.match(readable) else readable
    steps = [_UNPRINTABLE.sub("", step).strip() for step in readable.split("/")]
    kept = [_shortened(step) for step in steps if step not in ("", ".", "..")]
    path = unicodedata.normalize("NFC", "/".join(kept))
    if len(path) > MAX_PATH_CHARACTERS:
        # Whole steps: what is left of one could be "..", or look hidden.
        path = path[-MAX_PATH_CHARACTERS:].partition("/")[2]
    return path or "unnamed"


def one_step(text: str) -> str:
    """``text`` (a mail's subject) as the name of one file."""
    return clean(re.sub(r"[/\\\s]+", " ", text).strip(". "))


def decoded(raw: Sequence[bytes]) -> list[str]:
    """Names that say nothing about their encoding, which is the same for all: Korean Windows
    writes CP949 into zip archives. Together they give the guess more to go by."""
    parts = [name.replace(b"\n", b" ").replace(b"\0", b" ") for name in raw]
    return encoding.decode(b"\n".join(parts)).split("\n")


def _shortened(name: str) -> str:
    """Too long a name loses its middle, never its ending."""
    if len(name) <= MAX_NAME_CHARACTERS:
        return name
    return f"{name[: MAX_NAME_CHARACTERS - 31]}…{name[-30:]}"
