"""The confined child with parsers that do what they are told, in place of the one for HTML.

Run as ``python -P hostile_parsers.py`` by the tests of isolation: the words of a page are an order.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable

from ondol.confinement import frames
from ondol.retrieval.loaders import isolated, loader, media_types
from ondol.retrieval.loaders.extract import Extract


def loop(argument: str) -> object:
    while True:
        pass


def sleep(argument: str) -> object:
    return time.sleep(float(argument or 3600))


def allocate(argument: str) -> object:
    return len(bytes(int(argument)))


def abort(argument: str) -> object:
    os.abort()


def segfault(argument: str) -> object:
    return ctypes.string_at(0)


def leave(argument: str) -> object:
    os._exit(0)


def write(argument: str) -> object:
    with open(argument, "w") as file:
        return file.write("stolen")


def read(argument: str) -> object:
    with open(argument, "rb") as file:
        return len(file.read())


def connect(argument: str) -> object:
    return socket.create_connection(("127.0.0.1", int(argument)), timeout=1)


def kill_parent(argument: str) -> object:
    return os.kill(os.getppid(), signal.SIGTERM)


def environment(argument: str) -> object:
    return " ".join(sorted(os.environ)) + " in " + os.getcwd()


def speak(argument: str) -> object:
    print("noise", flush=True)
    os.write(1, b"noise")
    os.write(2, b"noise")
    return os.read(0, 100)


def start(argument: str) -> object:
    return subprocess.run(["/bin/sh", "-c", argument], capture_output=True, check=False).stdout


def lie(argument: str) -> object:
    """Say something that no child says: the socket is the only descriptor with a peer."""
    for number in range(3, 64):
        try:
            parent = socket.socket(fileno=number)
            parent.getpeername()
        except OSError:
            continue
        if argument == "huge":
            parent.sendall(b"\xff" * 4)
        elif argument == "deep":
            frames.send_bytes(parent, b"[" * 100_000)
        elif argument == "noise":
            frames.send_bytes(parent, b"\xff\xfe")
        else:
            described = {"kind": "document", "members": 1, "skipped": 0}
            document = {"media_type": "text/plain", "title": "", "content_hash": "0" * 64}
            frames.send(parent, described | document | {"source": argument, "pages": []})
            frames.send_bytes(parent, b"text")
            frames.send(parent, document | {"source": argument, "pages": []})
            frames.send_bytes(parent, b"member")
        time.sleep(3600)
    return "no socket"


ORDERS: dict[str, Callable[[str], object]] = {
    order.__name__: order
    for order in (
        loop, sleep, allocate, abort, segfault, leave, write, read, connect, kill_parent,
        environment, speak, start, lie,
    )
}  # fmt: skip


def parse(data: bytes, name: str) -> Extract:
    """``<html>order argument``: what came of it is the text."""
    order, _, argument = data.decode().removeprefix("<html>").strip().partition(" ")
    if order not in ORDERS:
        return Extract(f"{order} {argument}")
    try:
        return Extract(f"done: {ORDERS[order](argument)!r}")
    except OSError as error:
        return Extract(f"refused: {error.strerror}")


if __name__ == "__main__":
    loader._PARSERS[media_types.HTML] = parse  # type: ignore[index]
    isolated.WHOLE_FILE_FACTOR = 3
    isolated.main()
