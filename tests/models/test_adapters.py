"""Adapters in the store: what fits is listed, what was made for other weights is never served."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lora_gguf import I32, lora_bytes, random_adapter, random_pairs
from test_gguf import STRING, U32, entry, gguf, tensor

from ondol.errors import (
    AdapterNotFoundError,
    InvalidModelError,
    ModelNotFoundError,
    StorageError,
    UsageError,
)
from ondol.models import adapter_manifest
from ondol.models.adapter_fit import Shape
from ondol.models.adapters import AdapterStore, as_model
from ondol.models.store import About, ModelStore

WIDTH, HIDDEN = 64, 96


def base_bytes(seed: int = 0, architecture: str = "llama", tied: bool = False) -> bytes:
    """A GGUF of one layer with a few matrices; ``seed`` makes it another version."""
    entries = (
        entry("general.architecture", STRING, architecture),
        entry(f"{architecture}.block_count", U32, 1),
        entry(f"{architecture}.embedding_length", U32, WIDTH),
    )
    square, wide = 4 * WIDTH * WIDTH, 4 * WIDTH * HIDDEN
    tensors = (
        tensor("blk.0.attn_q.weight", (WIDTH, WIDTH)),
        tensor("blk.0.ffn_up.weight", (WIDTH, HIDDEN), offset=square),
        tensor("token_embd.weight", (WIDTH, 32), offset=square + wide),
        tensor("output_norm.weight", (WIDTH,), offset=square + wide + 4 * WIDTH * 32),
        tensor("blk.0.up_exps.weight", (WIDTH, HIDDEN, 2), offset=square + wide + 4 * WIDTH * 33),
    )
    size = square + 3 * wide + 4 * WIDTH * 33
    if not tied:
        tensors += (tensor("output.weight", (WIDTH, 32), offset=size),)
        size += 4 * WIDTH * 32
    content = gguf(entries, tensors, data=size)
    return content[:-1] + bytes([seed])


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    store = ModelStore(tmp_path / "models")
    install(store, "tiny:1m")
    return store


@pytest.fixture
def adapters(store: ModelStore) -> AdapterStore:
    return AdapterStore(store, None)


@pytest.fixture
def lora(store: ModelStore, tmp_path: Path) -> Path:
    """An adapter for the model in the store."""
    return random_adapter(weights(store), tmp_path / "lora.gguf", r=2)


def install(
    store: ModelStore, name: str, seed: int = 0, tied: bool = False, **about: object
) -> None:
    file = store.directory.parent / "base.gguf"
    file.write_bytes(base_bytes(seed, tied=tied))
    store.add(name, [store.stage(file, "weights", "base.gguf")], About(**about))  # type: ignore[arg-type]


def weights(store: ModelStore, name: str = "tiny:1m") -> Path:
    return store.path(store.get(name))


def blobs_of(store: ModelStore) -> set[str]:
    return {p.name.replace("-", ":", 1) for p in store.blobs.directory.glob("sha256-*")}


def test_an_added_adapter_is_listed_with_what_its_file_and_its_maker_say(adapters, store, lora):
    told = {"trained_on": {"num_examples": 612}, "evaluation": {"f1": 0.7}, "languages": ["ko"]}
    adapter = adapters.add(lora, name="style", model="Tiny:1M", description="short", **told)
    assert adapters.list() == adapters.list("tiny:1m") == [adapter]
    assert adapters.get("tiny:1m", "style") == adapter
    assert adapter.full_name == "tiny:1m:style"
    assert (adapter.r, adapter.lora_alpha) == (2, 8.0)
    assert adapter.target_modules == ("q_proj", "up_proj")
    assert adapter.base_digest == store.get("tiny:1m").files[0].digest
    assert adapters.path(adapter).read_bytes() == lora.read_bytes()
    assert adapter.size_bytes == lora.stat().st_size
    assert (adapter.trained_on, adapter.evaluation) == ({"num_examples": 612}, {"f1": 0.7})
    assert (adapter.languages, adapter.description) == (("ko",), "short")
    assert not adapter.shipped and not adapter.stale
    assert adapter.created_at.tzinfo is not None
    # Another process sees the same.
    assert AdapterStore(ModelStore(store.directory), None).list() == [adapter]


def test_nothing_is_listed_or_made_where_there_is_nothing(tmp_path):
    adapters = AdapterStore(ModelStore(tmp_path / "none"))
    assert adapters.list() == [] and list(adapters.models()) == []
    assert not (tmp_path / "none").exists()
    with pytest.raises(ModelNotFoundError):
        adapters.list("tiny:1m")


def test_adding_under_the_same_name_replaces_and_frees_the_old_one(adapters, store, lora, tmp_path):
    old = adapters.add(lora, name="style", model="tiny:1m")
    new = adapters.add(
        random_adapter(weights(store), tmp_path / "new.gguf", seed=9), name="style", model="tiny:1m"
    )
    assert adapters.list() == [new]
    assert old.digest not in blobs_of(store) and new.digest in blobs_of(store)


def test_the_same_file_under_two_names_is_stored_once(adapters, store, lora):
    for name in ("a", "b"):
        adapters.add(lora, name=name, model="tiny:1m")
    assert len(blobs_of(store)) == 2
    assert adapters.remove("tiny:1m", "a") == 0
    assert adapters.remove("tiny:1m", "b") == lora.stat().st_size
    assert adapters.list() == [] and len(blobs_of(store)) == 1


def test_removing_a_model_removes_its_adapters(adapters, store, lora):
    adapters.add(lora, name="style", model="tiny:1m")
    install(store, "other", seed=1)
    assert store.remove("tiny:1m") >= lora.stat().st_size
    assert adapters.list() == []
    install(store, "tiny:1m")
    assert adapters.list() == []


def test_a_model_that_cannot_be_removed_keeps_its_adapters(adapters, store, lora, monkeypatch):
    adapter = adapters.add(lora, name="style", model="tiny:1m")

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StorageError):
        store.remove("tiny:1m")
    assert adapters.list() == [adapter]


def test_what_a_killed_removal_left_does_not_come_back_with_the_model(adapters, store, lora):
    adapter = adapters.add(lora, name="style", model="tiny:1m")
    (store.directory / "manifests" / "tiny" / "1m.json").unlink()
    install(store, "tiny:1m")
    assert adapters.list() == []
    install(store, "other", seed=1)
    assert adapter.digest not in blobs_of(store)
    adapters.add(lora, name="style", model="tiny:1m")
    install(store, "tiny:1m")  # the same once more is no new model
    assert len(adapters.list()) == 1
    (store.directory / "manifests" / "tiny" / "1m.json").unlink()
    store.copy("other", "tiny:1m")
    assert adapters.list() == []


def test_other_writers_keep_the_blobs_of_adapters(adapters, store, lora):
    adapter = adapters.add(lora, name="style", model="tiny:1m")
    install(store, "other", seed=1)
    store.remove("other")
    assert adapters.list() == [adapter]


def test_an_adapter_does_not_keep_the_weights_it_was_made_for(adapters, store, lora):
    adapter = adapters.add(lora, name="style", model="tiny:1m")
    install(store, "tiny:1m", seed=1)
    assert adapter.base_digest not in blobs_of(store)


def test_an_adapter_for_another_version_is_listed_as_stale_and_not_served(adapters, store, lora):
    adapters.add(lora, name="style", model="tiny:1m")
    install(store, "tiny:1m", seed=1)
    (adapter,) = adapters.list()
    assert adapter.stale and adapters.get("tiny:1m", "style").stale
    assert list(adapters.usable(store.get("tiny:1m"))) == [] and list(adapters.models()) == []
    with pytest.raises(AdapterNotFoundError) as caught:
        adapters.resolve("tiny:1m:style")
    assert "another version of tiny:1m" in caught.value.message and caught.value.hint
    install(store, "tiny:1m", seed=0)
    assert adapters.resolve("tiny:1m:style")[1] is not None
    install(store, "tiny:1m", seed=1)
    assert adapters.remove("tiny:1m", "style") > 0


def test_an_adapter_made_for_other_weights_is_refused(adapters, lora):
    with pytest.raises(InvalidModelError, match="another version"):
        adapters.add(lora, name="style", model="tiny:1m", base_digest=f"sha256:{'0' * 64}")
    assert adapters.list() == []


def test_names(adapters, store, lora):
    adapters.add(lora, name="style", model="tiny:1m")
    install(store, "tiny")
    adapters.add(lora, name="style", model="tiny")
    adapters.add(lora, name="1m", model="tiny")

    def means(name: str) -> tuple[str, str | None]:
        model, adapter = adapters.resolve(name)
        return model.name, adapter and adapter.name

    assert means("tiny:1m") == ("tiny:1m", None)  # the exact name of a model wins
    assert means("tiny") == ("tiny:latest", None)
    assert means("TINY:1m:Style") == ("tiny:1m", "style")
    assert means("tiny:style") == means("tiny:latest:style") == ("tiny:latest", "style")
    assert means("tiny:latest:1m") == ("tiny:latest", "1m")


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("tiny:1m:stile", AdapterNotFoundError, "Did you mean style?"),
        ("tiny:1m:", AdapterNotFoundError, "no adapter"),
        ("tiny:2m", ModelNotFoundError, "tiny:1m"),
        ("tiny:2m:style", ModelNotFoundError, "tiny:2m is not"),
        ("nothing", ModelNotFoundError, "nothing:latest"),
        ("no name", UsageError, "no name cannot"),
        ("no name:style", UsageError, "cannot be the name"),
        ("hf:owner/repo:style", ModelNotFoundError, "hf:owner/repo:STYLE"),
    ],
)
def test_a_name_that_means_nothing_is_one_sentence(adapters, lora, name, error, told):
    adapters.add(lora, name="style", model="tiny:1m")
    with pytest.raises(error) as caught:
        adapters.resolve(name)
    assert told in caught.value.message


def test_get_and_remove_of_what_is_not_here_name_the_nearest(adapters, lora):
    adapters.add(lora, name="style", model="tiny:1m")
    for call in (adapters.get, adapters.remove):
        with pytest.raises(AdapterNotFoundError, match="Did you mean style"):
            call("tiny:1m", "styles")
        with pytest.raises(ModelNotFoundError):
            call("nothing", "style")


@pytest.mark.parametrize("name", ["", "Style", "a b", "../x", "a:b", ".x", "x" * 81, "a/b"])
def test_a_name_that_cannot_be_one_is_refused(adapters, lora, name):
    with pytest.raises(UsageError) as caught:
        adapters.add(lora, name=name, model="tiny:1m")
    assert caught.value.param == "name" and caught.value.hint


def unfit(pairs: dict) -> dict[str, tuple[bytes, str]]:
    q = "blk.0.attn_q.weight"
    a, b = pairs[q]
    x, y = np.zeros((2, 2, WIDTH), np.float32), np.zeros((2, HIDDEN, 2), np.float32)
    return {
        "not gguf": (b"hello", "GGUF"),
        "cut": (lora_bytes(pairs)[:-40], "."),
        "a model": (base_bytes(), "not a LoRA adapter"),
        "another kind": (lora_bytes(pairs, adapter_type="vector"), "not a LoRA adapter"),
        "no number": (lora_bytes(pairs, alpha=float("nan")), "not a LoRA adapter"),
        "architecture": (lora_bytes(pairs, architecture="qwen2"), "architecture qwen2"),
        "unknown tensor": (lora_bytes({"blk.9.attn_q.weight": (a, b)}), "blk.9.attn_q.weight"),
        "too narrow": (lora_bytes({q: (a[:, :32], b)}), "wrong shape"),
        "too low": (lora_bytes({q: (a, b[:32])}), "wrong shape"),
        "two ranks": (lora_bytes({q: (a, b[:, :1])}), "wrong shape"),
        "a norm": (lora_bytes({"output_norm.weight": (a[:1, 0], a[0])}), "wrong shape"),
        "whole numbers": (lora_bytes(pairs, tensor_type=I32), "wrong shape"),
        "other stacks": (lora_bytes({"blk.0.up_exps.weight": (x[:1], y)}), "wrong shape"),
        "activated": (lora_bytes(pairs, **{"adapter.alora.x": "1"}), "not a LoRA adapter"),
        "no dot": (lora_bytes({"nodot": (a, b)}), "nodot"),
        "a half": (
            lora_bytes(pairs).replace(b"ffn_up.weight.lora_b", b"ffn_up.weight.lora_c"),
            ".",
        ),
    }


@pytest.mark.parametrize(
    "case",
    "not gguf|cut|a model|another kind|no number|architecture|unknown tensor|too narrow|too low|"
    "two ranks|a norm|a half|whole numbers|other stacks|activated|no dot".split("|"),
)
def test_a_file_that_does_not_fit_is_refused_and_leaves_nothing(adapters, store, tmp_path, case):
    content, told = unfit(random_pairs(weights(store), r=2))[case]
    file = tmp_path / "odd.gguf"
    file.write_bytes(content)
    before = sorted(store.blobs.directory.iterdir())
    with pytest.raises(InvalidModelError) as caught:
        adapters.add(file, name="style", model="tiny:1m")
    assert "odd.gguf" in caught.value.message and told in caught.value.message
    assert caught.value.hint and str(tmp_path) not in caught.value.message
    assert adapters.list() == [] and sorted(store.blobs.directory.iterdir()) == before


def test_an_adapter_of_the_embedding_has_its_first_factor_transposed(adapters, store, tmp_path):
    file = tmp_path / "embedding.gguf"
    zeros = np.zeros((32, 2), np.float32), np.zeros((WIDTH, 2), np.float32)
    file.write_bytes(lora_bytes({"token_embd.weight": zeros}, alpha=None))
    adapter = adapters.add(file, name="words", model="tiny:1m")
    assert (adapter.r, adapter.lora_alpha, adapter.target_modules) == (2, 2.0, ("embed_tokens",))
    install(store, "tied", tied=True)
    with pytest.raises(InvalidModelError, match="both reads and writes"):
        adapters.add(file, name="words", model="tied")


def test_only_chat_models_have_adapters(adapters, store, lora):
    install(store, "encoder", kind="embedding")
    with pytest.raises(UsageError, match="encoder:latest is none"):
        adapters.add(lora, name="style", model="encoder")
    with pytest.raises(ModelNotFoundError):
        adapters.add(lora, name="style", model="nothing")
    with pytest.raises(InvalidModelError):
        adapters.add(lora.with_name("gone.gguf"), name="style", model="tiny:1m")


@pytest.mark.parametrize(
    "damage",
    [b"", b"null", b"\xff", b'{"version": 2}', b'{"version": 1}', b"[" * 5000, b"NaN", b"1e999"],
)
def test_a_damaged_manifest_is_skipped_and_protects_what_it_mentions(
    adapters, store, lora, tmp_path, damage
):
    good = adapters.add(lora, name="good", model="tiny:1m")
    file = random_adapter(weights(store), tmp_path / "bad.gguf", seed=7)
    bad = adapters.add(file, name="bad", model="tiny:1m")
    (path,) = store.directory.glob("adapters/*/*/bad.json")
    path.write_bytes(damage + f' "{bad.digest}"'.encode())
    assert adapters.list() == [good]
    install(store, "other", seed=1)
    store.remove("other")
    assert adapters.list() == [good] and bad.digest in blobs_of(store)
    path.unlink()
    install(store, "other", seed=1)
    assert bad.digest not in blobs_of(store)


def test_an_adapter_whose_file_is_gone_is_not_listed(adapters, lora):
    adapter = adapters.add(lora, name="style", model="tiny:1m")
    adapters.path(adapter).unlink()
    assert adapters.list() == []


@pytest.mark.parametrize(
    "change",
    [
        {"name": "a b"}, {"digest": "x"}, {"base_digest": "x"}, {"size_bytes": "1"}, {"r": None},
        {"lora_alpha": "8"}, {"trained_on": []}, {"created_at": "x"}, {"created_at": 1},
        {"shipped": True}, {"stale": False}, {"surprise": 1}, {"languages": 3}, {"template": None},
        {"lora_alpha": float("inf")}, {"lora_alpha": 10**400}, {"abstention_bias": float("nan")},
        {"evaluation": {"f1": float("nan")}},
    ],
)  # fmt: skip
def test_a_manifest_with_a_wrong_field_is_refused(adapters, lora, change):
    raw = adapter_manifest.to_json(adapters.add(lora, name="style", model="tiny:1m"))
    with pytest.raises(ValueError):
        adapter_manifest.from_json(json.dumps(json.loads(raw) | change).encode())


def test_what_was_measured_on_nothing_is_not_known(adapters, lora):
    measured = {"f1": {"value": float("nan"), "low": [float("-inf"), 0.5]}}
    adapters.add(lora, name="style", model="tiny:1m", evaluation=measured)
    (adapter,) = adapters.list()
    assert adapter.evaluation == {"f1": {"value": None, "low": [None, 0.5]}}


def test_a_model_that_vanishes_while_its_adapter_is_added_leaves_nothing(
    adapters, store, lora, monkeypatch
):
    stage = ModelStore.stage

    def stage_and_remove(self, path, role, name):
        staged = stage(self, path, role, name)
        store.remove("tiny:1m")
        store.blobs.prepare()
        return staged

    monkeypatch.setattr(ModelStore, "stage", stage_and_remove)
    monkeypatch.setattr("ondol.models.adapters.check_fit", lambda *_: Shape(2, 8.0, ("q_proj",)))
    with pytest.raises(ModelNotFoundError):
        adapters.add(lora, name="style", model="tiny:1m")
    assert adapters.list() == [] and list(store.blobs.directory.iterdir()) == []


@pytest.fixture
def shipped(adapters, lora, tmp_path) -> Path:
    """A folder as in Ondol's wheel, with one adapter for the model in the store."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    made = adapters.add(lora, name="grounding", model="tiny:1m", description="came with it")
    (folder / "grounding.gguf").write_bytes(lora.read_bytes())
    (folder / "grounding.json").write_bytes(adapter_manifest.to_json(made))
    adapters.remove("tiny:1m", "grounding")
    return folder


