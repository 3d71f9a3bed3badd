"""An asynchronous HTTP transport whose every request goes through the one door.

The MCP SDK wants an asynchronous client, ``Egress`` makes synchronous transports: a request waits
for the door in a thread. ``label`` is that of what is being sent; it is set around each call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from anyio.to_thread import run_sync

from ondol.egress import Egress
from ondol.errors import EgressError
from ondol.types import Sensitivity

if TYPE_CHECKING:
    import httpx2

PURPOSE = "tools"
# All that one answer may be: of a result 16,000 letters are used, and the SDK reads it whole.
MOST_ANSWER_BYTES = 16 * 1024 * 1024


class Doorway:
    """The way to one server. ``secrets`` are the server's own keys, which the inspector is not
    shown."""

    def __init__(self, egress: Egress, url: str, secrets: tuple[str, ...]) -> None:
        self.label = Sensitivity.PUBLIC
        self.refusal: EgressError | None = None
        """What the door said of the latest request that it did not let out; the SDK swallows it."""
        self._egress = egress
        self._url = url
        self._secrets = secrets
        self._ways: dict[Sensitivity, Any] = {}

    def transport(self) -> httpx2.AsyncBaseTransport:
        """For an ``httpx2.AsyncClient``."""
        import httpx2

        doorway = self

        class Transport(httpx2.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
                body = await request.aread()
                plain = httpx2.Request(
                    request.method,
                    request.url,
                    headers={**request.headers, "accept-encoding": "identity"},
                    content=body,
                    extensions=request.extensions,
                )
                try:
                    send = partial(doorway._way().handle_request, plain)
                    response = await run_sync(send, abandon_on_cancel=True)
                except EgressError as error:
                    doorway.refusal = error
                    raise
                if response.headers.get("content-encoding", "identity") != "identity":
                    # Nothing packed was asked for, and a bomb is small until it is unpacked.
                    response.stream.close()
                    raise httpx2.DecodingError("packed")
                return httpx2.Response(
                    response.status_code,
                    headers=response.headers,
                    stream=Stream(response.stream),
                    extensions=response.extensions,
                )

            async def aclose(self) -> None:
                await run_sync(doorway.close)

        class Stream(httpx2.AsyncByteStream):
            def __init__(self, inner: Any) -> None:
                self._inner = inner

            async def __aiter__(self) -> AsyncIterator[bytes]:
                parts: Iterator[bytes] = iter(self._inner)
                left = MOST_ANSWER_BYTES
                while part := await run_sync(next, parts, b"", abandon_on_cancel=True):
                    left -= len(part)
                    if left < 0:
                        raise httpx2.ReadError(f"more than {MOST_ANSWER_BYTES} bytes")
                    yield part

            async def aclose(self) -> None:
                await run_sync(self._inner.close, abandon_on_cancel=True)

        return Transport()

    def close(self) -> None:
        """End every connection; what came back is written down."""
        for way in self._ways.values():
            way.close()
        self._ways.clear()

    def _way(self) -> Any:
        import httpx2

        if self.label not in self._ways:
            self._egress.declare(PURPOSE, self._url)
            self._ways[self.label] = self._egress.transport(
                httpx2, self._url, PURPOSE, sensitivity=self.label, secrets=self._secrets
            )
        return self._ways[self.label]
