"""What parent and child say to each other comes over whole, and nothing is believed unchecked."""

from __future__ import annotations

import json
import socket
import string
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.confinement import frames
from ondol.retrieval.loaders.isolation import wire
from ondol.types import Document, Page

SOURCE = "/home/me/a.zip"
HASH = "0123456789abcdef" * 4

# Halves of a character too, which hostile files bring.
texts = st.text(st.characters(), max_size=40)
pages = st.builds(lambda n: (Page(1, 0), Page(n, 0)), st.integers(0, 10_000))


@st.composite
def documents(draw: st.DrawFn, source: str = SOURCE) -> Document:
    return Document(
        source=source,
        text=draw(texts),
        media_type=draw(st.text(string.ascii_lowercase, max_size=9)),
        title=draw(texts),
        pages=draw(pages),
        content_hash=HASH,
    )


def pass_on(say: Callable[[socket.socket], None]) -> Document:
    """What the parent makes of what a child says."""
    ours, theirs = socket.socketpair()

    def speak() -> None:
        # Who hears what cannot be goes at once, and need not hear the rest.
        with theirs, suppress(BrokenPipeError):
            say(theirs)

    with ours:
        speaker = threading.Thread(target=speak)
        speaker.start()
        try:
            incoming, deadline = frames.Incoming(ours, wire.MAX_ANSWER_BYTES), time.monotonic() + 30
            return wire.receive_document(incoming, incoming.frame(deadline), SOURCE, deadline)
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            speaker.join()


@given(documents(), st.lists(documents(f"{SOURCE}/b.md"), max_size=3), st.lists(texts, max_size=3))
def test_a_document_comes_over_whole(
    document: Document, members: list[Document], reasons: list[str]
) -> None:
    skipped = tuple((f"{SOURCE}/{number}", reason) for number, reason in enumerate(reasons))
    whole = replace(document, members=tuple(members), skipped=skipped)
    found = pass_on(lambda theirs: wire.send_document(theirs, whole))
    assert found.text == "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in whole.text)
    assert found.pages == whole.pages and len(found.text) == len(whole.text)
    assert [m.source for m in found.members] == [m.source for m in members]
    assert [source for source, _ in found.skipped] == [source for source, _ in skipped]
    for member in (found, *found.members):
        (member.text + member.title).encode()


FIRST: dict[str, Any] = {
    "kind": "document",
    "members": 0,
    "skipped": 0,
    "source": SOURCE,
    "media_type": "text/plain",
    "title": "",
    "content_hash": HASH,
    "pages": [],
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"members": -1},
        {"members": 10**9},
        {"members": True},
        {"members": "1"},
        {"skipped": 1.5},
        {"media_type": None},
        {"title": "x" * 10_000},
        {"title": "\ud800"},
        {"content_hash": "../../etc"},
        {"content_hash": "0" * 63},
        {"pages": {"1": 2}},
        {"pages": [[1]]},
        {"pages": [[1, 99]]},
        {"pages": [[1, -1]]},
        {"pages": [[True, 0]]},
        {"pages": [["1", 0]]},
    ],
    ids=str,
)
def test_a_document_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    def say(theirs: socket.socket) -> None:
        frames.send_bytes(theirs, json.dumps(FIRST | wrong).encode())
        frames.send_bytes(theirs, b"text")

    with pytest.raises(ValueError):
        pass_on(say)


@pytest.mark.parametrize("name", ["/home/me/b.md", "/home/me/a.zip2", "", "/home/me/a.zip/../b"])
def test_a_member_cannot_take_the_place_of_another_file(name: str) -> None:
    def say(theirs: socket.socket) -> None:
        frames.send(theirs, FIRST | {"members": 1})
        frames.send_bytes(theirs, b"")
        frames.send(theirs, FIRST | {"source": name})
        frames.send_bytes(theirs, b"instead")

    with pytest.raises(ValueError):
        pass_on(say)


def test_text_that_is_none_is_refused() -> None:
    def say(theirs: socket.socket) -> None:
        frames.send(theirs, FIRST)
        frames.send_bytes(theirs, b"\xff\xff")

    with pytest.raises(ValueError):
        pass_on(say)


def test_more_text_than_a_file_may_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_CHARACTERS", 10)

    def say(theirs: socket.socket) -> None:
        frames.send(theirs, FIRST | {"members": 2})
        for _ in range(3):
            frames.send_bytes(theirs, b"12345")
            frames.send(theirs, FIRST | {"source": f"{SOURCE}/b"})

    with pytest.raises(ValueError):
        pass_on(say)


def test_who_says_nothing_more_is_not_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames.send_bytes(theirs, b"{}")
        theirs.sendall(b"\0\0")
        incoming = frames.Incoming(ours, wire.MAX_ANSWER_BYTES)
        assert incoming.frame(time.monotonic() + 30) == {}
        with pytest.raises(TimeoutError):
            incoming.frame(time.monotonic() + 0.05)
    with pytest.raises((EOFError, OSError)):
        incoming.frame()


def test_what_is_shown_is_printable() -> None:
    assert frames.sentence("a\x1b[2Jb\n" + "c" * 9999) == "a[2Jb" + "c" * 1993
