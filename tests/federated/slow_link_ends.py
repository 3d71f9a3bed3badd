"""The two ends of ``test_slow_link.py``, each a process in its own network: a device that serves
questions over TCP, and a home that asks a long one and wants a long answer."""

from __future__ import annotations

import hashlib
import random
import socket
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ondol.federated import chunks
from ondol.federated.grid import Failure

PORT = 5000
QUESTION = random.Random(1).randbytes(60_000)
ANSWER = random.Random(2).randbytes(180_000)


class Answering:
    def answer(self, stage: str, body: bytes) -> bytes:
        assert body == QUESTION
        return ANSWER


class TcpGrid:
    """One connection a question; a device that is silent for four seconds is gone."""

    def __init__(self, address: str) -> None:
        self.address = address

    def nodes(self) -> Sequence[int]:
        return (1,)

    def ask(
        self, stage: str, bodies: Mapping[int, bytes], timeout_seconds: float
    ) -> dict[int, bytes | Failure]:
        try:
            with socket.create_connection((self.address, PORT), 4) as link:
                say(link, stage.encode(), bodies[1])
                return {1: heard(link)[0]}
        except OSError as error:
            print("lost", stage, error, flush=True)
            return {1: Failure("gone", "")}


def say(link: socket.socket, *parts: bytes) -> None:
    for part in parts:
        link.sendall(struct.pack("<I", len(part)) + part)


def heard(link: socket.socket, count: int = 1) -> list[bytes]:
    with link.makefile("rb") as stream:
        parts = []
        for _ in range(count):
            (size,) = struct.unpack("<I", exactly(stream, 4))
            parts.append(exactly(stream, size))
        return parts


def exactly(stream: object, size: int) -> bytes:
    data: bytes = stream.read(size)  # type: ignore[attr-defined]
    if len(data) < size:
        raise ConnectionError("closed")
    return data


def device() -> None:
    answering = chunks.ChunkedDevice(Answering())
    with socket.create_server(("0.0.0.0", PORT)) as server:
        print("ready", flush=True)
        while True:
            link, _ = server.accept()
            link.settimeout(4)
            try:
                with link:
                    stage, body = heard(link, 2)
                    say(link, answering.answer(stage.decode(), body))
            except OSError:
                continue


def home(address: str, folder: Path) -> None:
    chunks.FIRST_CHUNK = chunks.LEAST_CHUNK
    grid = chunks.ChunkedGrid(TcpGrid(address), folder, pause=lambda seconds: time.sleep(0.2))
    print("asking", flush=True)
    for _ in range(20):
        said = grid.ask("train", {1: QUESTION}, 10)[1]
        if isinstance(said, bytes):
            print("digest", hashlib.sha256(said).hexdigest(), flush=True)
            return
    print("gave up", flush=True)


if __name__ == "__main__":
    device() if sys.argv[1] == "device" else home(sys.argv[2], Path(sys.argv[3]))
