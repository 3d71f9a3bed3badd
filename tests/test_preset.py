"""Engines of made models: defaults under what a request says, and a beginning of their own."""

from __future__ import annotations

from ondol.engine.scripted import ScriptedEngine
from ondol.models.made import Made
from ondol.preset import PresetEngine, options_of
from ondol.types import GenerateOptions, Message

MADE = Made(
    system="Be brief.",
    parameters={"temperature": 0.5, "num_predict": -1, "num_ctx": 64, "seed": -1, "stop": ["x"]},
    messages=(("user", "Hi"), ("assistant", "Hello")),
)


def test_options_are_defaults_under_those_of_a_request() -> None:
    engine = ScriptedEngine(["yes"])
    preset = PresetEngine(engine, "mine:latest", MADE)
    list(preset.generate([Message("user", "?")], GenerateOptions(temperature=0.0, top_k=3)))
    asked = engine.requests[-1].options
    assert (asked.temperature, asked.top_k, asked.stop) == (0.0, 3, ("x",))
    list(preset.complete("Once", GenerateOptions(stop=("y",))))
    asked = engine.requests[-1].options
    assert (asked.temperature, asked.stop) == (0.5, ("y",))
    assert engine.requests[-1].prompt == "Once"
    assert preset.model == "mine:latest" and preset.count_tokens("a b") == 2


def test_a_conversation_begins_as_the_model_was_made_to() -> None:
    engine = ScriptedEngine(["yes"])
    preset = PresetEngine(engine, "mine:latest", MADE)
    list(preset.generate([Message("user", "?")], GenerateOptions()))
    said = [(m.role, m.content) for m in engine.requests[-1].messages]
    assert said == [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "?"),
    ]
    own = [Message("system", "Be long."), Message("user", "?")]
    list(preset.generate(own, GenerateOptions()))
    assert list(engine.requests[-1].messages) == own


def test_no_limit_and_no_seed_are_those_that_say_nothing() -> None:
    assert options_of(MADE) == GenerateOptions(temperature=0.5, stop=("x",))
    assert options_of(Made(parameters={"num_predict": 5, "seed": 2**31 + 1})) == GenerateOptions(
        max_tokens=5, seed=1
    )


class Reading(ScriptedEngine):
    """An engine that is asked to read ahead."""

    def prepare(self, messages, options=None, pin="", **how) -> str:
        self.read = messages, options, pin, how
        return "saved"


def test_what_is_read_ahead_begins_as_its_chats_do() -> None:
    engine = Reading(["yes"])
    preset = PresetEngine(engine, "mine:latest", MADE)
    assert preset.prepare is not None
    assert preset.prepare([], pin="", since="now") == "saved"
    assert (engine.read[0][0].content, engine.read[3]) == ("Be brief.", {"since": "now"})
    opening = Message("system", "Answer from the document below only.")
    preset.prepare([opening], pin="lease")
    list(preset.generate([opening, Message("user", "?")], GenerateOptions()))
    messages, options, pin, _ = engine.read
    # Letter by letter what the question's prompt begins with, and computed in the same way.
    assert messages == [opening] == list(engine.requests[-1].messages)[:1]
    assert options == engine.requests[-1].options and pin == "lease"
    assert PresetEngine(ScriptedEngine([]), "mine:latest", MADE).prepare is None
