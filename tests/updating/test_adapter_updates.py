"""Adapters from a hub: only over the weights that they were made for, and in the place of one that
answers only through the owner's gate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hub_scene import Scene, write_llama
from lora_gguf import lora_bytes, random_pairs

from ondol.cli.main import run
from ondol.errors import InvalidModelError, UpdateFailedError, UsageError
from ondol.models import blobs
from ondol.models.adapters import Adapter
from ondol.parts import Parts
from ondol.personal import activating, gating
from ondol.personal.gating import Judged
from ondol.types import GenerateOptions, Message
from ondol.updating import bringing, installed, rolling_back, updater
from ondol.updating.adapter_place import AdapterPlace

MODEL = "tiny:1m"


class Gate:
    """A gate that says what it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.passes = True
        self.asked: list[tuple[str, str, tuple[str, ...]]] = []

    def judge(self, parts: Parts, candidate: Adapter, samples: Sequence[Any], **how: Any) -> Judged:
        how["on_progress"](1, 2)
        beside = how["beside"]
        self.asked.append((candidate.name, candidate.digest, tuple(beside.chat)))
        reasons = () if self.passes else ("It is worse.",)
        chat = {candidate.name: 1.0, **beside.chat}
        digests = {name: parts.adapters.get(candidate.model, name).digest for name in chat}
        verdict = Judged(self.passes, reasons, (), chat=chat, digests=digests)
        gating.keep(parts, candidate, verdict)
        return verdict


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    made = Gate()
    monkeypatch.setattr(gating, "judge", made.judge)
    return made


@pytest.fixture
def base(parts: Parts, hub: Scene) -> Path:
    """The weights of the model that is here."""
    file = write_llama(hub.work / "base.gguf", 7)
    parts.store.add(MODEL, [parts.store.stage(file, "weights", file.name)])
    return parts.store.path(parts.store.get(MODEL))


def activate(parts: Parts, name: str) -> None:
    """As ``ondol adapters activate`` does with one that passes."""
    adapter = parts.adapters.find(name)
    digests = {adapter.name: adapter.digest}
    verdict = Judged(True, (), (), chat={adapter.name: 1.0}, digests=digests)
    activating.adopt(parts, adapter, verdict)


def digest_of(parts: Parts, name: str) -> str:
    return parts.adapters.find(name).digest


def answering(parts: Parts) -> dict[str, str]:
    """The adapters that answer where only the model is named, with what their files are now."""
    found = parts.kept.activations.active(MODEL)
    return {name: parts.adapters.get(MODEL, name).digest for name in found}


def test_an_adapter_is_scanned_tried_and_answers_by_its_name(
    hub: Scene, parts: Parts, base: Path
) -> None:
    released = hub.adapter("1.0", base, 1, "real")
    outcome = updater.install(parts, "clinic/real")
    assert (outcome.what, outcome.name) == ("installed", "tiny:1m:real")
    assert digest_of(parts, outcome.name) == released.files[0].digest
    assert parts.kept.activations.active(MODEL) == {}
    engine = parts.engine("tiny:1m:real", num_ctx=256)
    said = list(
        engine.generate([Message("user", "the")], GenerateOptions(max_tokens=4, temperature=0.0))
    )
    assert said[-1].finish_reason


@pytest.mark.usefixtures("quick")
def test_a_new_release_takes_the_place_of_one_that_does_not_answer_without_a_gate(
    hub: Scene, parts: Parts, base: Path, gate: Gate
) -> None:
    first = hub.adapter("1.0", base, 1, "plain")
    updater.install(parts, "clinic/plain")
    second = hub.adapter("1.1", base, 2, "plain")
    assert updater.update(parts, "tiny:1m:plain").version == "1.1"
    assert digest_of(parts, "tiny:1m:plain") == second.files[0].digest and gate.asked == []
    rolling_back.rollback(parts, "tiny:1m:plain")
    assert digest_of(parts, "tiny:1m:plain") == first.files[0].digest
    (here,) = installed.all(parts)
    assert (here.version, here.previous) == ("1", ("1.1",))
    parts.adapters.remove(MODEL, "plain")
    assert installed.all(parts) == [] and not parts.store.blobs.has(second.files[0].digest)