def test_a_shipped_adapter_belongs_to_every_model_with_its_weights(store, shipped):
    adapters = AdapterStore(store, shipped)
    store.copy("tiny:1m", "twin")
    install(store, "other", seed=1)
    assert [(a.full_name, a.shipped) for a in adapters.list()] == [
        ("tiny:1m:grounding", True),
        ("twin:latest:grounding", True),
    ]
    _, adapter = adapters.resolve("twin:grounding")
    assert adapters.path(adapter).parent == shipped
    with pytest.raises(UsageError, match="came with Ondol"):
        adapters.remove("tiny:1m", "grounding")
    (shipped / "grounding.gguf").unlink()
    assert adapters.list() == []
    with pytest.raises(AdapterNotFoundError):
        adapters.path(adapter)


def test_ones_own_adapter_stands_before_the_shipped_one_while_it_fits(
    store, shipped, lora, tmp_path
):
    adapters = AdapterStore(store, shipped)
    own = adapters.add(
        random_adapter(weights(store), tmp_path / "own.gguf", seed=5),
        name="grounding", model="tiny:1m",
    )  # fmt: skip
    assert adapters.list() == [own]
    assert adapters.path(own).parent == store.blobs.directory
    adapters.remove("tiny:1m", "grounding")
    (back,) = adapters.list()
    assert back.shipped and back.description == "came with it"
    manifest = store.directory / "adapters" / "tiny" / "1m" / "grounding.json"
    again = adapters.add(lora, name="grounding", model="tiny:1m")
    stale = replace(again, base_digest=f"sha256:{'0' * 64}")
    manifest.write_bytes(adapter_manifest.to_json(stale))
    # A stale one is listed beside it, does not take its place, and can be removed.
    listed = adapters.list()
    assert listed[0] == back and [a.stale for a in listed] == [False, True]
    assert adapters.get("tiny:1m", "grounding") == adapters.resolve("tiny:1m:grounding")[1] == back
    assert list(adapters.usable(store.get("tiny:1m"))) == [back]
    adapters.remove("tiny:1m", "grounding")
    assert adapters.list() == [back] and not manifest.exists()
    with pytest.raises(UsageError, match="came with Ondol") as caught:
        adapters.remove("tiny:1m", "grounding")
    assert "ondol config set answer.adapter" in caught.value.hint


def test_a_model_with_an_adapter_looks_like_a_model(adapters, store, lora):
    adapter = adapters.add(lora, name="style", model="tiny:1m")
    model = store.get("tiny:1m")
    (view,) = adapters.models()
    assert view == as_model(model, adapter)
    assert view.name == "tiny:1m:style" and view.family == model.family
    assert view.size_bytes == model.size_bytes + adapter.size_bytes
    assert view.digest not in (model.digest, adapter.digest)
    assert as_model(model, None) is model


def test_an_adapter_that_learned_what_was_forgotten_is_listed_and_not_served(adapters, store, lora):
    adapter = adapters.add(lora, name="style", model="tiny:1m", trained_on={"sets": ["mine"]})
    assert adapters.outdate(f"sha256:{'0' * 64}") == []
    assert adapters.outdate(adapter.digest) == ["tiny:1m:style"]
    (listed,) = adapters.list()
    assert listed.stale and listed.is_outdated and listed.trained_on["sets"] == ["mine"]
    assert adapters.usable(store.get("tiny:1m")) == []
    with pytest.raises(AdapterNotFoundError) as caught:
        adapters.resolve("tiny:1m:style")
    assert "forgotten" in caught.value.message
