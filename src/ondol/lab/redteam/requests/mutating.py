"""Requests that are almost right: fields gone, of another type, huge or deep; spoiled JSON, wrong
methods, paths, headers and framing."""

from __future__ import annotations

import json
import random
from typing import Any

from ondol.lab.redteam.requests.answers import dialect_of
from ondol.lab.redteam.requests.seeds import (
    ENDS,
    HEADERS,
    METHODS,
    MORE_FIELDS,
    NUMBERS,
    SEEDS,
    SPOILS,
    WORDS,
)


class Mutator:
    """Requests that are almost right, always the same for one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        named = {name for _, _, body in SEEDS if isinstance(body, dict) for name in body}
        self.fields = sorted(named | set(MORE_FIELDS))

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
                raw[at:at] = self.random.choice(SPOILS)
        return bytes(raw)

    def _path(self, path: str) -> str:
        roll = self.random.random()
        if roll < 0.3:
            return path + self.random.choice(ENDS)
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
