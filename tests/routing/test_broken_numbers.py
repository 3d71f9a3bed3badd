"""A number is found wherever a line ends in it, and whatever stands between its digits."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.routing import personal_data_checks as checks
from ondol.routing.personal_data import find, holds

NUMBERS = [
    ("card", "4532 0151 1283 0366"),
    ("card", "4532-0151-1283-0366"),
    ("card", "4532015112830366"),
    ("card", "3782 822463 10005"),
    ("card", "6011 1111 1111 1117"),
    ("kr_rrn", "840217-1245310"),
    ("kr_rrn", "8402171245310"),
    ("kr_rrn", "210315-3482917"),
    ("kr_frn", "900101-5234567"),
    ("phone", "010-4821-9937"),
    ("phone", "010 4821 9937"),
    ("phone", "01048219937"),
    ("phone", "016-482-9937"),
    ("iban", "DE89 3704 0044 0532 0130 00"),
    ("iban", "GB82WEST12345698765432"),
]
# What a line's end looks like, in a mail, a PDF, and a page that was wrapped twice.
BREAKS = ["\n", "\r\n", " \n", "\n  ", "-\n", "\u2028", "\u00a0\n"]
ODD = [" ", "\u00a0", ".", "\u00b7", "_", "/", "\u2009", "\u3000", "|"]
UNSEEN = ["\u200b", "\u2060", "\u00ad", "\ufeff", "\u200d"]


def valid(kind: str, number: str) -> str:
    """``number`` with the check digit that it should have."""
    if not kind.startswith("kr_") or number.startswith("21"):
        return number
    bare = number.replace("-", "")
    right = (n for n in range(10) if checks.registration_check(f"{bare[:-1]}{n}"))
    return f"{number[:-1]}{next(right)}"


def kinds(text: str) -> set[str]:
    return {finding.kind for finding in find(text)}


def wide(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in text)


def insides(number: str) -> list[int]:
    """Where something may be put between two characters of it."""
    return list(range(1, len(number)))


@given(st.sampled_from(NUMBERS), st.sampled_from(BREAKS), st.data())
@settings(max_examples=600, deadline=None)
def test_line_that_ends_in_a_number_hides_nothing(
    what: tuple[str, str], line_end: str, data: st.DataObject
) -> None:
    kind, number = what[0], valid(*what)
    if line_end == "-\n" and "-" in number:
        line_end = "\n"
    at = data.draw(st.sampled_from(insides(number)))
    cut = f"{number[:at]}{line_end.replace(chr(0x2028), chr(10))}{number[at:]}"
    for text in (f"보낼 곳은 {cut} 입니다.", f"Mine is {cut}, thanks.", f"Mine is {wide(cut)} ok"):
        assert kind in kinds(text), repr(text)
        assert holds(text)


@given(st.sampled_from([n for n in NUMBERS if re.search(r"\d[ -]\d", n[1])]), st.data())
@settings(max_examples=600, deadline=None)
def test_odd_signs_between_and_within_its_groups_hide_nothing(
    what: tuple[str, str], data: st.DataObject
) -> None:
    kind, number = what[0], valid(*what)
    odd = data.draw(st.sampled_from(ODD))
    at = data.draw(st.sampled_from(insides(number)))
    cut = number[:at] + odd + number[at:]
    for text in (f"It is {cut}", f"번호: {wide(cut)}"):
        assert kind in kinds(text), repr(text)


@given(st.sampled_from(NUMBERS), st.lists(st.sampled_from(UNSEEN), max_size=4), st.data())
@settings(max_examples=300, deadline=None)
def test_characters_that_nobody_sees_hide_nothing(
    what: tuple[str, str], unseen: list[str], data: st.DataObject
) -> None:
    kind, number = what[0], valid(*what)
    for one in unseen:
        at = data.draw(st.sampled_from(insides(number)))
        number = number[:at] + one + number[at:]
    assert kind in kinds(f"It is {number}.")


@pytest.mark.parametrize(
    "text",
    [
        # Columns and rows of numbers, though one in ten of them has a right check digit.
        "37828\n22463\n10005",
        "Orders:\n37828\n22463\n10005\n37829\n",
        "45 3201 51 128 3036 6",
        "1998 1999 2000 2001 2002 2003",
        "3.14159265358979 and 4.532015112830366",
        "2026-11-21 12:30:55.123 2026-11-21 12:30:56.456",
        "1,234,567 8,901,234 5,678,901",
        "| 12.5 | 13.75 | 140.2 | 15.01 | 16.25 |",
        "chapter 4.5.3 2.0 1.5 112 830 366",
        "no 15 000 000 000 000 of them, at 20 12 34 56 78 90 12 34 56",
        "Call 119 or 112.\n1234\n567",
        "9.12 - 8.40 - 2.17 - 12.4 - 5.31 - 0.5",
    ],
)
def test_ordinary_numbers_are_left_alone(text: str) -> None:
    assert find(text) == []
