"""Packed request bodies: ``Content-Encoding`` gzip and deflate (RFC 9110), and zstd (RFC 8878, with
the window of RFC 9659), unpacked as they come.

Little goes in and ``PIECE_BYTES`` at most come out at a time, so that whoever counts what comes out
stops a bomb before it fills the memory. Raises ``UnsupportedEncodingError`` (415), ``UsageError``
for what is no such data, and ``HTTPException`` 413 for what is packed denser than anybody packs.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from anyio.lowlevel import checkpoint
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.server.errors import UnsupportedEncodingError

PIECE_BYTES = 64 * 1024
# Four bytes of zstd are a block of up to 128 KiB: so many unpack to 2 MiB and no more.
ZSTD_STEP_BYTES = 64
ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
# A body may come in several gzip members or zstd frames; each is some work, even an empty one.
MOST_PARTS = 4096
# JSON is packed to a tenth or so, the same sentence over and over to far less. Beyond a few
# megabytes only a bomb is this dense.
FREE_BYTES = 4 * 1024 * 1024
MOST_RATIO = 500
# Packed bytes that nothing comes of: names of files, comments, frames to be skipped.
MOST_EMPTY_BYTES = 1024 * 1024


def opened(scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
    """The request as if its body had never been packed."""
    said = ",".join(Headers(scope=scope).getlist("content-encoding"))
    names = {part.strip().lower() for part in said.split(",")} - {"", "identity"}
    if not names:
        return scope, receive
    name = names.pop()
    if names or name not in _PARTS or said.lower().count(name) > 1:
        raise UnsupportedEncodingError(
            t("encodings.unsupported"),
            t("encodings.unsupported_hint", accepted=UnsupportedEncodingError.accepted),
        )
    gone = (b"content-encoding", b"content-length")
    headers = [(field, value) for field, value in scope["headers"] if field.lower() not in gone]
    return {**scope, "headers": headers}, _Body(name, receive)


class _Body:
    """A ``receive`` whose messages hold what the body's bytes unpack to."""

    def __init__(self, encoding: str, receive: Receive) -> None:
        self._unpacking = Unpacking(encoding)
        self._receive = receive
        self._pieces: Iterator[bytes] = iter(())
        self._is_last = self._is_over = False

    async def __call__(self) -> Message:
        while not self._is_over:
            # However much it unpacks to, others have their turn in between.
            await checkpoint()
            piece = next(self._pieces, None)
            if piece is not None:
                return {"type": "http.request", "body": piece, "more_body": True}
            if self._is_last:
                self._is_over = True
                return {"type": "http.request", "body": b"", "more_body": False}
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._is_last = not message.get("more_body", False)
            self._pieces = self._unpacking.feed(message.get("body", b""), is_last=self._is_last)
        return await self._receive()


class Unpacking:
    """The unpacking of one body, fed as it comes."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._part: _Part | None = None
        self._parts = self._packed_bytes = self._unpacked_bytes = 0

    def feed(self, data: bytes, *, is_last: bool) -> Iterator[bytes]:
        """What ``data`` unpacks to, in pieces of at most ``PIECE_BYTES``."""
        self._packed_bytes += len(data)
        try:
            for piece in self._unpacked(data):
                self._unpacked_bytes += len(piece)
                self._check_ratio()
                yield piece
            is_cut = is_last and self._part is not None
            is_empty = self._packed_bytes > MOST_EMPTY_BYTES + 2 * self._unpacked_bytes
            if is_cut or is_empty:
                raise ValueError
        except ValueError:
            raise UsageError(t("encodings.damaged", encoding=self._encoding)) from None

    def _unpacked(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._part is None:
                self._parts += 1
                if self._parts > (1 if self._encoding == "deflate" else MOST_PARTS):
                    raise ValueError
                self._part = _PARTS[self._encoding]()
            yield from self._part.feed(data)
            if not self._part.is_done:
                return
            data, self._part = self._part.unused, None

    def _check_ratio(self) -> None:
        is_dense = self._unpacked_bytes > MOST_RATIO * self._packed_bytes
        if is_dense and self._unpacked_bytes > FREE_BYTES:
            raise HTTPException(413, t("encodings.bomb", times=MOST_RATIO))


class _Part(Protocol):
    """A gzip member, a zlib stream or a zstd frame; ``unused`` is what follows it in the data."""

    is_done: bool
    unused: bytes

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What ``data`` unpacks to. Raises ``ValueError`` for what cannot be."""
        ...


class _Inflated:
    """What zlib unpacks; ``wbits`` says in which wrapping."""

    def __init__(self, wbits: int) -> None:
        self._inflater = zlib.decompressobj(wbits)
        self.is_done = False
        self.unused = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        piece = None
        # A full piece may have left something behind inside, even where all the data went in.
        while not self.is_done and (data or piece is None or len(piece) == PIECE_BYTES):
            try:
                piece = self._inflater.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise ValueError from error
            data = self._inflater.unconsumed_tail
            self.is_done, self.unused = self._inflater.eof, self._inflater.unused_data
            if piece:
                yield piece


class _Deflated:
    """``deflate`` is a zlib stream (RFC 1950); some send the naked data (RFC 1951) instead, as the
    first two bytes tell."""

    def __init__(self) -> None:
        self._start = b""
        self._inner: _Inflated | None = None
        self.is_done = False
        self.unused = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._inner is None:
            self._start += data
            if len(self._start) < 2:
                return
            data, first = self._start, int.from_bytes(self._start[:2])
            is_wrapped = first >> 8 & 0x0F == 8 and first % 31 == 0
            self._inner = _Inflated(zlib.MAX_WBITS if is_wrapped else -zlib.MAX_WBITS)
        yield from self._inner.feed(data)
        self.is_done, self.unused = self._inner.is_done, self._inner.unused


class _Zstandard:
    """A frame, or one that is to be skipped."""

    def __init__(self) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
        self._frame = decompressor.decompressobj()
        self.is_done = False
        self.unused = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), ZSTD_STEP_BYTES):
            end = start + ZSTD_STEP_BYTES
            try:
                found = self._frame.decompress(data[start:end])
            except self._error as error:
                raise ValueError from error
            for at in range(0, len(found), PIECE_BYTES):
                yield found[at : at + PIECE_BYTES]
            if self._frame.eof:
                self.is_done, self.unused = True, self._frame.unused_data + data[end:]
                return


def _gzip() -> _Part:
    return _Inflated(zlib.MAX_WBITS | 16)


_PARTS: dict[str, Callable[[], _Part]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _Deflated,
    "zstd": _Zstandard,
}
