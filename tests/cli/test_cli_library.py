"""``ondol library``: another embedder, and where the vectors are."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.model


def test_reembedding_with_the_model_it_has_changes_nothing(ondol, config, papers: Path) -> None:
    ondol("add", papers)
    result = ondol("library", "reembed")
    assert result.code == 0 and "all-minilm:l6-v2" in result.stdout
    report = ondol("library", "reembed", "--json").json
    assert report == {"model": "all-minilm:l6-v2", "previous": "all-minilm:l6-v2", "chunks": 0}
    assert ondol("search", "warranty", "--json").json["hits"]


def test_embedder_that_is_not_installed_is_said(ondol, config, papers: Path) -> None:
    result = ondol("library", "reembed", "nobody:has-it")
    assert result.code == 3 and "nobody:has-it" in result.stderr


def test_changing_the_setting_says_that_the_library_waits(ondol, config, papers: Path) -> None:
    assert "reembed" not in ondol("config", "set", "models.embedding", "all-minilm:l6-v2").stderr
    ondol("add", papers)
    changed = ondol("config", "set", "models.embedding", "all-minilm:l6-v2")
    assert changed.code == 0 and "ondol library reembed" in changed.stderr


def test_place_that_is_none_and_a_server_that_is_not_there(ondol, config, papers: Path) -> None:
    ondol("add", papers)
    assert ondol("library", "move", "elsewhere").code == 2
    refused = ondol("library", "move", "qdrant://127.0.0.1:9/library")
    assert refused.code != 0 and "ondol library move local" in refused.stderr
    assert ondol("config", "get", "retrieval.vectors").stdout == "local\n"
    moved = ondol("library", "move", "local", "--json")
    assert moved.json["place"] == "local" and moved.json["vectors"] == 2


def test_a_chat_model_embeds_nothing(ondol, config, papers: Path) -> None:
    ondol("add", papers)
    result = ondol("library", "reembed", "smollm2:135m")
    assert result.code == 2 and "not an embedding model" in result.stderr


def test_vectors_that_never_left_are_not_said_to_be_back(ondol, config, papers: Path) -> None:
    ondol("add", papers)
    result = ondol("library", "move", "local")
    assert result.code == 0 and "as before" in result.stdout and "gone" not in result.stdout
