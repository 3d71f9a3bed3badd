"""Sentences: where they end, and that they are always honest offsets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.retrieval.sentences import MAX_CHARACTERS, split


def texts(text: str, *, by_line: bool = False) -> list[str]:
    return [text[start:end] for start, end in split(text, by_line=by_line)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rained. We stayed in.", ["It rained.", "We stayed in."]),
        ("Dr. Kim came at 3 p.m. on Monday.", ["Dr. Kim came at 3 p.m. on Monday."]),
        ("It cost 3.5 million. Really?", ["It cost 3.5 million.", "Really?"]),
        ("J. K. Rowling wrote it.", ["J. K. Rowling wrote it."]),
        ("He left the U.S. Then he wrote.", ["He left the U.S.", "Then he wrote."]),
        ('She said "Go." Then she left.', ['She said "Go."', "Then she left."]),
        ("비가 왔다. 우리는 집에 있었다.", ["비가 왔다.", "우리는 집에 있었다."]),
        ("Roof ........ 12\nIt rained... Yes.", ["Roof ........", "12\nIt rained...", "Yes."]),
        ('"Go!?)." He went.', ['"Go!?)."', "He went."]),
        ("언제 왔어요? 어제요!", ["언제 왔어요?", "어제요!"]),
        ("A line that\nwraps around. Next.", ["A line that\nwraps around.", "Next."]),
        ("One paragraph\n\nAnother", ["One paragraph", "Another"]),
        ("# Title\nText under it.", ["# Title", "Text under it."]),
        ("- first item\n- second item", ["- first item", "- second item"]),
        ("1. First thing\n2. Second thing", ["1. First thing", "2. Second thing"]),
        ("| a | b |\n| 1 | 2 |", ["| a | b |", "| 1 | 2 |"]),
        ("  \n\t\n", []),
        ("", []),
    ],
)
def test_split_follows_prose_and_blocks(text: str, expected: list[str]) -> None:
    assert texts(text) == expected


def test_split_by_line_keeps_code_lines() -> None:
    assert texts("def f():\n    return 1. \n\nx = 2\n", by_line=True) == [
        "def f():",
        "return 1.",
        "x = 2",
    ]


def test_split_cuts_an_endless_sentence_at_clauses() -> None:
    text = ", ".join(f"clause number {n}" for n in range(200))
    pieces = texts(text)
    assert all(len(piece) <= MAX_CHARACTERS for piece in pieces)
    assert all(piece.endswith(",") for piece in pieces[:-1])


@pytest.mark.parametrize(
    "text", ["." * 2_000_000 + "x", "It rained on us. " * 200_000, "p. 7 " * 400_000]
)
def test_split_of_a_long_text_takes_no_quadratic_time(text: str) -> None:
    # Quadratic would be hours for each of these; it is a second.
    assert split(text)[-1][1] == len(text.rstrip())


@given(st.text(alphabet="ab .?!\n#-1,가나다。\t\r\u2028'\"", max_size=1500), st.booleans())
def test_split_is_ordered_stripped_and_loses_nothing(text: str, by_line: bool) -> None:
    spans = split(text, by_line=by_line)
    position = 0
    for start, end in spans:
        assert position <= start < end <= len(text)
        assert text[position:start].strip() == ""
        assert text[start:end] == text[start:end].strip()
        assert end - start <= MAX_CHARACTERS or by_line
        position = end
    assert text[position:].strip() == ""
