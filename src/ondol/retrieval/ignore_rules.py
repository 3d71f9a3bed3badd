"""What .gitignore, .ignore and .ondolignore files say about a path, with git's own meaning.

A rule file speaks for its folder and everything below; a deeper file overrides one above it, and
in one file the last pattern that fits wins. Callers descend from the top and never enter an ignored
folder, which is why a file in an ignored folder cannot be brought back. Never raises.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ondol.errors import DocumentError
from ondol.retrieval.loaders import contents

if TYPE_CHECKING:
    import re

RULE_FILES = (".gitignore", ".ignore", ".ondolignore")
MAX_RULE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Pattern:
    """``whole`` patterns describe one entry, the others everything below a folder."""

    regex: re.Pattern[str]
    ignores: bool
    whole: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one folder (an absolute path)."""

    folder: str
    patterns: tuple[_Pattern, ...]

    def verdict(self, path: str, *, is_folder: bool) -> bool | None:
        """Whether ``path`` (below ``folder``) is ignored; ``None`` when no pattern fits it."""
        name = path[len(self.folder.rstrip("/")) + 1 :]
        entry = f"{name}/" if is_folder else name
        for pattern in reversed(self.patterns):
            match = pattern.regex.fullmatch(entry) if pattern.whole else pattern.regex.match(name)
            if match:
                return pattern.ignores
        return None


def read_rules(folder: str, present: Iterable[str] = RULE_FILES) -> Rules | None:
    """The rules that stand in ``folder``; of ``present`` names only rule files are read."""
    names = set(present)
    patterns: list[_Pattern] = []
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


def _read(path: Path) -> list[_Pattern]:
    from pathspec.patterns.gitignore import GitIgnorePatternError
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    try:
        data = contents.read(path, max_bytes=MAX_RULE_BYTES)
    except DocumentError:
        return []
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    patterns: list[_Pattern] = []
    for line in text.split("\n"):
        try:
            pattern = GitIgnoreSpecPattern(line.removesuffix("\r"))
        except (GitIgnorePatternError, ValueError):
            continue
        regex = pattern.regex
        if regex is not None and pattern.include is not None:
            patterns.append(_Pattern(regex, pattern.include, "ps_d" in regex.groupindex))
    return patterns
