"""A real embedder, and libraries on disk and in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ondol.database import IN_MEMORY
from ondol.retrieval.embedding import OnnxEmbedder
from ondol.retrieval.library import Library
from ondol.retrieval.loaders import ocr


@pytest.fixture(autouse=True)
def without_tesseract(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same outcome on machines with and without tesseract; its tests switch it on again."""
    monkeypatch.setattr(ocr, "find_program", lambda: None)


@pytest.fixture(scope="session")
def embedder(embedding_model_files: tuple[Path, Path]) -> OnnxEmbedder:
    return OnnxEmbedder("all-minilm:l6-v2", *embedding_model_files)


@pytest.fixture
def library(embedder: OnnxEmbedder) -> Iterator[Library]:
    opened = Library(IN_MEMORY, embedder)
    yield opened
    opened.close()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A small folder of files in two languages."""
    folder = tmp_path / "notes"
    (folder / "법률").mkdir(parents=True)
    (folder / "boiler.md").write_text(
        "# Boiler\n\nThe boiler was serviced on 14 March 2031 by Mr. Hale.\n\n"
        "The next inspection is due in two years.\n",
        encoding="utf-8",
    )
    (folder / "garden.txt").write_text(
        "Tomatoes were planted in late April. The roses need pruning every winter.\n",
        encoding="utf-8",
    )
    (folder / "법률" / "임대차.txt").write_text(
        "임대차 계약의 보증금은 3억 원이다. 계약 기간은 2년으로 한다. "
        "임차인은 고양이를 두 마리까지 기를 수 있다.\n",
        encoding="utf-8",
    )
    return folder
