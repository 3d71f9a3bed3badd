"""What is said between Ondol and a process of Flower's, over its standard input and output.

Frames: a small head in JSON and a body of bytes. Either side may call the other; calls run beside
each other, answers come in any order. Nothing is executed that is not named in ``serve``.
"""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import IO, Any

Head = dict[str, Any]
Serve = Callable[[str, Head, bytes], tuple[Head, bytes]]
"""What answers a call: its name, its head, its body; what it raises is told as its text."""

MOST_HEAD_BYTES = 16 << 20
MOST_BODY_BYTES = 2 << 30
CALLS_AT_ONCE = 32

_SIZES = struct.Struct("<IQ")


class LineError(Exception):
    """The other side is gone, said no, or said nothing in time."""


class Line:
    """One side. ``run`` reads until the other side closes; call it once, in a thread of its own
    where there is something else to do."""

    def __init__(self, reader: IO[bytes], writer: IO[bytes], serve: Serve) -> None:
        self._reader, self._writer, self._serve = reader, writer, serve
        self._ids = count(1)
        self._waiting: dict[int, Future[tuple[Head, bytes]]] = {}
        self._lock, self._write_lock = threading.Lock(), threading.Lock()
        self._is_over = False

    def call(
        self, name: str, head: Head | None = None, body: bytes = b"", *, seconds: float | None = 60
    ) -> tuple[Head, bytes]:
        """What the other side answers. Raises ``LineError``."""
        number, answer = next(self._ids), Future[tuple[Head, bytes]]()
        with self._lock:
            if self._is_over:
                raise LineError("closed")
            self._waiting[number] = answer
        try:
            self._send({"id": number, "call": name, "head": head or {}}, body)
            return answer.result(seconds)
        except TimeoutError as error:
            raise LineError(f"no answer to {name}") from error
        except (OSError, ValueError) as error:
            raise LineError(str(error)) from error
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def run(self) -> None:
        """Read and serve until the other side closes, or sends what is no frame."""
        pool = ThreadPoolExecutor(CALLS_AT_ONCE, "flower-call")
        try:
            while (frame := self._receive()) is not None:
                self._take(frame, pool)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            with self._lock:
                self._is_over, waiting = True, list(self._waiting.values())
            for answer in waiting:
                with suppress(Exception):
                    answer.set_exception(LineError("closed"))

    def _take(self, frame: tuple[Head, bytes], pool: ThreadPoolExecutor) -> None:
        head, body = frame
        if "call" in head:
            pool.submit(self._answer, head, body)
            return
        with self._lock:
            answer = self._waiting.get(head.get("id", 0))
        if answer is None or answer.done():
            return  # nobody waits for it any more
        if "error" in head:
            answer.set_exception(LineError(str(head["error"])))
        else:
            answer.set_result((head.get("head", {}), body))

    def _answer(self, head: Head, body: bytes) -> None:
        try:
            said, more = self._serve(str(head["call"]), head.get("head", {}), body)
            answer = {"id": head["id"], "head": said}
        except Exception as error:
            answer, more = {"id": head["id"], "error": f"{type(error).__name__}: {error}"}, b""
        with suppress(OSError, ValueError):  # the other side is gone: ``run`` ends by itself
            self._send(answer, more)

    def _send(self, head: Head, body: bytes) -> None:
        text = json.dumps(head, separators=(",", ":")).encode()
        with self._write_lock:
            self._writer.write(_SIZES.pack(len(text), len(body)) + text)
            self._writer.write(body)
            self._writer.flush()

    def _receive(self) -> tuple[Head, bytes] | None:
        with suppress(OSError, ValueError):
            sizes = self._reader.read(_SIZES.size)
            if len(sizes) == _SIZES.size:
                head_bytes, body_bytes = _SIZES.unpack(sizes)
                if head_bytes <= MOST_HEAD_BYTES and body_bytes <= MOST_BODY_BYTES:
                    head, body = self._reader.read(head_bytes), self._reader.read(body_bytes)
                    read = json.loads(head) if len(body) == body_bytes else None
                    return (read, body) if isinstance(read, dict) else None
        return None
