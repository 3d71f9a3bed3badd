"""THE pipeline: quotes first, then the model's words, then one honest answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ondol.answering import can_read, merge
from ondol.ask import Event, Manner, ask
from ondol.config import Config
from ondol.database import IN_MEMORY
from ondol.engine.scripted import ScriptedEngine
from ondol.errors import EngineCrashedError
from ondol.json import answer_json, evidence_json, hit_json
from ondol.parts import Parts
from ondol.prompt import GROUNDING, build_prompt
from ondol.trust import Trust
from ondol.types import (
    Answer,
    Chunk,
    Evidence,
    GenerateOptions,
    Hit,
    Message,
    Quote,
    Route,
    Sensitivity,
    Token,
)

QUOTES = tuple(
    Quote(n, text, "/notes.md", 0, len(text), 3.0 - n)
    for n, text in enumerate(
        ["Rent is 900.", "It is due monthly.", "The deposit is 1800."], start=1
    )
)


@dataclass
class FixedRetriever:
    quotes: tuple[Quote, ...]
    asked: list[tuple[str, int]] = field(default_factory=list)

    def search(self, query: str, *, limit: int = 10, where: Any = None) -> list[Hit]:
        return []

    def evidence(
        self, question: str, *, where: Any = None, history: Sequence[Message] = ()
    ) -> Evidence:
        self.asked.append((question, len(history)))
        return Evidence((), self.quotes)

    def listing(self, question: str, *, where: Any = None) -> Evidence:
        return Evidence((), self.quotes, is_listing=True)

    def asks_for_all(self, question: str) -> bool:
        return question.startswith("List all")

    def follows_up(self, question: str) -> bool:
        return question.startswith("And")


@dataclass
class ScriptedParts:
    """The smallest house that can answer."""

    scripted: ScriptedEngine
    quotes: tuple[Quote, ...] = QUOTES
    num_quotes: int = 2

    max_quotes: int | None = None
    trust: Trust = field(default_factory=Trust)
    asked: list[tuple[str, int]] = field(default_factory=list)
    is_personal: bool = False
    margin: float | None = None

    def manner(self, model: str | None = None) -> Manner:
        options = GenerateOptions(max_tokens=50)
        return Manner(options, self.max_quotes, is_personal=self.is_personal, margin=self.margin)

    @property
    def retriever(self) -> FixedRetriever:
        return FixedRetriever(self.quotes, self.asked)

    def engine(self, model: str | None = None) -> ScriptedEngine:
        return self.scripted


def answer_of(events: list[Event]) -> Answer:
    assert isinstance(events[-1], Answer)
    return events[-1]


def test_evidence_comes_before_any_token_and_the_answer_last() -> None:
    events = list(ask("What is the rent?", ScriptedParts(ScriptedEngine(["It is 900 [1]."]))))
    assert isinstance(events[0], Evidence)
    assert all(isinstance(event, Token) for event in events[1:-1])
    answer = answer_of(events)
    assert (answer.text, answer.citations, answer.route) == ("It is 900 [1].", (1,), Route.LOCAL)
    assert answer.text == "".join(e.text for e in events[1:-1] if isinstance(e, Token))
    assert answer.seconds.first_token is not None
    assert answer.seconds.retrieve <= answer.seconds.first_token <= answer.seconds.total


def test_answer_shows_the_best_quotes_and_whatever_else_is_cited() -> None:
    answer = answer_of(list(ask("Deposit?", ScriptedParts(ScriptedEngine(["1800 [3], [9]."])))))
    assert [quote.number for quote in answer.quotes] == [1, 2, 3]
    assert answer.citations == (3,)


def test_a_sentence_that_the_model_never_saw_cannot_be_cited() -> None:
    house = ScriptedParts(ScriptedEngine(["1800 [3]."]), max_quotes=2)
    assert answer_of(list(ask("Deposit?", house))).citations == ()


def test_what_is_far_behind_the_best_sentence_is_shown_but_not_read() -> None:
    quotes = tuple(
        replace(quote, score=score) for quote, score in zip(QUOTES, (2.0, 1.5, 1.4), strict=True)
    )
    engine = ScriptedEngine(["900 [1]."])
    answer = answer_of(list(ask("Rent?", ScriptedParts(engine, quotes, margin=0.4))))
    read = engine.requests[0].messages[-1].content
    assert "[1]" in read and "[2]" not in read
    assert [quote.number for quote in answer.quotes] == [1, 2]


def test_nothing_relevant_is_said_and_no_model_is_asked() -> None:
    engine = ScriptedEngine(["I invent something."])
    events = list(ask("What?", ScriptedParts(engine, quotes=())))
    answer = answer_of(events)
    assert (answer.route, answer.reasons, answer.quotes) == (Route.ABSTAIN, ("no_evidence",), ())
    assert "nothing" in answer.text
    assert len(events) == 2
    assert engine.requests == []


@pytest.mark.parametrize(
    ("question", "everything"), [("List all rents.", False), ("What is the rent?", True)]
)
def test_all_there_is_is_quoted_and_no_model_is_asked(question: str, everything: bool) -> None:
    engine = ScriptedEngine(["I would leave some out."])
    evidence, answer = list(ask(question, ScriptedParts(engine), everything=everything))
    assert isinstance(evidence, Evidence)
    assert isinstance(answer, Answer)
    assert evidence.is_listing
    assert [quote.number for quote in answer.quotes] == [1, 2, 3]
    assert (answer.route, answer.reasons, answer.model) == (Route.LOCAL, ("listing",), "")
    assert "3" in answer.text
    assert "1" in answer.text
    assert engine.requests == []


def test_a_list_in_one_sentence_is_answered_as_any_question() -> None:
    engine = ScriptedEngine(["900 [1]."])
    answer = answer_of(list(ask("List all rents.", ScriptedParts(engine, quotes=QUOTES[:1]))))
    assert answer.text == "900 [1]."


def test_everything_of_nothing_is_said() -> None:
    parts = ScriptedParts(ScriptedEngine(["x"]), quotes=())
    assert answer_of(list(ask("Rents?", parts, everything=True))).reasons == ("no_evidence",)


def test_question_that_points_back_is_searched_with_what_was_said() -> None:
    parts = ScriptedParts(ScriptedEngine(["1800 [3]."]))
    history = [Message("user", "Rent?"), Message("assistant", "900 [1]")]
    list(ask("And the deposit?", parts, history=history))
    list(ask("What is the deposit?", parts, history=history))
    list(ask("And the deposit?", parts))
    assert parts.asked == [
        ("And the deposit?", 2),
        ("What is the deposit?", 0),
        ("And the deposit?", 0),
    ]


@pytest.mark.parametrize(
    ("written", "searched"),
    [
        ("How much is the deposit?", ("How much is the deposit?", 0)),
        ("", ("And the deposit?", 2)),
    ],
)
def test_large_model_makes_the_question_stand_alone(
    written: str, searched: tuple[str, int]
) -> None:
    engine = ScriptedEngine([written, "1800 [3]."])
    parts = ScriptedParts(engine)
    parts.manner = lambda model=None: Manner(GenerateOptions(), rewrites=True)  # type: ignore[method-assign]
    history = [Message("user", "Rent?"), Message("assistant", "900 [1]")]
    answer = answer_of(list(ask("And the deposit?", parts, history=history)))
    assert parts.asked == [searched]
    assert "assistant: 900 [1]" in engine.requests[0].prompt
    assert answer.text == "1800 [3]."


def test_engine_is_given_the_evidence_the_history_and_the_merged_options() -> None:
    engine = ScriptedEngine(["Yes."])
    history = [Message("user", "Hello"), Message("assistant", "Hi")]
    options = GenerateOptions(seed=7)
    list(ask("Rent?", ScriptedParts(engine), history=history, options=options))
    (request,) = engine.requests
    assert request.messages[1:3] == tuple(history)
    assert "[3] The deposit is 1800." in request.prompt
    assert (request.options.seed, request.options.max_tokens) == (7, 50)


@pytest.mark.parametrize(
    ("words", "cited"),
    [
        ("Not in these documents.", ()),
        ("Not in these documents. [3]", (3,)),
        ("이 문서들에는 없습니다.", ()),
    ],
)
def test_model_that_finds_no_answer_abstains_and_the_nearest_quotes_are_shown(
    words: str, cited: tuple[int, ...]
) -> None:
    events = list(ask("Who lives there?", ScriptedParts(ScriptedEngine([words]))))
    answer = answer_of(events)
    assert (answer.text, answer.route, answer.reasons) == (
        words, Route.ABSTAIN, ("not_in_evidence",)
    )  # fmt: skip
    assert [quote.number for quote in answer.quotes] == [1, 2, *cited]
    assert answer.model == "scripted"
    assert answer.usage.completion_tokens > 0
    assert answer_json(answer)["route"] == "abstain"


def test_model_is_asked_in_the_layout_of_its_manner() -> None:
    engine = ScriptedEngine(["900 [1]"])
    parts = ScriptedParts(engine)
    parts.manner = lambda model=None: Manner(GenerateOptions(), template=GROUNDING)  # type: ignore[method-assign]
    list(ask("Rent?", parts))
    (request,) = engine.requests
    assert list(request.messages) == build_prompt("Rent?", QUOTES, template=GROUNDING)


@dataclass
class OpenRetriever(FixedRetriever):
    """Takes every question for one about all quotes but the second."""

    def evidence(
        self, question: str, *, where: Any = None, history: Sequence[Message] = ()
    ) -> Evidence:
        found = super().evidence(question, where=where, history=history)
        return replace(found, on_topic=(1, 3))


class OpenParts(ScriptedParts):
    @property
    def retriever(self) -> FixedRetriever:
        return OpenRetriever(self.quotes, self.asked)


def open_parts(engine: ScriptedEngine, **manner: Any) -> OpenParts:
    parts = OpenParts(engine)
    parts.manner = lambda model=None: Manner(GenerateOptions(), **manner)  # type: ignore[method-assign]
    return parts


def test_an_open_request_is_answered_by_what_the_documents_say_of_it() -> None:
    engine = ScriptedEngine(["Not in these documents."])
    answer = answer_of(list(ask("Tell me about rent", open_parts(engine, template=GROUNDING))))
    assert answer.text == "Rent is 900. [1]\nThe deposit is 1800. [3]"
    assert (answer.citations, answer.route) == ((1, 3), Route.LOCAL)
    assert [quote.number for quote in answer.quotes] == [1, 2, 3]
    assert (answer.reasons[0], answer.model, answer.confidence) == ("open_request", "", None)
    assert engine.requests == []


@pytest.mark.parametrize("manner", [{}, {"template": GROUNDING, "is_personal": True}])
def test_a_model_that_talks_or_was_taught_by_its_owner_answers_an_open_request(
    manner: dict[str, Any],
) -> None:
    engine = ScriptedEngine(["All about the rent [1]."])
    answer = answer_of(list(ask("Tell me about rent", open_parts(engine, **manner))))
    assert answer.text == "All about the rent [1]."


def test_an_open_request_that_wants_a_shape_is_answered_in_it() -> None:
    engine = ScriptedEngine(['{"rent": 900}'])
    options = GenerateOptions(json_schema={"type": "object"})
    parts = open_parts(engine, template=GROUNDING)
    answer = answer_of(list(ask("Tell me about rent", parts, options=options)))
    assert answer.text == '{"rent": 900}'


def test_an_open_request_in_a_language_that_the_model_cannot_read() -> None:
    class Byte(ScriptedEngine):
        def count_tokens(self, text: str) -> int:
            return len(text.encode())

    answer = answer_of(list(ask("창고의 임대료에 대해 알려줘", open_parts(Byte(["noise"])))))
    assert answer.text == "Rent is 900. [1]\nThe deposit is 1800. [3]"
    assert answer.reasons[0] == "model_language"


def test_the_answer_names_the_adapter_that_gave_it() -> None:
    parts = ScriptedParts(ScriptedEngine(["900 [1]"]))
    parts.manner = lambda model=None: Manner(GenerateOptions(), model="scripted:grounding")  # type: ignore[method-assign]
    assert answer_of(list(ask("Rent?", parts))).model == "scripted:grounding"


def test_options_of_a_request_keep_the_adapter_unless_they_name_one() -> None:
    defaults = GenerateOptions(adapters={"grounding": 1.0})
    assert merge(defaults, GenerateOptions(seed=1)).adapters == {"grounding": 1.0}
    other = GenerateOptions(adapters={"style": 0.5})
    assert merge(defaults, other).adapters == {"style": 0.5}


def test_crash_in_mid_answer_reaches_the_caller_after_the_tokens() -> None:
    events: list[Event] = []
    with pytest.raises(EngineCrashedError):
        for event in ask("Rent?", ScriptedParts(ScriptedEngine(["one two three"], fail_after=2))):
            events.append(event)
    assert [e.text for e in events if isinstance(e, Token)] == ["one", " two"]


def test_language_the_model_cannot_read_is_answered_in_the_documents_words() -> None:
    class Byte(ScriptedEngine):
        def count_tokens(self, text: str) -> int:
            return len(text.encode())

    engine = Byte(["어렵지만 어렵지만"])
    events = list(ask("새 창고의 임대료는 얼마인가요?", ScriptedParts(engine)))
    answer = answer_of(events)
    assert (answer.text, answer.citations) == ("Rent is 900. [1]", (1,))
    assert (answer.route, answer.reasons, answer.model) == (Route.LOCAL, ("model_language",), "")
    assert engine.requests == []
    assert answer_of(list(ask("What is the naïve rent?", ScriptedParts(engine)))).model


def test_model_that_gets_few_quotes_sees_only_the_best() -> None:
    engine = ScriptedEngine(["Yes."])
    list(ask("Rent?", ScriptedParts(engine, max_quotes=2)))
    assert "[2]" in engine.requests[0].prompt
    assert "[3]" not in engine.requests[0].prompt


@pytest.mark.parametrize("words", ["The answer is:", "[1]. [2].", "", " \n", "…", "[2]:"])
def test_model_that_says_nothing_leaves_the_word_to_the_documents(words: str) -> None:
    answer = answer_of(list(ask("Rent?", ScriptedParts(ScriptedEngine([words])))))
    assert (answer.text, answer.reasons) == ("Rent is 900. [1]", ("model_said_nothing",))
    assert answer.model == ""


@pytest.mark.parametrize("words", ["3", "네", "Yes: 900", "It is 900 [1]:."])
def test_short_answers_are_answers(words: str) -> None:
    assert answer_of(list(ask("Rent?", ScriptedParts(ScriptedEngine([words]))))).text == words


def test_closing_the_answer_closes_the_engine() -> None:
    closed = []

    class Watched(ScriptedEngine):
        def generate(self, messages: object, options: object) -> Iterator[Token]:  # type: ignore[override]
            try:
                yield Token("a")
                yield Token("b")
            finally:
                closed.append(True)

    events = ask("Rent?", ScriptedParts(Watched()))
    next(events)
    next(events)
    events.close()  # type: ignore[attr-defined]
    assert closed == [True]


def test_merge_takes_what_is_given_and_keeps_the_rest() -> None:
    defaults = GenerateOptions(max_tokens=96, temperature=0.0, stop=("x",))
    given = GenerateOptions(temperature=0.7, top_k=5)
    assert merge(defaults, None) is defaults
    assert merge(defaults, given) == replace(defaults, temperature=0.7, top_k=5)


def test_evidence_is_as_private_as_its_strictest_quote() -> None:
    public = [replace(quote, sensitivity=Sensitivity.PUBLIC) for quote in QUOTES]
    assert Evidence((), tuple(public)).sensitivity is Sensitivity.PUBLIC
    trusted = replace(QUOTES[0], sensitivity=Sensitivity.TRUSTED)
    assert Evidence((), (*public, trusted)).sensitivity is Sensitivity.TRUSTED
    assert Evidence((), (*public, QUOTES[0])).sensitivity is Sensitivity.PRIVATE


def test_json_of_an_answer_has_the_documented_shape() -> None:
    answer = answer_of(list(ask("Rent?", ScriptedParts(ScriptedEngine(["900 [1]."])))))
    document = answer_json(answer)
    assert list(document) == [
        "answer", "quotes", "citations", "confidence", "route", "reasons", "model", "usage",
        "seconds", "sensitivity", "support", "draft", "cost", "ledger_id",
    ]  # fmt: skip
    assert document["confidence"] is None
    assert document["route"] == "local"
    assert set(document["seconds"]) == {"retrieve", "first_token", "total"}
    assert {"text", "source", "start", "end", "page"} <= set(document["quotes"][0])
    assert evidence_json(Evidence((), QUOTES))["quotes"][2]["number"] == 3


def test_json_of_a_hit_has_the_documented_shape() -> None:
    hit = Hit(Chunk("text", 0, 4, source="/x.md", page=2), 0.5, 1)
    expected = {"source": "/x.md", "start": 0, "end": 4, "score": 0.5, "text": "text", "page": 2}
    assert expected.items() <= hit_json(hit).items()


@pytest.mark.model
def test_real_model_answers_from_a_real_file(config: Config, tmp_path: Path) -> None:
    (tmp_path / "boiler.md").write_text("The boiler was serviced on 14 March 2031 by Mr. Hale.\n")
    with Parts(config) as parts:
        library = parts.open_library(IN_MEMORY)
        library.add([tmp_path / "boiler.md"])
        parts.use_library(library)
        events = list(ask("When was the boiler serviced?", parts))
        answer = answer_of(events)
        assert "14 March 2031" in answer.quotes[0].text
        assert "2031" in answer.text
        assert answer.usage.prompt_tokens > 20
        assert answer.model.startswith("smollm2:135m")
        again = answer_of(list(ask("When was the boiler serviced?", parts)))
        assert again.text == answer.text
        assert [model.name for model in parts.pool.loaded()] == ["smollm2:135m"]
        assert not can_read(parts.engine(), "보증금은 얼마인가요?")
        assert can_read(parts.engine(), "Où est la bibliothèque de l'université, s'il vous plaît ?")
        assert can_read(parts.engine(), "What does café mean?")
