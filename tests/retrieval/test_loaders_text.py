"""Plain text: the document is the file's own text, whatever encoding it comes in."""

from __future__ import annotations

import hashlib
import random
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.errors import DocumentError
from ondol.i18n import use_language
from ondol.retrieval.loaders import encoding, load, media_type
from ondol.types import Document

MAX_BYTES = 10_000_000
KOREAN = (
    "온돌은 방바닥을 따뜻하게 하는 우리나라의 전통 난방 방식입니다.\r\n"
    "아궁이에서 나온 열기가 구들장 밑을 지나갑니다. 보일러의 압력은 1.2 bar가 알맞습니다.\n"
)
JAPANESE = "これは日本語の文章です。明日の天気は晴れでしょう。会議は午後三時から始まります。"
CHINESE = "这是一个中文的文件。明天的天气会很好，我们可以去公园。他在北京工作了三年。"
FRENCH = "Le système doit être vérifié chaque année ; à défaut, la pression chute. Ça dépend.\n"


def write(tmp_path: Path, name: str, data: bytes | str) -> Path:
    path = tmp_path / name
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
    return path


def read(tmp_path: Path, name: str, data: bytes | str) -> Document:
    return load(write(tmp_path, name, data), max_bytes=MAX_BYTES)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_offsets_point_into_the_file_itself_whatever_its_line_ends(
    tmp_path: Path, line_end: str
) -> None:
    text = line_end.join(["첫 줄", "second line", "셋째 줄의 답", ""])
    document = read(tmp_path, "a.txt", text)
    start = document.text.index("답")
    with (tmp_path / "a.txt").open(encoding="utf-8", newline="") as file:
        assert file.read()[start : start + 1] == "답"
    assert document.text == text


def test_a_document_says_where_it_comes_from_and_what_it_is(tmp_path: Path) -> None:
    document = read(tmp_path, "note.txt", KOREAN)
    assert document.source == str(tmp_path / "note.txt")
    assert document.media_type == "text/plain"
    assert document.title == "note"
    assert document.content_hash == hashlib.sha256(KOREAN.encode()).hexdigest()
    assert document.pages == ()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (KOREAN, "utf-8"),
        (KOREAN, "utf-8-sig"),
        (KOREAN, "utf-16"),
        (KOREAN, "utf-32"),
        (KOREAN, "utf-16-le"),
        (KOREAN, "utf-16-be"),
        (KOREAN, "cp949"),
        (KOREAN, "euc-kr"),
        ("똠방각하가 펲시콜라를 마십니다. 뷁.", "cp949"),
        ("예", "cp949"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc_jp"),
        (CHINESE, "gb18030"),
        (FRENCH, "cp1252"),
        ("plain ascii", "ascii"),
        ("", "ascii"),
    ],
)
def test_encodings_are_told_apart(tmp_path: Path, text: str, name: str) -> None:
    assert read(tmp_path, "a.txt", text.encode(name)).text == text


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")))
def test_every_utf8_text_comes_back_as_it_is(text: str) -> None:
    expected = text.removeprefix("\ufeff")
    data = text.encode("utf-8")
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        assert encoding.decode(data) == expected


@given(st.binary(max_size=400))
def test_no_bytes_make_decoding_fail(data: bytes) -> None:
    encoding.decode(data).encode("utf-8")
    encoding.decode(data, declared=data[:8].decode("latin-1")).encode("utf-8")
    assert encoding.is_binary(data) in (True, False)


def test_one_bad_byte_costs_one_character(tmp_path: Path) -> None:
    utf8 = read(tmp_path, "a.txt", KOREAN.encode() * 5 + b"\xff" + KOREAN.encode())
    assert utf8.text == KOREAN * 5 + "\ufffd" + KOREAN
    cut = read(tmp_path, "b.txt", KOREAN.encode("cp949")[:-3] + b"\xb4")
    assert cut.text.startswith(KOREAN[:60])


def test_decomposed_hangul_stays_in_the_text_and_is_composed_in_the_title(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "난방 안내")
    document = read(tmp_path, f"{decomposed}.txt", decomposed)
    assert document.text == decomposed
    assert document.title == "난방 안내"


