"""Each architecture's adapter does in the engine what it does in PEFT, and its base is loaded for
training as it serves: random models of two layers, F32 throughout."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import HEADS, KV_HEADS, MODELS, tiny_model, write_gguf

from ondol.errors import TrainingError
from ondol.models.adapter_fit import check_fit
from ondol.training import export
from ondol.training.architectures import ARCHITECTURES, architecture_of
from ondol.training.base import load_base
from ondol.training.dataset import Example
from ondol.training.export import export_adapter
from ondol.training.lora import ALL_LINEAR
from ondol.types import Message

PROMPTS = [[72, 5, 101, 33, 9, 200, 17, 88, 41, 41, 3, 150], [257, 8, 8, 61, 240, 12, 99]]
TOP = 200  # of 264 tokens: next to all of them
MAX_DIFFERENCE = 0.03
R, ALPHA = 4, 8

Adapter = tuple[dict[str, np.ndarray], dict[str, Any]]
Logprobs = dict[str, list[dict[str, float]]]
Computed = tuple[Path, Logprobs, Logprobs]


def random_adapter(model: Any, name: str) -> tuple[Any, Adapter]:
    """``model`` with every linear layer adapted, and the adapter as PEFT saves it."""
    import peft
    import torch

    modules = list(architecture_of(MODELS[name][0], name).target_modules)
    config = peft.LoraConfig(r=R, lora_alpha=ALPHA, target_modules=modules, task_type="CAUSAL_LM")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        adapted = peft.get_peft_model(model, config).eval()
        for key, weights in adapted.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(weights, std=0.1)
    state = peft.get_peft_model_state_dict(adapted)
    tensors = {key: tensor.float().numpy() for key, tensor in state.items()}
    return adapted, (tensors, {"r": R, "lora_alpha": ALPHA})


def next_tokens(model: Any) -> list[dict[str, float]]:
    import torch

    found = []
    for prompt in PROMPTS:
        with torch.no_grad():
            top = model(torch.tensor([prompt])).logits[0, -1].log_softmax(-1).topk(TOP)
        ids = map(str, top.indices.tolist())
        found.append(dict(zip(ids, top.values.tolist(), strict=True)))
    return found


def in_other_order(key: str, matrix: np.ndarray, name: str) -> np.ndarray:
    """``matrix`` such that it is written as a mapping which permutes q and k where it must not, and
    not where it must, would write it; of Phi-3, as one that has up before gate."""
    if "gate_up_proj.lora_B" in key:
        return np.roll(matrix, len(matrix) // 2, axis=0)
    heads = HEADS if "q_proj.lora_B" in key else KV_HEADS if "k_proj.lora_B" in key else 0
    if not heads or "qkv" in key:
        return matrix
    permuted = export.permuted(matrix, heads)
    if not architecture_of(MODELS[name][0], name).permuted:
        return permuted
    order = export.permuted(np.arange(len(matrix)).astype(np.float32), heads).astype(int)
    return matrix[np.argsort(order)]


@pytest.fixture(scope="module")
def computed(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[Path, Logprobs, Logprobs]]:
    """For each model its GGUF, and what PEFT and what the engine make of it and of an adapter."""
    folder = tmp_path_factory.mktemp("architectures")
    jobs, peft = {}, {}
    for name in MODELS:
        model = tiny_model(name)
        base = write_gguf(model, name, folder / f"{name}.gguf")
        plain = next_tokens(model)
        adapted, (tensors, config) = random_adapter(model, name)
        peft[name] = {"base": plain, "adapter": next_tokens(adapted)}
        wrong = {key: in_other_order(key, matrix, name) for key, matrix in tensors.items()}
        files = {which: folder / f"{name}-{which}.gguf" for which in ("adapter", "wrong")}
        assert export_adapter(tensors, config, base, files["adapter"], dtype="f32") == len(tensors)
        export_adapter(wrong, config, base, files["wrong"], dtype="f32")
        jobs[name] = {"base": base, "adapters": files, "prompts": PROMPTS, "top": 10 * TOP}
    child = subprocess.run(
        [sys.executable, Path(__file__).with_name("engine_logprobs.py")],
        input=json.dumps({"jobs": jobs}, default=str),
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-3000:]
    engine = json.loads(child.stdout)
    return {name: (jobs[name]["base"], peft[name], engine[name]) for name in MODELS}


def difference(found: list[dict[str, float]], wanted: list[dict[str, float]]) -> float:
    return max(
        abs(logprob - one.get(token, -99.0))
        for one, reference in zip(found, wanted, strict=True)
        for token, logprob in reference.items()
    )


@pytest.mark.parametrize("name", MODELS)
def test_engine_computes_what_peft_computes(computed: Any, name: str) -> None:
    _, peft, engine = computed[name]
    assert difference(engine["base"], peft["base"]) <= MAX_DIFFERENCE
    assert difference(engine["base"], peft["adapter"]) > 10 * MAX_DIFFERENCE, "it does something"
    assert difference(engine["adapter"], peft["adapter"]) <= MAX_DIFFERENCE


@pytest.mark.parametrize("name", MODELS)
def test_a_wrong_mapping_would_be_noticed(computed: Any, name: str) -> None:
    _, peft, engine = computed[name]
    assert difference(engine["wrong"], peft["adapter"]) > 3 * MAX_DIFFERENCE


@pytest.mark.parametrize("name", MODELS)
def test_base_is_loaded_for_training_as_it_serves(computed: Any, name: str) -> None:
    file, peft, _ = computed[name]
    base = load_base(file)
    assert difference(next_tokens(base.model), peft["base"]) < 1e-3
    encoded = base.encode(Example((Message("user", "the"),), "Yes.", False, "en", "x"))
    assert base.tokenizer.decode(encoded.prompt).endswith("<|im_start|>assistant\n")
    assert base.tokenizer.decode(encoded.reply) == "Yes.<|im_end|>"


@pytest.mark.parametrize("name", MODELS)
def test_the_written_file_fits_its_base(computed: Any, name: str) -> None:
    file = computed[name][0]
    shape = check_fit(file.with_name(f"{name}-adapter.gguf"), [file], "adapter", name)
    assert (shape.r, shape.lora_alpha) == (R, ALPHA)
    modules = architecture_of(MODELS[name][0], name).target_modules
    assert shape.target_modules == tuple(sorted(modules))


def test_a_base_whose_positions_would_be_learned_otherwise_is_refused(tmp_path: Path) -> None:
    model = tiny_model("llama")
    model.config.rope_parameters = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0}
    file = write_gguf(model, "llama", tmp_path / "yarn.gguf")
    with pytest.raises(TrainingError, match=r"yarn\.gguf cannot .* \(rope\.scaling\.type yarn\)"):
        load_base(file)


def test_modules_are_called_as_the_architecture_calls_them() -> None:
    assert set(ARCHITECTURES) == {architecture for architecture, *_ in MODELS.values()}
    for name in ARCHITECTURES:
        architecture = architecture_of(name, "a.gguf")
        assert architecture.fitted(ALL_LINEAR) == architecture.target_modules
    phi = architecture_of("phi3", "a.gguf")
    assert phi.fitted(("q_proj", "v_proj", "o_proj")) == ("qkv_proj", "o_proj")
    assert phi.fitted(("nothing",)) == ("nothing",)


@pytest.mark.parametrize("name", ["bert", "mamba", "qwen35", "LLAMA", ""])
def test_other_architecture_is_refused_naming_those_there_are(name: str) -> None:
    with pytest.raises(TrainingError) as refusal:
        architecture_of(name, "a.gguf")
    assert refusal.value.message == (
        f"a.gguf is of the architecture {name}, and adapters can be written for "
        f"{', '.join(ARCHITECTURES)} only."
    )
    assert "ondol show" in refusal.value.hint
