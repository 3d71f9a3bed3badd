"""PDF: Korean comes out right, lines become sentences, pages keep exact starts."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from file_makers import Line, lines, make_pdf
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.errors import DocumentError
from ondol.retrieval.loaders import load
from ondol.types import Document


def read(tmp_path: Path, data: bytes, name: str = "a.pdf") -> Document:
    path = tmp_path / name
    path.write_bytes(data)
    return load(path, max_bytes=50_000_000)


def text_of(tmp_path: Path, *page: Line) -> str:
    return read(tmp_path, make_pdf([page])).text


def refuse(tmp_path: Path, data: bytes, sentence: str) -> DocumentError:
    with pytest.raises(DocumentError, match=sentence) as caught:
        read(tmp_path, data)
    return caught.value


def test_korean_text_and_title_come_out_right(tmp_path: Path) -> None:
    data = make_pdf([lines("구들장 밑으로 열기가 지나갑니다. 😀 漢字")], title="온돌 설명서")
    document = read(tmp_path, data)
    assert document.text == "구들장 밑으로 열기가 지나갑니다. 😀 漢字"
    assert document.title == "온돌 설명서"
    assert document.media_type == "application/pdf"


def test_page_starts_point_at_the_first_character_of_each_page(tmp_path: Path) -> None:
    pages = [lines("첫 쪽."), [], lines("Page three. 😀"), lines("넷째 쪽.")]
    document = read(tmp_path, make_pdf(pages))
    assert [page.number for page in document.pages] == [1, 2, 3, 4]
    assert document.text == "첫 쪽.\n\nPage three. 😀\n\n넷째 쪽."
    starts = [page.start for page in document.pages]
    assert [document.text[start:][:1] for start in starts] == ["첫", "\n", "P", "넷"]
    assert starts == sorted(starts)


def test_wrapped_lines_become_one_paragraph_and_short_ones_end_it(tmp_path: Path) -> None:
    page = lines(
        "The pressure of the boiler is checked every week and",
        "written into the log by the owner.",
        "A second paragraph begins here without any gap before",
        "it and ends here.",
    )
    assert text_of(tmp_path, *page) == (
        "The pressure of the boiler is checked every week and written into the log by the owner."
        "\n\nA second paragraph begins here without any gap before it and ends here."
    )


def test_hangul_is_joined_as_the_producer_wrapped_it(tmp_path: Path) -> None:
    with_spaces = lines(
        "보일러의 급수 압력은 매주 점검하고 ", "기록합니다. 압력이 낮으면 물을 보충하십", "시오."
    )
    assert text_of(tmp_path, *with_spaces) == (
        "보일러의 급수 압력은 매주 점검하고 기록합니다. 압력이 낮으면 물을 보충하십시오."
    )
    without = lines(
        "보일러의 급수 압력은 매주 점검하고",
        "기록합니다. 압력이 낮으면 물을 보충한",
        "뒤 잠급니다.",
    )
    assert text_of(tmp_path, *without) == (
        "보일러의 급수 압력은 매주 점검하고 기록합니다. 압력이 낮으면 물을 보충한 뒤 잠급니다."
    )


def test_chinese_and_japanese_are_joined_without_a_space(tmp_path: Path) -> None:
    assert text_of(tmp_path, *lines("日本の温泉は古くから人々に", "親しまれています。")) == (
        "日本の温泉は古くから人々に親しまれています。"
    )


def test_divided_words_are_mended(tmp_path: Path) -> None:
    page = lines(
        "Under the floor lies the heat-", "ing, as is well-", "known: a well-known fact here."
    )
    assert text_of(tmp_path, *page) == (
        "Under the floor lies the heating, as is well-known: a well-known fact here."
    )


def test_headings_lists_gaps_and_indents_end_a_paragraph(tmp_path: Path) -> None:
    page = [
        Line("Manual of heating", 800, size=18),
        *lines(
            "Text that goes on to the far end of the line here", "and stops at its end.", top=770
        ),
        *lines("• first thing to be done in the morning before noon", "• second", top=720),
        *lines("Far below stands another paragraph of the same text", "goes on.", top=650),
        Line("Set in by two letters, a new paragraph begins", 611, x=94),
        *lines("and goes back to the margin.", top=597.8),
    ]
    assert text_of(tmp_path, *page) == (
        "Manual of heating\n\nText that goes on to the far end of the line here and stops at its "
        "end.\n\n• first thing to be done in the morning before noon\n• second\n\n"
        "Far below stands another paragraph of the same text goes on.\n\n"
        "Set in by two letters, a new paragraph begins and goes back to the margin."
    )


def test_a_sentence_goes_on_in_the_next_column(tmp_path: Path) -> None:
    left = lines("The left column begins here and", "goes on until it reaches the end")
    right = lines("of the page, and then goes on in", "the right one. ", x=320)
    assert text_of(tmp_path, *left, *right) == (
        "The left column begins here and goes on until it reaches the end of the page, and then "
        "goes on in the right one."
    )


@pytest.mark.parametrize(
    ("rotation", "turn"), [(90, 90), (180, 180), (270, 270), (0, 90), (0, 180), (180, 0), (270, 0)]
)
def test_turned_pages_and_turned_text_read_like_upright_ones(
    tmp_path: Path, rotation: int, turn: int
) -> None:
    page = lines("A sentence that is wrapped at the end of its", "line.", "", "Another.", top=500)
    assert read(tmp_path, make_pdf([page], rotation=rotation, turn=turn)).text == (
        "A sentence that is wrapped at the end of its line.\n\nAnother."
    )


def test_page_numbers_and_running_heads_are_left_out_after_the_first(tmp_path: Path) -> None:
    head = Line("온돌 사용 설명서 2부", 820)
    pages = [
        [head, *lines(f"{count}째 쪽의 본문입니다."), Line(f"- {number} -", 30)]
        for number, count in enumerate(("첫", "둘", "셋", "넷"), start=1)
    ]
    text = read(tmp_path, make_pdf(pages)).text
    assert text.count("온돌 사용 설명서") == 1
    assert text.count("본문입니다.") == 4
    assert "- 2 -" not in text


def test_the_title_is_the_large_line_when_the_file_names_none(tmp_path: Path) -> None:
    body = lines("작은 글씨의 본문이 여기에 있습니다.", "둘째 줄입니다.", top=750)
    assert read(tmp_path, make_pdf([[Line("큰 제목", 800, size=20), *body]])).title == "큰 제목"
    assert read(tmp_path, make_pdf([body]), "이름.pdf").title == "이름"


def test_a_scanned_file_says_that_it_has_no_text(tmp_path: Path) -> None:
    error = refuse(tmp_path, make_pdf([[], []]), "is a scan.*tesseract")
    assert error.hint


def test_text_in_fonts_without_characters_is_refused(tmp_path: Path) -> None:
    private = "".join(map(chr, range(0xE000, 0xE040)))
    refuse(tmp_path, make_pdf([lines(private)]), "letters cannot be told")


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    data = make_pdf([lines("secret")], encrypted=True)
    error = refuse(tmp_path, data, "protected with a password")
    assert "without the password" in error.hint


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path, b"%PDF-1.7\nnothing that follows makes sense", "damaged")
    refuse(tmp_path, b"", "damaged")
    refuse(tmp_path, b"not a PDF at all", "damaged")


def test_a_broken_page_does_not_cost_the_others(tmp_path: Path) -> None:
    data = make_pdf([lines("첫 쪽."), lines("셋째 쪽.")])
    broken = data.replace(b"/Kids[6 0 R 8 0 R]/Count 2", b"/Kids[6 0 R 5 0 R 8 0 R]/Count 3")
    text = read(tmp_path, broken).text
    assert "첫 쪽." in text
    assert "셋째 쪽." in text


def test_more_pages_or_text_than_a_document_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_pdf([lines("one"), lines("two"), lines("three")])
    monkeypatch.setattr("ondol.retrieval.loaders.extract.MAX_CHARACTERS", 5)
    refuse(tmp_path, data, "more than 5 characters")
    monkeypatch.setattr("ondol.retrieval.loaders.pdf.MAX_PAGES", 2)
    refuse(tmp_path, data, "more than 2 pages")


def test_a_file_that_claims_endless_pages_is_read_to_its_real_end(tmp_path: Path) -> None:
    data = make_pdf([lines("one")]).replace(b"/Count 1>>", b"/Count 2000000000>>")
    assert read(tmp_path, data).text == "one"


def test_several_threads_may_read_at_once(tmp_path: Path) -> None:
    texts: list[str] = []
    (tmp_path / "a.pdf").write_bytes(make_pdf([lines("여러 갈래")] * 20))

    def work() -> None:
        for _ in range(5):
            texts.append(load(tmp_path / "a.pdf", max_bytes=1_000_000).text)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 20
    assert len(set(texts)) == 1


_PDF = make_pdf([lines("첫 쪽의 글입니다.", "Second line of it."), lines("둘째 쪽.")], title="제목")


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(_PDF) - 1), st.integers(0, 255)), min_size=1))
def test_any_damage_ends_in_text_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(_PDF)
    for position, value in changes:
        data[position] = value
    path = tmp_path_factory.getbasetemp() / "fuzz.pdf"
    path.write_bytes(bytes(data))
    try:
        document = load(path, max_bytes=1_000_000)
    except DocumentError as error:
        assert error.message.endswith(".")
    else:
        document.text.encode("utf-8")
        assert all(0 <= page.start <= len(document.text) for page in document.pages)
