"""Real files for the loader tests, made on the spot: no binaries stand in the repository."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import docx
from docx.document import Document as WordDocument

LEADING = 1.2
PAGE_TOP = 780.0
PAGE_WIDTH = 595
PAGE_HEIGHT = 842


@dataclass(frozen=True)
class Line:
    """One line of a PDF page: where it begins, in points from the lower left corner."""

    text: str
    y: float
    x: float = 72.0
    size: float = 11.0


def lines(*texts: str, top: float = PAGE_TOP, x: float = 72.0, size: float = 11.0) -> list[Line]:
    """Texts one under the other at normal leading; an empty text leaves a gap."""
    return [
        Line(text, top - number * size * LEADING, x, size)
        for number, text in enumerate(texts)
        if text
    ]


def make_pdf(
    pages: Sequence[Sequence[Line]],
    *,
    title: str = "",
    rotation: int = 0,
    turn: int = 0,
    encrypted: bool = False,
) -> bytes:
    """A PDF whose text is readable only through its ToUnicode map, as Korean PDFs are."""
    characters = sorted({c for page in pages for line in page for c in line.text})
    cids = {character: number + 1 for number, character in enumerate(characters)}
    count = len(pages)
    kids = " ".join(f"{6 + 2 * n} 0 R" for n in range(count))
    widths = " ".join(f"{cids[c]} [{500 if ord(c) < 0x1100 else 1000}]" for c in characters)
    descriptor = (
        "<</Type/FontDescriptor/FontName/Test/Flags 4/FontBBox[0 -200 1000 800]"
        "/ItalicAngle 0/Ascent 800/Descent -200/CapHeight 700/StemV 80>>"
    )
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {count}>>".encode(),
        b"<</Type/Font/Subtype/Type0/BaseFont/Test/Encoding/Identity-H"
        b"/DescendantFonts[4 0 R]/ToUnicode 5 0 R>>",
        b"<</Type/Font/Subtype/CIDFontType2/BaseFont/Test/CIDSystemInfo"
        b"<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/DW 1000"
        + f"/W[{widths}]/FontDescriptor {descriptor}>>".encode(),
        _stream(_unicode_map(cids)),
    ]
    for number, page in enumerate(pages):
        objects.append(
            f"<</Type/Page/Parent 2 0 R/Rotate {rotation}".encode()
            + b"/MediaBox[0 0 595 842]/Resources<</Font<</F1 3 0 R>>>>"
            + f"/Contents {7 + 2 * number} 0 R>>".encode()
        )
        objects.append(_stream("\n".join(_show(line, cids, turn) for line in page)))
    if title:
        objects.append(
            b"<</Title<" + ("\ufeff" + title).encode("utf-16-be").hex().encode() + b">>>"
        )
    trailer = f"/Info {len(objects)} 0 R" if title else ""
    if encrypted:  # with a password that nobody knows
        secret = "ab" * 32
        trailer += f"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<{secret}>/U<{secret}>>>/ID[<00><00>]"
    return _assemble(objects, trailer)


def _show(line: Line, cids: dict[str, int], turn: int) -> str:
    """Drawn so that it stands upright on a page that is shown turned by ``turn`` degrees."""
    codes = "".join(f"{cids[c]:04x}" for c in line.text)
    x, y = line.x, line.y
    matrix = {
        0: f"1 0 0 1 {x} {y:.2f}",
        90: f"0 1 -1 0 {PAGE_WIDTH - y:.2f} {x}",
        180: f"-1 0 0 -1 {PAGE_WIDTH - x} {PAGE_HEIGHT - y:.2f}",
        270: f"0 -1 1 0 {y:.2f} {PAGE_HEIGHT - x}",
    }[turn]
    return f"BT /F1 {line.size} Tf {matrix} Tm <{codes}> Tj ET"


def _unicode_map(cids: dict[str, int]) -> str:
    pairs = [f"<{cid:04x}> <{c.encode('utf-16-be').hex()}>" for c, cid in cids.items()]
    blocks = "\n".join(
        f"{len(pairs[n : n + 100])} beginbfchar\n" + "\n".join(pairs[n : n + 100]) + "\nendbfchar"
        for n in range(0, len(pairs), 100)
    )
    return (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n/CMapName /T def\n"
        "/CMapType 2 def\n1 begincodespacerange\n<0000> <ffff>\nendcodespacerange\n"
        f"{blocks}\nendcmap end end"
    )


def _stream(content: str) -> bytes:
    data = content.encode("ascii")
    return b"<</Length %d>>\nstream\n%s\nendstream" % (len(data), data)


def _assemble(objects: Sequence[bytes], trailer: str) -> bytes:
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        trailer.encode(),
        start,
    )
    return bytes(out)


def save_docx(document: WordDocument) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def make_docx(*paragraphs: str) -> bytes:
    document = docx.Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    return save_docx(document)


def rewrite_member(data: bytes, member: str, old: bytes, new: bytes) -> bytes:
    """The same zip archive with ``old`` replaced by ``new`` in one member."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(buffer, "w") as target:
        for info in source.infolist():
            content = source.read(info)
            if info.filename == member:
                assert old in content
                content = content.replace(old, new, 1)
            target.writestr(info, content, compress_type=zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
