"""Word files: paragraphs, headings, lists, tables and notes in order; hostile archives refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import docx
import pytest
from file_makers import make_docx, rewrite_member, save_docx
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.errors import DocumentError
from ondol.retrieval.loaders import load
from ondol.types import Document

BODY = "word/document.xml"
MAX_BYTES = 50_000_000


def read(tmp_path: Path, data: bytes, name: str = "a.docx") -> Document:
    path = tmp_path / name
    path.write_bytes(data)
    return load(path, max_bytes=MAX_BYTES)


def with_body(xml: str) -> bytes:
    """A Word file whose first paragraph is replaced by raw XML."""
    data = make_docx("@@")
    return rewrite_member(data, BODY, b"<w:p><w:r><w:t>@@</w:t></w:r></w:p>", xml.encode())


def refuse(tmp_path: Path, data: bytes, sentence: str) -> DocumentError:
    with pytest.raises(DocumentError, match=sentence) as caught:
        read(tmp_path, data)
    return caught.value


def test_everything_stands_in_document_order(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_heading("임대차 계약서", 0)
    document.add_heading("제1조", 1)
    document.add_paragraph("보증금은 3억 원이다.\n계약 기간은\t2년이다.")
    document.add_paragraph("첫째", style="List Bullet")
    document.add_paragraph("둘째", style="List Number")
    table = document.add_table(2, 2)
    table.cell(0, 0).text = "항목"
    table.cell(0, 1).text = "금액"
    table.cell(1, 0).merge(table.cell(1, 1)).text = "합친\n칸"
    table.cell(0, 0).add_table(1, 1).cell(0, 0).text = "속 표"
    document.add_heading("제2조", 2)
    document.add_paragraph("끝.")
    assert read(tmp_path, save_docx(document)).text == (
        "# 임대차 계약서\n\n# 제1조\n\n보증금은 3억 원이다.\n계약 기간은 2년이다.\n\n- 첫째\n"
        "- 둘째\n\n| 항목 속 표 | 금액 |\n| 합친 칸 |\n\n## 제2조\n\n끝."
    )


def test_titles_come_from_the_properties_the_first_heading_or_the_name(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_paragraph("본문")
    assert read(tmp_path, save_docx(document), "이름.docx").title == "이름"
    document.add_heading("장 제목", 1)
    assert read(tmp_path, save_docx(document)).title == "장 제목"
    document.core_properties.title = "속성 제목"
    assert read(tmp_path, save_docx(document)).title == "속성 제목"


def test_tracked_changes_read_as_accepted(tmp_path: Path) -> None:
    data = with_body(
        "<w:p><w:r><w:t>가</w:t></w:r><w:ins><w:r><w:t>나</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>다</w:delText></w:r></w:del>"
        "<w:moveFrom><w:r><w:t>라</w:t></w:r></w:moveFrom>"
        "<w:hyperlink><w:r><w:t>마</w:t></w:r></w:hyperlink></w:p>"
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>바</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    )
    assert read(tmp_path, data).text == "가나마\n\n바"


def test_text_boxes_are_read_once_after_their_paragraph(tmp_path: Path) -> None:
    box = "<w:txbxContent><w:p><w:r><w:t>상자</w:t></w:r></w:p></w:txbxContent>"
    mc = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    data = with_body(
        f"<w:p><w:r><mc:AlternateContent {mc}><mc:Choice>{box}</mc:Choice>"
        f"<mc:Fallback>{box}</mc:Fallback></mc:AlternateContent><w:t>둘레</w:t></w:r></w:p>"
    )
    assert read(tmp_path, data).text == "둘레\n\n상자"


def test_footnotes_are_read_after_the_body(tmp_path: Path) -> None:
    w = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    notes = (
        f'<w:footnotes xmlns:w="{w}"><w:footnote w:type="separator"><w:p><w:r><w:t>--</w:t></w:r>'
        "</w:p></w:footnote><w:footnote><w:p><w:r><w:t>각주입니다.</w:t></w:r></w:p></w:footnote>"
        "</w:footnotes>"
    )
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml"
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"
    data = rewrite_member(
        make_docx("본문"),
        "[Content_Types].xml",
        b"</Types>",
        f'<Override PartName="/word/footnotes.xml" ContentType="{kind}"/></Types>'.encode(),
    )
    data = rewrite_member(
        data,
        "word/_rels/document.xml.rels",
        b"</Relationships>",
        f'<Relationship Id="rId99" Type="{relation}" Target="footnotes.xml"/>'.encode()
        + b"</Relationships>",
    )
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("word/footnotes.xml", notes)
    assert read(tmp_path, buffer.getvalue()).text == "본문\n\n각주입니다."


def test_outline_levels_inherited_styles_and_contents(tmp_path: Path) -> None:
    document = docx.Document()
    child = document.styles.add_style("My Heading", 1)
    child.base_style = document.styles["Heading 2"]
    contents = document.styles.add_style("TOC 1", 1)
    document.add_paragraph("목차 1", style=contents)
    document.add_paragraph("물려받은 제목", style=child)
    data = rewrite_member(
        save_docx(document),
        BODY,
        b"<w:sectPr",
        "<w:p><w:pPr><w:outlineLvl w:val='2'/></w:pPr><w:r><w:t>개요</w:t></w:r></w:p>"
        "<w:sectPr".encode(),
    )
    assert read(tmp_path, data).text == "## 물려받은 제목\n\n### 개요"


def test_a_document_without_text_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path, make_docx(""), "no text")


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    data = make_docx("본문")
    refuse(tmp_path, data[: len(data) // 2], "damaged")
    refuse(tmp_path, b"", "damaged")
    refuse(tmp_path, b"PK\x03\x04 word/ nonsense", "damaged")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("hello.txt", "not a Word file")
    refuse(tmp_path, buffer.getvalue(), "damaged")


def test_broken_xml_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path, rewrite_member(make_docx("본문"), BODY, b"</w:body>", b""), "damaged")
    refuse(tmp_path, with_body("<w:p>" * 5000 + "</w:p>" * 5000), "damaged")


def test_old_and_encrypted_word_files_are_refused(tmp_path: Path) -> None:
    error = refuse(tmp_path, bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600, "old Word file")
    assert ".docx" in error.hint
    data = bytearray(make_docx("본문"))
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = data.find(header)
        while position >= 0:
            data[position + flags] |= 1
            position = data.find(header, position + 4)
    refuse(tmp_path, bytes(data), "password")


def test_an_archive_bomb_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    buffer = io.BytesIO(make_docx("본문"))
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/bomb.xml", b" " * (97 * 1024 * 1024))
    assert len(buffer.getvalue()) < 1_000_000
    refuse(tmp_path, buffer.getvalue(), "unpacks to far more")


def test_an_archive_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    data = bytearray(make_docx("본문" * 1000))
    position = data.find(b"PK\x01\x02")
    while position >= 0:
        data[position + 24 : position + 28] = (10).to_bytes(4, "little")
        position = data.find(b"PK\x01\x02", position + 4)
    refuse(tmp_path, bytes(data), "damaged")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_that_declares_entities_is_refused(tmp_path: Path, encoding: str) -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    xml = (
        f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE x [<!ENTITY l0 "ha">'
        f'<!ENTITY file SYSTEM "file:///etc/passwd">{laughs}]><x a="&l11;">&file;</x>'
    )
    buffer = io.BytesIO(make_docx("본문"))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("word/extra.xml", xml.encode(encoding))
    refuse(tmp_path, buffer.getvalue(), "XML declarations")


_WORD_FILE = make_docx("첫 문단", "둘째 문단")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, len(_WORD_FILE) - 1), st.integers(0, 255)), min_size=1))
def test_any_damage_ends_in_text_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(_WORD_FILE)
    for position, value in changes:
        data[position] = value
    try:
        read(tmp_path_factory.mktemp("fuzz", numbered=True), bytes(data))
    except DocumentError as error:
        assert error.message.endswith(".")
