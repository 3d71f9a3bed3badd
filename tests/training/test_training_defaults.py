"""What is trained with where nobody says otherwise, and in which numbers a base is held."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.errors import TrainingError
from ondol.training import anchor, precision
from ondol.training.base import Base
from ondol.training.defaults import MOST_EPOCHS, defaults
from ondol.training.drift import load_probe
from ondol.training.lines import Task
from ondol.training.precision import chosen

TASKS: list[Task] = ["sft", "dpo", "kto"]


@given(
    st.sampled_from(TASKS),
    st.integers(10**6, 10**11),
    st.integers(1, 100),
    st.integers(1, 100_000),
    st.sampled_from(["cpu", "cuda"]),
)
def test_defaults_fit_every_model_and_every_amount_of_samples(
    task: Task, parameters: int, layers: int, samples: int, device: str
) -> None:
    found = defaults(task, parameters=parameters, layers=layers, samples=samples, device=device)
    assert 0 <= found.lora.first_layer < layers
    assert 1.0 <= found.schedule.epochs <= MOST_EPOCHS[task]
    assert found.lora.lora_alpha == 2 * found.lora.r


def test_style_is_learned_in_the_upper_third_on_a_cpu_and_everywhere_on_a_gpu() -> None:
    how: dict[str, Any] = {"parameters": 135_000_000, "layers": 30, "samples": 100}
    assert defaults("sft", **how).lora.first_layer == 20
    assert defaults("sft", **how, device="cuda").lora.first_layer == 0


def test_larger_models_take_smaller_steps() -> None:
    rates = [
        defaults("sft", parameters=n, layers=30, samples=100).schedule.learning_rate
        for n in (135_000_000, 1_000_000_000, 8_000_000_000)
    ]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > rates[-1]


def test_few_samples_are_seen_more_often_than_many() -> None:
    epochs = [
        defaults("sft", parameters=1, layers=3, samples=n).schedule.epochs for n in (30, 120, 5000)
    ]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[-1] == 1.0


def test_preference_after_replies_is_gentle() -> None:
    how: dict[str, Any] = {"parameters": 135_000_000, "layers": 30, "samples": 40}
    alone, after = defaults("dpo", **how), defaults("dpo", **how, follows=True)
    assert after.schedule.learning_rate < alone.schedule.learning_rate / 2
    assert after.schedule.epochs == 1.0 < alone.schedule.epochs
    assert after.lora == alone.lora, "it goes on from that shape"


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A file of so many parameters, and so much memory."""

    def of(parameters: float, free: float, library: bool = True) -> Path:
        monkeypatch.setattr(precision, "num_parameters", lambda file: int(parameters))
        monkeypatch.setattr(precision, "free_bytes", lambda device: int(free))
        monkeypatch.setattr(precision, "find_spec", lambda name: library or None)
        return Path("model.gguf")

    return of


@pytest.mark.parametrize(
    ("parameters", "free", "device", "expected"),
    [
        (135e6, 4e9, "cpu", "float32"),
        (7e9, 80e9, "cuda", "float32"),
        (7e9, 24e9, "cuda", "bfloat16"),
        (7e9, 8e9, "cuda", "nf4"),
    ],
)
def test_best_numbers_that_fit_are_chosen(
    model: Any, parameters: float, free: float, device: str, expected: str
) -> None:
    assert chosen("auto", model(parameters, free), device, has_bfloat16=True) == expected


def test_folder_of_safetensors_need_not_be_unpacked(model: Any, tmp_path: Path) -> None:
    model(2e9, 6e9)
    assert chosen("auto", tmp_path, "cpu", has_bfloat16=True) == "bfloat16"


@pytest.mark.parametrize(
    ("asked", "device", "library", "sentence"),
    [
        ("auto", "cpu", True, "model.gguf needs about 29.1 GB of memory, and 8.0 GB are free"),
        ("float32", "cuda", True, "needs about 29.1 GB"),
        ("auto", "cuda", False, "needs about 29.1 GB"),
        ("nf4", "cpu", True, "needs an NVIDIA GPU"),
        ("nf4", "cuda", False, "needs bitsandbytes"),
        ("bfloat16", "cpu", True, "does not multiply bfloat16"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    model: Any, asked: Any, device: str, library: bool, sentence: str
) -> None:
    with pytest.raises(TrainingError, match=sentence) as error:
        chosen(asked, model(7e9, 8e9, library), device, has_bfloat16=False)
    assert error.value.hint


def test_parameters_are_counted_in_both_formats(tmp_path: Path) -> None:
    import gguf
    import numpy as np
    from safetensors.numpy import save_file

    weights = np.zeros((3, 32), np.float32)
    save_file({"a": weights, "b": weights[0]}, tmp_path / "model.safetensors")
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_tensor("a", weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert precision.num_parameters(tmp_path) == 4 * 32
    assert precision.num_parameters(tmp_path / "model.gguf") == 3 * 32
    assert precision.free_bytes("cpu") > 1 << 20


def test_ordinary_texts_are_short_and_the_same_each_time() -> None:
    class Letters(Base):
        def encode_text(self, text: str) -> tuple[int, ...]:
            return tuple(map(ord, text))

        def num_tokens(self, text: str) -> int:
            return 3 * len(text)

    found = anchor.texts(Letters(None, None), 20)
    assert found == anchor.texts(Letters(None, None), 20)
    assert len(set(found)) == 20
    assert {len(text) for text in found} == {anchor.TEXT_TOKENS}
    assert all(chr(token).isascii() for text in found for token in text.prompt), "no Korean"
    probed = " ".join(load_probe().texts)
    assert not any("".join(map(chr, text.prompt + text.reply)) in probed for text in found)
