"""Plain text, Markdown, reStructuredText, code and data: the file's own decoded text."""

from __future__ import annotations

import re

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import encoding
from ondol.retrieval.loaders.extract import Extract

_TITLE_CHARACTERS = 20_000
_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(.*?)\r?\n(?:---|\.\.\.)[ \t]*(?:\r?\n|$)", re.S)
_FRONT_TITLE = re.compile(r"^title[ \t]*:[ \t]*([^\r\n]+)", re.M | re.I)
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
_HEADING = re.compile(
    r"^ {0,3}#{1,6}[ \t]+([^\r\n]+?)[ \t]*#*[ \t]*\r?$"
    r"|^(?=\S)(?![-=>#])([^\r\n]+)\r?\n(?:=+|-{2,})[ \t]*\r?$",
    re.M,
)
_UNDERLINED = re.compile(r"^(\S[^\r\n]*)\r?\n([=\-~^\"'`*+#:._])\2{2,}[ \t]*\r?$", re.M)


def parse(data: bytes, name: str) -> Extract:
    """Text that says nothing about its title."""
    if encoding.is_binary(data):
        raise DocumentError(t("documents.binary", name=name))
    return Extract(encoding.decode(data))


def parse_markdown(data: bytes, name: str) -> Extract:
    """The title is the front matter's, else the first heading."""
    text = parse(data, name).text
    head = text[:_TITLE_CHARACTERS]
    front = _FRONT_MATTER.match(head)
    title = _FRONT_TITLE.search(front.group(1)) if front else None
    if title:
        return Extract(text, title.group(1).strip().strip("\"'"))
    body = _FENCE.sub("", head[front.end() :] if front else head)
    heading = _HEADING.search(body)
    return Extract(text, (heading.group(1) or heading.group(2)) if heading else "")


def parse_rst(data: bytes, name: str) -> Extract:
    """The title is the first underlined line."""
    text = parse(data, name).text
    heading = _UNDERLINED.search(text[:_TITLE_CHARACTERS])
    return Extract(text, heading.group(1) if heading else "")
