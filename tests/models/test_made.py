"""Models made from others: what a manifest keeps of them, and whose process answers for them."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lora_gguf import base_bytes, random_adapter

from ondol.errors import InvalidModelError, ModelNotFoundError, StorageError, UsageError
from ondol.models import incoming, manifest
from ondol.models.adapters import AdapterStore
from ondol.models.made import Made, parameters_of, served_by
from ondol.models.making import Recipe, duplicate, make
from ondol.models.store import ModelStore


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    store = ModelStore(tmp_path / "models")
    (tmp_path / "tiny.gguf").write_bytes(base_bytes())
    store.add("tiny:1m", [store.stage(tmp_path / "tiny.gguf", "weights", "tiny.gguf")])
    return store


@pytest.fixture
def adapters(store: ModelStore) -> AdapterStore:
    return AdapterStore(store, None)


@pytest.fixture
def lora(store: ModelStore, tmp_path: Path) -> str:
    """The digest of a blob that is an adapter for it."""
    file = random_adapter(store.path(store.get("tiny:1m")), tmp_path / "lora.gguf", r=2)
    return incoming.take(store.blobs, file)


def quiet(said: str) -> None:
    """Hears nothing."""


def test_a_model_made_from_another_shares_its_files(store, adapters) -> None:
    said: list[str] = []
    recipe = Recipe(
        source="tiny:1m",
        system="Be brief.",
        parameters={"temperature": "0.5", "stop": ["a", "b"], "num_gpu": 1},
        messages=[("user", "Hi"), ("assistant", "Hello")],
        licences=["MIT"],
    )
    made = make("mine", recipe, store, adapters, said.append)
    base = store.get("tiny:1m")
    assert made == store.get("mine") and made.files == base.files
    assert made.made == Made(
        parent="tiny:1m",
        system="Be brief.",
        parameters={"temperature": 0.5, "stop": ["a", "b"]},
        messages=(("user", "Hi"), ("assistant", "Hello")),
    )
    assert made.licence == "MIT" and made.digest != base.digest
    assert said[0].startswith("using existing layer sha256:") and said[-1] == "writing manifest"
    assert any("num_gpu" in one for one in said), "what changes nothing is said"
    assert store.remove("mine") == 0


def test_what_is_made_again_keeps_what_it_does_not_say(store, adapters) -> None:
    first = Recipe(source="tiny:1m", system="S", parameters={"top_k": 1, "seed": 7})
    make("mine", first, store, adapters, quiet)
    made = make("yours", Recipe(source="mine", parameters={"top_k": 2}), store, adapters, quiet)
    assert made.made is not None
    assert made.made.system == "S" and made.made.parameters == {"top_k": 2, "seed": 7}
    assert served_by(made, store, adapters).name == "tiny:1m"
    silent = make("yours", Recipe(source="mine", system=""), store, adapters, quiet)
    assert silent.made is not None and silent.made.system == ""


def test_weights_are_served_by_whom_they_came_from_while_it_is_here(store, adapters) -> None:
    made = make("mine", Recipe(source="tiny:1m"), store, adapters, quiet)
    assert served_by(made, store, adapters).name == "tiny:1m"
    store.remove("tiny:1m")
    assert served_by(made, store, adapters).name == "mine:latest"
    itself = make("mine", Recipe(source="mine", system="S"), store, adapters, quiet)
    assert served_by(itself, store, adapters).name == "mine:latest"


def test_an_adapter_is_the_models_own_and_goes_with_its_copies(store, adapters, lora) -> None:
    made = make("mine", Recipe(source="tiny:1m", adapters={"l.gguf": lora}), store, adapters, quiet)
    assert made.made is not None and made.made.adapter == "adapter"
    assert adapters.get("mine", "adapter").r == 2
    assert served_by(made, store, adapters).name == "mine:latest"
    assert adapters.list("tiny:1m") == []
    copy = duplicate("mine", "yours", store, adapters)
    again = make("third", Recipe(source="yours", system="S"), store, adapters, quiet)
    for one in (copy, again):
        assert adapters.get(one.name, "adapter").digest == lora
    store.remove("mine")
    assert adapters.path(adapters.get("yours", "adapter")).exists()


def test_a_model_is_made_of_files_that_were_sent(store, adapters, tmp_path: Path) -> None:
    (tmp_path / "other.gguf").write_bytes(base_bytes("<|im_start|>"))
    digest = incoming.take(store.blobs, tmp_path / "other.gguf")
    dashed = digest.replace(":", "-")
    for name in ("one", "two"):  # the second finds it among the blobs of the first
        made = make(name, Recipe(files={"../x": dashed}, system="S"), store, adapters, quiet)
        assert [f.name for f in made.files] == ["x.gguf"] and made.made is not None
        assert served_by(made, store, adapters).name == made.name
    assert not incoming.uploaded(store.blobs, digest).exists()


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe(), "neither 'from' or 'files'"),
        (Recipe(source="nobody"), "nobody"),
        (Recipe(source="tiny:1m", template="{{ .Prompt }}!"), "template"),
        (Recipe(source="tiny:1m", parameters={"warmth": 1}), "unknown parameter 'warmth'"),
        (Recipe(source="tiny:1m", parameters={"top_k": "many"}), "top_k"),
        (Recipe(source="tiny:1m", parameters={"num_ctx": 0}), "num_ctx"),
        (Recipe(source="tiny:1m", parameters={"temperature": float("nan")}), "temperature"),
        (Recipe(source="tiny:1m", parameters={"seed": True}), "seed"),
        (Recipe(source="tiny:1m", parameters={"stop": [1]}), "stop"),
        (Recipe(source="tiny:1m", adapters={"a": "sha256:" + "0" * 64}), "has not been sent"),
        (Recipe(source="tiny:1m", adapters={"a": "x", "b": "x"}), "only one adapter"),
        (Recipe(files={"a": "sha256:" + "0" * 64}), "has not been sent"),
        (Recipe(files={"a": "../../etc/passwd"}), "invalid digest format"),
    ],
)
def test_what_cannot_be_made_leaves_nothing(store, adapters, recipe: Recipe, words: str) -> None:
    with pytest.raises((UsageError, ModelNotFoundError)) as caught:
        make("mine", recipe, store, adapters, quiet)
    assert words in caught.value.message
    assert [model.name for model in store.list()] == ["tiny:1m"]


def test_a_file_that_is_no_model_is_none_after_all(store, adapters, tmp_path, lora) -> None:
    (tmp_path / "notes.txt").write_text("no weights at all")
    digest = incoming.take(store.blobs, tmp_path / "notes.txt")
    for file in (digest, lora):
        with pytest.raises(InvalidModelError):
            make("mine", Recipe(files={"a.gguf": file}), store, adapters, quiet)
    with pytest.raises(InvalidModelError):
        make("mine", Recipe(source="tiny:1m", adapters={"a": digest}), store, adapters, quiet)
    assert [model.name for model in store.list()] == ["tiny:1m"]


def test_its_own_template_may_be_said_again(store, adapters) -> None:
    made = make("m", Recipe(source="tiny:1m", template="{{ messages }}"), store, adapters, quiet)
    assert made.name == "m:latest"


def test_a_manifest_of_an_old_model_has_the_digest_it_always_had(store) -> None:
    model = store.get("tiny:1m")
    fields = json.loads(manifest.to_json(model))
    fields.pop("made")
    assert manifest.from_json(json.dumps(fields).encode()) == model
    assert manifest.sealed(replace(model, made=None)).digest == model.digest


@pytest.mark.parametrize(
    "made",
    [
        7,
        {"parent": 7},
        {"warmth": 1},
        {"messages": [["elf", "x"]]},
        {"messages": [1]},
        {"parameters": {"top_k": "x"}},
        {"parameters": 3},
    ],
)
def test_a_manifest_that_somebody_bent_is_not_believed(store, made) -> None:
    fields = json.loads(manifest.to_json(store.get("tiny:1m"))) | {"made": made}
    with pytest.raises(ValueError):
        manifest.from_json(json.dumps(fields).encode())


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["temperature", "top_k", "stop", "seed", "num_ctx", "mirostat", "x"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    )
)
def test_parameters_are_numbers_and_texts_or_refused(parameters) -> None:
    try:
        known, _ = parameters_of(parameters)
    except UsageError as error:
        assert error.param == "parameters"
        return
    again, _ = parameters_of(json.loads(json.dumps(known)))
    assert again == known


def test_what_arrives_is_kept_only_when_it_is_what_it_was_said_to_be(store) -> None:
    content = b"weights" * 1000
    digest = f"sha256:{sha256(content).hexdigest()}"
    with incoming.Incoming(store.blobs, digest, len(content)) as arriving:
        arriving.write(content[:100])
        assert incoming.find(store.blobs, digest) is None
        arriving.write(content[100:])
        arriving.finish()
    found = incoming.find(store.blobs, digest)
    assert found is not None and found.read_bytes() == content
    other = "sha256:" + "1" * 64
    with pytest.raises(InvalidModelError), incoming.Incoming(store.blobs, other) as arriving:
        arriving.write(content)
        arriving.finish()
    assert incoming.find(store.blobs, other) is None
    assert [path.name for path in store.blobs.directory.glob("partial-*")] == [found.name]


def test_what_has_no_room_is_refused_before_it_comes(store) -> None:
    with (
        pytest.raises(StorageError),
        incoming.Incoming(store.blobs, "sha256:" + "1" * 64, 1 << 60),
    ):
        pass


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:" + "g" * 64, "../x", "md5:" + "0" * 64])
def test_a_digest_is_nothing_but_a_digest(store, digest: str) -> None:
    with pytest.raises(UsageError):
        incoming.find(store.blobs, digest)
