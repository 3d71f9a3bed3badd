"""Pages drawn by a child of their own, and what the two say to each other about it.

Nothing but pixels comes back, counted before they are kept: whatever the file did to pdfium, what a
browser is given is a picture that was packed here. Raises ``DocumentError`` families.
"""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ondol.confinement import frames
from ondol.errors import DocumentChangedError, DocumentError
from ondol.i18n import language, t
from ondol.retrieval.loaders import contents, page_picture
from ondol.retrieval.loaders.isolation.child import COMMAND, Child, ChildGoneError
from ondol.retrieval.loaders.page_picture import MOST_RECTANGLES, Box, PagePicture, Wanted
from ondol.retrieval.loaders.pdf import MAX_PAGES

BYTES_PER_PIXEL = 3
MOST_SIDE = 20_000
# A little beyond what is asked for: sides are rounded up.
MOST_BYTES = BYTES_PER_PIXEL * (page_picture.MOST_PIXELS + 2 * MOST_SIDE)


def draw(
    path: Path,
    content_hash: str,
    wanted: Wanted,
    *,
    max_bytes: int,
    seconds: int,
    memory_mb: int,
    can_isolate: bool,
    command: Sequence[str] = COMMAND,
) -> PagePicture:
    """A page of the PDF at ``path``, whose bytes must still be those of ``content_hash``, else
    ``DocumentChangedError``. The child reads this file and ends."""
    name = contents.printable(path)
    with contents.opened(path) as descriptor:
        data = contents.read_opened(descriptor, name, max_bytes=max_bytes)
        if hashlib.sha256(data).hexdigest() != content_hash:
            raise DocumentChangedError(t("views.changed", name=name))
        if not can_isolate:
            return page_picture.draw(data, name, wanted)
        del data
        request = {
            "draw": asdict(wanted),
            "file_name": name,
            "max_bytes": max_bytes,
            "language": language(),
            "seconds": seconds,
        }
        try:
            child = Child(command, memory_mb << 20)
        except (ChildGoneError, OSError) as error:
            message = t("isolation.not_started", reason=error)
            raise DocumentError(message, t("isolation.not_started_hint")) from error
        try:
            child.ask(request, descriptor)
            return child.hear_with(receive, time.monotonic() + seconds)
        except ChildGoneError as gone:
            if gone.is_slow:
                message = t("isolation.too_slow", name=name, limit=seconds)
                raise DocumentError(message, t("isolation.too_slow_hint")) from gone
            raise DocumentError(t("isolation.crashed", name=name, reason=gone)) from gone
        finally:
            child.kill()


def wanted_in(request: Mapping[str, Any]) -> Wanted | None:
    """The child's side: what is to be drawn, where something is."""
    return Wanted(**request["draw"]) if "draw" in request else None


def send(connection: socket.socket, picture: PagePicture) -> None:
    """``picture``, for ``receive``."""
    said = {name: getattr(picture, name) for name in ("page", "pages", "width", "height", "boxes")}
    frames.send(connection, {"kind": "drawn", **said})
    frames.send_bytes(connection, picture.pixels)


def receive(incoming: frames.Incoming, deadline: float) -> PagePicture:
    """The picture that ``send`` sent; what else is said before it is passed over."""
    while (said := incoming.frame(deadline)).get("kind") == "refused":
        pass
    if said.get("kind") == "failed":
        message = frames.sentence(said.get("message"))
        raise DocumentError(message, frames.sentence(said.get("hint")))
    numbers = [said.get(name) for name in ("page", "pages", "width", "height")]
    if said.get("kind") != "drawn" or any(type(number) is not int for number in numbers):
        raise ValueError("no picture")
    page, pages, width, height = (int(str(number)) for number in numbers)
    if not 1 <= page <= pages <= MAX_PAGES or not 0 <= min(width, height) <= MOST_SIDE:
        raise ValueError("no page")
    length = width * height * BYTES_PER_PIXEL
    if max(width, height) > MOST_SIDE or length > MOST_BYTES:
        raise ValueError("too large")
    pixels = incoming.block(deadline, length)
    if len(pixels) != length:
        raise ValueError("not all of it")
    return PagePicture(page, pages, width, height, pixels, _boxes(said.get("boxes")))


def _boxes(given: object) -> tuple[Box, ...]:
    if not isinstance(given, list) or len(given) > MOST_RECTANGLES:
        raise ValueError("no boxes")
    return tuple(_box(one) for one in given)


def _box(given: object) -> Box:
    if not isinstance(given, list) or len(given) != 4:
        raise ValueError("no box")
    if any(type(side) not in (int, float) or not 0 <= side <= 1 for side in given):
        raise ValueError("not on the page")
    left, top, right, bottom = (float(side) for side in given)
    return left, top, right, bottom
