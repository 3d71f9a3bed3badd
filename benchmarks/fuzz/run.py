"""Does anything that can be sent break the server? Mutated requests over real sockets, and
schemathesis over what the OpenAPI document promises. See README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
CHAT = "smollm2:135m"
EMBEDDING = "all-minilm:l6-v2"
HANG_SECONDS = 60
# Statuses beyond 500 that are an honest answer: too busy, not there, no disk; see docs/errors.md.
HONEST = (501, 503, 507, 529)
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
TURNS = [{"role": "user", "content": "What burns in the stove?"}]
# What each endpoint is asked before it is mutated.
SEEDS: list[tuple[str, str, Any]] = [
    ("POST", "/api/chat", {"model": CHAT, "messages": TURNS, "tools": [TOOL], "stream": False}),
    ("POST", "/api/chat", {"model": CHAT, "messages": TURNS, "format": "json", "think": False}),
    ("POST", "/api/generate", {"model": CHAT, "prompt": "x", "options": {"num_predict": 3}}),
    ("POST", "/api/generate", {"model": CHAT, "prompt": "x", "suffix": "y", "raw": True}),
    ("POST", "/api/embed", {"model": EMBEDDING, "input": ["a", "b"], "truncate": True}),
    ("POST", "/api/embeddings", {"model": EMBEDDING, "prompt": "a"}),
    ("POST", "/api/show", {"model": CHAT, "verbose": True}),
    ("POST", "/api/copy", {"source": CHAT, "destination": "other"}),
    ("DELETE", "/api/delete", {"model": "other"}),
    (
        "POST",
        "/api/create",
        {"model": "made", "from": CHAT, "system": "Be short.", "stream": False},
    ),
    ("POST", "/api/push", {"model": "made", "stream": False}),
    ("GET", "/api/tags", None),
    ("GET", "/api/ps", None),
    ("GET", "/api/version", None),
    ("HEAD", "/api/blobs/sha256:" + "0" * 64, None),
    (
        "POST",
        "/v1/chat/completions",
        {
            "model": CHAT,
            "messages": TURNS,
            "tools": [TOOL],
            "tool_choice": "auto",
            "logprobs": True,
        },
    ),
    (
        "POST",
        "/v1/chat/completions",
        {
            "model": CHAT,
            "messages": TURNS,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
    ("POST", "/v1/completions", {"model": CHAT, "prompt": "x", "max_tokens": 5, "echo": True}),
    ("POST", "/v1/embeddings", {"model": EMBEDDING, "input": "a", "encoding_format": "base64"}),
    ("POST", "/v1/responses", {"model": CHAT, "input": "x", "instructions": "y", "store": True}),
    ("POST", "/v1/responses", {"model": CHAT, "input": TURNS, "stream": True}),
    ("GET", "/v1/responses/resp_x", None),
    ("POST", "/v1/rerank", {"model": "x", "query": "a", "documents": ["a", "b"]}),
    ("POST", "/v1/moderations", {"input": "x"}),
    ("GET", "/v1/models", None),
    ("GET", f"/v1/models/{CHAT}", None),
    ("POST", "/v1/messages", {"model": CHAT, "max_tokens": 9, "messages": TURNS, "system": "x"}),
    ("POST", "/v1/messages", {"model": CHAT, "max_tokens": 9, "messages": TURNS, "stream": True}),
    ("POST", "/v1/messages/count_tokens", {"model": CHAT, "messages": TURNS}),
    ("POST", "/ondol/v1/ask", {"question": "What burns?", "stream": False}),
    ("POST", "/ondol/v1/search", {"query": "stove"}),
    ("GET", "/ondol/v1/documents?limit=3", None),
    ("POST", "/ondol/v1/collections", {"name": "notes"}),
    ("POST", "/ondol/v1/conversations", {"mode": "chat", "title": "x"}),
    ("GET", "/ondol/v1/conversations?limit=5", None),
    ("POST", "/ondol/v1/memories", {"text": "The owner likes tea."}),
    ("GET", "/ondol/v1/ledger?limit=5", None),
    ("GET", "/ondol/v1/health", None),
    ("GET", "/ondol/v1/models", None),
    ("GET", "/", None),
    ("GET", "/openapi.json", None),
]
WORDS = (
    "", "x", "\0", "../../etc/passwd", "%00", "null", "true", "-1", "1e999", "NaN", "\ud800",
    "😀", "온돌", "ａ", "\u2028", "\u202e", "A" * 5000, "{{ x }}", "<|im_start|>system", "'; --",
    CHAT, f"{CHAT}+notes", "model:adapter", "data:image/png;base64,AAAA", "http://127.0.0.1:1/x",
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**31, 2**63, -(2**63), 10**40, 0.5, -0.0, 1e308, 5e-324)
MORE_FIELDS = (
    "content role images tool_calls n best_of seed stop logit_bias response_format text reasoning "
    "previous_response_id keep_alive context template files adapters parameters top_logprobs "
    "dimensions wanted tool_choice stream_options"
).split()
SPOILS = (b"NaN", b'"', b"{", b"]", b"\xff\xfe", b"\0", b"1e400")
ENDS = ("/", "//", "?", "?a=%FF", "/../x", "%2e%2e", "?limit=-1")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW")
HEADERS = (
    "Content-Type: text/plain",
    "Content-Type: application/x-www-form-urlencoded",
    "Content-Type: multipart/form-data; boundary=x",
    "Content-Encoding: gzip",
    "Content-Encoding: br",
    "Content-Encoding: zstd, gzip, deflate",
    "Accept: text/event-stream",
    "Accept-Language: ko;q=x, *;q=2",
    "Authorization: Bearer nonsense",
    "Authorization: Basic \x80\xff",
    "X-Api-Key: x",
    "Origin: null",
    "Origin: https://evil.example",
    "Origin: http://localhost:3000",
    "Sec-Fetch-Site: cross-site",
    "Range: bytes=0-",
    "If-None-Match: *",
    "Cookie: a=b",
    "Last-Event-ID: x",
    "anthropic-version: 2023-06-01",
    "OpenAI-Beta: responses=v1",
    "X-Forwarded-For: 1.2.3.4",
    "Accept: " + "x" * 8000,
)


@dataclass
class Found:
    """What came of it."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    hung: int = 0
    hung_up: int = 0


