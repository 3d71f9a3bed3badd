"""Images in a conversation: which files are taken, and by which models.

Raises ``UsageError`` that names the field. Nothing is decoded here, that is the model process's
(stb_image: no WebP); but what an image says of its size is read, so that a small file cannot fill
the memory.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ondol.chat_dialect import image_type
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.types import Message

MOST_IMAGES = 16
LARGEST_BYTES = 20 * 1024 * 1024
MOST_PIXELS = 64_000_000

# Markers of JPEG that have no length, and those whose segment holds the size of the image
# (ITU-T T.81, table B.1).
_BARE = {0x01, 0xFF, *range(0xD0, 0xD9)}
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}


def check(messages: Sequence[Message], sees: bool) -> None:
    """Raise unless the images among ``messages`` can be shown to a model that ``sees`` or not."""
    images = [image for message in messages for image in message.images]
    if not images:
        return
    if not sees:
        raise UsageError(t("images.blind"), t("images.blind_hint"), param="messages")
    if len(images) > MOST_IMAGES:
        raise UsageError(t("images.too_many", most=MOST_IMAGES), param="messages")
    for image in images:
        if len(image) > LARGEST_BYTES:
            most = LARGEST_BYTES // 1024**2
            raise UsageError(t("images.too_large", most=most), param="messages")
        size = dimensions(image)
        if size is None:
            raise UsageError(t("images.unknown"), t("images.unknown_hint"), param="messages")
        if size[0] * size[1] > MOST_PIXELS:
            most = MOST_PIXELS // 1_000_000
            raise UsageError(t("images.too_many_pixels", most=most), param="messages")


def dimensions(image: bytes) -> tuple[int, int] | None:
    """Width and height of an image file, as its header says; ``None`` for what is none that can be
    read."""
    try:
        match image_type(image):
            case "image/png":
                width, height = struct.unpack_from(">II", image, 16)
            case "image/gif":
                width, height = struct.unpack_from("<HH", image, 6)
            case "image/bmp":
                width, height = struct.unpack_from("<ii", image, 18)
            case "image/jpeg":
                width, height = _jpeg(image)
            case _:
                return None
    except (struct.error, IndexError):
        return None
    return (abs(width), abs(height)) if width and height else None


def _jpeg(image: bytes) -> tuple[int, int]:
    at = 2
    while True:
        while image[at] != 0xFF:
            at += 1
        marker = image[at + 1]
        if marker in _BARE:
            at += 1 if marker == 0xFF else 2
        elif marker in _FRAMES:
            height, width = struct.unpack_from(">HH", image, at + 5)
            return width, height
        else:
            at += 2 + int(struct.unpack_from(">H", image, at + 2)[0])
