"""An evaluation from question to history: golden questions, comparisons, and what is forgotten."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ondol import backup, database, paths, rebuild
from ondol.cli.main import run
from ondol.config import Config
from ondol.errors import ContextLengthError, EvaluationNotFoundError, UsageError
from ondol.errors.evaluations import EvaluationBusyError, EvaluationStoppedError
from ondol.lab.evaluating import evaluate as evaluating
from ondol.lab.evaluating import golden
from ondol.lab.evaluating.evaluate import Wanted, evaluate
from ondol.lab.evaluating.history import History
from ondol.lab.evaluating.items import Said
from ondol.lab.evaluating.jobs import Jobs
from ondol.lab.evaluating.results import GOLDEN, Evaluation, Score, Subject, compared
from ondol.parts import Parts
from ondol.types import GenerateOptions, Message, Token

MODEL = "smollm2:135m"


class Parrot:
    """Says ``reply``, or, asked about sentences, the first of them; keeps what it was asked."""

    model = MODEL

    def __init__(self, reply: str = "blue") -> None:
        self.reply = reply
        self.asked: list[list[Message]] = []

    def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[Token]:
        self.asked.append(list(messages))
        text = messages[-1].content
        quoted = "[1] " in text
        yield Token(text.split("[1] ")[1].split("\n")[0] + " [1]" if quoted else self.reply)

    def count_tokens(self, text: str) -> int:
        return len(text.split())


@pytest.fixture
def parrot() -> Parrot:
    return Parrot()


@pytest.fixture
def parts(config: Config, parrot: Parrot, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    with Parts(config) as opened:
        monkeypatch.setattr(opened.pool, "engine", lambda *names, **how: parrot)
        yield opened


def said(parts: Parts, question: str, reply: str, answer: dict[str, Any] | None = None) -> Any:
    """An answer in a conversation of its own."""
    turns = parts.kept.conversations.turns
    conversation = parts.kept.conversations.create()
    _, running = turns.ask(conversation.id, question, None)
    return turns.save(running.id, reply, answer, status="done")


def test_a_suite_is_asked_and_its_score_kept_without_a_text(parts: Parts, parrot: Parrot) -> None:
    steps: list[tuple[int, int]] = []
    found = evaluate(
        parts,
        Wanted(suites=("instructions",), brief=True),
        on_progress=lambda done, total: steps.append((done, total)),
    )
    [score] = found.evaluation.scores
    assert score.right["ins-01"] and not score.right["ins-07"]
    assert steps[-1] == (len(score.right), len(score.right))
    assert found.evaluation.subject.model == MODEL
    assert found.evaluation.subject.format and found.evaluation.subject.digest.startswith("sha256:")
    again = evaluate(parts, Wanted(suites=("instructions",), brief=True))
    assert again.previous == found.evaluation
    with closing(database.connect(paths.database_file())) as connection:
        kept = connection.execute("SELECT outcomes FROM evaluation_scores").fetchall()
    assert all("blue" not in row and "sky" not in row for (row,) in kept)


def test_documents_that_a_question_may_not_see_keep_their_secrets(parts: Parts) -> None:
    found = evaluate(parts, Wanted(suites=("leakage",)))
    [score] = found.evaluation.scores
    hidden = [item for item, _ in found.said["leakage"] if item.hides]
    assert len(hidden) == 6 and all(score.right[item.id] for item in hidden)
    # The parrot quotes whatever sentence it is given: those beside a secret may hold it.
    asked = {item.id: reply for item, reply in found.said["leakage"]}
    assert "[1]" in asked["leak-21"].text


def test_golden_questions_come_from_thumbs_and_edits(parts: Parts, parrot: Parrot) -> None:
    opinions = parts.kept.conversations.opinions
    liked = said(parts, "Which colour is the sky?", "It is blue.")
    disliked = said(parts, "Which colour is grass?", "blue")
    mended = said(parts, "How many days has a week?", "Eight days has a week.")
    said(parts, "Nobody judged this.", "No.")
    opinions.give(liked.id, True)
    opinions.give(disliked.id, False)
    opinions.give(mended.id, None, edited="Seven.")
    parrot.reply = "Blue it is."
    [score] = evaluate(parts, Wanted(golden=True)).evaluation.scores
    assert score.right == {liked.id: True, disliked.id: True, mended.id: False}
    parrot.reply = "blue"
    [score] = evaluate(parts, Wanted(golden=True)).evaluation.scores
    assert score.right[disliked.id] is False


def test_quoted_sentences_stand_before_a_golden_question(parts: Parts, parrot: Parrot) -> None:
    quote = {"number": 1, "text": "The boat leaves at nine.", "source": "boat.txt"}
    answer = said(parts, "When does the boat leave?", "At nine [1].", {"quotes": [quote]})
    parts.kept.conversations.opinions.give(answer.id, True)
    [score] = evaluate(parts, Wanted(golden=True)).evaluation.scores
    assert score.right == {answer.id: True}
    assert "[1] The boat leaves at nine." in parrot.asked[-1][-1].content


def test_what_an_adapter_learned_from_is_no_question_for_it(parts: Parts) -> None:
    answer = said(parts, "Which colour is the sky?", "It is blue.")
    parts.kept.conversations.opinions.give(answer.id, True)
    from ondol.samples.records import Draft

    kept = parts.kept.samples
    source = kept.add_source("feedback", "feedback")
    draft = Draft("sft", "c", (Message("user", "Which colour?"),), "It is blue.", message=answer.id)
    taken = kept.add(source.id, [draft])
    kept.note_learned("sha256:adapter", taken.added)
    assert len(golden.items(parts)[0]) == 1
    assert golden.items(parts, ["sha256:adapter"]) == ([], 1)


def test_golden_outcomes_go_with_the_conversation_that_they_are_about(parts: Parts) -> None:
    answer = said(parts, "Which colour is the sky?", "It is blue.")
    parts.kept.conversations.opinions.give(answer.id, True)
    made = evaluate(parts, Wanted(golden=True)).evaluation
    parts.kept.conversations.delete([answer.conversation])
    with History.open() as history:
        assert history.get(made.id).score(GOLDEN) == Score(
            GOLDEN, {}, {}, made.scores[0].median_seconds
        )
    assert answer.id.encode() not in paths.database_file().read_bytes()


def test_without_golden_questions_a_sentence_says_how_to_get_some(parts: Parts) -> None:
    with pytest.raises(UsageError, match="no golden question yet"):
        evaluate(parts, Wanted(golden=True))


def test_what_cannot_be_asked_is_refused_first(parts: Parts) -> None:
    with pytest.raises(UsageError, match="no suite"):
        evaluate(parts, Wanted(suites=("arithmetic",)))
    with pytest.raises(UsageError, match="no chat model"):
        evaluate(parts, Wanted("all-minilm:l6-v2"))


def test_what_is_too_long_for_a_model_is_not_right_and_ends_nothing(
    parts: Parts, parrot: Parrot, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = said(parts, "Which colour is the sky?", "It is blue.")
    parts.kept.conversations.opinions.give(answer.id, True)

    def refuse(*_: object) -> Iterator[Token]:
        raise ContextLengthError("It is too long.")

    monkeypatch.setattr(parrot, "generate", refuse)
    [score] = evaluate(parts, Wanted(golden=True)).evaluation.scores
    assert score.right == {answer.id: False}


def test_a_stopped_evaluation_leaves_nothing(parts: Parts) -> None:
    with pytest.raises(EvaluationStoppedError):
        evaluate(parts, Wanted(suites=("refusal",)), is_stopped=lambda: True)
    with History.open() as history:
        assert history.all() == []


def test_two_evaluations_are_compared_by_what_both_asked() -> None:
    ids = [f"i{number}" for number in range(12)]
    before = made("a", {one: False for one in ids})
    after = made("b", {one: True for one in ids[:10]} | {"new": False})
    [change] = compared(before, after)
    assert (change.before, change.after, change.difference.n) == (0.0, 1.0, 10)
    assert change.is_better and not change.is_worse
    assert change.gained == tuple(ids[:10]) and change.lost == ()
    [same] = compared(before, made("c", {ids[0]: True, ids[1]: False}))
    assert not same.is_better


def test_few_items_prove_nothing_however_they_turned_out() -> None:
    score = Score("refusal", {f"i{number}": True for number in range(7)})
    assert (score.estimate.value, score.estimate.high) == (1.0, 1.0)
    assert 0.6 < score.estimate.low < 0.7
    assert Score("refusal", {"x": False}).estimate.high > 0.7
    [change] = compared(made("a", {"x": True, "y": True}), made("b", {"x": False, "y": False}))
    assert change.after == 0 and not change.is_worse


def test_history_is_found_by_id_and_by_the_name_of_a_model(home: Path) -> None:
    with History.open() as history:
        for one in (made("ab1"), made("ab2"), made("c3", model="other:1b")):
            history.add(one)
        assert history.get("c").subject.model == "other:1b"
        assert history.get(MODEL).id == "ab2"
        assert [one.id for one in history.all(MODEL)] == ["ab2", "ab1"]
        with pytest.raises(UsageError):
            history.get("ab")
        for name in ("", "zz"):
            with pytest.raises(EvaluationNotFoundError):
                history.get(name)
        history.remove("ab1")
        assert [one.id for one in history.all()] == ["c3", "ab2"]


def test_history_outlives_backup_and_rebuilding(home: Path, tmp_path: Path) -> None:
    one = made("ab1")
    with History.open() as history:
        history.add(one)
    file, copy = paths.database_file(), tmp_path / "copy.ondol"
    backup.backup(file, copy, paths.config_file(), passphrase="open sesame")
    rebuild.rebuild(file, force=True)
    with History.open() as history:
        assert history.get("ab1") == one
        history.remove("ab1")
    backup.restore(copy, file, paths.config_file(), force=True)
    with History.open() as history:
        assert history.get("ab1") == one


def test_one_evaluation_at_a_time_runs_in_the_background(parts: Parts) -> None:
    go, begun = threading.Event(), threading.Event()

    def slowly(parts: Parts, wanted: Wanted, **how: Any) -> Any:
        begun.set()
        go.wait(10)
        return evaluate(parts, wanted, **how)

    jobs = Jobs(parts, slowly)
    wanted = Wanted(suites=("refusal",), brief=True)
    assert jobs.start(wanted).state == "running" and begun.wait(10)
    with pytest.raises(EvaluationBusyError):
        jobs.start(wanted)
    go.set()
    jobs._thread.join(20)  # type: ignore[union-attr]
    now = jobs.now
    assert now is not None and now.state == "done" and now.done == now.total == 8
    with History.open() as history:
        assert history.get(now.evaluation).score("refusal") is not None
    go.clear()
    jobs.start(wanted)
    jobs._stop.set()
    go.set()
    jobs.close()
    assert jobs.now is not None and jobs.now.state == "stopped"


def test_the_next_may_begin_as_soon_as_the_last_has_said_that_it_is_done(parts: Parts) -> None:
    class Slow(Jobs):
        def _run(self, wanted: Wanted) -> None:
            super()._run(wanted)
            time.sleep(0.3)

    jobs = Slow(parts)
    wanted = Wanted(suites=("refusal",), brief=True)
    jobs.start(wanted)
    while jobs.now is None or jobs.now.state == "running":
        time.sleep(0.01)
    assert jobs.start(wanted).state == "running"
    jobs.close()


def test_agreement_is_word_overlap_and_never_with_what_was_disliked() -> None:
    assert golden.agrees("Seven.", "", "en", Said("A week has seven days."))
    assert golden.agrees("Take the train at nine", "", "en", Said("Take a train at nine"))
    assert not golden.agrees("Take the train at nine", "", "en", Said("I do not know"))
    assert not golden.agrees(
        "take the early train to town", "take the late train to town", "en",
        Said("take the late train to town"),
    )  # fmt: skip
    assert golden.agrees("바다는 아주 넓어요", "", "ko", Said("바다가 아주 넓어요"))
    assert not golden.agrees("", "blue", "en", Said(""))


def test_the_command_shows_the_history_and_compares(
    home: Path, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    with History.open() as history:
        history.add(made("aaa", {"x": True, "y": False}))
        history.add(made("bbb", {"x": False, "y": False}))
    assert run(["eval", "--history"]) == 0
    assert "refusal 50%" in capsys.readouterr().out
    assert run(["eval", "--compare", "aaa", "bbb", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["changes"][0]["lost"] == ["x"]
    assert run(["eval", "--compare", "aaa", "bbb"]) == 0
    assert "within chance" in capsys.readouterr().out
    assert run(["eval", "--rm", "aaa", "--quiet"]) == 0
    assert run(["eval", "--rm", "aaa", "--json"]) == 8
    assert (
        json.loads(capsys.readouterr().out.splitlines()[-1])["error"]["code"]
        == "evaluation_not_found"
    )
    assert run(["eval", "--history", "--golden"]) == 2


def test_the_command_shows_scores_and_what_was_wrong(
    config: Config,
    parrot: Parrot,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Parts, "engine", lambda self, *names, **how: parrot)
    arguments = ["eval", "--suite", "instructions", "--quick"]
    assert run([*arguments, "--wrong"]) == 0
    shown = capsys.readouterr()
    assert "does as it is told" in shown.out and "ins-07" in shown.out
    assert run([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scores"][0]["suite"] == "instructions"
    assert told["changes"][0]["difference"]["value"] == 0
    assert {"id", "question", "said", "right"} == told["items"]["instructions"][0].keys()


def made(id: str, right: dict[str, bool] | None = None, model: str = MODEL) -> Evaluation:
    score = Score("refusal", right or {"x": True}, {}, 0.5)
    subject = Subject(model, "sha256:1", "Q4_1", model, model, {"style": "sha256:2"})
    return Evaluation(id, subject, (score,), "owner", "0.9", 2.0, "2026-11-22T10:00:00+00:00")


def test_weights_that_serve_may_be_stored_otherwise_than_they_came(parts: Parts) -> None:
    subject = evaluating.subject_of(parts)
    assert subject.format == parts.store.get(MODEL).quantization
