"""Style sheets of pages stay in the document once a page was open: none may change another's."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import ondol

STATIC = Path(ondol.__file__).parent / "web" / "static"
COMMON = set(re.findall(r"/web/css/(\w+)\.css", (STATIC / "index.html").read_text("utf-8")))


def selectors(css: str) -> Iterator[str]:
    """Every selector of ``css``, after the conditions that it stands under."""
    inside: list[str] = []
    for head, sign in re.findall(r"([^{};]*)([{};])", re.sub(r"/\*.*?\*/", "", css, flags=re.S)):
        if sign == "{":
            inside.append(" ".join(head.split()))
            if not head.strip().startswith("@"):
                *around, own = inside
                yield from (" ".join([*around, *one.split()]) for one in own.split(","))
        elif sign == "}":
            inside.pop()


def test_no_two_pages_style_the_same() -> None:
    sheets = {
        sheet.stem: {one for one in selectors(sheet.read_text("utf-8")) if "@keyframes" not in one}
        for sheet in (STATIC / "css").glob("*.css")
        if sheet.stem not in COMMON
    }
    assert len(sheets) > 8
    leaks = {
        (one, other): shared
        for one, other in combinations(sorted(sheets), 2)
        if (shared := sheets[one] & sheets[other])
    }
    assert leaks == {}


def test_no_two_pages_animate_under_one_name() -> None:
    pages = defaultdict(set)
    for sheet in (STATIC / "css").glob("*.css"):
        for name in re.findall(r"@keyframes\s+([\w-]+)", sheet.read_text("utf-8")):
            pages[name].add(sheet.stem)
    assert {name: found for name, found in pages.items() if len(found) > 1} == {}
