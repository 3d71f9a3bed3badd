"""What is said between Ondol and Flower's processes arrives whole, in any order, or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.errors import FederationLinkError
from ondol.federated.flower import environment, process
from ondol.federated.flower.pipes import Head, Line, LineError, Serve


@contextmanager
def two_sides(serve: Serve, back: Serve) -> Iterator[tuple[Line, Line]]:
    (read_a, write_b), (read_b, write_a) = os.pipe(), os.pipe()
    ends = [os.fdopen(one, "rb") for one in (read_a, read_b)]
    starts = [os.fdopen(one, "wb") for one in (write_a, write_b)]
    lines = Line(ends[0], starts[0], serve), Line(ends[1], starts[1], back)
    threads = [threading.Thread(target=line.run) for line in lines]
    for thread in threads:
        thread.start()
    try:
        yield lines
    finally:
        for start in starts:
            start.close()
        for thread in threads:
            thread.join()
        for end in ends:
            end.close()


def echo(name: str, head: Head, body: bytes) -> tuple[Head, bytes]:
    if name == "broken":
        raise ValueError("as it should")
    return {"name": name, **head}, body[::-1]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=5000)), max_size=12))
def test_calls_of_both_sides_get_their_own_answers(calls: list[tuple[str, bytes]]) -> None:
    with two_sides(echo, echo) as (here, there):
        answers: dict[int, object] = {}

        def ask(number: int) -> None:
            word, body = calls[number]
            line = here if number % 2 else there
            answers[number] = line.call("echo", {"word": word}, body)

        threads = [threading.Thread(target=ask, args=(one,)) for one in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number, (word, body) in enumerate(calls):
            assert answers[number] == ({"name": "echo", "word": word}, body[::-1])


def test_what_goes_wrong_there_is_said_here() -> None:
    with two_sides(echo, echo) as (here, _):
        with pytest.raises(LineError, match="as it should"):
            here.call("broken")
        assert here.call("fine")[0]["name"] == "fine"


def test_who_waits_for_a_side_that_goes_is_told() -> None:
    going = threading.Event()

    def serve(name: str, head: Head, body: bytes) -> tuple[Head, bytes]:
        going.wait(30)
        return {}, b""

    with two_sides(serve, serve) as (here, there):
        with pytest.raises(LineError, match="no answer"):
            here.call("late", seconds=0.01)
        waiting = threading.Timer(0.1, there._writer.close)
        waiting.start()
        with pytest.raises(LineError):
            here.call("never", seconds=30)
        waiting.join()
        going.set()
    with pytest.raises(LineError):
        here.call("too late")


@pytest.mark.parametrize(
    "bytes_sent", [b"", b"\x00", b"\xff" * 12, b"\x02\0\0\0" + bytes(8) + b"[]"]
)
def test_nonsense_ends_the_line(bytes_sent: bytes) -> None:
    read, write = os.pipe()
    os.write(write, bytes_sent)
    os.close(write)
    with os.fdopen(read, "rb") as reader, Path(os.devnull).open("wb") as writer:
        line = Line(reader, writer, echo)
        line.run()
        with pytest.raises(LineError):
            line.call("hello")


def test_a_process_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "python", lambda: tmp_path / "python")
    with pytest.raises(FederationLinkError, match="No such file"):
        process.FlowerProcess("ondol.federated.flower.link_child", tmp_path, {})
    (tmp_path / "python").write_text("#!/bin/sh\nexit 3\n", "utf-8")
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(FederationLinkError):
        process.FlowerProcess("ondol.federated.flower.link_child", tmp_path, {})
