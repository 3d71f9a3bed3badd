"""Thumbs: what the owner says of an answer, kept without a word of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from ondol import database
from ondol.confidence import outcomes as module
from ondol.confidence.outcomes import NotingRecorder, Outcomes
from ondol.errors import UsageError
from ondol.place import Place
from ondol.types import (
    Along,
    Answer,
    Confidence,
    Decision,
    Label,
    Route,
    Seconds,
    Sensitivity,
    Usage,
)


def answer(ledger_id: str | None, *, model: str = "tiny", sure: float = 0.5) -> Answer:
    return Answer(
        text="secret words",
        quotes=(),
        citations=(),
        confidence=Confidence(0.7, {"mean_logprob": sure}, "tiny@1"),
        route=Route.LOCAL,
        reasons=(),
        usage=Usage(),
        seconds=Seconds(0, None, 0),
        model=model,
        ledger_id=ledger_id,
    )


@pytest.fixture
def outcomes() -> Iterator[Outcomes]:
    connection = database.connect(database.IN_MEMORY)
    with Outcomes(Place(lambda: connection)) as found:
        yield found


def test_a_thumb_makes_an_answer_a_label(outcomes: Outcomes) -> None:
    outcomes.note(answer("aaaa1111", sure=0.25), "sha256:1", "grounded")
    assert outcomes.labelled("sha256:1", "grounded") == []
    judged = outcomes.thumb("aaaa", True)
    assert (judged.ledger_id, judged.right, judged.probability) == ("aaaa1111", True, 0.7)
    (label,) = outcomes.labelled("sha256:1", "grounded")
    assert label.signals == {"mean_logprob": 0.25} and label.right
    assert outcomes.labelled("sha256:2", "grounded") == outcomes.labelled("sha256:1", "chat") == []


def test_without_an_id_the_latest_answer_is_meant(outcomes: Outcomes) -> None:
    outcomes.note(answer("aaaa1111"), "sha256:1", "grounded")
    outcomes.note(answer("bbbb2222"), "sha256:1", "grounded")
    assert outcomes.thumb(None, False).ledger_id == "bbbb2222"
    assert outcomes.counts() == [("tiny", "sha256:1", "grounded", 0, 1)]


def test_a_thumb_can_be_changed_and_taken_back(outcomes: Outcomes) -> None:
    outcomes.note(answer("aaaa1111"), "sha256:1", "grounded")
    outcomes.thumb(None, True)
    assert outcomes.thumb(None, False).right is False
    assert outcomes.thumb(None, None).right is None and outcomes.counts() == []


def test_answers_without_a_thumb_are_forgotten_in_time(
    outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNJUDGED", 3)
    outcomes.note(answer("judged00"), "sha256:1", "grounded")
    outcomes.thumb(None, True)
    for number in range(6):
        outcomes.note(answer(f"{number}aaaaaaa"), "sha256:1", "grounded")
    with pytest.raises(UsageError):
        outcomes.thumb("0aaaaaaa", True)
    assert outcomes.thumb("3aaaaaaa", True).right and outcomes.thumb("judged00", True).right


@pytest.mark.parametrize("id", ["nope", "aa", "aaaa", ""])
def test_an_answer_that_is_not_one_is_refused(outcomes: Outcomes, id: str) -> None:
    outcomes.note(answer("aaaa1111"), "sha256:1", "grounded")
    outcomes.note(answer("aaaa2222"), "sha256:1", "grounded")
    with pytest.raises(UsageError) as caught:
        outcomes.thumb(id, True)
    assert caught.value.param == "id" and "ledger" in caught.value.hint


def test_without_any_answer_there_is_nothing_to_judge(outcomes: Outcomes) -> None:
    with pytest.raises(UsageError, match="no answer yet"):
        outcomes.thumb(None, True)


def test_what_has_no_signals_or_no_entry_is_not_kept(outcomes: Outcomes) -> None:
    outcomes.note(answer(None), "sha256:1", "grounded")
    with pytest.raises(UsageError):
        outcomes.thumb(None, True)


def test_no_word_of_an_answer_is_kept() -> None:
    connection = database.connect(database.IN_MEMORY)
    Outcomes(Place(lambda: connection)).note(answer("aaaa1111"), "sha256:1", "grounded")
    (row,) = connection.execute("SELECT * FROM outcomes").fetchall()
    assert "secret" not in repr(row)


class _Recorder:
    """Gives every answer an id, and writes what comes along."""

    def __init__(self, outcomes: Outcomes) -> None:
        self.outcomes = outcomes

    def start(self, task: str) -> _Recorder:
        return self

    def finish(
        self, answer: Answer, decision: Decision, label: Label, along: Sequence[Along] = ()
    ) -> Answer:
        from dataclasses import replace

        with self.outcomes.place.writing() as connection:
            for write in along:
                write(connection, "cccc3333")
        return replace(answer, ledger_id="cccc3333")


def test_what_the_ledger_writes_down_can_be_judged(outcomes: Outcomes) -> None:
    recorder = NotingRecorder(_Recorder(outcomes), lambda name: f"digest of {name}")
    label = Label(Sensitivity.PRIVATE)
    done = recorder.start("grounded").finish(answer(None), Decision(Route.LOCAL), label)
    assert done.ledger_id == "cccc3333"
    assert outcomes.thumb(None, True).digest == "digest of tiny"


def test_home_is_not_judged_as_the_device(outcomes: Outcomes) -> None:
    from dataclasses import replace

    recorder = NotingRecorder(_Recorder(outcomes), lambda name: "digest")
    asked_home = replace(answer(None), draft=answer(None))
    recorder.start("grounded").finish(asked_home, Decision(Route.HOME), Label(Sensitivity.TRUSTED))
    with pytest.raises(UsageError):
        outcomes.thumb(None, True)


def test_words_of_the_documents_have_a_task_of_their_own(outcomes: Outcomes) -> None:
    recorder = NotingRecorder(_Recorder(outcomes), lambda name: "digest")
    label = Label(Sensitivity.PRIVATE)
    recorder.start("grounded").finish(answer(None, model=""), Decision(Route.LOCAL), label)
    assert outcomes.thumb(None, True).task == "quoted"
