"""EPUB books: the chapters in reading order, each under "# Title" from the table of contents.

A chapter is a page of HTML and is read as one; its own headings stand below the title. The archive
is checked first. Raises ``DocumentError`` for books with copy protection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import html, package
from ondol.retrieval.loaders.extract import Extract, check_length
from ondol.retrieval.loaders.package import Package, local, resolve

MAX_CHAPTERS = 5000

_PAGES = frozenset(("application/xhtml+xml", "text/html", "application/xml"))
_HEADING = re.compile(r"^(#{1,6}) (.+)$", re.M)
_FONTS = (b"http://www.idpf.org/2008/embedding", b"http://ns.adobe.com/pdf/enc#RC")
_ALGORITHM = re.compile(rb"EncryptionMethod[^>]*Algorithm\s*=\s*[\"']([^\"']+)")


def parse(data: bytes, name: str) -> Extract:
    """The text of the book; its title is the one in its properties."""
    opened = package.open_package(data, name, doctypes=True)
    _check_protection(opened, name)
    root = _root(opened)
    book = opened.xml(root, forgiving=True)
    items = {item.get("id"): item for item in _all(book, "item")}
    titles = _contents(opened, root, book, items)
    chapters, characters = [], 0
    for reference in list(_all(book, "itemref"))[:MAX_CHAPTERS]:
        item = items.get(reference.get("idref"))
        if item is None or item.get("media-type") not in _PAGES:
            continue
        path = resolve(root, item.get("href") or "")
        if path in opened.names and (text := _chapter(opened, path, titles.get(path, ""))):
            chapters.append(text)
            characters += len(text)
            check_length(characters, name)
    if not chapters:
        raise DocumentError(t("documents.no_text", name=name))
    title = next((found.text for found in _all(book, "title") if found.text), "")
    return Extract("\n\n".join(chapters), title)


def _check_protection(opened: Package, name: str) -> None:
    """Many books only disguise their fonts; those can be read."""
    listing = "META-INF/encryption.xml"
    if listing in opened.names:
        found = _ALGORITHM.findall(opened.read(listing))
        if any(not algorithm.startswith(_FONTS) for algorithm in found):
            raise DocumentError(t("formats.protected_book", name=name))


def _root(opened: Package) -> str:
    """Where the package document is; ``KeyError`` when nothing says."""
    for found in _all(opened.xml("META-INF/container.xml", forgiving=True), "rootfile"):
        path = resolve("", found.get("full-path") or "")
        if path in opened.names:
            return path
    raise KeyError("rootfile")


def _contents(opened: Package, root: str, book: Any, items: dict[Any, Any]) -> dict[str, str]:
    """Title by path, from the first entry that points into it; a damaged list gives none."""
    titles: dict[str, str] = {}
    for item in items.values():
        is_nav = "nav" in (item.get("properties") or "").split()
        is_ncx = item.get("media-type") == "application/x-dtbncx+xml"
        path = resolve(root, item.get("href") or "")
        if path in opened.names and (is_nav or is_ncx):
            entries = _entries(opened.xml(path, forgiving=True), is_nav=is_nav)
            for target, title in entries:
                titles.setdefault(resolve(path, target), title)
    return titles


def _entries(root: Any, *, is_nav: bool) -> Iterator[tuple[str, str]]:
    if is_nav:
        for link in _all(root, "a"):
            yield link.get("href") or "", _text(link)
        return
    for point in _all(root, "navPoint"):
        label = next(_all(point, "text"), None)
        target = next(_all(point, "content"), None)
        if label is not None and target is not None:
            yield target.get("src") or "", _text(label)


def _chapter(opened: Package, path: str, title: str) -> str:
    """A chapter's text under its title; empty for pages that are only pictures."""
    try:
        text = html.parse(opened.read(path), path).text
    except DocumentError:
        return ""
    if not text:
        return ""
    own = _HEADING.match(text)
    if own and (not title or _same(own.group(2), title)):
        title, text = own.group(2), text[own.end() :].lstrip("\n")
    if title and any(len(marks) == 1 for marks, _ in _HEADING.findall(text)):
        text = _HEADING.sub(_lowered, text)
    return "\n\n".join(filter(None, (f"# {title}" if title else "", text)))


def _lowered(heading: re.Match[str]) -> str:
    return f"{'#' * min(len(heading.group(1)) + 1, 6)} {heading.group(2)}"


def _same(first: str, second: str) -> bool:
    return "".join(first.split()).casefold() == "".join(second.split()).casefold()


def _text(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


def _all(root: Any, name: str) -> Iterator[Any]:
    return (element for element in root.iter() if local(element) == name)