@pytest.mark.parametrize(
    ("name", "text", "title"),
    [
        ("a.md", "intro\n\n## 보일러 점검 ##\n# Later\n", "보일러 점검"),
        ("a.md", "---\ntitle: '앞머리 제목'\nx: 1\n---\n# Heading\n", "앞머리 제목"),
        ("a.md", "```\n# not a heading\n```\n# Real\r\n", "Real"),
        ("a.md", "Underlined\n==========\n", "Underlined"),
        ("a.md", "no heading here\n", "a"),
        ("a.rst", "Manual\n======\n\nText.\n", "Manual"),
        ("a.rst", "no heading\n", "a"),
        ("README", "# looks like markdown", "README"),
        ("a.py", "# a comment\n", "a"),
    ],
)
def test_titles_come_from_the_text_or_the_name(
    tmp_path: Path, name: str, text: str, title: str
) -> None:
    assert read(tmp_path, name, text).title == title


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.MD", "text/markdown"),
        ("a.rst", "text/rst"),
        ("LICENSE", "text/plain"),
        ("a.unknownkind", "text/plain"),
        ("Makefile", "text/x-make"),
        ("a.py", "text/x-python"),
        ("a.tsx", "text/x-typescript"),
        ("a.csv", "text/csv"),
        ("a.json", "application/json"),
        ("a.yaml", "text/x-yaml"),
        ("a.toml", "text/x-toml"),
        ("a.ini", "text/x-ini"),
        ("a.log", "text/x-log"),
        ("a.png", None),
        ("a.hwp", None),
    ],
)
def test_kinds_follow_the_name(tmp_path: Path, name: str, expected: str | None) -> None:
    path = write(tmp_path, name, "some text\n")
    assert media_type(path) == expected
    if expected:
        assert load(path, max_bytes=MAX_BYTES).media_type == expected


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.txt", b"%PDF-1.7\n", "application/pdf"),
        ("noname", b"<!-- x -->\n<!DOCTYPE html><p>x", "text/html"),
        ("report.pdf", b"\xef\xbb\xbf<html><p>not found", "text/html"),
        ("a.md", b"<html> in Markdown stays", "text/markdown"),
        ("noname", b"\x7fELF\x02\x01\x01\0\0\0", None),
        ("noname", b"{\\rtf1 text}", None),
        ("noname", "유니코드".encode("utf-16"), "text/plain"),
        ("noname", b"", "text/plain"),
    ],
)
def test_kinds_follow_the_first_bytes(
    tmp_path: Path, name: str, data: bytes, expected: str | None
) -> None:
    assert media_type(write(tmp_path, name, data)) == expected


def test_binary_data_under_a_text_name_is_refused(tmp_path: Path) -> None:
    noise = random.Random(7).randbytes(2000)
    for data in (b"abc\0def" * 100, noise, noise.replace(b"\0", b"")):
        with pytest.raises(DocumentError, match=r"a\.txt is not text"):
            read(tmp_path, "a.txt", data)


def test_kinds_without_a_reader_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"\.hwp file, which Ondol cannot read yet") as caught:
        read(tmp_path, "a.hwp", b"HWP Document File")
    assert "PDF" in caught.value.hint
    with pytest.raises(DocumentError, match="not a kind of file"):
        read(tmp_path, "a.mp3", b"ID3")
    with use_language("ko"), pytest.raises(DocumentError, match=r"아직 \.hwp 파일을"):
        read(tmp_path, "a.hwp", b"HWP Document File")


def test_an_empty_file_is_an_empty_document(tmp_path: Path) -> None:
    assert read(tmp_path, "__init__.py", "").text == ""


def test_more_text_than_a_document_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ondol.retrieval.loaders.extract.MAX_CHARACTERS", 10)
    assert read(tmp_path, "a.txt", "0123456789").text
    with pytest.raises(DocumentError, match="more than 10 characters"):
        read(tmp_path, "a.txt", "0123456789+")
