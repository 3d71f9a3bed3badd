"""The catalogue: complete, honest, and the same in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from ondol.models import catalog, catalog_table, names
from ondol.models.catalog import Entry

DOCS = Path(__file__).parents[2] / "docs" / "models.md"
ENTRIES = list(catalog.load())


def test_catalogue_spans_a_tenth_of_a_billion_to_over_a_hundred() -> None:
    chat = [e.parameters for e in ENTRIES if e.kind == "chat"]
    assert len(ENTRIES) >= 25
    assert min(chat) < 0.2e9 and max(chat) > 100e9


def test_default_models_are_in_the_catalogue_with_everything_pinned() -> None:
    for name in ("smollm2:135m", "all-minilm:l6-v2"):
        entry = catalog.load().find(name)
        assert entry is not None
        assert entry.sources[0].startswith("pypi:") and "sha256=" in entry.sources[0]
        assert all(f.digest and f.size_bytes for f in entry.files)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_entry_is_complete_and_its_names_are_canonical(entry: Entry) -> None:
    assert all(names.normalize(n) == n for n in (entry.name, *entry.aliases))
    assert entry.kind in ("chat", "embedding", "reranker")
    assert entry.size_bytes > 10**7 and entry.context_length >= 256 and entry.parameters > 10**7
    assert entry.licence and entry.family and entry.quantization and entry.good_for
    assert all(names.is_reference(source) for source in entry.sources)
    assert all(names.normalize(s) == s for s in entry.sources if not entry.files)
    # 4 bits to 32 bits a weight: a size or a count that is off by ten shows.
    assert 3.5 < entry.size_bytes * 8 / entry.parameters < 36


def test_what_drafts_is_of_the_same_family_and_much_smaller() -> None:
    known = catalog.load()
    pairs = [(entry, known.find(entry.draft)) for entry in ENTRIES if entry.draft]
    assert pairs
    for entry, small in pairs:
        assert small is not None and small.kind == entry.kind == "chat"
        assert small.family == entry.family
        assert small.parameters * 6 <= entry.parameters


def test_no_name_means_two_entries() -> None:
    every = [n for e in ENTRIES for n in (e.name, *e.aliases)]
    assert len(every) == len(set(every))


def test_non_commercial_licence_is_said_plainly() -> None:
    exaone = [e for e in ENTRIES if e.name.startswith("exaone")]
    assert exaone and all("NON-COMMERCIAL" in e.note for e in exaone)


def test_find_knows_aliases_and_answers_none_to_strangers() -> None:
    known = catalog.load()
    assert known.find("SmolLM2") is known.find("smollm2:135m")
    assert known.find("nothing-like-it") is None
    assert known.find("not a name!") is None


def test_nearest_offers_what_was_probably_meant() -> None:
    assert "qwen3:4b" in catalog.load().nearest("qwen3:4", 10)
    assert catalog.load().nearest("lama3.2:3b")[0] == "llama3.2:3b"


def test_documented_table_is_current() -> None:
    document = DOCS.read_text(encoding="utf-8")
    fresh = catalog_table.insert(document, catalog_table.table(catalog.load()))
    assert fresh == document, "run: python -m ondol.models.catalog_table docs/models.md"
