"""Notebooks: text as it is, code and its text outputs in fences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from office_makers import make_notebook

from ondol.errors import DocumentError
from ondol.retrieval import chunking
from ondol.retrieval.loaders import load
from ondol.types import Document


def read(tmp_path: Path, data: bytes) -> Document:
    path = tmp_path / "실험.ipynb"
    path.write_bytes(data)
    return load(path, max_bytes=50_000_000)


def code(source: object, *outputs: dict[str, object]) -> dict[str, object]:
    return {"cell_type": "code", "source": source, "outputs": list(outputs)}


def text(source: object) -> dict[str, object]:
    return {"cell_type": "markdown", "source": source}


def test_cells_and_their_outputs_stand_in_order(tmp_path: Path) -> None:
    stream: dict[str, object] = {"output_type": "stream", "text": ["압력 1.2\n", "bar\n"]}
    picture: dict[str, object] = {
        "output_type": "display_data",
        "data": {"image/png": "iVBOR", "text/plain": "<Figure>"},
    }
    error: dict[str, object] = {
        "output_type": "error",
        "ename": "ValueError",
        "evalue": "\x1b[31m너무 높다\x1b[0m",
        "traceback": ["…"],
    }
    data = make_notebook(
        text(["# 보일러 실험\n", "\n", "압력을 잰다."]),
        code("# 잰다\nread()", stream, picture),
        code("fail('```')", error),
        code(""),
    )
    document = read(tmp_path, data)
    assert document.text == (
        "# 보일러 실험\n\n압력을 잰다.\n\n```python\n# 잰다\nread()\n```\n\n"
        "```text\n압력 1.2\nbar\n```\n\n```text\n<Figure>\n```\n\n"
        "~~~python\nfail('```')\n~~~\n\n```text\nValueError: 너무 높다\n```"
    )
    assert document.title == "보일러 실험"
    assert {p.chunk.heading for p in chunking.chunk(document)} == {"보일러 실험"}


def test_older_notebooks_and_other_languages_are_read(tmp_path: Path) -> None:
    old = {
        "nbformat": 3,
        "metadata": {"language_info": {"name": "R"}},
        "worksheets": [
            {"cells": [{"cell_type": "heading", "level": 2, "source": "제목"},
                       {"cell_type": "code", "input": "x <- 1", "outputs": []}]}
        ],
    }  # fmt: skip
    document = read(tmp_path, json.dumps(old).encode())
    assert document.text == "## 제목\n\n```r\nx <- 1\n```"


def test_a_very_long_output_is_cut(tmp_path: Path) -> None:
    stream: dict[str, object] = {"output_type": "stream", "text": "줄\n" * 100_000}
    document = read(tmp_path, make_notebook(code("x", stream)))
    assert len(document.text) < 6000
    assert document.text.endswith("…\n```")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"{", "damaged"),
        (b"[]", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b"{}", "version"),
        (b'{"cells": {}}', "version"),
        (b'{"cells": [1, {"cell_type": "code", "source": 3, "outputs": 7}]}', "no text"),
    ],
)
def test_what_is_no_notebook_is_refused(tmp_path: Path, data: bytes, sentence: str) -> None:
    with pytest.raises(DocumentError, match=sentence):
        read(tmp_path, data)
