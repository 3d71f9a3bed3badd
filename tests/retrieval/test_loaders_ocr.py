"""Pictures and scans: read by tesseract; where there is none, they say what to install."""

from __future__ import annotations

import io
import shutil
import stat
from pathlib import Path

import pytest
from file_makers import lines, make_pdf
from office_makers import make_zip
from PIL import Image, ImageDraw, ImageFont

from ondol.errors import DocumentError
from ondol.retrieval.loaders import load, media_type, ocr, scans
from ondol.types import Document

MAX_BYTES = 50_000_000
# What tesseract says for "tsv txt": how sure it is of every word, then the text.
OUTPUT = """level\tpage\tblock\tpar\tline\tword\tleft\ttop\twidth\theight\tconf\ttext
4\t1\t1\t1\t1\t0\t0\t0\t9\t9\t-1\t
5\t1\t1\t1\t1\t1\t0\t0\t9\t9\t96.1\t온
5\t1\t1\t1\t1\t2\t0\t0\t9\t9\t95.1\t돌은
5\t1\t1\t1\t1\t3\t0\t0\t9\t9\t91.0\t구들을
5\t1\t1\t1\t2\t1\t0\t0\t9\t9\t88.0\t데운다.
5\t1\t1\t2\t1\t1\t0\t0\t9\t9\t12.0\t~~|
5\t1\t2\t1\t1\t1\t0\t0\t9\t9\t95.0\tWarm
5\t1\t2\t1\t1\t2\t0\t0\t9\t9\t95.0\tfloor.
온돌은 구들을
데운다.

~~|

Warm floor.
\f"""


