"""A page of a PDF as a picture: the passage is marked, and a child cannot lie about it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ondol.confinement import frames
from ondol.errors import DocumentChangedError, DocumentError, DocumentNotFoundError
from ondol.retrieval.loaders.isolation import Reader, drawing, wire
from ondol.retrieval.loaders.page_picture import MARK, PagePicture, Wanted, draw
from tests.retrieval.file_makers import lines, make_pdf

PASSAGE = "The boiler was serviced in March by Mr Kim."
LETTER = make_pdf(
    [
        lines("A letter about the house.", "The boiler was ser-", "viced in March by", "Mr Kim."),
        lines("다음 점검은 시월이다.", "Nothing else is known."),
    ]
)
MAX_BYTES = 1 << 20
GOOD = {"kind": "drawn", "page": 1, "pages": 2, "width": 2, "height": 1, "boxes": [[0, 0, 1, 1]]}


def pixel(picture: PagePicture, across: float, down: float) -> tuple[int, ...]:
    """The colour at a share of the page."""
    x, y = int(across * picture.width), int(down * picture.height)
    at = 3 * (y * picture.width + x)
    return tuple(picture.pixels[at : at + 3])


def test_passage_is_found_over_hyphens_and_line_ends_and_is_marked_on_white() -> None:
    found = draw(LETTER, "letter.pdf", Wanted(1, 800, PASSAGE))
    assert (found.page, found.pages, len(found.boxes)) == (1, 2, 3)
    left, top, right, bottom = found.boxes[0]
    assert 0 < left < right < 1 and 0 < top < bottom < 1
    assert len(found.pixels) == 3 * found.width * found.height
    edge = pixel(found, left + 0.001, (top + bottom) / 2)
    assert all(abs(a - b) < 24 for a, b in zip(edge, MARK, strict=True))
    assert pixel(found, 0.95, 0.95) == (255, 255, 255)


def test_passage_that_stands_on_the_next_page_turns_to_it() -> None:
    found = draw(LETTER, "letter.pdf", Wanted(1, 0, "다음 점검은 시월이다."))
    assert (found.page, len(found.boxes), found.pixels) == (2, 1, b"")


def test_passage_over_two_pages_is_marked_on_the_one_that_is_asked_for() -> None:
    both = "viced in March by Mr Kim. 다음 점검은 시월이다."
    whole = [draw(LETTER, "a.pdf", Wanted(n, 0, both, is_fixed=True)) for n in (1, 2)]
    assert [one.page for one in whole] == [1, 2]
    assert all(one.boxes for one in whole)


def test_the_second_of_two_passages_alike_is_told_by_what_stands_before_it() -> None:
    twice = make_pdf([lines("In May:", "It was paid.", "", "In June:", "It was paid.")])
    first, second = (
        draw(twice, "a.pdf", Wanted(1, 0, "It was paid.", before)) for before in ("May:", "June:")
    )
    assert first.boxes[0][1] < second.boxes[0][1]


def test_passage_that_is_not_there_marks_nothing() -> None:
    assert draw(LETTER, "a.pdf", Wanted(1, 0, "A sentence of another document.")).boxes == ()


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_lines_on_a_turned_page_are_where_they_are_seen(rotation: int) -> None:
    turned = make_pdf([lines("Here it is said.")], rotation=rotation)
    (box,) = draw(turned, "a.pdf", Wanted(1, 0, "Here it is said.")).boxes
    assert all(0 <= side <= 1 for side in box) and box[0] < box[2] and box[1] < box[3]


def test_page_that_is_not_there_is_said() -> None:
    with pytest.raises(DocumentError, match=r"no page 3; it has 2"):
        draw(LETTER, "letter.pdf", Wanted(3))


def test_huge_page_is_drawn_within_bounds() -> None:
    tall = LETTER.replace(b"[0 0 595 842]", b"[0 0 10 14000]")
    found = draw(tall, "tall.pdf", Wanted(1, 2000))
    assert 0 < found.width * found.height <= 12_100_000


@pytest.fixture
def letter(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "letter.pdf"
    path.write_bytes(LETTER)
    return path, hashlib.sha256(LETTER).hexdigest()


def test_child_draws_what_the_loader_draws(letter: tuple[Path, str]) -> None:
    wanted = Wanted(1, 300, PASSAGE)
    with Reader() as reader:
        found = reader.draw(*letter, wanted, max_bytes=MAX_BYTES)
        assert reader.pid is None  # its child was another, and is gone
    expected = draw(LETTER, "letter.pdf", wanted)
    assert found.pixels == expected.pixels and found.page == expected.page
    for box, same in zip(found.boxes, expected.boxes, strict=True):
        assert box == pytest.approx(same, abs=0.01)


def test_file_with_other_bytes_is_not_drawn(letter: tuple[Path, str]) -> None:
    path, content_hash = letter
    path.write_bytes(LETTER.replace(b"%PDF-1.7", b"%PDF-1.6"))
    with pytest.raises(DocumentChangedError, match="has changed since"):
        Reader().draw(path, content_hash, Wanted(1, 300), max_bytes=MAX_BYTES)


def test_file_that_is_gone_or_became_a_pipe_is_not_waited_for(letter: tuple[Path, str]) -> None:
    path, content_hash = letter
    path.unlink()
    with pytest.raises(DocumentNotFoundError):
        Reader().draw(path, content_hash, Wanted(1), max_bytes=MAX_BYTES)
    os.mkfifo(path)
    with pytest.raises(DocumentError):
        Reader().draw(path, content_hash, Wanted(1), max_bytes=MAX_BYTES)


def test_damaged_pdf_is_said_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "cut.pdf"
    path.write_bytes(LETTER[:200])
    with pytest.raises(DocumentError) as caught:
        Reader().draw(
            path, hashlib.sha256(LETTER[:200]).hexdigest(), Wanted(1), max_bytes=MAX_BYTES
        )
    assert "cut.pdf" in caught.value.message


def test_child_that_cannot_be_started_is_said(letter: tuple[Path, str]) -> None:
    with pytest.raises(DocumentError, match="start"):
        Reader(command=["/nowhere"]).draw(*letter, Wanted(1), max_bytes=MAX_BYTES)


def hear(say: Callable[[socket.socket], None]) -> PagePicture:
    """What the parent makes of what a child says."""
    ours, theirs = socket.socketpair()

    def speak() -> None:
        with theirs, suppress(BrokenPipeError):
            say(theirs)

    with ours:
        speaker = threading.Thread(target=speak)
        speaker.start()
        try:
            return drawing.receive(
                frames.Incoming(ours, wire.MAX_ANSWER_BYTES), time.monotonic() + 30
            )
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            speaker.join()


def saying(pixels: bytes = bytes(6), **changed: Any) -> Callable[[socket.socket], None]:
    def say(connection: socket.socket) -> None:
        frames.send_bytes(connection, json.dumps(GOOD | changed).encode())
        frames.send_bytes(connection, pixels)

    return say


def test_picture_comes_over_whole() -> None:
    picture = PagePicture(1, 2, 2, 1, bytes(range(6)), ((0.1, 0.2, 0.3, 0.4),))
    assert hear(lambda connection: drawing.send(connection, picture)) == picture


@pytest.mark.parametrize(
    "changed",
    [
        {"page": 3},
        {"page": 0},
        {"pages": 10**6},
        {"width": -2},
        {"width": 10**9},
        {"width": True},
        {"width": 20_000, "height": 20_000},
        {"height": None},
        {"boxes": {}},
        {"boxes": [[0, 0, 1]]},
        {"boxes": [[0, 0, 1, 2]]},
        {"boxes": [["a", 0, 1, 1]]},
        {"boxes": [[0, 0, 1, 1]] * 500},
        {"kind": "document"},
        {"pixels": bytes(5)},
        {"pixels": bytes(7)},
    ],
    ids=str,
)
def test_child_that_talks_nonsense_is_not_believed(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        hear(saying(**changed))
