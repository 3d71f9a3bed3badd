"""``ondol thumb`` and ``ondol calibrate``: what the owner judges, and what is learned from it."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from ondol import config
from ondol.confidence.outcomes import Outcomes
from ondol.parts import Parts
from ondol.types import Answer, Confidence, Route, Seconds, Usage

pytestmark = pytest.mark.model

CHAT = "smollm2:135m"


def remember(count: int, *, judged: bool, digest: str = "sha256:1", task: str = "chat") -> None:
    """Answers as the pipeline notes them; a surer one is likelier right."""
    rng = random.Random(1)
    plain = Answer(
        "", (), (), None, Route.LOCAL, (), Usage(), Seconds(0, None, 0), CHAT, ledger_id=""
    )
    with Outcomes.open() as outcomes:
        for number in range(count):
            sure = rng.uniform(-2, 0)
            id = f"{number:08x}"
            confidence = Confidence(None, {"mean_logprob": sure})
            outcomes.note(replace(plain, ledger_id=id, confidence=confidence), digest, task)
            if judged:
                outcomes.thumb(id, rng.random() < 1 + sure / 2)


@pytest.fixture
def digest(own_models: Path) -> str:
    with Parts(config.load()) as parts:
        return parts.oversight.identify(CHAT)


def test_a_thumb_is_for_the_latest_answer_or_the_one_that_is_named(ondol) -> None:
    remember(3, judged=False)
    assert "00000002" in ondol("thumb", "up").stdout
    named = ondol("thumb", "down", "00000001", "--json").json
    assert (named["ledger_id"], named["right"]) == ("00000001", False)
    assert ondol("thumb", "clear", "00000001", "--json").json["right"] is None
    assert ondol("thumb", "up", "--quiet").stdout == "00000002\n"


def test_a_thumb_without_any_answer_is_a_sentence(ondol) -> None:
    result = ondol("thumb", "up")
    assert result.code == 2 and "no answer yet" in result.stderr


def test_too_few_thumbs_leave_everything_as_it_was(ondol, digest: str) -> None:
    assert ondol("calibrate").code == 8
    remember(12, judged=True, digest=digest)
    result = ondol("calibrate")
    assert result.code == 8 and "12 judged answers" in result.stderr and "thumb" in result.stderr


def test_enough_thumbs_calibrate_and_can_be_taken_back(ondol, digest: str) -> None:
    remember(150, judged=True, digest=digest)
    (change,) = ondol("calibrate", "--json").json["changes"]
    assert (change["model"], change["task"], change["after"]["n"]) == (CHAT, "chat", 150)
    assert change["adopted"] and change["after"]["auroc"] > 0.6
    (curve,) = (
        one for one in ondol("calibrate", "--curve", "--json").json["curves"] if one["n"] == 150
    )
    assert 0.85 in [row["threshold"] for row in curve["curve"]]
    told = ondol("calibrate", "--curve", "--target", "0.3").stdout
    assert "0.85" in told and "30 %" in told
    assert len(ondol("calibrate", "--reset", "--json").json["removed"]) == 1
    assert "no calibration of your own" in ondol("calibrate", "--reset").stderr


def test_thumbs_on_a_model_that_has_changed_since_count_no_more(ondol, digest: str) -> None:
    remember(150, judged=True, digest="sha256:another")
    result = ondol("calibrate")
    assert result.code == 8 and "nothing to learn" in result.stderr


@pytest.mark.parametrize(
    "line", ['{"question": "Who?"}', '{"question": "Who?", "answers": "me"}', "nothing"]
)
def test_a_line_that_is_no_question_is_named(
    ondol, own_models: Path, line: str, home: Path
) -> None:
    file = home.parent / "exam.jsonl"
    file.write_text(f'{{"question": "When?", "answers": ["1871"]}}\n{line}\n', "utf-8")
    result = ondol("calibrate", "--questions", file)
    assert result.code == 8 and "Line 2" in result.stderr and "exam.jsonl" in result.stderr


def test_questions_about_documents_calibrate(ondol, own_models: Path, papers: Path) -> None:
    file = papers.parent / "exam.jsonl"
    asked = {"question": "When does the warranty of the washing machine end?", "answers": ["2027"]}
    file.write_text(json.dumps(asked) + "\n", "utf-8")
    result = ondol("calibrate", "--questions", file, "--documents", papers)
    assert result.code == 8 and "1 judged answers" in result.stderr
    refused = ondol("calibrate", "--documents", papers)
    assert refused.code == 2 and "--questions" in refused.stderr
