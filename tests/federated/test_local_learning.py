"""A device's part of a round, on a random model of two layers: it learns what is its to learn, goes
on after an interruption, and what it exports is what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from ondol.errors import StorageError, TrainingError, TrainingPausedError
from ondol.federated.learning import adapted
from ondol.federated.learning.exporting import export_vector, facts
from ondol.federated.learning.layout import layout_of
from ondol.federated.learning.local import LocalLearning
from ondol.federated.learning.strategies import Update
from ondol.federated.plan import Plan, Strategy
from ondol.training.dataset import Example
from ondol.training.lora import reply_losses
from ondol.types import Message
from tests.training.tiny_models import tiny_model, write_gguf

PLAN = Plan(
    *("f", "family", "tiny", "", "", "grounding"),
    r=4,
    lora_alpha=8,
    aggregation="individual",
    local_steps=3,
    batch_size=6,
    learning_rate=5e-2,
)
EXAMPLES = [
    Example((Message("user", f"what is {w}?"),), "the he", False, "en", w) for w in "abcdef"
]
STRATEGIES = get_args(Strategy)
PROMPTS = [[72, 5, 101, 33, 9, 200, 17], [257, 8, 8, 61, 240, 12]]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices this small take longer among several."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tiny_model("llama"), "llama", tmp_path_factory.mktemp("b") / "base.gguf")


@pytest.fixture(scope="module")
def learning(base: Path) -> LocalLearning:
    """One base for all: each test leaves it as it was, which is tested too."""
    return LocalLearning(base)


def trained(learning: LocalLearning, plan: Plan, folder: Path, round: int = 1) -> Update:
    vector = learning.start(plan, learning.base)
    return learning.train(plan, round, vector, EXAMPLES, folder)


def after(learning: LocalLearning, plan: Plan, update: Update, round: int = 1) -> np.ndarray:
    vector = learning.start(plan, learning.base)
    vector[layout_of(plan, learning.base).sent(round)] += update.delta
    return vector


@pytest.fixture(scope="module")
def learned(
    learning: LocalLearning, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Plan, Update]]:
    """A round of each strategy."""
    plans = [replace(PLAN, strategy=name) for name in STRATEGIES]
    # Between two frozen factors a step of the same rate goes a shorter way.
    plans[STRATEGIES.index("fedsb")] = replace(PLAN, strategy="fedsb", learning_rate=0.3)
    folder = tmp_path_factory.mktemp("rounds")
    return {plan.strategy: (plan, trained(learning, plan, folder)) for plan in plans}


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_round_learns(
    name: str, learning: LocalLearning, learned: dict[str, tuple[Plan, Update]]
) -> None:
    plan, update = learned[name]
    assert update.loss_after < update.loss_before - 0.3
    assert update.num_examples == len(EXAMPLES)
    assert update.delta.dtype == np.float32
    # What is measured of the shared vector is what was measured when it was learned.
    loss, tokens = learning.evaluate(plan, after(learning, plan, update), EXAMPLES)
    assert loss / tokens == pytest.approx(update.loss_after, abs=1e-3)
    begin = learning.start(plan, learning.base)
    loss, tokens = learning.evaluate(plan, begin, EXAMPLES)
    assert loss / tokens == pytest.approx(update.loss_before, abs=1e-3)
    # All replies have the same length here.
    each = learning.losses(plan, begin, EXAMPLES)
    assert len(each) == len(EXAMPLES)
    assert sum(each) / len(each) == pytest.approx(loss / tokens, abs=0.02)


def test_rolora_learns_the_other_factor_in_the_next_round(
    learning: LocalLearning, learned: dict[str, tuple[Plan, Update]], tmp_path: Path
) -> None:
    plan, update = learned["rolora"]
    vector = after(learning, plan, update)
    second = learning.train(plan, 2, vector, EXAMPLES, tmp_path)
    sent = layout_of(plan, learning.base).sent(2)
    assert second.delta.shape == (sent.stop - sent.start,)
    assert second.loss_before == pytest.approx(update.loss_after, abs=1e-3)
    assert second.loss_after < second.loss_before


def test_round_that_was_interrupted_comes_to_the_same_end(
    base: Path, learned: dict[str, tuple[Plan, Update]], tmp_path: Path
) -> None:
    parts = iter([False, False, True])

    def stop_once() -> None:
        if next(parts, False):
            raise TrainingPausedError("stop")

    learning, (plan, whole) = LocalLearning(base, between=stop_once), learned["ffa"]
    with pytest.raises(TrainingPausedError):
        trained(learning, plan, tmp_path)
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert kept and b"what is" not in kept, "a checkpoint, and no example"
    steps: list[int] = []
    learning.on_progress = lambda progress: steps.append(progress.step)
    assert np.array_equal(trained(learning, plan, tmp_path).delta, whole.delta)
    assert steps[0] > 1, "it went on from the checkpoint"


def test_every_round_sees_the_examples_in_another_order(
    learning: LocalLearning, tmp_path: Path
) -> None:
    plan = replace(PLAN, batch_size=2, local_steps=1)
    first, second = (trained(learning, plan, tmp_path / str(n), round=n).delta for n in (1, 2))
    assert not np.array_equal(first, second)


def test_fedprox_stays_near_the_shared_vector(
    learning: LocalLearning, learned: dict[str, tuple[Plan, Update]], tmp_path: Path
) -> None:
    plan, free = learned["ffa"]
    held = trained(learning, replace(plan, proximal_mu=100.0), tmp_path)
    assert np.linalg.norm(held.delta) < 0.8 * np.linalg.norm(free.delta)


def test_noise_for_each_example_is_new_every_time(learning: LocalLearning, tmp_path: Path) -> None:
    plan = replace(PLAN, example_noise=1.0, local_steps=1)
    first, second = (trained(learning, plan, tmp_path / n).delta for n in "ab")
    assert np.isfinite(first).all() and not np.array_equal(first, second)


def test_style_holds_ordinary_text_where_the_base_alone_had_it(
    base: Path, learned: dict[str, tuple[Plan, Update]], tmp_path: Path
) -> None:
    learning, plan = LocalLearning(base), replace(PLAN, task="style", local_steps=1)
    # The first round that this device sees begins with what others have learned.
    began = after(learning, plan, learned["ffa"][1])
    learning.train(plan, 3, began, EXAMPLES, tmp_path)
    held = learning._ordinary
    assert held is not None and held.texts
    text = held.texts[0]
    with learning._bare() as bare:
        alone = reply_losses(bare.model, [text])
    assert held._before[text].allclose(alone, atol=0.1), "as near as bfloat16 is"


def test_what_is_kept_between_rounds_changes_no_number(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, learning = replace(PLAN, first_layer=1), LocalLearning(base)
    found = []
    for folder in ("first", "again"):
        update = trained(learning, plan, tmp_path / folder)
        found.append(
            (update.delta, learning.evaluate(plan, after(learning, plan, update), EXAMPLES))
        )
    assert np.array_equal(found[0][0], found[1][0]) and found[0][1] == found[1][1]
    monkeypatch.setattr("ondol.training.cached.keep", lambda *_, **__: None)
    plain = LocalLearning(base)
    update = trained(plain, plan, tmp_path / "plain")
    assert np.allclose(update.delta, found[0][0], atol=1e-4)
    loss, _ = plain.evaluate(plan, after(plain, plan, update), EXAMPLES)
    assert loss == pytest.approx(found[0][1][0], abs=1e-2)


def test_device_of_a_smaller_rank_leaves_the_rest_as_it_was(base: Path, tmp_path: Path) -> None:
    plan = replace(PLAN, strategy="product")
    small = LocalLearning(base, r=2)
    update = trained(small, plan, tmp_path)
    assert update.loss_after < update.loss_before
    layout = layout_of(plan, base)
    for (_, side), matrix in layout.split(update.delta).items():
        assert not (matrix[:, 2:] if side == "b" else matrix[2:]).any()
    with pytest.raises(TrainingError, match="rank of 2 does not fit"):
        trained(small, PLAN, tmp_path)


def test_what_cannot_be_learned_is_refused_and_the_base_stays(
    learning: LocalLearning, tmp_path: Path
) -> None:
    vector = learning.start(PLAN, learning.base)
    before = learning.evaluate(PLAN, vector, EXAMPLES)
    with pytest.raises(TrainingError, match="rounds count from 1"):
        learning.train(PLAN, 0, vector, EXAMPLES, tmp_path)
    with pytest.raises(TrainingError, match="numbers where the plan has"):
        learning.train(PLAN, 1, vector[1:], EXAMPLES, tmp_path)
    with pytest.raises(TrainingError):
        learning.train(PLAN, 1, vector, [], tmp_path)
    with pytest.raises(TrainingError, match="diverged"):
        learning.train(replace(PLAN, learning_rate=1e30), 1, vector, EXAMPLES, tmp_path)
    assert learning.evaluate(PLAN, vector, EXAMPLES) == before
    assert learning.evaluate(PLAN, vector, []) == (0.0, 0)


def test_exported_adapter_does_in_the_engine_what_was_learned(
    learning: LocalLearning, learned: dict[str, tuple[Plan, Update]], tmp_path: Path
) -> None:
    files, wanted = {}, {}
    for name in ("ffa", "rolora", "fedsb"):
        plan, update = learned[name]
        vector = after(learning, plan, update)
        files[name] = str(tmp_path / f"{name}.gguf")
        export_vector(plan, vector, learning.base, Path(files[name]), dtype="f32")
        wanted[name] = next_tokens(learning, plan, vector)
    served = Path(__file__).parents[1] / "training" / "engine_logprobs.py"
    job = {"base": str(learning.base), "adapters": files, "prompts": PROMPTS, "top": 200}
    ran = subprocess.run(
        [sys.executable, str(served)],
        check=True,
        input=json.dumps(job),
        capture_output=True,
        text=True,
    )
    found = json.loads(ran.stdout)
    for name in files:
        for prompt, of_engine in zip(wanted[name], found[name], strict=True):
            off = max(abs(prompt[int(token)] - value) for token, value in of_engine.items())
            assert off < 0.03
        moved = found["base"][0].keys() & found[name][0].keys()
        assert max(abs(found["base"][0][k] - found[name][0][k]) for k in moved) > 0.3


def next_tokens(learning: LocalLearning, plan: Plan, vector: np.ndarray) -> list[list[float]]:
    """Log-probabilities of all next tokens, by PyTorch."""
    import torch

    from ondol.training.lora import add_lora, load_adapter

    layout = layout_of(plan, learning.base)
    with learning._bare() as base:
        model = add_lora(base, adapted.config_of(plan, layout), 0)
        frozen = learning._between(plan, layout)
        load_adapter(model, adapted.state_of(plan, layout, vector, frozen))
        adapted.arrange(model, layout, vector, 1)
        model.eval()
        with torch.no_grad():
            return [
                model(torch.tensor([p])).logits[0, -1].log_softmax(-1).tolist() for p in PROMPTS
            ]


def test_export_tells_a_full_disk(
    learning: LocalLearning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gguf.GGUFWriter.write_tensors_to_file", full)
    with pytest.raises(StorageError):
        learning.export(PLAN, learning.start(PLAN, learning.base), learning.base, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_facts_name_the_agreement_and_what_was_spent() -> None:
    told = facts(PLAN, rounds=5, clients=4, epsilon=3.2)
    assert told["plan_digest"] == PLAN.digest
    assert (told["rounds"], told["clients"], told["epsilon"], told["delta"]) == (5, 4, 3.2, 1e-5)
    assert facts(PLAN, rounds=5, clients=4)["delta"] is None
    json.dumps(told)
