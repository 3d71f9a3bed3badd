"""What the door must refuse, one rule at a time: rebound names, foreign pages, missing keys, sizes,
framing, paths that lead out, addresses that are to be fetched.

Asks a real server over real sockets, as who attacks it would. ``Target`` says where it is; what got
through is a ``Breach``.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable
from urllib.parse import quote

from ondol.lab.redteam.requests.seeds import CHAT, TURNS
from ondol.lab.redteam.requests.target import Target, as_json

FOREIGN_HOSTS = (
    "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "127.1", "2130706433",
    "0x7f000001", "0177.0.0.1", "0.0.0.0", "[::]", "169.254.169.254", "evil.example#localhost",
    "localhost:80@evil.example", "",
)  # fmt: skip
FOREIGN_ORIGINS = (
    "https://evil.example", "null", "", "file://", "http://localhost.evil.example", "*",
    "http://127.0.0.1.evil.example:11435", "http://localhost@evil.example", "http://[::1",
    "http://evil.example@localhost", "javascript://localhost", "chrome-extension://evil",
)  # fmt: skip
WRONG_KEYS = ("", "Bearer", "Bearer ", "Bearer wrong", "bearer ollama", "Basic YTpi", "Token x")
OUTSIDE = (
    "../../../../../../../../etc/passwd",
    "..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd",
    "%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "....//....//....//etc/passwd",
    "/etc/passwd",
    "..\\..\\..\\..\\etc\\passwd",
    "%00../../etc/passwd",
)
OWN_SOURCES = {"'self'", "'none'", "blob:", "data:"}
BEGINNINGS = (
    "/", "/web/", "/ondol/v1/documents/", "/api/blobs/", "/v1/models/", "/ondol/v1/uploads?name=",
)  # fmt: skip
OPEN = ("/", "/ondol/v1/health", "/ondol/v1/pairing", "/ondol/v1/pairing/certificate")
PASSED = re.compile(r"root:[^:]*:0:0:")


def foreign_names(target: Target) -> None:
    """DNS rebinding: a name that only came to point here."""
    for host in FOREIGN_HOSTS:
        for path in ("/", "/api/tags", "/v1/models", "/ondol/v1/documents", "/mcp"):
            target.refuses(f"Host: {host} {path}", target.send("GET", path, Host=host), 403)
    two = f"GET /api/tags HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\nHost: evil.example\r\n"
    ending = b"Connection: close\r\n\r\n"
    target.refuses("two Hosts", target.ask(two.encode() + ending), 400, 403)
    target.refuses("no Host", target.ask(b"GET /api/tags HTTP/1.1\r\n" + ending), 400, 403)


def foreign_pages(target: Target, operations: list[tuple[str, str]]) -> None:
    """A web page that the owner merely visits, on every operation that there is."""
    for origin in FOREIGN_ORIGINS:
        for method in ("GET", "POST", "OPTIONS"):
            headers = {"Origin": origin, "Access_Control_Request_Method": "POST"}
            got = target.send(method, "/api/chat", **headers)
            target.refuses(f"Origin: {origin} {method}", got, 403)
    for method, path in operations:
        for named in (
            {"Origin": "https://evil.example"},
            {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
        ):
            got = target.send(method, path, **named)
            target.refuses(f"{next(iter(named))} {method} {path}", got, 403)
    for path in ("conversations", "documents", "memories", "ledger", "settings"):
        got = target.send("GET", f"/ondol/v1/{path}", Origin="http://localhost:3000")
        target.refuses(f"another page of this machine: {path}", got, 403)


def without_a_key(target: Target, operations: list[tuple[str, str]]) -> None:
    """A server that asks for a key, asked without it, on every operation that there is."""
    for method, path in operations:
        if path in OPEN or path.startswith("/web/"):
            continue
        for said in WRONG_KEYS:
            got = target.send(method, path, Authorization=said)
            target.refuses(f"{said or 'no key'}: {method} {path}", got, 401, 403)
    for way in (f"?key={target.key}", f"?api_key={target.key}", f"?token={target.key}"):
        got = target.send("GET", f"/v1/models{way}", Authorization="")
        target.refuses("the key in the address", got, 401)
    got = target.send("GET", "/v1/models", Authorization="", Cookie=f"key={target.key}")
    target.refuses("the key in a cookie", got, 401)


def with_a_programs_key(target: Target, key: str, operations: list[tuple[str, str]]) -> None:
    """The key of a program that may chat, on everything of the owner's."""
    for method, path in operations:
        if path.startswith("/ondol/v1/") and path not in OPEN:
            got = target.send(method, path, Authorization=f"Bearer {key}")
            target.refuses(f"a program's key: {method} {path}", got, 401, 403)


