"""HTML to text (lexbor): what a reader would read, without scripts, styles, navigation and footer.

Headings become ``#`` lines, list items ``-`` lines, table rows ``| a | b |`` lines; paragraphs are
separated by an empty line. Raises ``DocumentError`` when nothing is left to read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import encoding
from ondol.retrieval.loaders.extract import Extract
from ondol.retrieval.loaders.layout import Layout

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

# A main element that holds less than this share of the page is not where its text stands.
MIN_MAIN_SHARE = 0.25
# lexbor's time grows with nesting times length: pages for people stay far below these.
MAX_DEPTH = 2000
MAX_ATTRIBUTES = 5000
MAX_ROOTS = 100
_UNCHECKED_BYTES = 64 * 1024

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    "address article aside blockquote body center dd details div dl dt fieldset figcaption figure "
    "footer form header hgroup hr legend li main nav ol p pre section summary table tbody td tfoot "
    "th thead tr ul caption".split()
)
_NEVER = frozenset(
    "head script style noscript template svg iframe object embed canvas audio video select button "
    "input textarea datalist dialog".split()
)
_AROUND = frozenset(("nav", "footer"))
_AROUND_ROLES = frozenset(("navigation", "contentinfo", "search"))
_STRUCTURE = "table, h1, h2, h3, h4, h5, h6, ul, ol, pre"

_META_CHARSET = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w:.-]+)""", re.I)
_XML_ENCODING = re.compile(rb"""^\s*<\?xml[^>]+encoding\s*=\s*["']([\w:.-]+)""", re.I)
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)([^<>]*)")
# Elements that the parser closes by itself: they do not pile up.
_SELF_CLOSING = frozenset(
    "area base br col embed hr img input link meta param source track wbr p li dt dd td th tr "
    "option optgroup rt rp thead tbody tfoot html head body script style".split()
)


def parse(data: bytes, name: str, *, declared: str = "") -> Extract:
    """The page's main text; its title is the title element's, else the first heading. ``declared``
    is the encoding that whoever sent the page gave for it."""
    from selectolax.lexbor import LexborHTMLParser

    markup = encoding.decode(data, declared=declared or _declared(data))
    _check_shape(markup, name)
    tree = LexborHTMLParser(markup)
    text = _main_text(tree)
    if data.strip() and not text:
        raise DocumentError(t("documents.no_text", name=name))
    return Extract(text, _title(tree, text))


def _declared(data: bytes) -> str:
    match = _XML_ENCODING.match(data[:200]) or _META_CHARSET.search(data[:4096])
    return match.group(1).decode("ascii", "replace") if match else ""


def _check_shape(markup: str, name: str) -> None:
    """Refuse pages that are built to make the parser take for ever."""
    if len(markup) < _UNCHECKED_BYTES:
        return
    depth: dict[str, int] = {}
    roots = total = 0
    for closing, name_as_written, attributes in _TAG.findall(markup):
        tag = name_as_written.lower()
        roots += tag in ("html", "body")
        if tag not in _SELF_CLOSING and (not closing or depth.get(tag)):
            step = -1 if closing else 1
            depth[tag] = depth.get(tag, 0) + step
            total += step
        if total > MAX_DEPTH or roots > MAX_ROOTS or attributes.count("=") > MAX_ATTRIBUTES:
            raise DocumentError(t("documents.too_deep", name=name))


def _main_text(tree: LexborHTMLParser) -> str:
    body = tree.body
    if body is None:
        return ""
    whole = _render(body, _AROUND)
    for main in tree.css("main, [role=main]"):
        text = _render(main, _AROUND)
        if len(text) > len(whole) * MIN_MAIN_SHARE:
            return text
    return whole or _render(body, frozenset())


def _title(tree: LexborHTMLParser, text: str) -> str:
    node = tree.css_first("head > title")
    if node is not None and node.text().strip():
        return node.text()
    meta = tree.css_first('meta[property="og:title"]')
    if meta is not None and (content := meta.attributes.get("content")):
        return content
    heading = re.search(r"^#{1,6} (.+)$", text, re.M)
    return heading.group(1) if heading else ""


def _render(root: LexborNode, around: frozenset[str]) -> str:
    layout = Layout()
    data_tables: list[bool] = []
    for node, entering in _walk(root, around):
        tag = node.tag or ""
        if tag in ("-text", "br"):
            if entering:
                layout.write(node.text_content or "") if tag == "-text" else layout.line_break()
        elif tag == "table":
            _table(layout, data_tables, node, entering)
        elif tag in ("tr", "td", "th") and data_tables and data_tables[-1]:
            _cell(layout, tag, entering)
        elif tag in _HEADINGS or tag in _BLOCKS:
            _block(layout, tag, entering)
    return layout.text()


def _walk(root: LexborNode, around: frozenset[str]) -> Iterator[tuple[LexborNode, bool]]:
    """Nodes in document order, entering and leaving; without recursion, whatever the depth."""
    path = [root]
    yield root, True
    node = root.first_child
    while path:
        if node is None:
            left = path.pop()
            yield left, False
            node = left.next if path else None
        elif _is_skipped(node, around):
            node = node.next
        elif node.first_child is None:
            yield node, True
            yield node, False
            node = node.next
        else:
            yield node, True
            path.append(node)
            node = node.first_child


def _is_skipped(node: LexborNode, around: frozenset[str]) -> bool:
    tag = node.tag
    if tag == "-text":
        return False
    if tag is None or tag.startswith("-") or tag in _NEVER or tag in around:
        return True
    attributes = node.attributes
    if not attributes:
        return False
    style = (attributes.get("style") or "").replace(" ", "").lower()
    if "hidden" in attributes or "display:none" in style:
        return True
    return bool(around) and attributes.get("role") in _AROUND_ROLES


def _table(layout: Layout, data_tables: list[bool], node: LexborNode, entering: bool) -> None:
    """Tables of data become rows; tables that lay out a page are only boxes around its text."""
    layout.block()
    if entering:
        inner = [found for found in node.css(_STRUCTURE) if found.mem_id != node.mem_id]
        presentation = node.attributes.get("role") in ("presentation", "none")
        data_tables.append(not inner and not presentation)
    elif data_tables:
        data_tables.pop()


def _cell(layout: Layout, tag: str, entering: bool) -> None:
    if tag == "tr":
        layout.begin_row() if entering else layout.end_row()
    elif not entering:
        layout.end_cell()


def _block(layout: Layout, tag: str, entering: bool) -> None:
    if tag in ("ul", "ol"):
        layout.begin_list() if entering else layout.end_list()
    elif tag == "pre":
        layout.begin_verbatim() if entering else layout.end_verbatim()
    elif tag == "li" and entering:
        layout.item()
    elif tag in _HEADINGS and entering:
        layout.heading(_HEADINGS[tag])
    else:
        layout.block()
