"""Pixels as a PNG (RFC 2083): eight bits a channel, no filter, nothing but what a reader needs."""

from __future__ import annotations

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TRUE_COLOUR = 2


def encode(width: int, height: int, pixels: bytes) -> bytes:
    """The PNG of ``height`` rows of ``width`` pixels of three bytes: red, green, blue."""
    row = 3 * width
    if len(pixels) != row * height or not pixels:
        raise ValueError(f"{len(pixels)} bytes are not {width} × {height} pixels")
    rows = b"".join(b"\0" + pixels[at : at + row] for at in range(0, len(pixels), row))
    header = struct.pack(">IIBBBBB", width, height, 8, _TRUE_COLOUR, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows, 3)), (b"IEND", b"")
    return SIGNATURE + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