def page(target: Target) -> None:
    """What an answer could make the owner's browser do: fetch from elsewhere, run what it says, or
    stand in a stranger's frame."""
    _, said = target.send("GET", "/", Accept="text/html")
    head = said.partition(b"\r\n\r\n")[0].decode("latin-1").lower()
    found = re.search(r"content-security-policy: (.*)", head)
    rules = [one.split() for one in (found[1] if found else "").split(";")]
    policy = {name: allowed for name, *allowed in filter(None, rules)}
    for name in ("default-src", "script-src", "img-src", "connect-src", "style-src", "font-src"):
        allowed = policy.get(name, policy.get("default-src", ["*"]))
        target.check(f"{name} of the page", set(allowed) <= OWN_SOURCES, " ".join(allowed))
    for name, wanted in {"frame-ancestors": "'none'", "base-uri": "'none'"}.items():
        target.check(f"{name} of the page", policy.get(name) == [wanted], "is not refused")
    for header in ("x-content-type-options: nosniff", "referrer-policy: no-referrer"):
        target.check(header, header in head, "is not said")


def sizes(target: Target) -> None:
    """Bodies and heads that are too large, as said, as sent, and as unpacked."""
    large = target.max_body_bytes + (1 << 16)
    path = "/v1/chat/completions"
    body = as_json({"model": CHAT, "messages": [{"role": "user", "content": "a" * large}]})
    target.refuses("a large body", target.send("POST", path, body), 413)
    target.refuses(
        "a body said to be huge", target.send("POST", path, Content_Length="9" * 15), 413
    )
    framed = b"".join(b"10000\r\n" + b"a" * 65536 + b"\r\n" for _ in range(large // 65536 + 1))
    head = target.head("POST", path, "Transfer-Encoding: chunked")
    target.refuses("a large body in chunks", target.ask(head + framed + b"0\r\n\r\n"), 413)
    bomb = gzip.compress(body, mtime=0)
    for _ in range(2):
        got = target.send("POST", path, bomb, Content_Encoding="gzip")
        target.refuses(f"packed, {len(bomb)} bytes", got, 413, 400, 415)
        bomb = gzip.compress(bomb, mtime=0)
    target.refuses("a head of a megabyte", target.send("GET", "/", X_Large="a" * 2**20), 400, 431)
    target.refuses("an address of a megabyte", target.send("GET", "/" + "a" * 2**20), 400, 404, 414)
    many = "".join(f"X-{n}: 1\r\n" for n in range(20_000)).encode()
    got = target.ask(target.head("GET", "/api/tags", "").removesuffix(b"\r\n") + many + b"\r\n")
    target.refuses("twenty thousand fields", got, 400, 431)
    for deep in ("[" * 100_000, '{"a":' * 50_000):
        target.refuses("deep JSON", target.send("POST", path, deep.encode()), 400, 422)


def framing(target: Target) -> None:
    """Requests that two readers would cut at different places."""
    inner = b"GET /ondol/v1/documents HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    for name, fields in {
        "both lengths": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "two lengths": b"Content-Length: 0\r\nContent-Length: 59\r\n",
        "a length with a sign": b"Content-Length: +59\r\n",
        "a length in hex": b"Content-Length: 0x3b\r\n",
        "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n",
        "chunked with a space": b"Transfer-Encoding : chunked\r\n",
        "unheard encoding": b"Transfer-Encoding: xchunked\r\n",
        "a folded field": b"X: a\r\n Content-Length: 59\r\nContent-Length: 0\r\n",
    }.items():
        begin = f"POST /api/show HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n".encode()
        raw = begin + fields + b"\r\n0\r\n\r\n" + inner
        _, said = target.ask(raw, 3)
        target.tried += 1
        # The request inside names a foreign host: it must not have been heard as a second one that
        # was let in.
        if said.count(b"HTTP/1.1 200") > 0 and b'"documents"' in said:
            target.breach(f"framing: {name}", f"{said[:200]!r}")


def ways_out(target: Target) -> None:
    """Names and digests that lead to other files."""
    for outside in OUTSIDE:
        beginnings = ("/", "/web/", "/ondol/v1/documents/", "/api/blobs/", "/v1/models/")
        for path in (
            *(f"{one}{outside}" for one in beginnings),
            f"/ondol/v1/uploads?name={outside}",
        ):
            _read_nothing(target, f"{path}", target.send("GET", quote(path, safe="/%?=&.:")))
        for path, body in {
            "/api/show": {"model": outside},
            "/api/create": {"model": "x", "from": outside, "stream": False},
            "/api/copy": {"source": CHAT, "destination": f"../{outside}"},
            "/v1/chat/completions": {"model": outside, "messages": TURNS},
            "/ondol/v1/ask": {"question": "x", "model": outside, "stream": False},
        }.items():
            _read_nothing(target, f"{path} {outside}", target.send("POST", path, body))


def fetched(target: Target, heard: Callable[[], int]) -> None:
    """Addresses in requests that a careless server fetches: pictures, files, tools, schemas."""
    here = f"http://127.0.0.1:{target.listener}"
    turn = [
        {"type": "text", "text": "x"},
        {"type": "image_url", "image_url": {"url": f"{here}/a.png"}},
    ]
    source = {"type": "image", "source": {"type": "url", "url": f"{here}/b.png"}}
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": f"{here}/s"}}}
    evil = base64.b64encode(f'<svg><image href="{here}/c.png"/></svg>'.encode()).decode()
    for path, body in (
        ("/v1/chat/completions", {"model": CHAT, "messages": [{"role": "user", "content": turn}]}),
        ("/v1/responses", {"model": CHAT, "input": [{"role": "user", "content": [
            {"type": "input_image", "image_url": f"{here}/d.png"}]}]}),
        ("/v1/messages", {"model": CHAT, "max_tokens": 5,
                          "messages": [{"role": "user", "content": [source]}]}),
        ("/v1/chat/completions", {"model": CHAT, "messages": TURNS, "response_format": schema}),
        ("/api/chat", {"model": CHAT, "messages": [{"role": "user", "content": "x",
                                                    "images": [evil]}], "stream": False}),
        ("/api/pull", {"model": f"{here}/library/x", "insecure": True, "stream": False}),
        ("/ondol/v1/hubs", {"url": here}),
        ("/ondol/v1/documents", {"paths": [f"{here}/x.txt"], "stream": False}),
    ):  # fmt: skip
        before = heard()
        target.send("POST", path, body)
        target.tried += 1
        # A server that somebody asks to be made known is asked who it is: the owner says so.
        if heard() > before and path not in ("/ondol/v1/hubs", "/api/pull"):
            target.breach(f"{path} {json.dumps(body)[:200]}", "the address in it was asked")


def _read_nothing(target: Target, attack: str, got: tuple[int, bytes]) -> None:
    target.tried += 1
    status, said = got
    if PASSED.search(said.decode("latin-1")) or status in (0, 500):
        target.breach(attack, f"{status} {said[-200:]!r}")
