"""PDF pages that are pictures of text, read by ``ocr``.

Knows pdfium's pages; the caller holds pdfium's lock. Raises ``DocumentError`` only where tesseract
does; when the time is up, the pages that are left are named as unread.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ondol.errors import DocumentError
from ondol.retrieval.loaders import ocr

DOCUMENT_SECONDS = 600
DOTS_PER_INCH = 300
MAX_PIXELS = 12_000_000
# A logo or a line on an empty page is smaller than this share of it.
MIN_PICTURE_SHARE = 0.2
POINTS_PER_INCH = 72


def is_picture(document: Any, index: int) -> bool:
    """Whether a picture covers much of that page; not of a page that is damaged."""
    from pypdfium2 import PdfiumError
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    try:
        page = document[index]
        width, height = page.get_size()
        for image in page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE], max_depth=3):
            left, bottom, right, top = image.get_bounds()
            if (right - left) * (top - bottom) >= MIN_PICTURE_SHARE * width * height:
                return True
    except PdfiumError:
        return False
    return False


def read_pages(document: Any, indices: Sequence[int], name: str) -> tuple[dict[int, str], int]:
    """The texts of the pages by index, and how many at the end of ``indices`` were left unread. A
    page that fails has no text, unless all do: then the last failure is raised."""
    from pypdfium2 import PdfiumError

    texts: dict[int, str] = {}
    failure: DocumentError | None = None
    until = time.monotonic() + DOCUMENT_SECONDS
    for done, index in enumerate(indices):
        if time.monotonic() > until:
            return texts, len(indices) - done
        try:
            pixels, header, dots_per_inch = _rendered(document[index])
            if pixels.count(pixels[:1]) < len(pixels):  # not an empty page
                picture = header + pixels
                texts[index] = ocr.recognise(picture, name, dots_per_inch=dots_per_inch)
        except DocumentError as error:
            failure = error
        except PdfiumError:
            continue
    if failure is not None and not texts:
        raise failure
    return texts, 0


def _rendered(page: Any) -> tuple[bytes, bytes, int]:
    """The page in grey, one byte a pixel; what makes a PGM file of it; its resolution."""
    width, height = page.get_size()
    scale = DOTS_PER_INCH / POINTS_PER_INCH
    pixels = width * height * scale * scale
    if pixels > MAX_PIXELS:
        scale *= (MAX_PIXELS / pixels) ** 0.5
    bitmap = page.render(scale=scale, grayscale=True)
    try:
        rows = memoryview(bitmap.buffer).cast("B")
        stride, columns = bitmap.stride, bitmap.width
        lines = [bytes(rows[y * stride : y * stride + columns]) for y in range(bitmap.height)]
        header = b"P5 %d %d 255\n" % (columns, bitmap.height)
    finally:
        bitmap.close()
    return b"".join(lines), header, max(round(scale * POINTS_PER_INCH), 70)
