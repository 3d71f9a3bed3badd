"""What .gitignore, .ignore and .ondolignore files say about a path, with git's own meaning.

A rule file speaks for its folder and everything below; a deeper file overrides one above it, and
in one file the last pattern that fits wins. Callers descend from the top and never enter an ignored
folder, which is why a file in an ignored folder cannot be brought back. Never raises.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ondol.errors import DocumentError
from ondol.retrieval.gitignore import Pattern, parse
from ondol.retrieval.loaders import contents

RULE_FILES = (".gitignore", ".ignore", ".ondolignore")
MAX_RULE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one folder (an absolute path)."""

    folder: str
    patterns: tuple[Pattern, ...]

    def verdict(self, path: str, *, is_folder: bool) -> bool | None:
        """Whether ``path`` (below ``folder``) is ignored; ``None`` when no pattern fits it."""
        entry = os.fsencode(path[len(self.folder.rstrip("/")) + 1 :])
        for pattern in reversed(self.patterns):
            if pattern.fits(entry, is_folder=is_folder):
                return pattern.ignores
        return None


def read_rules(folder: str, present: Iterable[str] = RULE_FILES) -> Rules | None:
    """The rules that stand in ``folder``; of ``present`` names only rule files are read."""
    names = set(present)
    patterns: list[Pattern] = []
    for name in RULE_FILES:
        if name in names:
            patterns.extend(_read(Path(folder, name)))
    return Rules(folder, tuple(patterns)) if patterns else None


def is_ignored(path: str, chain: Sequence[Rules], *, is_folder: bool) -> bool:
    """What the rules of all folders above ``path``, outermost first, come to."""
    for rules in reversed(chain):
        verdict = rules.verdict(path, is_folder=is_folder)
        if verdict is not None:
            return verdict
    return False


def rules_above(folder: str) -> tuple[Rules, ...]:
    """The rules of the repository that ``folder`` lies in, from its root to above ``folder``.

    None when they ignore ``folder`` itself: who names an ignored folder wants what is in it.
    """
    root = _repository(folder)
    chain: list[Rules] = []
    current = root
    for part in Path(folder).relative_to(root).parts:
        rules = read_rules(current)
        if rules:
            chain.append(rules)
        current = os.path.join(current, part)
        if is_ignored(current, chain, is_folder=True):
            return ()
    return tuple(chain)


def _repository(folder: str) -> str:
    """The nearest folder at or above that is the top of a git repository, else ``folder``."""
    for candidate in (Path(folder), *Path(folder).parents):
        if os.path.lexists(candidate / ".git"):
            return str(candidate)
    return folder


def _read(path: Path) -> list[Pattern]:
    try:
        data = contents.read(path, max_bytes=MAX_RULE_BYTES)
    except DocumentError:
        return []
    lines = data.removeprefix(codecs.BOM_UTF8).split(b"\n")
    return [pattern for line in lines if (pattern := parse(line))]