@pytest.fixture
def tesseract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of tesseract that finds the same words in every picture."""
    program = tmp_path / "bin" / "tesseract"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\nif [ \"$1\" = --list-langs ]; then printf 'eng\\nkor\\nosd\\n'; exit; fi\n"
        f'echo "$@" >> {program}.calls\ncat > /dev/null\ncat <<"END"\n{OUTPUT}\nEND\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(ocr, "find_program", lambda: str(program))
    return program


def read(tmp_path: Path, data: bytes, name: str) -> Document:
    path = tmp_path / name
    path.write_bytes(data)
    return load(path, max_bytes=MAX_BYTES)


def replace_script(program: Path, script: str) -> None:
    program.write_text(
        f"#!/bin/sh\nif [ \"$1\" = --list-langs ]; then printf 'kor\\n'; exit; fi\n{script}\n"
    )


def scan(*, text: str = "", pages: int = 1) -> bytes:
    """A PDF of pictures; the last page also has real text when there is any."""
    picture = Image.new("L", (300, 400), 255)
    ImageDraw.Draw(picture).rectangle((20, 20, 200, 60), fill=0)
    buffer = io.BytesIO()
    picture.save(buffer, "PDF", save_all=True, append_images=[picture] * (pages - 1))
    if not text:
        return buffer.getvalue()
    import pypdfium2 as pdfium

    both = pdfium.PdfDocument.new()
    both.import_pages(pdfium.PdfDocument(buffer.getvalue()))
    both.import_pages(pdfium.PdfDocument(make_pdf([lines(text)])))
    buffer = io.BytesIO()
    both.save(buffer)
    return buffer.getvalue()


def test_the_words_of_a_picture_become_paragraphs(tmp_path: Path, tesseract: Path) -> None:
    document = read(tmp_path, b"\x89PNG", "사진.png")
    assert document.text == "온돌은 구들을 데운다.\n\nWarm floor."
    assert (document.media_type, document.title) == ("image/png", "사진")
    assert "-l kor+eng" in Path(f"{tesseract}.calls").read_text()
    assert media_type(tmp_path / "사진.png") == "image/png"


def test_scanned_pages_are_read_and_keep_their_numbers(tmp_path: Path, tesseract: Path) -> None:
    document = read(tmp_path, scan(text="진짜 글이 있는 쪽", pages=2), "a.pdf")
    assert document.text.count("온돌은 구들을 데운다.") == 2
    assert document.text.endswith("진짜 글이 있는 쪽")
    assert [page.number for page in document.pages] == [1, 2, 3]
    assert document.text[document.pages[2].start :] == "진짜 글이 있는 쪽"
    calls = Path(f"{tesseract}.calls").read_text().splitlines()
    assert len(calls) == 2
    assert "--dpi 300" in calls[0]
    assert document.skipped == ()


def test_without_tesseract_pictures_and_scans_say_what_to_install(tmp_path: Path) -> None:
    for data, name in ((b"\x89PNG", "a.png"), (scan(), "a.pdf")):
        with pytest.raises(DocumentError, match="tesseract") as caught:
            read(tmp_path, data, name)
        assert "kor" in caught.value.hint
    assert media_type(tmp_path / "a.png") is None
    document = read(tmp_path, make_zip({"a.png": b"\x89PNG", "a.txt": "글"}), "a.zip")
    assert (len(document.members), document.skipped) == (1, ())


def test_without_tesseract_the_scanned_pages_of_a_mixed_file_are_named(tmp_path: Path) -> None:
    document = read(tmp_path, scan(text="진짜 글", pages=2), "a.pdf")
    assert document.text == "진짜 글"
    ((source, reason),) = document.skipped
    assert source == f"{document.source}/page 1"
    assert reason == (
        "2 pages of a.pdf are pictures without text (first: page 1); reading them needs tesseract."
    )


def test_tesseract_without_its_languages_is_as_good_as_none(
    tmp_path: Path, tesseract: Path
) -> None:
    tesseract.write_text("#!/bin/sh\necho osd\n")
    ocr._languages.cache_clear()
    with pytest.raises(DocumentError, match="neither kor nor eng"):
        read(tmp_path, b"\x89PNG", "a.png")
    assert not ocr.is_available()


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("cat > /dev/null; exit 1", "could not read"),
        ("exit 0", "without text"),
        (
            "cat > /dev/null; echo 5; printf '5\\t1\\t1\\t1\\t1\\t1\\t0\\t0\\t0\\t0\\tx\\ty\\n'",
            "damaged",
        ),
        ("exec sleep 20", "longer than 1 seconds"),
    ],
)
def test_a_picture_that_fails_is_one_sentence(
    tmp_path: Path,
    tesseract: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    sentence: str,
) -> None:
    replace_script(tesseract, script)
    monkeypatch.setattr(ocr, "PICTURE_SECONDS", 1)
    with pytest.raises(DocumentError, match=sentence):
        read(tmp_path, b"\x89PNG", "a.png")


def test_a_scan_without_words_says_so(tmp_path: Path, tesseract: Path) -> None:
    replace_script(tesseract, "cat > /dev/null")
    with pytest.raises(DocumentError, match="no text could be recognised"):
        read(tmp_path, scan(), "a.pdf")


def test_pages_for_which_there_is_no_time_are_named(
    tmp_path: Path, tesseract: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "DOCUMENT_SECONDS", -1)
    document = read(tmp_path, scan(text="진짜 글", pages=2), "a.pdf")
    assert document.text == "진짜 글"
    assert "took too long" in document.skipped[0][1]


_HAS_TESSERACT = shutil.which("tesseract") is not None


@pytest.mark.skipif(not _HAS_TESSERACT, reason="tesseract is not installed")
def test_the_real_tesseract_reads_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr, "find_program", lambda: shutil.which("tesseract"))
    picture = Image.new("L", (1200, 200), 255)
    font = ImageFont.load_default(size=48)
    ImageDraw.Draw(picture).text((40, 60), "The boiler was serviced in March.", 0, font)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    assert read(tmp_path, buffer.getvalue(), "a.png").text == "The boiler was serviced in March."
    buffer = io.BytesIO()
    picture.save(buffer, "PDF", resolution=200)
    assert read(tmp_path, buffer.getvalue(), "a.pdf").text == "The boiler was serviced in March."
    with pytest.raises(DocumentError, match="could not read"):
        read(tmp_path, b"no picture", "b.png")
