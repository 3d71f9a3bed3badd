"""The way from Flower's process on a device to home: through the door, to one certificate.

That process has no network. What it would send it gives to us, and we look whether it is a request
of Flower's Fleet API that a device makes; the door checks the destination and the certificate and
has the bytes written down. What a device learned is a passage for each part of it; asking for
messages, many times an hour and always the same, is told of in sums.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ondol.egress import Egress
from ondol.errors import EgressError
from ondol.federated.flower.pipes import Head
from ondol.types import Sensitivity

if TYPE_CHECKING:
    import httpx2

PURPOSE = "federation"
PATHS = frozenset(
    f"/v1/fleet/{name}"
    for name in (
        *("activate-node", "deactivate-node", "send-node-heartbeat", "get-run"),
        *("pull-messages", "push-messages", "pull-object", "push-object"),
        "confirm-message-received",
    )
)
HEADERS = frozenset(
    {
        *("accept", "content-type", "user-agent"),
        *("flwr-public-key", "flwr-signature", "flwr-timestamp"),
    }
)
ALLOWANCE_BYTES = 256 << 10
TIMEOUT_SECONDS = 40.0
"""Home keeps who asks for messages waiting for 20 s."""
MOST_REQUEST_BYTES = 1 << 20
MOST_ANSWER_BYTES = 2 << 20


class Relay:
    """To the home at ``url`` (https), which shows the certificate with the SHA-256 ``fingerprint``
    (hex). ``close`` it in the end. Safe to use from several threads."""

    def __init__(self, egress: Egress, url: str, fingerprint: str) -> None:
        self._url = url.rstrip("/")
        self._stack = ExitStack()
        self._client = self._stack.enter_context(
            egress.client(
                url,
                PURPOSE,
                sensitivity=Sensitivity.TRUSTED,
                timeout_seconds=TIMEOUT_SECONDS,
                pinned=fingerprint,
                allowance_bytes=ALLOWANCE_BYTES,
            )
        )

    def close(self) -> None:
        """Close the connections; what came in is written down."""
        self._stack.close()

    def carry(self, head: Head, body: bytes) -> tuple[Head, bytes]:
        """Send one request of Flower's and give back what home said: its status, its time and
        body, or an ``error`` ("unreachable", or the code of what the door refused)."""
        import httpx2

        path = str(head.get("path", ""))
        if path not in PATHS or len(body) > MOST_REQUEST_BYTES:
            return {"error": "not_ours"}, b""
        headers = {str(key): str(value) for key, value in head.get("headers", []) if key in HEADERS}
        try:
            with self._client.stream(
                "POST", self._url + path, headers=headers, content=body
            ) as response:
                answer = _read(response)
                about: dict[str, Any] = {
                    "status": response.status_code,
                    "type": response.headers.get("content-type", ""),
                    "date": response.headers.get("date", ""),
                }
                return about, answer
        except EgressError as error:
            return {"error": error.code, "reason": error.message}, b""
        except (httpx2.HTTPError, OSError) as error:
            return {"error": "unreachable", "reason": type(error).__name__}, b""


def _read(response: httpx2.Response) -> bytes:
    """The body, as it came; too long a one is none."""
    held = bytearray()
    for part in response.iter_bytes():
        held += part
        if len(held) > MOST_ANSWER_BYTES:
            raise OSError("too long an answer")
    return bytes(held)
