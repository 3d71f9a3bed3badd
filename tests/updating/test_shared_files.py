"""Two items of a hub may have the same file: what one mirror sends for the second of them never
becomes part of the first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from forged_hub import ForgedHub, Mirror, mirrors
from served_llama import write_llama

from ondol import config
from ondol.egress import Egress
from ondol.errors import OndolError
from ondol.hub.client import Hubs
from ondol.parts import Parts
from ondol.updating import updater

WAIT_SECONDS = 20


class Lying:
    """Sends the first half as it is, and something else once it is told to."""

    def __init__(self, content: bytes) -> None:
        self.half = len(content) // 2
        self.content = content
        self.sent, self.go_on = threading.Event(), threading.Event()

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        if self.sent.is_set():
            start = int(request.headers.get("Range", "bytes=0-")[6:-1])
            rest = self.content[start:]
            request.send_response(206 if start else 200)
            end = len(self.content) - 1
            request.send_header("Content-Range", f"bytes {start}-{end}/{len(self.content)}")
            request.send_header("Content-Length", str(len(rest)))
            request.end_headers()
            request.wfile.write(rest)
            return
        request.send_response(200)
        request.send_header("Content-Length", str(len(self.content)))
        request.end_headers()
        request.wfile.write(self.content[: self.half])
        request.wfile.flush()
        self.sent.set()
        self.go_on.wait(WAIT_SECONDS)
        request.wfile.write(b"!" * (len(self.content) - self.half))


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    return write_llama(tmp_path / "tiny.gguf", 1).read_bytes()


@pytest.fixture
def mirror(weights: bytes, home: Path) -> Iterator[Mirror]:
    """Of a hub that the device knows."""
    forged = ForgedHub()
    forged.add_publisher("clinic")
    for item in ("tiny", "other"):
        forged.release("clinic", item, "1", {"model.gguf": weights}, name=f"{item}:1m")
    with mirrors(forged.files()) as (found,), Hubs.open() as hubs:
        hubs.add(found.url, forged.fingerprint, egress=Egress())
        yield found


@pytest.mark.usefixtures("quick")
def test_no_byte_of_another_fetch_gets_into_what_was_verified(
    weights: bytes, mirror: Mirror
) -> None:
    lying = Lying(weights)
    [blob] = [path for path in mirror.files if path.startswith("blobs/")]
    mirror.says[blob] = lying

    def second(parts: Parts) -> None:
        with suppress(OndolError, OSError):
            updater.install(parts, "clinic/other")

    with Parts(config.load()) as parts:
        thread = threading.Thread(target=second, args=(parts,))
        thread.start()
        assert lying.sent.wait(WAIT_SECONDS)
        updater.install(parts, "clinic/tiny")
        lying.go_on.set()
        thread.join(WAIT_SECONDS)
        kept = parts.store.path(parts.store.get("tiny:1m"))
        assert kept.read_bytes() == weights
