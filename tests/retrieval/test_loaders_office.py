"""Slides, OpenDocument and Hancom files: text in order, with headings, tables and notes."""

from __future__ import annotations

from pathlib import Path

import pytest
from file_makers import make_docx, rewrite_member
from office_makers import make_hwpx, make_odf, make_pptx, make_zip

from ondol.errors import DocumentError
from ondol.retrieval import chunking
from ondol.retrieval.loaders import load
from ondol.types import Document

MAX_BYTES = 50_000_000
OLE = bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600


def read(tmp_path: Path, data: bytes, name: str) -> Document:
    path = tmp_path / name
    path.write_bytes(data)
    return load(path, max_bytes=MAX_BYTES)


def refuse(tmp_path: Path, data: bytes, name: str, sentence: str) -> DocumentError:
    with pytest.raises(DocumentError, match=sentence) as caught:
        read(tmp_path, data, name)
    return caught.value


def test_slides_are_pages_with_titles_items_tables_and_notes(tmp_path: Path) -> None:
    document = read(tmp_path, make_pptx(), "발표.pptx")
    assert document.text == (
        "## Slide 1: 온돌의 역사\n\n- 구들은 돌로 만든다\n  - 불길이 지나간다\n\n"
        "따로 있는 글상자\n\nNotes: 여기서 잠시 쉬기\n\n"
        "## Slide 2\n\n| 해 | 압력 |\n| 2026 | 1.2 bar |"
    )
    assert [(page.number, document.text[page.start :][:10]) for page in document.pages] == [
        (1, "## Slide 1"),
        (2, "## Slide 2"),
    ]
    assert document.title == "온돌의 역사"


def test_chunks_of_slides_know_their_slide_and_its_title(tmp_path: Path) -> None:
    chunks = [p.chunk for p in chunking.chunk(read(tmp_path, make_pptx(), "a.pptx"))]
    assert [(chunk.page, chunk.heading) for chunk in chunks] == [
        (1, "Slide 1: 온돌의 역사"),
        (2, "Slide 2"),
    ]


def test_an_opendocument_text_is_read_in_order(tmp_path: Path) -> None:
    body = (
        "<text:tracked-changes><text:p>지운 글</text:p></text:tracked-changes>"
        '<text:h text:outline-level="2">제목</text:h>'
        "<text:p>첫<text:s/>문장<text:span>입니다.</text:span><text:line-break/>둘째"
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>각주</text:p>"
        "</text:note-body></text:note>.</text:p>"
        "<text:list><text:list-item><text:p>하나</text:p><text:list><text:list-item><text:p>속"
        "</text:p></text:list-item></text:list></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>가</text:p></table:table-cell>"
        "<table:table-cell><text:p>나</text:p></table:table-cell></table:table-row></table:table>"
    )
    document = read(tmp_path, make_odf(body, title="계약"), "a.odt")
    assert document.text == (
        "## 제목\n\n첫 문장입니다.\n둘째.\n\n각주\n\n- 하나\n  - 속\n\n| 가 | 나 |"
    )
    assert document.title == "계약"


def test_a_hancom_document_is_read_in_order(tmp_path: Path) -> None:
    first = (
        '<hp:p styleIDRef="1"><hp:run><hp:t>제1장</hp:t></hp:run></hp:p>'
        '<hp:p styleIDRef="0"><hp:run><hp:ctrl><hp:header><hp:subList><hp:p><hp:run><hp:t>머리말'
        "</hp:t></hp:run></hp:p></hp:subList></hp:header></hp:ctrl></hp:run><hp:run><hp:t>구들은"
        "<hp:tab/>돌이다.<hp:lineBreak/>따뜻하다.</hp:t></hp:run></hp:p>"
        "<hp:p><hp:run><hp:tbl><hp:tr><hp:tc><hp:subList><hp:p><hp:run><hp:t>항목</hp:t></hp:run>"
        "</hp:p></hp:subList></hp:tc><hp:tc><hp:subList><hp:p><hp:run><hp:t>금액</hp:t></hp:run>"
        "</hp:p></hp:subList></hp:tc></hp:tr></hp:tbl></hp:run></hp:p>"
    )
    second = "<hp:p><hp:run><hp:t>둘째 구역</hp:t></hp:run></hp:p>"
    document = read(tmp_path, make_hwpx(first, second), "보고서.hwpx")
    assert document.text == "# 제1장\n\n구들은 돌이다.\n따뜻하다.\n\n| 항목 | 금액 |\n\n둘째 구역"
    assert document.title == "제1장"


@pytest.mark.parametrize("name", ["a.pptx", "a.xlsx", "a.odt"])
def test_old_and_encrypted_files_are_refused(tmp_path: Path, name: str) -> None:
    assert "new format" in refuse(tmp_path, OLE, name, "old Office file").hint


def test_old_formats_say_what_to_save_them_as(tmp_path: Path) -> None:
    assert ".xlsx" in refuse(tmp_path, OLE, "a.xls", r"\.xls file").hint.replace("(xls", "(.xls")
    assert ".hwpx" in refuse(tmp_path, OLE, "a.hwp", r"\.hwp file").hint


def test_an_encrypted_opendocument_is_refused(tmp_path: Path) -> None:
    files = {"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "secret"}
    manifest = {"META-INF/manifest.xml": "<m><encryption-data/></m>"}
    refuse(tmp_path, make_zip(files | manifest), "a.odt", "password")


def test_files_without_text_are_refused(tmp_path: Path) -> None:
    refuse(tmp_path, make_odf("<text:p/>"), "a.odt", "no text")
    refuse(tmp_path, make_hwpx("<hp:p/>"), "a.hwpx", "no text")


@pytest.mark.parametrize("name", ["a.pptx", "a.xlsx", "a.odt", "a.hwpx", "a.epub"])
def test_archives_of_something_else_are_refused(tmp_path: Path, name: str) -> None:
    refuse(tmp_path, make_zip({"hello.txt": "nothing of the kind"}), name, "damaged")
    refuse(tmp_path, b"", name, "damaged")


def test_xml_with_entities_is_refused(tmp_path: Path) -> None:
    member = "ppt/slides/slide1.xml"
    data = rewrite_member(make_pptx(), member, b"<p:sld ", b'<!DOCTYPE x [<!ENTITY a "b">]><p:sld ')
    refuse(tmp_path, data, "a.pptx", "XML declarations")


def test_the_content_decides_what_an_office_file_is(tmp_path: Path) -> None:
    assert read(tmp_path, make_pptx(), "a.docx").media_type.endswith("presentation")
    assert read(tmp_path, make_odf("<text:p>글</text:p>"), "a.bin2").text == "글"
    refuse(tmp_path, make_docx("글"), "a.docm", r"\.docm file, which Ondol cannot read yet")
    page = "<html><body><table><tr><td>가격</td><td>10원</td></tr></table></body></html>"
    assert read(tmp_path, page.encode(), "export.xls").text == "| 가격 | 10원 |"
