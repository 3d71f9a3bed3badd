"""The record of how a model is run best: for which weights it holds, and what goes with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pull_servers import tiny_gguf

from ondol.config import Config, load
from ondol.located import Located
from ondol.models import tuned
from ondol.models.adapters import AdapterStore
from ondol.models.blobs import digest_of
from ondol.models.manifest import Model, ModelFile
from ondol.models.store import About, ModelStore
from ondol.models.tuned import Tuned


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def add(store: ModelStore, name: str, seed: int) -> Model:
    path = store.directory.parent / "original.gguf"
    path.write_bytes(tiny_gguf(seed=seed))
    return store.add(name, [store.stage(path, "weights", "m.gguf")], About())


def other_weights(store: ModelStore, seed: int = 99) -> tuple[Path, ModelFile]:
    path = store.directory.parent / "other.gguf"
    path.write_bytes(tiny_gguf(seed=seed))
    return path, ModelFile(tuned.ROLE, "m.F16.gguf", digest_of(path), path.stat().st_size)


def apply(store: ModelStore, model: Model, **changes: object) -> Tuned:
    path, file = other_weights(store)
    record = replace(Tuned(model.files[0].digest, "F16", file, {"threads": 2}), **changes)
    assert tuned.put(store, model, record, path)
    return record


def blobs_of(store: ModelStore) -> set[str]:
    return {p.name.replace("-", ":", 1) for p in store.blobs.directory.glob("*")}


def located(store: ModelStore) -> Located:
    config: Config = load()
    return Located(config, store, AdapterStore(store, None))


def test_tuned_weights_answer_under_the_models_own_identity(store: ModelStore) -> None:
    model = add(store, "m", 1)
    before = located(store).spec("m")
    record = apply(store, model)
    after = located(store).spec("m")
    assert (after.name, after.digest) == (before.name, before.digest)
    assert record.file is not None
    assert after.path == store.blobs.path(record.file.digest) != before.path
    assert after.size_bytes == before.size_bytes - model.size_bytes + record.file.size_bytes
    assert after.running.threads == 2 and before.running.threads == 0
    assert store.get("m") == model


def test_every_model_with_those_weights_has_it(store: ModelStore) -> None:
    record = apply(store, add(store, "m", 1))
    copy = store.copy("m", "mine")
    assert tuned.tuned(store, copy) == record


def test_new_weights_are_served_as_they_came_and_nothing_is_left(store: ModelStore) -> None:
    apply(store, add(store, "m", 1))
    newer = add(store, "m", 2)
    assert tuned.tuned(store, newer) is None
    assert blobs_of(store) == {newer.files[0].digest}
    assert not list((store.directory / "tuned").glob("*"))


def test_removed_model_leaves_neither_record_nor_weights(store: ModelStore) -> None:
    model = add(store, "m", 1)
    record = apply(store, model)
    assert record.file is not None
    assert store.remove("m") == model.size_bytes + record.file.size_bytes
    assert blobs_of(store) == set()
    assert not list((store.directory / "tuned").glob("*"))


def test_undo_frees_the_bytes_and_serves_what_came(store: ModelStore) -> None:
    model = add(store, "m", 1)
    record = apply(store, model)
    assert record.file is not None
    assert tuned.undo(store, model) == record.file.size_bytes
    assert located(store).spec("m").path == store.path(model)
    assert tuned.undo(store, model) is None


def test_another_format_takes_the_place_of_the_last(store: ModelStore) -> None:
    model = add(store, "m", 1)
    apply(store, model)
    assert tuned.put(store, model, Tuned(model.files[0].digest, "F32", None, {"threads": 1}))
    assert blobs_of(store) == {model.files[0].digest}
    assert located(store).spec("m").running.threads == 1


def test_record_for_weights_that_were_replaced_meanwhile_is_not_kept(store: ModelStore) -> None:
    model = add(store, "m", 1)
    newer = add(store, "m", 2)
    path, file = other_weights(store)
    assert not tuned.put(store, model, Tuned(model.files[0].digest, "F16", file), path)
    assert tuned.tuned(store, newer) is None and not (store.directory / "tuned").exists()


def test_lost_file_means_the_weights_that_came(store: ModelStore) -> None:
    model = add(store, "m", 1)
    record = apply(store, model)
    assert record.file is not None
    store.blobs.path(record.file.digest).unlink()
    assert tuned.tuned(store, model) is None and tuned.recorded(store, model) == record
    assert located(store).spec("m").path == store.path(model)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"version": 2}',
        b'{"version": 1, "origin": "../../x", "format": "F16", "file": null}',
    ],
)
def test_damaged_record_is_no_record(store: ModelStore, text: bytes) -> None:
    model = add(store, "m", 1)
    folder = store.directory / "tuned"
    folder.mkdir()
    path = folder / f"{model.files[0].digest.replace(':', '-')}.json"
    path.write_bytes(text)
    assert tuned.tuned(store, model) is None
    store.sweep()
    assert not path.exists()


@pytest.mark.parametrize(
    "running",
    [
        {"threads": "2"},
        {"threads": -1},
        {"threads": True},
        {"flash_attention": "--host"},
        {"states_folder": "/etc"},
        {"draft_model": "/etc/passwd"},
        {"cache_type": 3},
    ],
)
def test_record_says_nothing_to_a_process_that_it_may_not(running: dict[str, object]) -> None:
    record = Tuned("sha256:" + "0" * 64, "F16", None, running)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        tuned.from_json(tuned.to_json(record))


def test_threads_that_the_owner_set_hold(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(store, add(store, "m", 1))
    monkeypatch.setenv("ONDOL_THREADS", "3")
    assert located(store).spec("m").running.threads == 0
