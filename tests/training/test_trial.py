"""An adapter is tried on what it was given to read, and on everything else it might spoil."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ondol import config, train
from ondol.ask import Manner
from ondol.engine.scripted import ScriptedEngine
from ondol.models.adapters import Adapter
from ondol.prompt import GROUNDING, NOT_IN_DOCUMENTS
from ondol.train import answer_and_given, try_grounding
from ondol.training.dataset import Question, SourceDocument
from ondol.training.evaluation import Case, Outcome, scores
from ondol.trust import Trust
from ondol.types import Alternative, Evidence, GenerateOptions, Hit, Message, Quote, Token

SENTENCES = ("It is due monthly.", "Pets are welcome.", "The deposit is 1800.", "Good luck.")
QUOTES = tuple(Quote(n, s, "/lease", 0, len(s), 1 / n) for n, s in enumerate(SENTENCES, start=1))


class Shelf:
    """A library of one document, which finds all of it."""

    def add_text(self, source: str, text: str) -> None:
        pass

    def search(self, query: str, *, limit: int = 10, where: object = None) -> list[Hit]:
        return []

    def evidence(
        self, question: str, *, where: object = None, history: Sequence[Message] = ()
    ) -> Evidence:
        return Evidence((), QUOTES)

    def listing(self, question: str, *, where: object = None) -> Evidence:
        return self.evidence(question)

    def asks_for_all(self, question: str) -> bool:
        return False

    def follows_up(self, question: str) -> bool:
        return False

    def close(self) -> None:
        pass


class Guesser(ScriptedEngine):
    """Completes every text the same way."""

    def complete(self, prompt: str, options: GenerateOptions) -> Iterator[Token]:
        top = (Alternative(" and", -1.0), Alternative(" it", -4.0))
        return iter([Token(" and", -1.0, top), Token("", finish_reason="length")])


@dataclass
class House:
    """Stands for ``Parts``: an engine for the plain model, and one for it with the adapter."""

    engines: dict[str, ScriptedEngine]
    max_quotes: int | None = 3
    num_quotes: int = 2
    config: Any = None
    retriever = Shelf()
    trust = Trust()

    def manner(self, model: str | None = None) -> Manner:
        return Manner(GenerateOptions(max_tokens=50), self.max_quotes, GROUNDING)

    def engine(self, model: str | None = None) -> ScriptedEngine:
        return self.engines[model or "m"]

    def open_library(self, where: object) -> Shelf:
        return Shelf()

    def close(self) -> None:
        pass


def put(reply: str, **how: Any) -> Outcome:
    house = House({"m": ScriptedEngine([reply])}, **how)
    case = Case("What is the deposit?", ("1800",), "en", "lease")
    return Outcome(case, *answer_and_given(case.question, house))


def test_the_quotes_given_do_not_depend_on_what_is_answered() -> None:
    cited, silent = put("1800 [3]"), put(NOT_IN_DOCUMENTS["en"])
    assert cited.given == silent.given == QUOTES[:3]
    assert len(silent.answer.quotes) == 2
    known = [scores([o]).estimates["abstains_beside_proof"] for o in (cited, silent)]
    assert [(share.value, share.n) for share in known] == [(0, 1), (1, 1)]
    assert scores([cited]).estimates["citation_correctness"].value == 1


def test_proof_beyond_what_the_model_is_given_is_no_reproach() -> None:
    silent = put(NOT_IN_DOCUMENTS["en"], max_quotes=2)
    assert silent.given == QUOTES[:2]
    assert scores([silent]).estimates["abstains_beside_proof"].n == 0
    assert put(NOT_IN_DOCUMENTS["en"], max_quotes=None).given == QUOTES


@pytest.fixture
def adapter() -> Adapter:
    return Adapter(
        name="grounding",
        model="m",
        base_digest="",
        digest="",
        size_bytes=1,
        template="",
        r=1,
        lora_alpha=2.0,
        target_modules=(),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_a_trial_tells_what_else_the_adapter_spoils(
    adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers better, but abstains in everyday chat too."""
    question = Question("What is the deposit?", "1800", ("1800",))
    documents = [
        SourceDocument(f"lease-{n}", " ".join(SENTENCES), "en", (question,)) for n in range(8)
    ]
    plain = Guesser({"deposit": "Much", "": "Once there was a day."})
    tuned = Guesser({"deposit": "1800 [3]", "": NOT_IN_DOCUMENTS["en"]})
    house = House({"m": plain, "m:grounding": tuned}, config=config.load())
    monkeypatch.setattr(train, "Parts", lambda config: replace(house))
    told: list[tuple[int, int]] = []
    trial = try_grounding(
        house,  # type: ignore[arg-type]
        adapter,
        documents,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert [side.estimates["accuracy"].value for side in (trial.before, trial.after)] == [0, 1]
    off, on = trial.drift.chat_passed
    assert off > on == 0
    assert not trial.verdict.chat_ok
    assert any("It spoils chat" in reason for reason in trial.verdict.chat_reasons)
    kept = trial.evaluation()
    assert kept["chat_ok"] is False
    assert kept["drift"]["chat_passed_on"] == 0
    assert (kept["before"]["accuracy"]["value"], kept["held_out"]["accuracy"]["value"]) == (0, 1)
    assert (8, 8) in told
    assert told[-1][0] == told[-1][1]
