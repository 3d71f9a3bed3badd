"""A request and its slot, with a process that refuses what is asked of its slots: answers come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ondol.chat_dialect import messages_body
from ondol.engine import llama
from ondol.engine.llama import LlamaEngine
from ondol.engine.request import Loaded
from ondol.engine.scoring import score_tokens
from ondol.engine.states import folder, keeping
from ondol.engine.states.heads import head_of
from ondol.engine.states.identity import Identity
from ondol.engine.states.keeping import Keeping, Sitting
from ondol.engine.states.seats import Seats
from ondol.engine.wire import Refused
from ondol.types import GenerateOptions, Message

LONG = Message("system", "Answer from this list only. " * 20)


class Process:
    """Answers nothing about its slots; keeps what it was asked."""

    def __init__(self) -> None:
        self.seats = Seats(2)
        self.asked: list[tuple[str, Any]] = []
        self.options = GenerateOptions()
        self.since: str | None = None
        self.cancellation = SimpleNamespace(check=lambda: None)
        self.loaded = SimpleNamespace(client=self, adapters=(), sitting=self.sitting())

    def sitting(self) -> Sitting:
        told = SimpleNamespace(running=SimpleNamespace(states_folder=folder.given(1)))
        return Sitting(self.seats, Keeping(1 << 20), SimpleNamespace(), told)

    def ask(self, path: str, body: Any = None, **how: Any) -> dict[str, Any]:
        self.asked.append((path, body))
        if path == "/completion":
            token = body["logit_bias"][0][0] if "logit_bias" in body else 0
            one = {"id": token, "bytes": [65], "logprob": -1.0, "top_logprobs": []}
            return {"completion_probabilities": [one]}
        if path == "/detokenize":
            return {"content": "A"}
        if path.endswith("save"):
            (Path(folder.given(1)) / body["filename"]).write_bytes(b"a whole conversation")
            return {}
        raise Refused(501, {})


def test_a_request_is_answered_by_a_server_that_says_nothing_of_itself() -> None:
    process = Process()
    with process.loaded.sitting as sitting:
        body = {"messages": [LONG.content]}
        assert sitting.place(process, body, head_of([LONG], process.options)) == {"id_slot": 0}
    assert [path for path, _ in process.asked] == ["/props"]


def test_a_request_that_keeps_nothing_has_no_beginning_to_keep() -> None:
    assert head_of([LONG], GenerateOptions()) is not None
    assert head_of([LONG], GenerateOptions(keeps_nothing=True)) is None


def test_every_token_that_is_scored_is_asked_of_one_slot() -> None:
    process = Process()
    other = process.seats.take("")
    with process.loaded.sitting:
        score_tokens(process, [5, 6, 7])
        slots = [body["id_slot"] for path, body in process.asked if path == "/completion"]
        assert slots == [1, 1] and other is not None and other.number == 0
        assert process.seats.take("") is None
    assert process.seats.take("") is not None


def test_a_conversation_that_was_set_aside_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    process, head = Process(), head_of([LONG], GenerateOptions())
    assert head is not None
    monkeypatch.setattr(keeping, "prefix_tokens", lambda wire, head: list(range(300)))
    monkeypatch.setattr(Sitting, "_identity", lambda *given: Identity("m", "f", "", ""))
    with process.loaded.sitting as sitting:
        sitting.place(process, {"messages": messages_body([LONG])}, head)
    with pytest.raises(Refused), process.sitting() as sitting:
        sitting.prepare(process, head, [], "", folder.epoch())
    assert any(path.endswith("restore") for path, _ in process.asked)
    assert not list(folder.directory().glob("passing-*"))


def test_what_is_forgotten_while_a_request_waits_is_known_by_its_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited = []

    @contextmanager
    def lease(*given: object) -> Iterator[Loaded]:
        folder.erase_all_but(set())
        yield Loaded(SimpleNamespace(), lambda seconds: RuntimeError(), 0.0)

    def chat(wire: Any, messages: Any) -> Iterator[Any]:
        waited.append(wire.since)
        yield from ()

    monkeypatch.setattr(llama, "chat", chat)
    folder.erase_all_but(set())
    before = folder.epoch()
    list(LlamaEngine("m", lease).generate([LONG], GenerateOptions()))
    assert waited == [before] and before != folder.epoch()
