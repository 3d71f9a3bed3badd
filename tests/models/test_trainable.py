"""What may be trained: refused before the work, by one sentence, and never two at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from test_gguf import STRING, U32, entry, gguf

from ondol import trainable
from ondol.config import load
from ondol.errors import OndolError, TrainingError, UsageError
from ondol.models.store import About, Model, ModelStore
from ondol.parts import Parts
from ondol.train import GroundingTask, train_grounding
from ondol.training import grounding
from ondol.training.lora import LoraConfig


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def install(store: ModelStore, architecture: str = "llama", layers: int = 30) -> Model:
    entries = (
        entry("general.architecture", STRING, architecture),
        entry(f"{architecture}.block_count", U32, layers),
    )
    file = store.directory.parent / "base.gguf"
    file.write_bytes(gguf(entries))
    return store.add("tiny:1m", [store.stage(file, "weights", "base.gguf")], About())


def fitted(store: ModelStore, model: Model, name: str = "mine") -> LoraConfig:
    return trainable.fitted(grounding.LORA, store, model, name)


@pytest.mark.parametrize(("layers", "first"), [(30, 10), (60, 20), (24, 8), (4, 1), (2, 0)])
def test_the_same_share_of_layers_learns_in_every_base(
    store: ModelStore, layers: int, first: int
) -> None:
    config = fitted(store, install(store, layers=layers))
    assert config.first_layer == first
    assert (config.r, config.lora_alpha) == (grounding.LORA.r, grounding.LORA.lora_alpha)


def refused(store: ModelStore, name: str, monkeypatch: pytest.MonkeyPatch) -> OndolError:
    """What ``train_grounding`` says before it has begun anything."""
    monkeypatch.setenv("ONDOL_MODELS", str(store.directory))
    begun: list[str] = []
    with Parts(load()) as parts, pytest.raises(OndolError) as error:
        train_grounding(parts, GroundingTask("tiny:1m"), name, on_stage=begun.append)
    assert begun == []
    assert "\n" not in error.value.message
    return error.value


@pytest.mark.parametrize("name", ["", "Mine", "../mine", "my adapter", "m" * 80, "m-candidate"])
def test_name_that_could_not_be_added_is_refused_first(
    store: ModelStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(store)
    error = refused(store, name, monkeypatch)
    assert isinstance(error, UsageError)
    assert error.message == f"{name} cannot be the name of an adapter."
    assert error.hint


def test_architecture_that_could_not_be_exported_is_refused_first(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(store, "bloom")
    error = refused(store, "mine", monkeypatch)
    assert error.exit_code == 8
    assert error.message.startswith("tiny:1m is of the architecture bloom, and adapters can be")
    assert "ondol show" in error.hint


def test_model_that_is_not_for_chat_is_refused_first(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(store, "bert")
    assert "tiny:1m is none" in refused(store, "mine", monkeypatch).message


def test_base_whose_layers_would_all_stay_as_they_are_is_refused(store: ModelStore) -> None:
    model = install(store, layers=12)
    with pytest.raises(TrainingError, match="12 layers, all below first_layer 12"):
        trainable.fitted(LoraConfig(first_layer=30), store, model, "mine")
    with pytest.raises(TrainingError):
        fitted(store, install(store, layers=0))


def test_second_training_is_refused_at_once(home: Path) -> None:
    said: list[TrainingError] = []

    def second() -> None:
        with pytest.raises(TrainingError) as error, trainable.alone("a/b:1m:mine"):
            pass
        said.append(error.value)

    with trainable.alone("a/b:1m:mine"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        script = "from ondol import trainable\nwith trainable.alone('a/b:1m:mine'): pass"
        other = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        with trainable.alone("a/b:1m:yours"):
            pass
    assert said[0].message in other.stderr
    assert "is running already" in said[0].message and said[0].hint
    with trainable.alone("a/b:1m:mine"):
        pass
    assert list(trainable.trainings().iterdir()) == []


def test_running_training_of_that_adapter_is_told_before_anything_is_begun(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(store)
    with trainable.alone("tiny:1m:mine"):
        assert "is running already" in refused(store, "mine", monkeypatch).message