class Mutator:
    """Requests that are almost right, always the same for one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.fields = sorted(
            {name for _, _, body in SEEDS if isinstance(body, dict) for name in body}
            | {
                "content",
                "role",
                "images",
                "tool_calls",
                "n",
                "best_of",
                "seed",
                "stop",
                "logit_bias",
            }
            | {
                "response_format",
                "text",
                "reasoning",
                "previous_response_id",
                "keep_alive",
                "context",
            }
            | {
                "template",
                "files",
                "adapters",
                "parameters",
                "top_logprobs",
                "dimensions",
                "wanted",
            }
        )

    def request(self) -> tuple[str, str, bytes, str]:
        """Its method, path, bytes as they are sent, and the dialect that answers."""
        pick = self.random.random
        method, path, body = self.random.choice(SEEDS)
        if pick() < 0.04:
            method = self.random.choice(METHODS)
        if pick() < 0.06:
            path = self._path(path)
        content = b""
        if body is not None or pick() < 0.1:
            content = self._content(body)
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
        while pick() < 0.15:
            lines.append(self.random.choice(HEADERS))
        head = "\r\n".join(lines)
        if pick() < 0.05 and content:
            framed = self._chunks(content)
            raw = f"{head}\r\nTransfer-Encoding: chunked\r\n\r\n".encode("latin-1") + framed
        else:
            raw = f"{head}\r\nContent-Length: {len(content)}\r\n\r\n".encode("latin-1") + content
        dialect = dialect_of(path)
        if dialect == "openai" and b"anthropic-version" in raw:
            dialect = "anthropic"  # that is how such a client says which one it is
        return method, path, raw, dialect

    def _content(self, body: Any) -> bytes:
        for _ in range(self.random.choice((0, 1, 1, 1, 2, 3, 5))):
            body = self._mutated(body)
        text = json.dumps(body, ensure_ascii=self.random.random() < 0.7)
        content = text.encode("utf-8", "surrogatepass")
        if self.random.random() < 0.12:
            content = self._spoiled(content)
        return content

    def _mutated(self, value: Any) -> Any:
        roll = self.random.random()
        if isinstance(value, dict) and value and roll < 0.85:
            value = dict(value)
            name = self.random.choice(list(value))
            if roll < 0.2:
                del value[name]
            elif roll < 0.45:
                value[self.random.choice(self.fields)] = self._anything()
            else:
                value[name] = self._mutated(value[name])
            return value
        if isinstance(value, list) and value and roll < 0.7:
            value = list(value)
            index = self.random.randrange(len(value))
            value[index] = self._mutated(value[index])
            return value * self.random.choice((1, 1, 2, 0))
        return self._anything()

    def _anything(self, depth: int = 0) -> Any:
        roll = self.random.random()
        if roll < 0.35:
            return self.random.choice(WORDS)
        if roll < 0.6:
            return self.random.choice(NUMBERS)
        if roll < 0.75 or depth > 3:
            return self.random.choice((None, True, False))
        if roll < 0.85:
            return [self._anything(depth + 1) for _ in range(self.random.randrange(4))]
        if roll < 0.87:
            deep: Any = 1
            for _ in range(self.random.choice((70, 500))):
                deep = [deep]
            return deep
        names = [self.random.choice(self.fields) for _ in range(self.random.randrange(4))]
        return {name: self._anything(depth + 1) for name in names}

    def _spoiled(self, content: bytes) -> bytes:
        raw = bytearray(content)
        for _ in range(self.random.randrange(1, 6)):
            at = self.random.randrange(len(raw) + 1)
            roll = self.random.random()
            if roll < 0.4:
                raw[at:at] = bytes([self.random.randrange(256)])
            elif roll < 0.7:
                del raw[at : at + self.random.randrange(1, 9)]
            else:
                raw[at:at] = self.random.choice(
                    (b"NaN", b'"', b"{", b"]", b"\xff\xfe", b"\0", b"1e400")
                )
        return bytes(raw)

    def _path(self, path: str) -> str:
        roll = self.random.random()
        if roll < 0.3:
            return path + self.random.choice(
                ("/", "//", "?", "?a=%FF", "/../x", "%2e%2e", "?limit=-1")
            )
        if roll < 0.6:
            parts = path.split("/")
            parts[self.random.randrange(1, len(parts))] = self.random.choice(
                ("x", "..", "%00", "%FF", "~", "a" * 3000, "%F0%9F%98%80", "0", "-1")
            )
            return "/".join(parts)
        return path.swapcase() if roll < 0.8 else path.replace("v1", "v2")

    def _chunks(self, content: bytes) -> bytes:
        half = self.random.randrange(1, len(content) + 1)
        pieces = [piece for piece in (content[:half], content[half:]) if piece]
        return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (*pieces, b""))


def dialect_of(path: str) -> str:
    path = path.partition("?")[0]
    if path.startswith("/v1/messages"):
        return "anthropic"
    if path == "/v1" or path.startswith("/v1/"):
        return "openai"
    return "native" if path == "/ondol" or path.startswith("/ondol/") else "ollama"


def wrong(dialect: str, status: int, kind: str, body: bytes) -> str:
    """What is wrong with a response; "" for one that is as it should be."""
    if status >= 500 and status not in HONEST:
        return f"{status} {body[:300]!r}"
    if status < 400 or not body:
        if kind.startswith("application/json") and body:
            try:
                json.loads(body)
            except ValueError:
                return f"{status} with what is no JSON {body[:200]!r}"
        return ""
    if kind.startswith("text/plain") and body == b"Invalid HTTP request received.":
        return ""
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return f"{status} without an error in it {body[:200]!r}"
    if dialect == "ollama":
        is_right = isinstance(error, str) and bool(error)
    elif dialect == "openai":
        is_right = isinstance(error, dict) and {"message", "type", "param", "code"} <= set(error)
    elif dialect == "anthropic":
        is_right = isinstance(error, dict) and {"type", "message"} <= set(error)
    else:
        is_right = isinstance(error, dict) and {"code", "message", "hint"} <= set(error)
    return "" if is_right else f"{status} in another dialect {body[:200]!r}"


class Client:
    """One connection that is opened again when it ends."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, raw: bytes) -> tuple[int, str, bytes]:
        for attempt in (1, 2):
            is_new = self.streams is None
            if self.streams is None:
                self.streams = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
            reader, writer = self.streams
            try:
                writer.write(raw)
                await writer.drain()
                return await self._answer(reader, method)
            except (ConnectionError, asyncio.IncompleteReadError, OSError):
                self.close()
                # One that was kept may have been closed after the request before.
                if is_new or attempt == 2:
                    raise
        raise AssertionError

    async def _answer(self, reader: asyncio.StreamReader, method: str) -> tuple[int, str, bytes]:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status = int(head.split(" ", 2)[1])
            if status != 100:
                break
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
        }
        body = b""
        if method != "HEAD" and status not in (204, 304):
            if fields.get("transfer-encoding") == "chunked":
                while size := int(await reader.readuntil(b"\r\n"), 16):
                    body += (await reader.readexactly(size + 2))[:-2]
                await reader.readuntil(b"\r\n")
            elif "content-length" in fields:
                body = await reader.readexactly(int(fields["content-length"]))
            else:
                body = await reader.read()
                self.close()
        if fields.get("connection", "").lower() == "close":
            self.close()
        return status, fields.get("content-type", ""), body

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


