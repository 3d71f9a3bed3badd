"""Pictures of text to text: the local program tesseract, where it is installed with kor or eng.

Korean and English are read together. Lines that tesseract is not sure of are left out, so that a
photograph gives no crumbs. Nothing leaves the machine; a picture never runs longer than
``PICTURE_SECONDS`` nor takes more than ``MEMORY_KILOBYTES``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders.extract import Extract

LANGUAGES = ("kor", "eng")
PICTURE_SECONDS = 60
MEMORY_KILOBYTES = 3 * 1024 * 1024
# A line whose words tesseract is less sure of on average (0 to 100) is taken for noise.
MIN_CONFIDENCE = 40.0

# Called with the name before each picture; who limits the time of a whole file adds its own.
watchers: list[Callable[[str], None]] = []

_LIMITED = f'ulimit -v {MEMORY_KILOBYTES} 2>/dev/null; exec "$0" "$@"'
# The columns of tesseract's table of words.
_LEVEL, _PLACE, _CONFIDENCE, _WORD, _COLUMNS = 0, slice(1, 5), 10, 11, 12
_WORD_LEVEL = "5"


def is_available() -> bool:
    """Whether pictures can be read here."""
    program = find_program()
    return program is not None and bool(_languages(program))


def parse(data: bytes, name: str) -> Extract:
    """The text in a picture; raises ``DocumentError`` when there is none, or no tesseract."""
    program = find_program()
    if program is None:
        raise DocumentError(t("formats.no_ocr", name=name), t("formats.no_ocr_hint"))
    if not _languages(program):
        raise DocumentError(t("formats.no_ocr_languages", name=name), t("formats.no_ocr_hint"))
    text = recognise(data, name)
    if not text:
        raise DocumentError(t("formats.ocr_no_text", name=name))
    return Extract(text)


def recognise(picture: bytes, name: str, *, dots_per_inch: int | None = None) -> str:
    """The paragraphs in ``picture``, a file in any format that tesseract knows; "" for none."""
    for watch in watchers:
        watch(name)
    program = find_program() or ""
    command = ["/bin/sh", "-c", _LIMITED, program, "stdin", "stdout"]
    command += ["-l", "+".join(_languages(program))]
    command += ["--dpi", str(dots_per_inch)] if dots_per_inch else []
    try:
        done = subprocess.run(
            [*command, "tsv", "txt"],
            input=picture,
            capture_output=True,
            timeout=PICTURE_SECONDS,
            env=_environment(),
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        message = t("formats.ocr_timeout", name=name, limit=PICTURE_SECONDS)
        raise DocumentError(message) from error
    except (OSError, subprocess.CalledProcessError) as error:
        raise DocumentError(t("formats.ocr_failed", name=name)) from error
    return _paragraphs(done.stdout.decode("utf-8", "replace"))


def _paragraphs(output: str) -> str:
    """The plain text, without the lines of which tesseract is not sure. Its table of words, which
    says how sure it is, comes first, but only the text has Korean spaces where they belong."""
    words: dict[tuple[str, ...], list[tuple[float, str]]] = {}
    paragraphs: list[list[str]] = [[]]
    for row in output.replace("\f", "").split("\n"):
        cells = row.split("\t")
        if len(cells) == _COLUMNS:
            if cells[_LEVEL] == _WORD_LEVEL:
                word = (float(cells[_CONFIDENCE]), cells[_WORD].strip())
                words.setdefault(tuple(cells[_PLACE]), []).append(word)
        elif row.strip():
            paragraphs[-1].append(" ".join(row.split()))
        else:
            paragraphs.append([])
    doubtful = {_letters(line) for line in words.values() if _confidence(line) < MIN_CONFIDENCE}
    kept = (
        [line for line in lines if line.replace(" ", "") not in doubtful] for lines in paragraphs
    )
    return "\n\n".join(" ".join(lines) for lines in kept if lines)


def _letters(line: list[tuple[float, str]]) -> str:
    return "".join(word for _, word in line).replace(" ", "")


def _confidence(line: list[tuple[float, str]]) -> float:
    return sum(confidence for confidence, _ in line) / len(line)


def find_program() -> str | None:
    return shutil.which("tesseract")


@cache
def _languages(program: str) -> tuple[str, ...]:
    """Those of ``LANGUAGES`` that tesseract has data for."""
    try:
        done = subprocess.run(
            [program, "--list-langs"],
            capture_output=True,
            timeout=PICTURE_SECONDS,
            env=_environment(),
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    listed = done.stdout.decode("utf-8", "replace").split()
    return tuple(language for language in LANGUAGES if language in listed)


def _environment() -> dict[str, str]:
    """One thread for each picture: with more, tesseract spends most of them waiting."""
    kept = {key: os.environ[key] for key in ("PATH", "TESSDATA_PREFIX") if key in os.environ}
    return {**kept, "OMP_THREAD_LIMIT": "1", "LC_ALL": "C"}
