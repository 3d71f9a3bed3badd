"""Sheets and separated values: a row is a sentence that names its columns."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from office_makers import make_odf, make_xlsx

from ondol.errors import DocumentError
from ondol.retrieval import chunking, sentences
from ondol.retrieval.loaders import load, tables
from ondol.types import Document

MAX_BYTES = 50_000_000
ROWS = [
    ["이름", "금액", "날짜"],
    ["김온돌", 1200.5, datetime.date(2026, 3, 2)],
    ["이방", 3.0, None],
]


def read(tmp_path: Path, data: bytes | str, name: str) -> Document:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return load(path, max_bytes=MAX_BYTES)


def test_every_row_of_a_sheet_names_its_columns(tmp_path: Path) -> None:
    data = make_xlsx({"매출": ROWS, "빈 시트": [], "Notes": [["#1"], ["# 2"]]}, title="장부")
    document = read(tmp_path, data, "a.xlsx")
    assert document.text == (
        "# 매출\n이름: 김온돌; 금액: 1200.5; 날짜: 2026-03-02\n이름: 이방; 금액: 3\n\n"
        "# Notes\n#1: # 2"
    )
    assert document.title == "장부"


def test_a_row_is_one_sentence_under_the_heading_of_its_sheet(tmp_path: Path) -> None:
    rows = [["# of items", "이름"], *([n, f"물건 {n}."] for n in range(60))]
    document = read(tmp_path, make_xlsx({"하나": rows, "둘": ROWS}), "a.xlsx")
    passages = chunking.chunk(document)
    assert {passage.chunk.heading for passage in passages} == {"하나", "둘"}
    found = [document.text[a:b] for passage in passages for a, b in passage.sentences]
    assert "# of items: 7; 이름: 물건 7." in found
    assert found == document.text.replace("\n\n", "\n").split("\n")


def test_titles_above_the_names_stay_lines_of_their_own() -> None:
    rows = [["2026년 매출"], [], ["품목", "1월", "2월"], ["돌", "3", ""], ["", "합계", "3"]]
    assert list(tables.lines(rows)) == ["2026년 매출", "품목: 돌; 1월: 3", "1월: 합계; 2월: 3"]


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ([["1", "2"], ["3", "4"]], ["1; 2", "3; 4"]),
        ([["이름", "값"]], ["이름; 값"]),
        ([["이름", "2024", "2025"], ["가", "1", "2"]], ["이름: 가; 2024: 1; 2025: 2"]),
        ([["이름"], ["가"], [""], ["나"]], ["이름: 가", "이름: 나"]),
        ([["같은", "같은"], ["가", "나"]], ["같은; 같은", "가; 나"]),
        ([["a", "", "c"], ["1", "2", "3", "4"]], ["a: 1; 2; c: 3; 4"]),
        ([], []),
    ],
)
def test_names_are_told_from_values(rows: list[list[str]], lines: list[str]) -> None:
    assert list(tables.lines(rows)) == lines


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ('이름,금액\n김온돌,"1,200"\n이방,3\n', "a.csv"),
        ("이름;금액\r\n김온돌;1,200\r\n이방;3\r\n", "a.csv"),
        ("sep=|\n이름|금액\n김온돌|1,200\n이방|3\n", "a.csv"),
        ("이름\t금액\n김온돌\t1,200\n이방\t3\n", "a.tsv"),
        ('이름,금액\n김온돌,"1,200"\n이방,3\n'.encode("cp949"), "a.csv"),
        ("이름\t금액\n김온돌\t1,200\n이방\t3\n".encode("utf-16"), "a.csv"),
    ],
)
def test_separated_values_are_read_however_they_are_written(
    tmp_path: Path, data: bytes | str, name: str
) -> None:
    assert read(tmp_path, data, name).text == "이름: 김온돌; 금액: 1,200\n이름: 이방; 금액: 3"


def test_a_cell_of_many_lines_stays_in_its_row(tmp_path: Path) -> None:
    document = read(tmp_path, 'id,note\n1,"첫 줄\n\n둘째 줄"\n2,"말 ""안"" 말"\n', "a.csv")
    assert document.text == 'id: 1; note: 첫 줄 둘째 줄\nid: 2; note: 말 "안" 말'


def test_an_opendocument_sheet_is_read_like_any_other(tmp_path: Path) -> None:
    def cell(text: str, more: str = "") -> str:
        return f"<table:table-cell {more}><text:p>{text}</text:p></table:table-cell>"

    empty = (
        '<table:table-row table:number-rows-repeated="1048570"><table:table-cell/>'
        "</table:table-row>"
    )
    body = (
        '<table:table table:name="장부"><table:table-row>'
        + cell("이름")
        + cell("날짜")
        + '<table:table-cell table:number-columns-repeated="16382"/></table:table-row>'
        '<table:table-row table:number-rows-repeated="2">'
        + cell("가")
        + cell("3월 2일", 'office:value-type="date" office:date-value="2026-03-02"')
        + f"</table:table-row>{empty}</table:table>"
    )
    document = read(tmp_path, make_odf(body, kind="spreadsheet"), "a.ods")
    assert document.text == "# 장부\n" + "\n".join(["이름: 가; 날짜: 2026-03-02"] * 2)
    assert chunking.chunk(document)[0].chunk.heading == "장부"


def test_a_sheet_whose_cells_lie_far_apart_is_refused(tmp_path: Path) -> None:
    import io

    import xlsxwriter

    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer)
    sheet = book.add_worksheet()
    sheet.write(0, 0, "여기")
    sheet.write(1_048_575, 16_383, "저기")
    book.close()
    with pytest.raises(DocumentError, match=r"spans 17,179,869,184 cells") as caught:
        read(tmp_path, buffer.getvalue(), "a.xlsx")
    assert "CSV" in caught.value.hint


def test_empty_tables_are_empty(tmp_path: Path) -> None:
    assert read(tmp_path, "", "a.csv").text == ""
    with pytest.raises(DocumentError, match="no text"):
        read(tmp_path, make_xlsx({"a": []}), "a.xlsx")
    with pytest.raises(DocumentError, match="binary"):
        read(tmp_path, b"\x01\x02\0\x03" * 100, "a.csv")


@given(st.lists(st.lists(st.text("가나a1 .,;:#|\"'\n\t", max_size=12), max_size=5), max_size=8))
def test_no_value_is_lost_and_every_line_is_a_sentence(rows: list[list[str]]) -> None:
    cells = [[tables.cell(value) for value in row] for row in rows]
    lines = list(tables.lines(cells))
    text = "\n".join(lines)
    # A column that holds nothing does not say its name.
    assert sum(any(value not in text for value in row) for row in cells) <= 1
    assert [text[a:b] for a, b in sentences.split(text, by_line=True)] == lines
