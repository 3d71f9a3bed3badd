"""A sample that is erased is gone from where it was learned from, too; what came of it is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from lora_gguf import random_adapter

from ondol import paths, trainable
from ondol.config import load
from ondol.errors import AdapterNotFoundError, SampleNotFoundError, UsageError
from ondol.models.adapters import Adapter
from ondol.parts import Parts
from ondol.personal import collecting
from ondol.personal.forgetting import forget_samples
from ondol.samples.records import Draft, Sample
from ondol.types import Message
from tests.models.test_gguf import STRING, U32, entry, gguf, tensor

REPLY = "The otter of Grimsby sings at midnight, and only for those who bring it a herring."
MODEL = "tiny:1m"


@pytest.fixture
def parts(home: Path, tmp_path: Path) -> Iterator[Parts]:
    config = load().with_flags({"models.directory": str(tmp_path / "models")})
    with Parts(config) as made:
        file = tmp_path / "base.gguf"
        entries = (
            entry("general.architecture", STRING, "llama"),
            entry("llama.block_count", U32, 1),
            entry("llama.embedding_length", U32, 64),
        )
        square = 4 * 64 * 64
        tensors = (
            tensor("blk.0.attn_q.weight", (64, 64)),
            tensor("token_embd.weight", (64, 32), offset=square),
            tensor("output_norm.weight", (64,), offset=square + 4 * 64 * 32),
        )
        file.write_bytes(gguf(entries, tensors, data=square + 4 * 64 * 33))
        made.store.add(MODEL, [made.store.stage(file, "weights", "base.gguf")])
        yield made


@pytest.fixture
def sample(parts: Parts) -> Sample:
    source = parts.kept.samples.add_source("file", "mine")
    draft = Draft("sft", "c", (Message("user", "What sings?"),), REPLY)
    parts.kept.samples.add(source.id, [draft])
    return parts.kept.samples.all()[0]


def training(name: str, reply: str) -> Path:
    """The folder of a training whose jobs lie one level deeper."""
    folder = paths.ensure(trainable.trainings() / name / "sft")
    line = {"messages": [{"role": "user", "content": "What sings?"}], "reply": reply}
    (folder / "examples.jsonl").write_text(json.dumps(line) + "\n", "utf-8")
    return folder.parent


def adapter(parts: Parts, sample: Sample, tmp_path: Path) -> Adapter:
    file = random_adapter(parts.store.path(parts.store.get(MODEL)), tmp_path / "a.gguf", r=2)
    made = parts.adapters.add(file, name="style", model=MODEL)
    parts.kept.samples.note_learned(made.digest, [sample.id])
    return made


def test_its_trainings_go_and_its_adapter_is_served_no_more(
    parts: Parts, sample: Sample, tmp_path: Path
) -> None:
    made = adapter(parts, sample, tmp_path)
    gone, stays = training("one", REPLY), training("other", "Nothing of that.")
    receipt = forget_samples(parts, [sample.id])
    assert (receipt.samples, receipt.trainings, receipt.stale) == (1, 1, (made.full_name,))
    assert not gone.exists() and stays.exists()
    with pytest.raises(AdapterNotFoundError):
        parts.adapters.resolve(made.full_name)
    assert parts.adapters.list(MODEL)[0].is_outdated
    files = [f for f in paths.data_dir().rglob("*") if f.is_file()]
    assert not any(b"Grimsby" in file.read_bytes() for file in files)
    assert "Grimsby" not in json.dumps(receipt.json())


def test_an_adapter_can_be_removed_with_its_file_or_answer_on(
    parts: Parts, sample: Sample, tmp_path: Path
) -> None:
    made = adapter(parts, sample, tmp_path)
    file = parts.adapters.path(made)
    other = parts.kept.samples.source(sample.source)
    draft = Draft("sft", "d", (Message("user", "And by day?"),), "By day it sleeps in the reeds.")
    parts.kept.samples.add(other.id, [draft])
    later = parts.kept.samples.all()[1]
    parts.kept.samples.note_learned(made.digest, [later.id])
    kept = forget_samples(parts, [later.id], dependents="retrain")
    assert kept.retrain == (made.full_name,) and parts.adapters.resolve(made.full_name)[1]
    receipt = forget_samples(parts, source=sample.source, dependents="remove")
    assert (receipt.sources, receipt.removed) == (1, (made.full_name,))
    assert parts.adapters.list(MODEL) == [] and not file.exists()


def test_a_file_that_no_adapter_has_goes_with_what_it_learned(parts: Parts, sample: Sample) -> None:
    digest = parts.kept.private_adapters.put(b"killed before it had a name")
    parts.kept.samples.note_learned(digest, [sample.id])
    forget_samples(parts, [sample.id])
    assert parts.kept.private_adapters.path(digest) is None


def test_a_training_that_runs_is_said_to_be_out_of_reach(
    parts: Parts, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ondol.personal import forgetting

    monkeypatch.setattr(forgetting, "STOP_SECONDS", 0.0)
    folder = training("one", REPLY)
    with trainable.alone("one"):
        receipt = forget_samples(parts, [sample.id])
    assert receipt.not_reached == ("training",) and folder.exists()


def test_a_training_is_known_by_its_plan_too(parts: Parts, sample: Sample) -> None:
    folder = training("planned", "in other words")
    (folder / "training.json").write_text(json.dumps({"samples": [sample.id]}))
    assert forget_samples(parts, [sample.id]).trainings == 1 and not folder.exists()


def test_what_cannot_be_is_refused_and_nothing_goes(parts: Parts, sample: Sample) -> None:
    with pytest.raises(UsageError):
        forget_samples(parts, [sample.id], dependents="burn")  # type: ignore[arg-type]
    with pytest.raises(SampleNotFoundError):
        forget_samples(parts, [sample.id, "0000beef"])
    assert parts.kept.samples.all() == [sample]


def test_what_was_taken_out_is_not_collected_again_until_something_else_is_said(
    parts: Parts,
) -> None:
    collecting.agree(parts)
    conversations = parts.kept.conversations
    _, answer = conversations.turns.ask(conversations.create().id, "What sings?", None)
    conversations.turns.save(answer.id, REPLY, status="done")
    conversations.opinions.give(answer.id, True)
    collecting.collect(parts)
    forget_samples(parts, [parts.kept.samples.all()[0].id])
    collecting.collect(parts)
    assert parts.kept.samples.all() == []
    conversations.opinions.give(answer.id, True)
    collecting.collect(parts)
    assert len(parts.kept.samples.all()) == 1


def test_killed_on_the_way_no_adapter_answers_on_without_its_sample(
    parts: Parts, sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ondol.samples.store import Samples

    made = adapter(parts, sample, tmp_path)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Samples, "erase", killed)
        with pytest.raises(KeyboardInterrupt):
            forget_samples(parts, [sample.id])
    with pytest.raises(AdapterNotFoundError):
        parts.adapters.resolve(made.full_name)
    assert forget_samples(parts, [sample.id]).samples == 1 and parts.kept.samples.all() == []
