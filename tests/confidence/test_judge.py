"""The judge: the calibrator of who answered, or no probability at all."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from ondol.confidence import calibration
from ondol.confidence.calibration import Calibrator, Labelled
from ondol.confidence.calibrators import QUOTED, SHIPPED, Calibrators, digest_of, file_name
from ondol.confidence.judge import CalibratedJudge
from ondol.errors import StorageError
from ondol.types import Alternative, Completion, Evidence, Quote, Token, Usage

MODEL = "tiny:1b:grounding"
DIGESTS = {MODEL: digest_of("sha256:weights", "sha256:adapter"), "": "sha256:embedder"}
GIVEN = (Quote(1, "It opened in 1871.", "/a.txt", 0, 18, 1.5),)
EVIDENCE = Evidence((), GIVEN)


def made(digest: str, task: str = "grounded", seed: int = 0) -> Calibrator:
    rng = random.Random(seed)
    some = []
    for i in range(200):
        sure = rng.uniform(-2, 0)
        signals = {"mean_logprob": sure, "quote_score": rng.uniform(1, 2)}
        some.append(Labelled(signals, rng.random() < 2 + sure, f"{i % 20}"))
    return calibration.fit(some, model=MODEL, digest=digest, task=task)


def said(logprob: float) -> Completion:
    token = Token("1871", logprob, (Alternative("1871", logprob), Alternative("2", -9.0)))
    return Completion("1871", (token,), "stop", Usage())


@pytest.fixture
def judge(tmp_path: Path) -> CalibratedJudge:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    for name, task in ((MODEL, "grounded"), ("", QUOTED)):
        calibrator = made(DIGESTS[name], task)
        (shipped / file_name(DIGESTS[name], task)).write_text(calibrator.to_json(), "utf-8")
    identify = lambda name: DIGESTS.get(name, "")  # noqa: E731
    return CalibratedJudge(tmp_path / "own", identify, shipped=shipped)


def probability(judge: CalibratedJudge, completion: Completion, model: str = MODEL) -> float | None:
    return judge.judge("When?", EVIDENCE, GIVEN, completion, model=model).probability


def test_a_surer_answer_is_likelier_right(judge: CalibratedJudge) -> None:
    low, high = probability(judge, said(-1.8)), probability(judge, said(-0.1))
    assert low is not None and high is not None and 0 < low < 0.5 < high < 1


def test_the_answer_names_its_calibrator(judge: CalibratedJudge) -> None:
    found = judge.judge("When?", EVIDENCE, GIVEN, said(-0.1), model=MODEL)
    name, _, version = found.calibrator.partition("@")
    assert name == f"{MODEL}/grounded" and version.endswith(".200")
    assert found.signals["mean_logprob"] == -0.1


@pytest.mark.parametrize("model", ["another", "tiny:1b"])
def test_a_model_that_nobody_calibrated_has_no_probability(
    judge: CalibratedJudge, model: str
) -> None:
    found = judge.judge("When?", EVIDENCE, GIVEN, said(-0.1), model=model)
    assert (found.probability, found.calibrator) == (None, "") and found.signals


def test_a_task_that_nobody_calibrated_has_no_probability(judge: CalibratedJudge) -> None:
    found = judge.judge("When?", Evidence(), (), said(-0.1), model=MODEL, task="chat")
    assert found.probability is None


def test_words_of_the_documents_are_judged_by_the_evidence(judge: CalibratedJudge) -> None:
    mumbled = probability(judge, said(-5.0), model="")
    assert mumbled == probability(judge, Completion("", (), "stop", Usage()), model="")
    assert mumbled is not None


def test_the_owners_calibrator_wins_until_it_is_forgotten(judge: CalibratedJudge) -> None:
    before = probability(judge, said(-1.0))
    own = made(DIGESTS[MODEL], seed=7)
    judge.calibrators.keep(own)
    assert probability(judge, said(-1.0)) != before
    assert judge.calibrators.find(DIGESTS[MODEL], "grounded", shipped=True) != own
    assert [is_own for _, is_own in judge.calibrators.list()].count(True) == 1
    assert judge.calibrators.forget(DIGESTS[MODEL], "grounded")
    assert not judge.calibrators.forget(DIGESTS[MODEL], "grounded")
    assert probability(judge, said(-1.0)) == before


def test_what_another_process_writes_counts_at_once(judge: CalibratedJudge, tmp_path: Path) -> None:
    before = probability(judge, said(-1.0))
    Calibrators(tmp_path / "own").keep(made(DIGESTS[MODEL], seed=7))
    assert probability(judge, said(-1.0)) != before


def test_a_damaged_calibrator_is_none_and_the_shipped_one_counts(
    judge: CalibratedJudge, tmp_path: Path
) -> None:
    before = probability(judge, said(-1.0))
    judge.calibrators.keep(made(DIGESTS[MODEL], seed=7))
    file = tmp_path / "own" / file_name(DIGESTS[MODEL], "grounded")
    file.write_text(file.read_text("utf-8")[:100], "utf-8")
    assert probability(judge, said(-1.0)) == before


def test_a_calibrator_under_another_models_name_is_not_used(
    judge: CalibratedJudge, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    wrong = made("sha256:somebody else", seed=7)
    (tmp_path / "own" / file_name(DIGESTS[MODEL], "grounded")).write_text(wrong.to_json(), "utf-8")
    found = judge.calibrator(MODEL)
    assert found is not None and found.digest == DIGESTS[MODEL]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("a file", "utf-8")
    with pytest.raises(StorageError):
        Calibrators(tmp_path / "own").keep(made("sha256:1"))


def test_the_threshold_follows_the_owners_target(judge: CalibratedJudge) -> None:
    loose = judge.threshold(MODEL, "grounded", 0.4)
    strict = judge.threshold(MODEL, "grounded", 0.01)
    assert loose is not None and loose.feasible and strict is not None and not strict.feasible
    assert judge.threshold("another", "grounded", 0.4) is None


def test_what_comes_with_ondol_can_be_read_and_says_how_good_it_is() -> None:
    files = sorted(SHIPPED.glob("*.json"))
    assert {json.loads(f.read_text("utf-8"))["task"] for f in files} >= {"grounded", "chat"}
    for file in files:
        calibrator = calibration.read(file.read_text("utf-8"), file)
        assert file.name == file_name(calibrator.digest, calibrator.task)
        assert calibrator.n == len(calibrator.held_out) >= 200
        least = {"grounded": 0.75, "quoted": 0.7, "chat": 0.5}[calibrator.task]
        assert calibrator.auroc is not None and calibrator.auroc > least and calibrator.ece < 0.1
