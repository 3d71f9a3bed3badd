"""Personal data is found however it is written, and ordinary text is left alone.

``personal_data.jsonl`` is invented: the check digits are right where a number should be real.
"""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.routing import personal_data_checks as checks
from ondol.routing.personal_data import KINDS, Finding, find

SET = [
    json.loads(line)
    for line in (Path(__file__).parent / "personal_data.jsonl").read_text("utf-8").splitlines()
]
LEAST_PRECISION = 0.98
LEAST_RECALL = 0.98


def found_in(text: str) -> list[tuple[str, str]]:
    return [(f.kind, text[f.start : f.end]) for f in find(text)]


def is_found(text: str, kind: str, value: str) -> bool:
    """Of an address most of it will do: where it ends is a matter of taste."""
    return any(
        one == kind
        and (value in seen or ("address" in kind and seen in value and 2 * len(seen) > len(value)))
        for one, seen in found_in(text)
    )


def test_the_labelled_set_covers_every_kind_in_both_languages() -> None:
    kinds = Counter(kind for item in SET for kind, _ in item["values"])
    assert set(kinds) == set(KINDS)
    assert sum(bool(item["values"]) for item in SET) >= 150
    assert sum(not item["values"] for item in SET) >= 150
    assert {item["language"] for item in SET} == {"en", "ko"}


def test_precision_and_recall_on_the_labelled_set(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = [(i["text"], kind, value) for i in SET for kind, value in i["values"]]
    missed = [item for item in wanted if not is_found(*item)]
    false = [i["text"] for i in SET if not i["values"] and find(i["text"])]
    right = len(wanted) - len(missed)
    precision, recall = right / (right + len(false)), right / len(wanted)
    with capsys.disabled():
        print(f"\npersonal data: precision {precision:.3f}, recall {recall:.3f} (n={len(SET)})")
    assert precision >= LEAST_PRECISION, false
    assert recall >= LEAST_RECALL, missed


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        # Full-width, other digits, lookalikes, characters that nobody sees.
        ("phone", "０１０－４８２１－９９３７"),
        ("phone", "٠١٠-٤٨٢١-٩٩٣٧"),
        ("phone", "𝟎𝟏𝟎-𝟒𝟖𝟐𝟏-𝟗𝟗𝟑𝟕"),
        ("phone", "0\u200b1\u20600-48\ufeff21-99\u200d37"),
        ("phone", "010\u00ad-4821\u202e-9937"),
        ("email", "nаrае@hаnmаil.net"),
        ("email", "na\u200brae@han\u200bmail.net"),
        ("secret", "ghр_a8Kd93jfLs02mQxZ7vBn4TyUi1OpLkJh6GfD"),
        ("phone", "\U000e0030\U000e0031\U000e0030-4821-9937"),
        # Pulled apart.
        ("phone", "0.1.0.4.8.2.1.9.9.3.7"),
        ("phone", "0 1 0 - 4 8 2 1 - 9 9 3 7"),
        ("card", "4 5 3 2 0 1 5 1 1 2 8 3 0 3 6 6"),
        ("phone", "공일공-사팔이일-구구삼칠"),
        ("phone", "Zero one zero, four eight two one, nine nine three seven"),
        # Particles, brackets and line breaks.
        ("phone", "번호는010-4821-9937이며"),
        ("phone", "[010-4821-9937]"),
        ("phone", "010-4821\r\n-9937"),
        ("kr_rrn", "840217\n-1245311"),
    ],
)
def test_a_disguise_hides_nothing(kind: str, text: str) -> None:
    assert kind in {finding.kind for finding in find(text)}


def test_a_finding_says_where_the_value_stands_in_the_text_as_it_was_given() -> None:
    text = "연락처는 ０１０－\u200b１２３４－５６７８로 부탁해요, kim@posteo.net 도 좋아요"
    assert found_in(text) == [
        ("phone", "０１０－\u200b１２３４－５６７８"),
        ("email", "kim@posteo.net"),
    ]


def test_the_newest_registration_numbers_need_no_check_digit_and_old_ones_keep_theirs() -> None:
    assert checks.registration_check("8402171245311") is False
    # Without its hyphen a number counts only when its last digit checks, or when nobody born
    # then has one that does.
    assert found_in("8402171245311") == []
    assert [kind for kind, _ in found_in("2103153482917")] == ["kr_rrn"]
    assert found_in("210231-3482917") == []
    assert found_in("991231-3123456") == []


@pytest.mark.parametrize("number", ["4532015112830366", "378282246310005", "6011111111111117"])
def test_a_card_with_one_wrong_digit_is_none(number: str) -> None:
    assert [kind for kind, _ in found_in(number)] == ["card"]
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert found_in(wrong) == []


@given(st.text())
def test_any_text_can_be_searched_and_findings_stay_inside_it_apart(text: str) -> None:
    found = find(text)
    assert all(0 <= f.start < f.end <= len(text) for f in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


@given(
    st.text(alphabet="가나다 .,\n는을(", max_size=40),
    st.text(alphabet="가나다 .,\n는을)", max_size=40),
)
def test_what_stands_around_a_number_does_not_hide_it(before: str, after: str) -> None:
    text = f"{before}010-4821-9937{after}"
    assert Finding("phone", len(before), len(before) + 13) in find(text)