@pytest.mark.usefixtures("quick")
def test_one_that_answers_is_replaced_through_the_gate_and_goes_back_as_it_was(
    hub: Scene,
    parts: Parts,
    base: Path,
    gate: Gate,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = hub.adapter("1.0", base, 1, "law")
    updater.install(parts, "clinic/law")
    activate(parts, "tiny:1m:law")
    assert answering(parts) == {"law": first.files[0].digest}
    second = hub.adapter("1.1", base, 2, "law")
    outcome = updater.update(parts, "tiny:1m:law")
    assert outcome.gate["activates"] is True and outcome.gate["chat"] == {"law": 1.0}
    assert gate.asked == [("law-candidate", second.files[0].digest, ())]
    assert answering(parts) == {"law": second.files[0].digest}
    assert [one.name for one in parts.adapters.list(MODEL)] == ["law"]
    assert run(["adapters", "history"]) == 0
    assert "updated from its hub" in capsys.readouterr().out
    rolling_back.rollback(parts, "tiny:1m:law")
    assert answering(parts) == {"law": first.files[0].digest}
    # What the owner does with adapters goes on as ever: back to the model alone.
    activating.rollback(parts, MODEL)
    assert answering(parts) == {} and not parts.kept.activations.missing(MODEL)


@pytest.mark.usefixtures("quick")
def test_one_that_does_not_pass_the_gate_leaves_what_answers(
    hub: Scene, parts: Parts, base: Path, gate: Gate
) -> None:
    first = hub.adapter("1.0", base, 1, "worse")
    updater.install(parts, "clinic/worse")
    activate(parts, "tiny:1m:worse")
    hub.adapter("1.1", base, 2, "worse")
    gate.passes = False
    with pytest.raises(UpdateFailedError, match="It is worse"):
        updater.update(parts, "tiny:1m:worse")
    assert answering(parts) == {"worse": first.files[0].digest}
    assert [one.name for one in parts.adapters.list(MODEL)] == ["worse"]
    assert updater.update(parts, "tiny:1m:worse").what == "unchanged"
    assert installed.one(parts, "tiny:1m:worse").previous == ()


@pytest.mark.usefixtures("quick")
def test_between_the_row_and_the_rename_the_old_one_answers(
    hub: Scene, parts: Parts, base: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = hub.adapter("1.0", base, 1, "half")
    updater.install(parts, "clinic/half")
    activate(parts, "tiny:1m:half")
    second = hub.adapter("1.1", base, 2, "half")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        update = activating.update

        def update_and_die(*arguments: Any) -> None:
            update(*arguments)
            die()

        patch.setattr(activating, "update", update_and_die)
        with pytest.raises(KeyboardInterrupt):
            updater.update(parts, "tiny:1m:half")
    assert parts.kept.activations.history(MODEL)[0].reason == "updated"
    assert answering(parts) == {"half": first.files[0].digest}
    assert not parts.kept.activations.missing(MODEL)
    updater.update(parts, "tiny:1m:half")
    assert answering(parts) == {"half": second.files[0].digest}


@pytest.mark.usefixtures("quick")
def test_what_stands_beside_it_is_measured_with_it_and_stays(
    hub: Scene, parts: Parts, base: Path, gate: Gate
) -> None:
    hub.adapter("1.0", base, 1, "together")
    updater.install(parts, "clinic/together")
    own = hub.work / "style.gguf"
    own.write_bytes(lora_bytes(random_pairs(base, seed=9)))
    style = parts.adapters.add(own, name="style", model=MODEL)
    digests = {"together": digest_of(parts, "tiny:1m:together"), "style": style.digest}
    parts.kept.activations.activate(
        MODEL, {"together": 1.0, "style": 0.5}, digests, "activated", ""
    )
    second = hub.adapter("1.1", base, 2, "together")
    updater.update(parts, "tiny:1m:together")
    assert gate.asked[0][2] == ("style",)
    assert answering(parts) == {"together": second.files[0].digest, "style": style.digest}
    assert parts.kept.activations.active(MODEL)["style"] == 0.5


@pytest.mark.usefixtures("quick")
def test_a_publishers_verdict_is_not_the_owners(hub: Scene, parts: Parts, base: Path) -> None:
    forged = {"gate": {"activates": True, "chat": {"sly": 1.0}, "grounded": {}, "digests": {}}}
    hub.adapter("1.0", base, 3, "sly", evaluation=forged)
    updater.install(parts, "clinic/sly")
    adapter = parts.adapters.find("tiny:1m:sly")
    assert gating.EVALUATION not in adapter.evaluation
    with pytest.raises(Exception, match="has not been through the gate"):
        activating.activate(parts, adapter.full_name)


@pytest.mark.usefixtures("quick")
def test_other_weights_get_no_adapter(hub: Scene, parts: Parts, base: Path) -> None:
    other = write_llama(hub.work / "other.gguf", 8)
    hub.adapter("1.0", other, 1, "foreign")
    with pytest.raises(UpdateFailedError, match="weights of tiny:1m that are not here"):
        updater.install(parts, "clinic/foreign")
    # One that says so of itself and is of other shapes is found out too.
    pairs = {name: (a[:, :-1], b) for name, (a, b) in random_pairs(base).items()}
    file = hub.work / "liar.gguf"
    file.write_bytes(lora_bytes(pairs))
    card = {"kind": "adapter", "name": "liar", "base_digest": blobs.digest_of(base)}
    hub.publish("liar", "1.0", {"a.gguf": file}, {"a.gguf": "adapter"}, **card)
    with pytest.raises(InvalidModelError):
        updater.install(parts, "clinic/liar")
    assert installed.all(parts) == []


@pytest.mark.usefixtures("quick")
def test_the_newest_that_fits_is_chosen(hub: Scene, parts: Parts, base: Path) -> None:
    hub.adapter("1.0", base, 1, "fits")
    hub.adapter("2.0", write_llama(hub.work / "next.gguf", 11), 1, "fits")
    assert updater.install(parts, "clinic/fits").version == "1"
    assert updater.update(parts, "tiny:1m:fits").what == "unchanged"


@pytest.mark.usefixtures("quick")
def test_no_adapter_answers_from_documents_by_its_name_alone(
    hub: Scene, parts: Parts, base: Path
) -> None:
    hub.adapter("1.0", base, 1, "grounding")
    with pytest.raises(UsageError, match="before anybody has measured it"):
        updater.install(parts, "clinic/grounding")
    for wrong in ("../../x", "a/b", "A B", "x" * 80, ".hidden"):
        with pytest.raises(UsageError):
            updater.install(parts, "clinic/grounding", name=wrong)
    assert updater.install(parts, "clinic/grounding", name="theirs").name == "tiny:1m:theirs"


@pytest.mark.usefixtures("quick")
def test_an_adapter_of_ones_own_is_not_replaced_unasked(
    hub: Scene, parts: Parts, base: Path
) -> None:
    own = hub.work / "own.gguf"
    own.write_bytes(lora_bytes(random_pairs(base, seed=12)))
    mine = parts.adapters.add(own, name="mine", model=MODEL)
    hub.adapter("1.0", base, 1, "mine")
    with pytest.raises(UsageError, match="is here already"):
        updater.install(parts, "clinic/mine")
    updater.install(parts, "clinic/mine", replace=True)
    assert digest_of(parts, "tiny:1m:mine") != mine.digest
    rolling_back.rollback(parts, "tiny:1m:mine")
    assert digest_of(parts, "tiny:1m:mine") == mine.digest


@pytest.mark.usefixtures("quick")
def test_what_learned_from_its_owner_is_never_replaced(
    hub: Scene, parts: Parts, base: Path
) -> None:
    own = hub.work / "private.gguf"
    own.write_bytes(lora_bytes(random_pairs(base, seed=13)))
    mine = parts.adapters.add(own, name="private", model=MODEL, trained_on={"task": "style"})
    hub.adapter("1.0", base, 1, "private")
    with pytest.raises(UsageError, match="is here already"):
        updater.install(parts, "clinic/private", replace=True)
    assert digest_of(parts, "tiny:1m:private") == mine.digest


def test_an_adapter_of_no_release_has_no_place(parts: Parts) -> None:
    row = bringing.Install("F", "clinic", "law", "adapter", "nobody:1m:law")
    assert AdapterPlace(parts, row).active() == "" and AdapterPlace(parts, row).kept() == []
