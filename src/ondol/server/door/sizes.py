"""How large a request may be: its address, its headers, its body, and all bodies at once.

Raises ``RequestHeadError`` (414, 431), ``TwoLengthsError`` (400), ``ServerBusyError`` (503), and
``HTTPException`` 413.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from ondol.errors import OndolError, ServerBusyError
from ondol.i18n import t
from ondol.server.door.access import Access
from ondol.server.errors import TwoLengthsError

# A document's name may be 20,000 letters of Korean, of nine bytes each in an address: such names
# are the most there is, and nobody writes them. 64 KiB is more than any browser sends.
LONGEST_TARGET_BYTES = 64 * 1024
MOST_HEADERS = 100
MOST_HEADER_BYTES = 32 * 1024
# They send a few words; who has no key yet fills no memory with more.
OPEN_BODY_BYTES = 1024 * 1024
# Of the largest bodies so many are in memory at once.
BODIES_AT_ONCE = 16

# A model's weights are as large as they are; the disk says when it is full.
LARGEST_BLOB_BYTES = 1 << 40

# Their bodies are files, which go to disk as they come.
_FILE_PATHS = re.compile(r"/ondol/v1/(uploads|sources/upload|conversations/[^/]+/attachments)")
_FRAMINGS = {b"content-length", b"transfer-encoding"}
_BLOB_PATHS = re.compile(r"/api/blobs/[^/]+")


class RequestHeadError(OndolError):
    """The address of a request, or its headers, are longer than any program needs."""

    code = "request_head_too_large"
    status = 431


def check_head(scope: Scope) -> None:
    """Refuse a request whose address or headers are too much."""
    target = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
    if target > LONGEST_TARGET_BYTES:
        error = RequestHeadError(t("server.address_too_long", bytes=LONGEST_TARGET_BYTES))
        error.status = 414
        raise error
    headers = scope["headers"]
    size = sum(len(name) + len(value) for name, value in headers)
    if len(headers) > MOST_HEADERS or size > MOST_HEADER_BYTES:
        raise RequestHeadError(
            t("server.headers_too_large", most=MOST_HEADERS, bytes=MOST_HEADER_BYTES)
        )
    if {name.lower() for name, _ in headers} >= _FRAMINGS:
        # A proxy in front may have read the other one, and take the rest of the body for the next
        # request ("smuggling", RFC 9112 6.1 and 11.2): nothing more is read here.
        raise TwoLengthsError(t("server.two_lengths"))


class Bodies:
    """The bodies that are in memory, of one server. To be used from its event loop."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._held_bytes = 0

    @contextmanager
    def limited(
        self, scope: Scope, headers: Headers, receive: Receive, *, is_open: bool
    ) -> Iterator[Receive]:
        """``receive`` for as large a body as the request may have; inside the block it counts
        among what is in memory. ``is_open``: whoever sends it has shown no key."""
        is_blob = _BLOB_PATHS.fullmatch(scope["path"]) is not None
        is_file = is_blob or _FILE_PATHS.fullmatch(scope["path"]) is not None
        limit = self._access.max_body_bytes
        if is_open:
            limit = min(limit, OPEN_BODY_BYTES)
        elif is_blob:
            limit = LARGEST_BLOB_BYTES
        elif is_file:
            # A little more, so that the route can say which file is too large.
            limit = max(limit, self._access.max_file_bytes + 65_536)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > limit:
            raise _too_large(limit)
        received = held = 0

        def hold(size: int) -> None:
            nonlocal held
            if not is_file and size > held:
                self._held_bytes += size - held
                held = size
                # One body is always let in, however large the owner lets them be.
                if self._held_bytes > self._access.max_body_bytes * BODIES_AT_ONCE:
                    raise ServerBusyError(t("server.too_many_bodies"), retry_after_seconds=2)

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _too_large(limit)
            hold(received)
            return message

        try:
            hold(int(length))
            yield limited
        finally:
            self._held_bytes -= held


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, t("server.body_too_large", megabytes=limit // (1024 * 1024)))
