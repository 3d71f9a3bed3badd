"""``ondol library reindex``, and what ``ondol doctor`` says of Korean."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from ondol import paths
from ondol.retrieval import analysers
from ondol.retrieval.library import Library
from tests.retrieval.fake_embedder import FakeEmbedder

IS_INSTALLED = find_spec("kiwipiepy") is not None


@pytest.fixture
def filled(home: Path) -> Callable[[str], None]:
    """Make a library whose terms are of the given analyser."""

    def fill(analyser: str) -> None:
        with closing(Library(paths.database_file(), FakeEmbedder())) as library:
            library.add_text("계약.txt", "보증금은 삼억 원이다.")
            analysers.record(library._connection, analyser)

    return fill


def checked(ondol) -> list[dict[str, object]]:
    checks = ondol("doctor", "--json").json["checks"]
    return [check for check in checks if check["name"] == "korean"]


@pytest.mark.skipif(IS_INSTALLED, reason="ondol[korean] is installed")
def test_doctor_says_what_to_install_and_reindexing_does_without(ondol, filled) -> None:
    filled("kiwi 0.24")
    (check,) = checked(ondol)
    assert check["ok"] is None and "ondol[korean]" in str(check["hint"])
    report = ondol("library", "reindex", "--json").json
    assert report == {"analyser": "", "previous": "kiwi 0.24", "chunks": 1}
    assert "already" in ondol("library", "reindex").stdout
    assert checked(ondol) == []


@pytest.mark.skipif(not IS_INSTALLED, reason="ondol[korean] is missing")
def test_doctor_says_that_reindexing_would_use_the_analyser(ondol, filled) -> None:
    filled("")
    (check,) = checked(ondol)
    assert check["ok"] is None and "ondol library reindex" in str(check["hint"])
    result = ondol("library", "reindex")
    assert result.code == 0 and "morphemes (kiwi" in result.stdout
    (check,) = checked(ondol)
    assert check["ok"] is True
