"""The general probe: what a reply may not be, and how likely plain words are."""

from __future__ import annotations

import json
import math

import pytest

from ondol.config import Config
from ondol.engine.scripted import ScriptedEngine
from ondol.parts import Parts
from ondol.prompt import NOT_IN_DOCUMENTS
from ondol.training.drift import (
    ALTERNATIVES,
    ChatPrompt,
    Drift,
    Probe,
    Word,
    chat,
    faults,
    load_probe,
    log_loss,
    measure_drift,
    words_of,
)
from ondol.types import Alternative, GenerateOptions, Token

TEXT = "one two three four five six seven eight nine ten eleven. Twelve, it's thirteen"


class OneWordEngine(ScriptedEngine):
    """Knows three next words; counts a token for every six letters."""

    def complete(self, prompt: str, options: GenerateOptions):
        self.asked = prompt, options
        top = (Alternative(" sea", -0.5), Alternative(" s", -1.0), Alternative(" hill", -3.0))
        return iter([Token(" sea", -0.5, top), Token("", finish_reason="length")])

    def count_tokens(self, text: str) -> int:
        return math.ceil(len(text) / 6)


class OneTokenAWord(ScriptedEngine):
    def count_tokens(self, text: str) -> int:
        return 1


def test_a_word_costs_its_own_probability_and_an_unknown_one_the_least() -> None:
    engine = OneWordEngine()
    assert log_loss(engine, Word(0, "It reaches the", " sea")) == 0.5
    assert log_loss(engine, Word(0, "It reaches the", " hill")) == 3.0
    assert log_loss(engine, Word(0, "It reaches the", " zebra")) == 3.0
    prompt, options = engine.asked
    assert prompt == "It reaches the"
    assert (options.max_tokens, options.logprobs) == (1, ALTERNATIVES)


def test_a_word_where_the_model_would_end_costs_much_and_not_infinitely_much() -> None:
    class Ends(OneWordEngine):
        def complete(self, prompt: str, options: GenerateOptions):
            return iter([Token("", finish_reason="stop")])

    assert 10 < log_loss(Ends(), Word(0, "The week is over.", " We")) < math.inf


def test_words_are_whole_single_tokens_with_their_text_before_them() -> None:
    words = words_of(TEXT, OneWordEngine(), source=3)
    assert [word.text for word in words] == [" nine", " ten"]
    assert all(TEXT.startswith(word.before + word.text) for word in words)
    assert {word.source for word in words} == {3}


def test_a_long_text_is_sampled_evenly() -> None:
    words = words_of("word " * 500, ScriptedEngine())
    assert 10 <= len(words) <= 16
    assert len(words[-1].before) > 2000


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("The capital is Paris.", ()),
        ("", ("empty", "short", "fact")),
        ("...", ("empty", "fact")),
        ("Paris [1]", ("marks",)),
        (NOT_IN_DOCUMENTS["en"], ("abstains", "fact")),
        (NOT_IN_DOCUMENTS["ko"], ("abstains", "fact")),
        ("The capital is Lyon.", ("fact",)),
    ],
)
def test_faults_of_a_reply_are_named(reply: str, expected: tuple[str, ...]) -> None:
    prompt = ChatPrompt("What is the capital of France?", expect=("paris",))
    assert faults(prompt, reply, load_probe().abstentions) == expected


def test_a_fragment_is_too_short_for_a_story() -> None:
    assert faults(ChatPrompt("Tell me a story.", words=5), "A cat [1].", ()) == ("marks", "short")


def test_the_same_engine_twice_does_not_drift() -> None:
    probe = Probe((TEXT, TEXT), (ChatPrompt("Hello?"), ChatPrompt("Capital?", expect=("x",))), ())
    told = []
    engine = ScriptedEngine({"Hello": "Hello to you", "Capital": "Rome"})
    drift = measure_drift(engine, engine, probe, lambda done, total: told.append((done, total)))
    assert drift.loss_difference.value == 0
    assert drift.perplexity_on == drift.perplexity_off
    assert drift.chat_passed == (1, 1)
    assert drift.length_ratio == 1
    assert told[-1] == (len(told), len(told)) and len(told) == 2 * (len(drift.words) + 2)


def test_an_adapter_that_abstains_and_clips_is_seen() -> None:
    probe = Probe((), (ChatPrompt("Tell me a story.", words=5),), ())
    off = ScriptedEngine(["Once there was a very small cat."])
    on = ScriptedEngine([NOT_IN_DOCUMENTS["en"]])
    drift = measure_drift(off, on, probe)
    assert drift.chat_passed == (1, 0)
    assert drift.as_dict()["chat_faults_on"] == {"Tell me a story.": ["abstains", "short"]}
    assert drift.length_ratio == pytest.approx(4 / 7)


def test_a_brief_probe_costs_less_than_half_and_still_has_everything() -> None:
    whole = load_probe()
    brief = whole.brief()
    assert len(brief.texts) == len(whole.texts)
    assert all(w.startswith(b) for b, w in zip(brief.texts, whole.texts, strict=True))
    assert sum(map(len, brief.texts)) < 0.5 * sum(map(len, whole.texts))
    assert all(len(words_of(text, OneTokenAWord())) >= 10 for text in brief.texts)
    assert 2 * len(brief.prompts) == len(whole.prompts)
    assert {prompt.language for prompt in brief.prompts} == {"en", "ko"}
    assert {bool(prompt.expect) for prompt in brief.prompts} == {True, False}
    assert brief.abstentions == whole.abstentions


def test_what_was_not_measured_is_null_in_json() -> None:
    nothing = Drift((), (), (), ()).as_dict()
    assert nothing["perplexity_off"] is None
    assert "NaN" not in json.dumps(nothing)


def test_the_probe_that_comes_along_has_both_languages_and_facts() -> None:
    probe = load_probe()
    assert len(probe.prompts) == 20
    assert {prompt.language for prompt in probe.prompts} == {"en", "ko"}
    assert sum(bool(prompt.expect) for prompt in probe.prompts) >= 8
    assert all("\n" not in text and len(text.split()) > 80 for text in probe.texts)


@pytest.mark.model
def test_the_serving_engine_finds_a_plain_word_likelier_than_a_strange_one(config: Config) -> None:
    with Parts(config) as parts:
        engine = parts.engine()
        before = "I drank a cup of coffee and then another cup of"
        likely, strange = (log_loss(engine, Word(0, before, w)) for w in (" coffee", " roof"))
        assert 0 < likely < 3 < strange
        assert chat(engine, "What do bees make?")
