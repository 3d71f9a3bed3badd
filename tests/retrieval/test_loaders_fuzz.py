"""Whatever the bytes: every file of every kind ends in a document or in one sentence."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from file_makers import make_docx
from hypothesis import given, settings
from hypothesis import strategies as st
from office_makers import (
    make_epub,
    make_hwpx,
    make_mail,
    make_mbox,
    make_notebook,
    make_odf,
    make_pptx,
    make_xlsx,
    make_zip,
)

from ondol.errors import DocumentError
from ondol.retrieval import chunking
from ondol.retrieval.loaders import load

_PARAGRAPH = "<hp:p><hp:run><hp:t>구들</hp:t></hp:run></hp:p>"
_ROW = "<table:table-row><table:table-cell><text:p>가</text:p></table:table-cell></table:table-row>"
_MAIL = make_mail(attachments={"메모.txt": "글".encode(), "b.zip": make_zip({"c.md": "# 끝"})})
_FILES = {
    "a.pptx": make_pptx(),
    "a.xlsx": make_xlsx({"장": [["이름", "값"], ["가", 1.5], ["나", True]]}),
    "a.odt": make_odf("<text:h>제목</text:h><text:p>글</text:p>"),
    "a.ods": make_odf(f'<table:table table:name="장">{_ROW}</table:table>', kind="spreadsheet"),
    "a.hwpx": make_hwpx(_PARAGRAPH),
    "a.epub": make_epub({"a.xhtml": "<h1>장</h1><p>글</p>"}, {"a.xhtml": "장"}),
    "a.eml": _MAIL.as_bytes(),
    "a.mbox": make_mbox([_MAIL, make_mail()]),
    "a.ipynb": make_notebook({"cell_type": "code", "source": ["x\n"], "outputs": [{"text": "글"}]}),
    "a.zip": make_zip({"글.txt": "글", "b.docx": make_docx("글"), "c.csv": "a,b\n1,2"}),
    "a.csv": '이름,"값"\n가,1\n'.encode(),
    "a.py": "class 가:\n    def 나(self): pass\n".encode(),
}
_ARCHIVES = [name for name in _FILES if zipfile.is_zipfile(io.BytesIO(_FILES[name]))]


def check(folder: Path, name: str, data: bytes) -> None:
    """Reads the file; a document is consistent in itself and can be cut into chunks."""
    path = folder / name
    path.write_bytes(data)
    try:
        document = load(path, max_bytes=5_000_000)
    except DocumentError as error:
        assert error.message.endswith(".")
        assert "\n" not in error.message
        return
    for one in (document, *document.members):
        one.text.encode("utf-8")
        one.source.encode("utf-8")
        assert one.source.startswith(str(path))
        assert all(0 <= page.start <= len(one.text) for page in one.pages)
        for passage in chunking.chunk(one):
            assert one.text[passage.chunk.start : passage.chunk.end] == passage.chunk.text
    assert all(reason.endswith(".") for _, reason in document.skipped)


_CHANGES = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=8)


def changed(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    damaged = bytearray(data)
    for position, value in changes if damaged else ():
        damaged[position % len(damaged)] = value
    return bytes(damaged)


@pytest.mark.parametrize("name", list(_FILES))
@settings(deadline=None, max_examples=40)
@given(changes=_CHANGES, cut=st.integers(0, 1 << 20))
def test_any_damage_ends_in_text_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    changes: list[tuple[int, int]],
    cut: int,
) -> None:
    data = changed(_FILES[name], changes)
    end = len(data) if cut % 2 else cut % (len(data) + 1)
    check(tmp_path_factory.mktemp("fuzz"), name, data[:end])


@pytest.mark.parametrize("name", _ARCHIVES)
@settings(deadline=None, max_examples=40)
@given(changes=_CHANGES, choice=st.integers(0, 1000))
def test_damage_inside_an_archive_ends_in_text_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    changes: list[tuple[int, int]],
    choice: int,
) -> None:
    with zipfile.ZipFile(io.BytesIO(_FILES[name])) as archive:
        files = {entry: archive.read(entry) for entry in archive.namelist()}
    victim = list(files)[choice % len(files)]
    files[victim] = changed(files[victim], changes)
    check(tmp_path_factory.mktemp("fuzz"), name, make_zip(files))


_LINES = st.sampled_from(
    "From a 2026|Subject: =?euc-kr?B?xxx?=|Subject: =?utf-8?Q?=|Content-Type: multipart/mixed; "
    'boundary="b"|--b|--b--||Content-Type: message/rfc822|Content-Transfer-Encoding: base64|'
    "Content-Disposition: attachment; filename*=x'y'%ff|Date: 99|Content-Type: text/html; "
    "charset=nope|<p>글</p>|Content-Type: multipart/alternative|"
    "Content-Type: application/pkcs7-mime|"
    "Content-Transfer-Encoding: uuencode|begin 644 x|=EA=B0|가나".split("|")
)


@settings(deadline=None, max_examples=300)
@given(lines=st.lists(_LINES, max_size=25), name=st.sampled_from(["a.eml", "a.mbox"]))
def test_any_order_of_mail_lines_ends_in_text_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], name: str
) -> None:
    check(tmp_path_factory.mktemp("fuzz"), name, "\n".join(lines).encode())


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from("cells cell_type source outputs data text metadata worksheets".split()),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@settings(deadline=None, max_examples=100)
@given(notebook=_JSON, kind=st.sampled_from(["code", "markdown", "heading", 3]))
def test_any_json_ends_in_text_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, notebook: object, kind: object
) -> None:
    cell = {"cell_type": kind, "source": notebook, "outputs": notebook, "level": notebook}
    check(tmp_path_factory.mktemp("fuzz"), "a.ipynb", make_notebook(cell))