async def fuzz(port: int, pid: int, requests: int, seed: int, clients: int) -> dict[str, Any]:
    found, server = Found(), psutil.Process(pid)
    curve: list[tuple[int, float, int, int]] = []
    started = time.monotonic()

    def look() -> None:
        rss = round(server.memory_info().rss / 2**20, 1)
        curve.append((found.sent, rss, server.num_fds(), server.num_threads()))
        print(f"{curve[-1]} after {time.monotonic() - started:.0f} s", flush=True)

    async def work(number: int) -> None:
        client, mutator = Client(port), Mutator(seed * 1000 + number)
        while found.sent < requests:
            found.sent += 1
            if found.sent % max(1, requests // 10) == 0:
                look()
            method, path, raw, dialect = mutator.request()
            try:
                async with asyncio.timeout(HANG_SECONDS):
                    status, kind, body = await client.ask(method, raw)
            except TimeoutError:
                found.hung += 1
                found.failures.append(f"hung: {raw[:600]!r}")
                client.close()
                continue
            except (ConnectionError, asyncio.IncompleteReadError, OSError, ValueError) as error:
                found.hung_up += 1
                found.failures.append(f"hung up on ({type(error).__name__}): {raw[:600]!r}")
                client.close()
                continue
            found.statuses[status] += 1
            if told := wrong(dialect, status, kind, body):
                found.failures.append(f"{method} {path[:80]}: {told} for {raw[:600]!r}")
        client.close()

    # The first requests build what is built on demand: a Korean one loads the analyser.
    first = json.dumps({"query": "온돌"}).encode()
    head = f"POST /ondol/v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(first)}"
    await Client(port).ask("POST", head.encode() + b"\r\n\r\n" + first)
    look()
    await asyncio.gather(*(work(number) for number in range(clients)))
    look()
    return {
        "requests": found.sent,
        "seconds": round(time.monotonic() - started),
        "statuses": dict(sorted(found.statuses.items())),
        "server_errors": sum(n for s, n in found.statuses.items() if s >= 500 and s not in HONEST),
        "violations": len(found.failures) - found.hung - found.hung_up,
        "hung": found.hung,
        "hung_up_on": found.hung_up,
        "is_alive": server.is_running(),
        "curve_requests_rss_mb_fds_threads": curve,
        "failures": found.failures[:50],
    }


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, int]]:
    environ = {**os.environ, "ONDOL_HOME": str(folder / "home"), "ONDOL_LANGUAGE": "en"}
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, HERE / "serve.py", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environ,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError((folder / "server.log").read_text()[-3000:])
        yield json.loads(line)
    finally:
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()
        process.wait(60)


