"""The syntax of the search box: what is a filter, what stays text, and what cannot be."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.errors import UsageError
from ondol.retrieval.filters import Filter
from ondol.retrieval.language_codes import language_code
from ondol.retrieval.query import parse, read, render, written


@pytest.mark.parametrize(
    "text",
    [
        "see http://example.org/in:x",
        "note: buy milk",
        "at 12:30",
        "in: the garden",
        "std::path::Path in::foo",
        'what does "type:module is wrong" mean',
        '"in:notes"',
        "begin:notes",
        "-after:2025",
        'in:"never closed',
        "in:?",
        "  spaces   stay\nas they are ",
        "",
        "in:",
        "path://host/share",
        "모음: 시집",
    ],
)
def test_what_is_no_filter_stays_as_it_is(text: str) -> None:
    assert parse(text) == (text, Filter())


@pytest.mark.parametrize(
    ("text", "rest", "where"),
    [
        ("boiler in:notes", "boiler", Filter(collections=("notes",))),
        ("in:a boiler in:b", "boiler", Filter(collections=("a", "b"))),
        ('in:"my notes" boiler', "boiler", Filter(collections=("my notes",))),
        ("in:“my notes” boiler", "boiler", Filter(collections=("my notes",))),
        ("Is rent due in:notes?", "Is rent due?", Filter(collections=("notes",))),
        ("rent after:2025-01.", "rent.", Filter(after=date(2025, 1, 1))),
        ("rent before:2025.3.9", "rent", Filter(before=date(2025, 3, 9))),
        ("after:2024 after:2025/2", "", Filter(after=date(2025, 2, 1))),
        ("Type:.PDF x", "x", Filter(types=("pdf",))),
        ("type:메일", "", Filter(types=("mail",))),
        ("lang:Korean lang:en-GB", "", Filter(languages=("ko", "en"))),
        ("모음:집 종류:pdf 이후:2025.01 언어:한국어 보일러", "보일러",
         Filter(("집",), (), ("pdf",), date(2025, 1, 1), None, ("ko",))),
        ("path:/a//b/../c/ x", "x", Filter(paths=("/a/c",))),
        ("path:notes/2025 path:**.md", "", Filter(paths=("notes/2025", "*.md"))),
        ("x -in:junk -lang:en", "x",
         Filter(excluded=Filter(collections=("junk",), languages=("en",)))),
    ],
)  # fmt: skip
def test_filters_are_taken_out_of_the_text(text: str, rest: str, where: Filter) -> None:
    assert parse(text) == (rest, where)


def test_home_and_the_folder_one_stands_in() -> None:
    assert parse("path:~/x")[1].paths == (str(Path.home() / "x"),)
    assert parse("path:./x", base=Path("/here"))[1].paths == ("/here/x",)
    assert parse("path:..", base=Path("/here/now"))[1].paths == ("/here",)


def test_days_that_move_along() -> None:
    today = date.today()
    assert parse("after:7d")[1].after == today - timedelta(days=7)
    assert parse("after:어제 before:today")[1] == Filter(
        after=today - timedelta(days=1), before=today
    )


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("after:soon", "after"),
        ("before:2025-02-30", "before"),
        ("after:0001-01-01", "after"),
        ("type:module", "type"),
        ("type:pdf,docx", "type"),
        ("lang:klingonish", "lang"),
        ("path:./x", "path"),
        ("path:~nobody-here/x", "path"),
        ("path:" + "x" * 2000, "path"),
        (" ".join(f"path:{number}" for number in range(101)), "path"),
        (" ".join(f"-in:{number}" for number in range(101)), "-in"),
    ],
)
def test_value_that_cannot_be_says_what_can(text: str, field: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse("boiler " + text)
    assert caught.value.param == field
    assert f"{field}:" in caught.value.message and f"{field}:" in caught.value.hint + "path:"
    assert len(caught.value.message) < 150


names = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "), min_size=1
).map(str.strip).map(lambda s: read({"in": [s]}).collections[0]).filter(bool)  # fmt: skip
path_parts = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="~/.*"),
    min_size=1,
)
paths = st.lists(path_parts, min_size=1, max_size=4).map("/".join) | st.lists(
    path_parts, min_size=1, max_size=4
).map(lambda parts: "/" + "/".join(parts))
days = st.dates(date(1900, 1, 1), date(2999, 12, 31))
few = {"max_size": 3, "unique": True}
plain = st.builds(
    Filter,
    st.lists(names, **few).map(tuple),
    st.lists(paths, **few).map(tuple),
    st.lists(st.sampled_from(["pdf", "mail", "c++", "text/*", "py"]), **few)
    .map(lambda words: tuple(w for w in words if w != "c++")),
    st.none() | days,
    st.none() | days,
    st.lists(st.sampled_from(["ko", "en", "und"]), **few).map(tuple),
)  # fmt: skip
unsaid = st.builds(
    Filter, st.lists(names, **few).map(tuple), st.lists(paths, **few).map(tuple)
).filter(bool)


@given(plain, st.none() | unsaid, st.lists(st.sampled_from(["rent", "보증금", "12:30"])))
def test_what_is_rendered_is_read_back(
    where: Filter, excluded: Filter | None, words: list[str]
) -> None:
    from dataclasses import replace

    where = replace(where, excluded=excluded)
    assert parse(f"{' '.join(words)} {render(where)}".strip()) == (" ".join(words), where)
    assert read(written(where)) == where


@given(st.text(st.sampled_from('in:pathtype-" “”\\a./~ \n?')))
def test_no_text_breaks_it_and_nothing_is_lost(text: str) -> None:
    try:
        rest, where = parse(text)
    except UsageError:
        return
    assert rest == text or where
    assert set(rest) <= set(text) | {" "}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The boiler was serviced in March and it is due again.", "en"),
        ("보일러는 3월에 점검했다. 다음 점검은 2년 뒤다.", "ko"),
        ("README for the API server: 서버를 켜는 방법은 아래와 같다.", "ko"),
        ("ボイラーは三月に点検されました。", "ja"),
        ("锅炉三月份检修过了。", "zh"),
        ("Der Kessel ist im März gewartet worden, und die Rechnung ist da.", "de"),
        ("La chaudière est en panne et le plombier ne vient pas.", "fr"),
        ("x = 1; y = 2", "und"),
        ("", "und"),
    ],
)
def test_language_of_a_text(text: str, language: str) -> None:
    assert language_code(text) == language
