"""Pinned documents: answers from the whole text, read before anybody asks, gone when forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ondol import callers, paths, pinned
from ondol.ask import Event
from ondol.config import Config, load
from ondol.engine.scripted import ScriptedEngine
from ondol.engine.states import folder
from ondol.engine.states.identity import Identity
from ondol.engine.states.identity import name as name_of
from ondol.engine.states.keeping import Saved
from ondol.errors import (
    CollectionNotFoundError,
    ContextLengthError,
    DocumentNotFoundError,
    UsageError,
)
from ondol.forget import forget
from ondol.models.made import Made
from ondol.parts import Parts
from ondol.retrieval.library import Library
from ondol.types import Answer, Evidence, Route, Sensitivity
from tests.retrieval.fake_embedder import FakeEmbedder
from tests.retrieval.test_forget import found_in

LEASE = "The lease of the flat in Lime Street ends on 30 June 2031. The rent is 900 pounds a month."
GARDEN = "The garden has three apple trees, planted in 1998."


@pytest.fixture
def parts(home: Path) -> Iterator[Parts]:
    with Parts(load()) as made:
        made.use_library(Library(paths.database_file(), FakeEmbedder()))
        yield made


@pytest.fixture
def lease(tmp_path: Path, parts: Parts) -> Path:
    file = tmp_path / "lease.txt"
    file.write_text(LEASE, "utf-8")
    (tmp_path / "garden.txt").write_text(GARDEN, "utf-8")
    parts.library.add([file, tmp_path / "garden.txt"])
    return file


class Reading(ScriptedEngine):
    """An engine that is asked to read ahead."""

    def prepare(self, messages, options=None, pin: str = "", since: str | None = None) -> None:
        self.read, self.since = (messages[0].content, pin), since


class Silent:
    """A retriever that finds nothing to quote."""

    def evidence(self, question, *, where=None, history=()) -> Evidence:
        return Evidence()


class House:
    """The parts with a scripted engine in the place of the model."""

    def __init__(self, parts: Parts, *replies: str) -> None:
        self.engine_ = Reading(list(replies))
        self.retriever, self.num_quotes, self.trust = parts.retriever, 2, parts.trust

    def manner(self, model=None):
        from ondol.ask import Manner
        from ondol.types import GenerateOptions

        return Manner(GenerateOptions(max_tokens=50, adapters={"grounding": 1.0}, stop=("\n",)))

    def engine(self, model=None) -> Reading:
        return self.engine_


def asked(parts: Parts, house: House, question: str, **how) -> tuple[list[Event], Answer]:
    events = list(pinned.asked_of("lease", question, house, parts.library, **how))
    assert isinstance(events[0], Evidence) and isinstance(events[-1], Answer)
    return events, events[-1]


def test_the_whole_text_stands_first_and_the_question_last(parts: Parts, lease: Path) -> None:
    made = parts.library.pins.add(path=lease)
    assert (made.name, made.source, made.collection) == ("lease", str(lease), "")
    house = House(parts, "It ends on 30 June 2031.")
    _, answer = asked(parts, house, "When does the lease end?")
    request = house.engine_.requests[0]
    messages, options = request.messages, request.options
    assert [message.role for message in messages] == ["system", "user"]
    assert LEASE in messages[0].content and messages[0].content.startswith(pinned.INSTRUCTIONS)
    assert GARDEN not in messages[0].content
    assert messages[-1].content == "When does the lease end?"
    assert house.engine_.read == (messages[0].content, "lease")
    # An adapter has learned to read a few sentences.
    assert not options.adapters and not options.stop
    assert answer.text == "It ends on 30 June 2031."
    assert answer.route is Route.LOCAL and "pinned" in answer.reasons
    assert {quote.source for quote in answer.quotes} <= {str(lease)}
    assert answer.sensitivity is Sensitivity.PRIVATE


def test_its_label_is_that_of_all_that_was_read(parts: Parts, lease: Path) -> None:
    parts.library.collections.set_sensitivity("default", Sensitivity.PUBLIC)
    parts.library.collections.set_limit(lease, Sensitivity.PRIVATE)
    parts.library.pins.add(collection="default", name="lease")
    # Nothing of the private document is quoted; the model has read it all the same.
    house = House(parts, "Three.")
    house.retriever = Silent()
    events, answer = asked(parts, house, "How many apple trees does the garden have?")
    assert events[0].quotes == ()
    assert answer.sensitivity is Sensitivity.PRIVATE


def test_a_pinned_collection_keeps_its_pin_under_another_name(parts: Parts, lease: Path) -> None:
    parts.library.collections.create("flat", Sensitivity.PRIVATE)
    parts.library.add([lease], collection="flat")
    parts.library.pins.add(collection="flat")
    parts.library.collections.rename("flat", "home")
    assert [one.source for one in pinned.read(parts.library, "flat").documents] == [str(lease)]


def test_what_such_an_answer_is_not_is_refused(parts: Parts, lease: Path) -> None:
    parts.library.pins.add(path=lease)
    for how in ({"wanted": "home"}, {"everything": True}):
        with pytest.raises(UsageError) as refused:
            asked(parts, House(parts, "x"), "When?", **how)
        assert refused.value.param == "pinned"


def test_a_pin_is_of_something_and_has_a_name(parts: Parts, lease: Path, tmp_path: Path) -> None:
    pins = parts.library.pins
    with pytest.raises(DocumentNotFoundError, match="not in the library"):
        pins.add(path=tmp_path / "unknown.txt")
    with pytest.raises((DocumentNotFoundError, CollectionNotFoundError)):
        pins.add(collection="nowhere")
    for name in ("a/b", "x" * 101):
        with pytest.raises(UsageError):
            pins.add(path=lease, name=name)
    pins.add(path=lease)
    with pytest.raises(DocumentNotFoundError) as missing:
        pins.get("leas")
    assert "lease" in missing.value.hint
    pins.remove("lease")
    assert pins.all() == []


def test_a_document_that_is_read_anew_stays_pinned(parts: Parts, lease: Path) -> None:
    parts.library.pins.add(path=lease)
    lease.write_text(LEASE.replace("2031", "2040"), "utf-8")
    parts.library.add([lease])
    assert "2040" in pinned.read(parts.library, "lease").opening.content


def test_a_key_for_other_documents_does_not_see_a_pin(parts: Parts, lease: Path) -> None:
    parts.library.collections.create("other", Sensitivity.PRIVATE)
    parts.library.pins.add(path=lease)
    with callers.calling(callers.Caller("key:1", collections=frozenset({"other"}))):
        with pytest.raises(DocumentNotFoundError):
            pinned.read(parts.library, "lease")
        assert pinned.listed(parts.library) == []
        # Not even by a name that is nearly right.
        with pytest.raises(DocumentNotFoundError) as refused:
            pinned.read(parts.library, "leese")
        assert "lease" not in refused.value.hint


def saved(pin: str) -> Path:
    """A state of ``pin``, as a model that read it leaves one."""
    named = name_of(b"", Identity("sha256:m", "blob 1", "", "[]"), pin, [1], pin)
    state = paths.ensure(folder.directory()) / str(named)
    state.write_bytes(b"what the model made of it")
    return state


def test_what_had_the_name_of_a_pin_before_leaves_no_state(
    parts: Parts, lease: Path, tmp_path: Path
) -> None:
    pinned.pin(parts.library, lease, name="mine")
    state = saved("mine")
    pinned.pin(parts.library, tmp_path / "garden.txt", name="mine")
    assert not state.exists()


def test_a_collection_that_may_have_held_what_is_forgotten_is_read_anew(
    parts: Parts, lease: Path, tmp_path: Path
) -> None:
    parts.library.collections.create("flat", Sensitivity.PRIVATE)
    pinned.pin(parts.library, tmp_path / "garden.txt")
    pinned.pin(parts.library, collection="default", name="all")
    states = saved("garden"), saved("all")
    # The lease was in the pinned collection when that was read, and is in another now.
    parts.library.add([lease], collection="flat")
    forget(parts, [lease])
    assert [state.exists() for state in states] == [True, False]
    assert {pin.name for pin in parts.library.pins.all()} == {"garden", "all"}


def test_a_pin_of_what_the_library_has_no_more_can_be_taken_off(parts: Parts, lease: Path) -> None:
    pinned.pin(parts.library, lease)
    state = saved("lease")
    parts.library.forget([lease])
    with pytest.raises(DocumentNotFoundError):
        pinned.read(parts.library, "lease")
    pinned.unpin(parts.library, "lease")
    assert parts.library.pins.all() == [] and not state.exists()


def test_what_is_forgotten_after_it_was_looked_up_is_not_kept(parts: Parts, lease: Path) -> None:
    pinned.pin(parts.library, lease)
    found, house = pinned.read(parts.library, "lease"), House(parts)
    forget(parts, [lease])
    pinned.prepare(found, house.engine_, 4096)
    assert house.engine_.since is not None and house.engine_.since != folder.epoch()


def test_what_is_unpinned_while_it_is_read_leaves_no_state(parts: Parts, lease: Path) -> None:
    pinned.pin(parts.library, lease)

    class Unpinned(ScriptedEngine):
        """Somebody takes the pin off while it reads."""

        def prepare(self, messages, pin: str = "", since: str | None = None, **how) -> Saved:
            pinned.unpin(parts.library, pin)
            self.state = saved(pin)
            return Saved(10, self.state.stat().st_size)

    house = House(parts)
    house.engine_ = Unpinned(["It ends in June."])
    pinned.prepare(pinned.read(parts.library, "lease"), house.engine_, 4096)
    assert not house.engine_.state.exists()
    pinned.pin(parts.library, lease)
    asked(parts, house, "When does the lease end?")
    assert not house.engine_.state.exists()


def test_a_model_that_was_made_with_less_context_is_asked_for_no_more(
    parts: Parts, lease: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned.pin(parts.library, lease)
    found = SimpleNamespace(made=Made("base", parameters={"num_ctx": 262}), context_length=8192)
    monkeypatch.setattr("ondol.models.scales.of", lambda adapters, name: (found, ()))
    monkeypatch.setattr(Parts, "engine", lambda parts, model: Reading([]))
    with pytest.raises(ContextLengthError, match="262"):
        pinned.prepare_in(parts, "lease", "mine")
    found.made.parameters["num_ctx"] = 100_000
    found.context_length = 263
    with pytest.raises(ContextLengthError, match="263"):
        pinned.prepare_in(parts, "lease", "mine")


def test_what_is_too_long_for_the_model_is_said_before(parts: Parts, lease: Path) -> None:
    parts.library.pins.add(path=lease)
    found = pinned.read(parts.library, "lease")
    with pytest.raises(ContextLengthError, match="lease is"):
        pinned.prepare(found, House(parts).engine_, 260)


@pytest.mark.model
def test_a_pin_is_read_once_and_nothing_of_it_is_left_when_it_is_forgotten(
    config: Config, home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "lease.txt"
    file.write_text(f"{LEASE} The walnuts are in the cellar.", "utf-8")
    other = tmp_path / "garden.txt"
    other.write_text(GARDEN, "utf-8")
    with Parts(config) as parts:
        parts.library.add([file, other])
        for path in (file, other):
            parts.library.pins.add(path=path)
        saved = pinned.prepare_in(parts, "lease")
        pinned.prepare_in(parts, "garden")
        assert saved.size_bytes > 100_000
        (state,) = folder.owned("lease")
        # What the model made of the document's end: it stands nowhere else.
        end = state.read_bytes()[-64:]
        assert found_in(home, {end}) == {end}
        events = list(pinned.asked_of("lease", "When does it end?", parts, parts.library))
        assert events[-1].usage.cached_tokens == saved.tokens
        receipt = forget(parts, [file])
        assert receipt.states == 1
        assert found_in(home, {end, b"walnuts", str(file).encode()}) == set()
        assert [pin.name for pin in parts.library.pins.all()] == ["garden"]
        assert len(folder.owned("garden")) == 1
        pinned.unpin(parts.library, "garden")
        assert folder.used_bytes() == 0
