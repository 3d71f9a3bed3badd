"""The server under attack, and how an attacker talks to it: bytes as they are, over a socket."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ondol.lab.redteam.report import Breach

METHODS = ("get", "post", "put", "patch", "delete")
PATIENCE_SECONDS = 20.0


@dataclass
class Target:
    """A server on this machine; ``key`` opens it where it asks for one. ``listener`` is the
    attacker's own server, which must never be asked for anything."""

    port: int
    key: str = ""
    max_body_bytes: int = 1 << 20
    listener: int = 0
    tried: int = 0
    breaches: list[Breach] = field(default_factory=list)

    def ask(self, raw: bytes, seconds: float = PATIENCE_SECONDS) -> tuple[int, bytes]:
        """Status and whole answer to bytes as they are; 0 where there is none."""
        said = b""
        with suppress(OSError):
            with socket.create_connection(("127.0.0.1", self.port), seconds) as stream:
                # The server may have refused before it heard everything.
                with suppress(OSError):
                    stream.sendall(raw)
                while part := stream.recv(65536):
                    said += part
        found = re.match(rb"HTTP/1\.1 (\d{3})", said)
        return (int(found[1]) if found else 0), said

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        """A request that is well formed; ``headers`` in place of its own."""
        content = body if isinstance(body, bytes) else b"" if body is None else as_json(body)
        named = {"Host": f"127.0.0.1:{self.port}", "Connection": "close"}
        if self.key:
            named["Authorization"] = f"Bearer {self.key}"
        if content:
            named |= {"Content-Type": "application/json"}
        named["Content-Length"] = str(len(content))
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{n}: {v}\r\n" for n, v in named.items())
        return self.ask(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + content)

    def refuses(self, attack: str, got: tuple[int, bytes], *wanted: int) -> None:
        """One attack: any status but ``wanted`` is a breach."""
        self.tried += 1
        status, said = got
        if status not in wanted:
            self.breach(attack, f"{status} {said[-200:]!r}")
        elif b"access-control-allow-origin" in said.lower():
            self.breach(attack, "refused, and the page may read it all the same")

    def check(self, attack: str, is_held: bool, told: str) -> None:
        """One attack, by what was seen of it."""
        self.tried += 1
        if not is_held:
            self.breach(attack, told)

    def breach(self, attack: str, told: str) -> None:
        self.breaches.append(Breach(attack, told))

    def head(self, method: str, path: str, field: str) -> bytes:
        """The head of a request that is well formed but for ``field``."""
        named = [f"Host: 127.0.0.1:{self.port}", "Connection: close"]
        if self.key:
            named.append(f"Authorization: Bearer {self.key}")
        lines = [f"{method} {path} HTTP/1.1", *named, *([field] if field else []), "", ""]
        return "\r\n".join(lines).encode()


def operations(target: Target) -> list[tuple[str, str]]:
    """Every operation that the server says it has, with names filled in."""
    status, said = target.send("GET", "/openapi.json")
    document = json.loads(said.partition(b"\r\n\r\n")[2]) if status == 200 else {"paths": {}}
    found = _methods(document["paths"])
    return [(method.upper(), re.sub(r"\{[^}]*\}", "x", path)) for method, path in found]


def _methods(paths: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for path, methods in paths.items():
        yield from ((method, path) for method in methods if method in METHODS)


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()