def schemathesis(port: int, examples: int, seed: int) -> dict[str, Any]:
    """schemathesis' own runner over the three dialects and ours."""
    program = Path(sys.executable).with_name("schemathesis")
    url = f"http://127.0.0.1:{port}"
    command = [
        program, "run", f"{url}/openapi.json", "--url", url,
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,"
        "response_schema_conformance",
        "--max-examples", str(examples), "--seed", str(seed),
        "--phases", "examples,coverage,fuzzing",
        "--exclude-path-regex", "pull|pairing|onboarding|/settings|browse|audio",
        "--request-timeout", "60", "--no-color",
    ]  # fmt: skip
    started = time.monotonic()
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False,
        env=os.environ | {"no_proxy": "*"},
    )  # fmt: skip
    told = done.stdout
    cases = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) generated", told)]
    return {
        "seconds": round(time.monotonic() - started),
        "cases": max(cases, default=0),
        "exit_code": done.returncode,
        "summary": told[-2500:],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--examples", type=int, default=100, help="of schemathesis, each operation")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ondol-fuzz-") as name:
        folder = Path(name)
        with serving(folder) as where:
            result: dict[str, Any] = {
                "about": {
                    "date": time.strftime("%Y-%m-%d %H:%M"),
                    "python": platform.python_version(),
                    "schemathesis": version("schemathesis"),
                    "seed": given.seed,
                    "load": os.getloadavg()[0],
                }
            }
            if given.examples:
                result["schemathesis"] = schemathesis(where["port"], given.examples, given.seed)
                print(result["schemathesis"]["summary"], flush=True)
            if given.requests:
                result["fuzzer"] = asyncio.run(
                    fuzz(where["port"], where["pid"], given.requests, given.seed, given.clients)
                )
        unexpected = (folder / "server.log").read_text()
        result["unexpected"] = Counter(
            line for line in unexpected.splitlines() if "unexpected" in line
        ).most_common(20)
    print(json.dumps(result, indent=1, ensure_ascii=False))
    if given.write:
        (HERE / "results.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
