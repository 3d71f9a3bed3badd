"""Books: chapters in reading order under their titles."""

from __future__ import annotations

from pathlib import Path

import pytest
from office_makers import make_epub

from ondol.errors import DocumentError
from ondol.retrieval import chunking
from ondol.retrieval.loaders import load
from ondol.types import Document

CHAPTERS = {
    "b.xhtml": "<h1>구들 놓기</h1><p>돌을 놓는다.</p><h2>불 때기</h2><p>불을 땐다.</p>",
    "a.xhtml": "<p>머리말이다.&nbsp;짧다.</p>",
    "cover.xhtml": "<img src='cover.jpg'/>",
}


def read(tmp_path: Path, data: bytes) -> Document:
    path = tmp_path / "책.epub"
    path.write_bytes(data)
    return load(path, max_bytes=50_000_000)


def test_chapters_stand_in_reading_order_under_their_titles(tmp_path: Path) -> None:
    document = read(tmp_path, make_epub(CHAPTERS, {"a.xhtml": "머리말", "b.xhtml": "구들  놓기"}))
    assert document.text == (
        "# 구들 놓기\n\n돌을 놓는다.\n\n## 불 때기\n\n불을 땐다.\n\n# 머리말\n\n머리말이다. 짧다."
    )
    assert document.title == "온돌 이야기"
    headings = [passage.chunk.heading for passage in chunking.chunk(document)]
    assert headings == ["구들 놓기", "구들 놓기 › 불 때기", "머리말"]


def test_titles_may_be_only_in_the_list_or_only_in_the_chapter(tmp_path: Path) -> None:
    text = read(tmp_path, make_epub(CHAPTERS, {"b.xhtml": "1장"})).text
    assert text.startswith("# 1장\n\n## 구들 놓기\n\n돌을 놓는다.\n\n### 불 때기")
    assert text.endswith("머리말이다. 짧다.")
    assert read(tmp_path, make_epub(CHAPTERS)).text.startswith("# 구들 놓기\n\n돌을")


def test_a_book_with_copy_protection_is_refused(tmp_path: Path) -> None:
    method = '<e><EncryptionMethod Algorithm="{}"/></e>'
    data = make_epub(CHAPTERS, extra=method.format("http://www.w3.org/2001/04/xmlenc#aes128-cbc"))
    with pytest.raises(DocumentError, match="DRM"):
        read(tmp_path, data)
    fonts = method.format("http://www.idpf.org/2008/embedding")
    assert read(tmp_path, make_epub(CHAPTERS, extra=fonts)).text


def test_a_book_of_pictures_has_no_text(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="no text"):
        read(tmp_path, make_epub({"a.xhtml": "<img src='1.jpg'/>"}))
