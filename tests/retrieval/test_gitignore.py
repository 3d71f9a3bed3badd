"""Ignore patterns mean what git means, in reasonable time (see also the fuzz in test_files)."""

from __future__ import annotations

import pytest

from ondol.retrieval.gitignore import parse


@pytest.mark.parametrize("line", [b"", b"#x", b"!", b"/", b"[a", b"a\\", b"[[:nope:]]", b"[/]"])
def test_lines_that_match_nothing_are_no_patterns(line: bytes) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    ("line", "path", "is_folder", "expected"),
    [
        (b"out", "a/out", True, True),
        (b"out/", "out", False, False),
        (b"/out", "a/out", True, False),
        (b"docs/*.md", "docs/a.md", False, True),
        (b"docs/*.md", "docs/a/b.md", False, False),
        (b"**/log", "a/b/log", False, True),
        (b"a/**/z", "a/z", False, True),
        (b"a/**", "a", True, False),
        (b"a/**", "a/b/c", False, True),
        (b"x/a**/b", "x/a/c/b", False, True),
        (b"x/a**/b", "x/ab", False, True),
        (b"x/?a**/b", "x/aa/c/b", False, False),
        (b"[!a-c]x", "dx", False, True),
        (b"[[:digit:]]*", "7z", False, True),
        (b"\\#a", "#a", False, True),
        (b"a\\ ", "a ", False, True),
        (b"a   ", "a", False, True),
        ("한글*".encode(), "한글.txt", False, True),
    ],
)
def test_patterns_fit_what_git_lets_them_fit(
    line: bytes, path: str, is_folder: bool, expected: bool
) -> None:
    pattern = parse(line)
    assert pattern is not None
    assert pattern.fits(path.encode(), is_folder=is_folder) is expected


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (b"*a" * 40 + b"b", b"a" * 250),
        (b"**/a/" * 30 + b"b", b"a/" * 1000 + b"a"),
        (b"**/*a*/" * 20 + b"b", b"aa/" * 800 + b"a"),
    ],
)
def test_no_pattern_takes_exponential_time(line: bytes, path: bytes) -> None:
    pattern = parse(line)
    assert pattern is not None
    assert not pattern.fits(path, is_folder=False)
