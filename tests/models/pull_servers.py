"""Servers on loopback that deliver models well or badly, and the files they deliver.

``Route.moods`` are spent one a request; when none is left the server behaves.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

BLOCK = 16_384


def tiny_gguf(size: int = 4096, *, seed: int = 1, metadata: dict[str, str] | None = None) -> bytes:
    """A well-formed GGUF whose one tensor holds about ``size`` random bytes."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    strings = {"general.architecture": "llama", **(metadata or {})}
    numbers = {"llama.context_length": 512, "llama.embedding_length": 64, "llama.block_count": 1}
    entries = [text(k) + struct.pack("<I", 8) + text(v) for k, v in strings.items()]
    entries += [text(k) + struct.pack("<II", 4, v) for k, v in numbers.items()]
    count = max(size // 4 // 64, 1) * 64
    tensor = text("token_embd.weight") + struct.pack("<IQIQ", 1, count, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(entries)) + b"".join(entries) + tensor
    return head + bytes(-len(head) % 32) + random.Random(seed).randbytes(count * 4)


def split_gguf(count: int, *, is_first_empty: bool = False, size: int = 4096) -> list[bytes]:
    """A model in ``count`` files as llama.cpp's own tool writes them: the first alone says what
    the model is (and may hold no tensors), the others have nothing but their place and tensors."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    length = max(size // 4 // 64, 1) * 64
    describing = [text("general.architecture") + struct.pack("<I", 8) + text("llama")]
    describing.append(text("llama.context_length") + struct.pack("<II", 4, 512))
    files = []
    for number in range(count):
        place = {"split.no": number, "split.count": count}
        entries = [text(k) + struct.pack("<IH", 2, v) for k, v in place.items()]
        entries = (describing if number == 0 else []) + entries
        is_empty = is_first_empty and number == 0
        tensor = text(f"blk.{number}.weight") + struct.pack("<IQIQ", 1, length, 0, 0)
        head = b"GGUF" + struct.pack("<IQQ", 3, not is_empty, len(entries)) + b"".join(entries)
        head += b"" if is_empty else tensor
        data = b"" if is_empty else random.Random(number).randbytes(length * 4)
        files.append(head + bytes(-len(head) % 32) + data)
    return files


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Mood:
    """One way to treat one request."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    stop_after: int | None = None
    """Bytes of body after which the connection is cut."""
    stall_after: int | None = None
    """Bytes of body after which nothing more comes, with the connection open."""
    claim: int | None = None
    """Content-Length instead of the true one."""
    then: Callable[[Route], None] = lambda route: None
    """What happens to the route after this request."""


@dataclass
class Route:
    content: bytes
    etag: str = '"one"'
    last_modified: str = ""
    ranges: bool = True
    if_range: bool = True
    length: bool = True
    moods: list[Mood] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    start: int = 0


class Server:
    """A server with routes. ``served`` counts body bytes; ``moved`` is notified as it grows."""

    def __init__(self, pause_seconds: float = 0.0) -> None:
        self.routes: dict[str, Route] = {}
        self.requests: list[Request] = []
        self.served = 0
        self.moved = threading.Condition()
        self.closing = threading.Event()
        self.pause_seconds = pause_seconds
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def add(self, path: str, content: bytes, *moods: Mood, **options: object) -> Route:
        route = Route(content, moods=list(moods), **options)  # type: ignore[arg-type]
        self.routes[path] = route
        return route

    def starts(self, path: str = "") -> list[int]:
        """The offsets at which bodies were asked for."""
        return [r.start for r in self.requests if r.method == "GET" and r.path.startswith(path)]

    def count(self, size: int) -> None:
        with self.moved:
            self.served += size
            self.moved.notify_all()

    def wait_for(self, served: int, unless: Callable[[], bool], timeout: float = 60) -> None:
        """Until so many bytes have been served in all, or ``unless`` is true."""
        with self.moved:
            for _ in range(int(timeout / 0.05)):
                if self.served >= served or unless():
                    return
                self.moved.wait(0.05)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            self.close_connection = True
            path = unquote(urlsplit(self.path).path)
            request = Request(self.command, path, {k.lower(): v for k, v in self.headers.items()})
            server.requests.append(request)
            route = server.routes.get(path)
            if route is None:
                return self.finish_with(404, {}, b"", body)
            mood = route.moods.pop(0) if route.moods and body else Mood()
            if mood.status != 200:
                return self.finish_with(mood.status, mood.headers, b"no", body)
            self.deliver(route, mood, request, body)
            mood.then(route)

        def deliver(self, route: Route, mood: Mood, request: Request, body: bool) -> None:
            content, start, status = route.content, 0, 200
            wanted = re.match(r"bytes=(\d+)-", request.headers.get("range", ""))
            guard = request.headers.get("if-range")
            same = not guard or not route.if_range or guard in (route.etag, route.last_modified)
            headers = {**route.headers, **mood.headers}
            if route.etag:
                headers["ETag"] = route.etag
            if route.last_modified:
                headers["Last-Modified"] = route.last_modified
            if wanted and route.ranges and same:
                start, status = int(wanted[1]), 206
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                if start >= len(content):
                    headers["Content-Range"] = f"bytes */{len(content)}"
                    return self.finish_with(416, headers, b"", body)
            request.start = start
            rest = content[start:]
            if route.length:
                headers["Content-Length"] = str(mood.claim or len(rest))
            self.begin(status, headers)
            if body:
                self.send_body(rest, mood)

        def send_body(self, rest: bytes, mood: Mood) -> None:
            ends = [e for e in (mood.stop_after, mood.stall_after) if e is not None]
            end = min([len(rest), *ends])
            try:
                for offset in range(0, end, BLOCK):
                    block = rest[offset : min(offset + BLOCK, end)]
                    # Before it is sent: who has it all finds it all counted.
                    server.count(len(block))
                    self.wfile.write(block)
                    if server.pause_seconds:
                        server.closing.wait(server.pause_seconds)
                if mood.stall_after is not None:
                    server.closing.wait(20)
            except (BrokenPipeError, ConnectionResetError):
                pass

        def begin(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Connection": "close", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def finish_with(
            self, status: int, headers: dict[str, str], content: bytes, body: bool
        ) -> None:
            self.begin(status, {"Content-Length": str(len(content)), **headers})
            if body:
                self.wfile.write(content)

    return Handler


@contextmanager
def serving(pause_seconds: float = 0.0) -> Iterator[Server]:
    with Server(pause_seconds) as server:
        yield server


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def add_repository(
    server: Server, repository: str, files: dict[str, bytes], *, licence: str = "apache-2.0"
) -> dict[str, Route]:
    """Make ``server`` a Hugging Face endpoint that has ``repository``; the routes of its bytes."""
    siblings, routes = [], {}
    for name, content in files.items():
        large = len(content) > 1000
        sibling: dict[str, object] = {"rfilename": name, "size": len(content)}
        sibling["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        if large:
            sibling["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 134}
        siblings.append(sibling)
        etag = sha256(content) if large else str(sibling["blobId"])
        headers = {"X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(content))}
        headers["X-Linked-Etag"] = f'"{etag}"'
        place = f"/{repository}/resolve/{COMMIT}/{name}"
        if large:
            # As on the real hub: large files are a redirect to somewhere else.
            away = f"/cdn/{etag}"
            server.add(place, b"", *[_away(server, away, headers)] * 1000)
            routes[name] = server.add(away, content, etag=f'"{etag}"')
        else:
            routes[name] = server.add(place, content, etag=f'"{etag}"', headers=headers)
    info = {
        "id": repository,
        "sha": COMMIT,
        "tags": [f"license:{licence}"],
        "siblings": siblings,
    }
    server.add(f"/api/models/{repository}", json.dumps(info).encode())
    return routes


def _away(server: Server, place: str, headers: dict[str, str]) -> Mood:
    return Mood(status=302, headers={**headers, "Location": f"{server.url}{place}"})
