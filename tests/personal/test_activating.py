"""Adapters into use and back: what answers where only the model is named, and who says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from activation_kill import MODEL, passing
from lora_gguf import base_bytes, random_adapter

from ondol import callers, config
from ondol.callers import Caller
from ondol.cli.activations import warn_of_missing
from ondol.cli.main import run
from ondol.cli.output import Output
from ondol.confidence.calibration import Labelled
from ondol.errors import AdapterRefusedError, UsageError
from ondol.models import making
from ondol.models.adapters import Adapter
from ondol.models.making import Recipe
from ondol.parts import Parts
from ondol.personal import activating, gating
from ondol.personal.gating import Judged
from ondol.prompt import GROUNDING
from ondol.training.bootstrap import Estimate
from ondol.training.verdict_table import Row

CHAT = "{{ messages }}"


@pytest.fixture
def parts(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    """A house with one model, its grounding adapter, and a candidate."""
    monkeypatch.setenv("ONDOL_CHAT_MODEL", MODEL)
    with Parts(config.load()) as opened:
        base = tmp_path / "base.gguf"
        base.write_bytes(base_bytes(CHAT))
        opened.store.add(MODEL, [opened.store.stage(base, "weights", base.name)])
        add(opened, tmp_path, "grounding", template=GROUNDING.digest(CHAT))
        add(opened, tmp_path, "style-candidate")
        yield opened


def add(parts: Parts, folder: Path, name: str, seed: int = 0, **how: str) -> Adapter:
    path = folder / f"{name}-{seed}.gguf"
    file = random_adapter(folder / "base.gguf", path, r=2, seed=seed + len(name))
    about = {"task": "style"} if name.startswith("style") else {}
    return parts.adapters.add(file, name=name, model=MODEL, trained_on=about, **how)


def candidate(parts: Parts) -> Adapter:
    return parts.adapters.get(MODEL, "style-candidate")


def beside_grounding(parts: Parts) -> Judged:
    """A verdict by which the candidate answers about documents too, at half."""
    one, other = candidate(parts), parts.adapters.get(MODEL, "grounding")
    found = passing(one)
    return Judged(
        True,
        (),
        (),
        (),
        found.chat,
        {"grounding": 1.0, one.name: 0.5},
        {**found.digests, "grounding": other.digest},
    )


def test_an_adapter_that_passed_answers_where_its_model_is_named(parts):
    made = activating.adopt(parts, candidate(parts), passing(candidate(parts)))
    assert made.full_name == "tiny:1m:style" and not made.is_candidate
    assert [one.name for one in parts.adapters.list(MODEL)] == ["grounding", "style"]
    chat = parts.chat_manner()
    assert (chat.model, dict(chat.options.adapters)) == ("tiny:1m:style", {"style": 1.0})
    # Documents are asked as before where it was not measured with them.
    assert parts.manner().model == "tiny:1m:grounding"
    assert parts.engine(MODEL).model == MODEL
    (entry,) = parts.ledger.entries(kind="activation")
    assert (entry.model, entry.reasons) == ("tiny:1m:style", ("activated", made.digest))
    (row,) = parts.kept.activations.history(MODEL)
    assert row.ledger_id == entry.id


def test_documents_are_asked_with_both_at_the_scales_that_were_measured(parts):
    activating.adopt(parts, candidate(parts), beside_grounding(parts))
    manner = parts.manner()
    assert manner.model == "tiny:1m:grounding,style@0.5"
    assert dict(manner.options.adapters) == {"grounding": 1.0, "style": 0.5}
    assert manner.template is GROUNDING
    # Whoever names adapters gets exactly those.
    assert parts.manner("tiny:1m:grounding").model == "tiny:1m:grounding"
    assert parts.chat_manner("tiny:1m:grounding").model == "tiny:1m:grounding"


def test_the_owners_setting_for_documents_still_decides(parts):
    activating.adopt(parts, candidate(parts), beside_grounding(parts))
    with Parts(parts.config.with_flags({"answer.adapter": ""})) as none:
        assert none.manner().model == MODEL
    with Parts(parts.config.with_flags({"answer.adapter": "style"})) as other:
        # "style" was not measured alone about documents, but with grounding, and is among them.
        assert other.manner().model == "tiny:1m:grounding,style@0.5"


def test_a_rollback_is_one_step_and_in_the_ledger(parts, tmp_path):
    activating.adopt(parts, candidate(parts), passing(candidate(parts)))
    second = add(parts, tmp_path, "style-candidate", seed=7)
    assert activating.adopt(parts, second, passing(second)).name == "style-2"
    assert activating.rollback(parts).chosen.chat == {"style": 1.0}
    assert parts.chat_manner().model == "tiny:1m:style"
    assert activating.deactivate(parts).chosen.chat == {}
    assert parts.chat_manner().model == MODEL
    kinds = [entry.reasons[0] for entry in parts.ledger.entries(kind="activation")]
    assert kinds == ["deactivated", "rolled_back", "activated", "activated"]
    with pytest.raises(UsageError, match="answers alone"):
        activating.deactivate(parts)
    activating.activate(parts, "tiny:1m:style-2")
    assert parts.chat_manner().model == "tiny:1m:style-2"


def test_a_rollback_beside_another_takes_one_more_step_back(parts, tmp_path, monkeypatch):
    activating.adopt(parts, candidate(parts), passing(candidate(parts)))
    second = add(parts, tmp_path, "style-candidate", seed=7)
    activating.adopt(parts, second, passing(second))
    activations = parts.kept.activations
    read, others = activations.before, []

    def overtaken(model):
        found = read(model)
        monkeypatch.undo()
        others.append(activations.rollback(model))  # between reading and writing
        return found

    monkeypatch.setattr(activations, "before", overtaken)
    assert activating.rollback(parts).chosen.chat == {}
    assert others[0].chosen.chat == {"style": 1.0}
    assert not activations.has_before(MODEL)


def test_activating_what_is_active_changes_nothing(parts):
    made = activating.adopt(parts, candidate(parts), passing(candidate(parts)))
    activating.activate(parts, made.full_name)
    assert len(parts.kept.activations.history(MODEL)) == 1


def test_one_that_passed_and_was_never_named_is_named_when_it_is_activated(parts):
    gating.keep(parts, candidate(parts), passing(candidate(parts)))
    activating.activate(parts, "tiny:1m:style-candidate")
    assert parts.chat_manner().model == "tiny:1m:style"
    assert [one.name for one in parts.adapters.list(MODEL)] == ["grounding", "style"]


def test_one_that_did_not_pass_stays_and_says_why(parts):
    refused = replace(passing(candidate(parts)), activates=False, reasons=("It is worse.",))
    with pytest.raises(AdapterRefusedError, match="It is worse"):
        activating.adopt(parts, candidate(parts), refused)
    assert parts.chat_manner().model == MODEL
    assert parts.chat_manner(candidate(parts).full_name).model == "tiny:1m:style-candidate"
    assert not list(parts.ledger.entries(kind="activation"))


def test_one_that_nobody_measured_is_not_activated(parts):
    with pytest.raises(AdapterRefusedError, match="not been through the gate"):
        activating.activate(parts, "tiny:1m:grounding")


def test_a_file_that_is_not_the_measured_one_is_not_activated(parts, tmp_path):
    verdict = passing(candidate(parts))
    other = add(parts, tmp_path, "style-candidate", seed=9)
    with pytest.raises(AdapterRefusedError, match="not the one that was measured"):
        activating.adopt(parts, other, verdict)


def test_programs_that_may_not_read_everything_get_the_model_alone(parts):
    activating.adopt(parts, candidate(parts), beside_grounding(parts))
    with callers.calling(Caller(id="key:1", collections=frozenset({"work"}))):
        assert parts.chat_manner().model == MODEL
        assert parts.manner().model == "tiny:1m:grounding"
    with callers.calling(Caller(id="key:2", models=frozenset({MODEL}))):
        assert parts.chat_manner().model == "tiny:1m:style"


def test_a_model_that_was_made_answers_as_it_was_made(parts):
    activating.adopt(parts, candidate(parts), passing(candidate(parts)))
    recipe = Recipe(source=MODEL, system="Be terse.")
    making.make("mine:1m", recipe, parts.store, parts.adapters, lambda said: None)
    assert parts.chat_manner("mine:1m").model == "mine:1m"


def test_what_answers_without_its_adapters_says_so(parts, capsys):
    made = activating.adopt(parts, candidate(parts), passing(candidate(parts)))
    assert activating.standing(parts, MODEL)["warning"] == ""
    parts.adapters.outdate(made.digest)
    told = activating.standing(parts, MODEL)
    assert told["missing"] == ["style"] and "answers without style" in told["warning"]
    assert told["adapters"] == {} and told["is_before"]
    assert parts.chat_manner().model == MODEL
    warn_of_missing(parts, MODEL, Output())
    assert "answers without style" in capsys.readouterr().err


def labelled(count: int) -> tuple[Labelled, ...]:
    return tuple(
        Labelled({"mean_logprob": -0.1 if i % 2 else -3.0}, bool(i % 2), f"g{i}")
        for i in range(count)
    )


def test_another_set_of_adapters_has_no_probability_until_it_has_its_own_calibrator(parts):
    judge = parts.oversight.judge
    base = judge.identify(MODEL)
    verdict = beside_grounding(parts)
    known = {base, judge.identify("tiny:1m:grounding")}
    activating.adopt(parts, candidate(parts), verdict)
    name = parts.manner().model
    assert judge.identify(name) not in {*known, judge.identify("tiny:1m:grounding,style")}
    assert judge.calibrator(name) is None
    few = replace(verdict, labelled=labelled(10))
    assert activating.recalibrate(parts, MODEL, {"grounding": 1.0, "style": 0.5}, few) is None
    many = replace(verdict, labelled=labelled(80))
    assert activating.recalibrate(parts, MODEL, {"grounding": 1.0, "style": 0.5}, many)
    assert judge.calibrator(name) is not None
    for other in (MODEL, "tiny:1m:grounding", "tiny:1m:style", "tiny:1m:grounding,style"):
        assert judge.calibrator(other) is None


def test_the_table_of_a_refused_one_is_shown_with_its_reasons(parts, capsys):
    row = Row("reply_loss", 3.0, 3.5, Estimate(0.5, 0.4, 0.6, 12), False, unit="nats")
    refused = replace(
        passing(candidate(parts)), activates=False, reasons=("It is worse.",), rows=(row,)
    )
    gating.keep(parts, candidate(parts), refused)
    parts.close()
    assert run(["adapters", "show", "tiny:1m:style-candidate"]) == 0
    told = capsys.readouterr()
    assert "+0.500 [+0.400, +0.600]  ✗" in told.out and "It is worse." in told.out + told.err


def test_commands_activate_roll_back_and_tell(parts, capsys):
    activating.adopt(parts, candidate(parts), passing(candidate(parts)))
    parts.close()
    assert run(["adapters", "rollback"]) == 0
    assert "tiny:1m answers alone from now on" in capsys.readouterr().out
    assert run(["adapters", "activate", "tiny:1m:style"]) == 0
    assert "tiny:1m:style answers from now on" in capsys.readouterr().out
    assert run(["adapters", "history"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("rolled back" in line for line in lines) == 1
    assert run(["adapters", "activate", "tiny:1m:grounding"]) == 2
    assert "answer.adapter" in capsys.readouterr().err
    assert run(["adapters", "activate", "tiny:1m:style", "--again"]) == 2
    assert "no held-out samples" in capsys.readouterr().err
