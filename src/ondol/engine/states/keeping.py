"""When a state is saved and when it is restored: around the requests of one pool.

A text that many requests begin with (a system message with its tools, a pinned document) is read
once, and its state kept; a request that begins so and finds no slot that holds it gets the state
into its slot first. What goes wrong costs time, never an answer: llama-server itself compares what
its slot holds with the prompt. Raises nothing of its own.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ondol.chat_dialect import messages_body
from ondol.engine.states import folder, sealing
from ondol.engine.states.heads import Head, head_of
from ondol.engine.states.identity import Identity, Name, head_tag, identify, name
from ondol.engine.states.seats import Seat, Seats, lora_in, said_in, shared
from ondol.engine.wire import Garbled, Refused
from ondol.types import GenerateOptions, Message

if TYPE_CHECKING:
    import httpx2

    from ondol.engine.process import Launch
    from ondol.engine.request import Loaded, Wire
    from ondol.engine.settings import ModelSpec

# A shorter beginning is read as quickly as its state.
LEAST_TOKENS = 256
LEAST_CHARACTERS = 200
# What llama-server reads in one go it hears nobody in, neither who cancels nor who asks besides.
# These are the batches in which it would compute all the same.
PIECE_TOKENS = 512
SEEN = 2
REMEMBERED = 256
# Two texts that begin with tokens of their own, after whatever stands before them.
PROBES = ("A", "7")

_log = logging.getLogger(__name__)
_props: WeakKeyDictionary[httpx2.Client, dict[str, Any]] = WeakKeyDictionary()


Later = Callable[["Loaded"], object]
"""What is to be done with a model once an answer is given."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A state that is kept: of how many tokens, in how many bytes; 0 where it could not be."""

    tokens: int
    size_bytes: int


class Keeping:
    """The states of one pool; ``budget_bytes`` 0: none are kept."""

    def __init__(self, budget_bytes: int) -> None:
        folder.sweep()
        self.budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, int] = OrderedDict()

    def is_due(self, head: str) -> bool:
        """Whether what begins with ``head`` was seen often enough just now to be saved."""
        with self._lock:
            seen = self._seen.get(head, 0) + 1
            self._seen[head] = seen
            self._seen.move_to_end(head)
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            return seen == SEEN


class Sitting:
    """One request's seat: taken when it says what it wants, left when the block ends. ``later`` is
    what is to be done once it has been answered."""

    def __init__(self, seats: Seats, keeping: Keeping, spec: ModelSpec, launch: Launch) -> None:
        self.keeping = keeping
        self._seats, self._spec, self._launch = seats, spec, launch
        self._seat: Seat | None = None
        self.later: Later | None = None

    def __enter__(self) -> Sitting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None
    ) -> None:
        if self._seat is not None:
            if kind is not None:
                self._seat.head = ""  # how far it came nobody knows
            self._seats.leave(self._seat)
            self._seat = None

    def place(self, wire: Wire, body: dict[str, Any], head: Head | None) -> dict[str, Any]:
        """What ``body`` needs besides to be answered in a slot of its own, which holds the state of
        ``head`` where there is one."""
        said, lora = said_in(body), lora_in(body)
        seat = self._seat = self._seat or self._seats.take(said)
        if seat is None:
            return {}
        if head is not None:
            # What another llama-server refuses here it may well answer without.
            with suppress(OSError, ValueError, Refused, Garbled):
                self._begin(wire, seat, head, body.get("lora", []), said)
        seat.held, seat.lora, seat.head = said, lora, head.said if head else ""
        return {"id_slot": seat.number}

    def stay(self, wire: Wire, body: dict[str, Any]) -> dict[str, Any]:
        """The same for one of many requests that go on from each other: the slot of the first."""
        return {"id_slot": self._seat.number} if self._seat else self.place(wire, body, None)

    def prepare(
        self, wire: Wire, head: Head, lora: list[dict[str, Any]], owner: str, since: str
    ) -> Saved:
        """Read ``head`` and keep its state, for the pin ``owner`` or for anybody (""), unless
        something was forgotten ``since`` that epoch."""
        through = self._through()
        tokens = prefix_tokens(wire, head)
        if len(tokens) < LEAST_TOKENS and not owner:
            return Saved(len(tokens), 0)
        named = self._named(wire, head, lora, tokens, owner) if through else None
        if named is not None and (kept := folder.find(named.head, str(named))):
            return Saved(len(tokens), kept.stat().st_size)
        asked: dict[str, Any] = {"prompt": tokens, "lora": lora} if lora else {"prompt": tokens}
        like = {"messages": messages_body(head.opening)} | ({"lora": lora} if lora else {})
        seat = self._seat = self._seat or self._seats.take(said_in(like)[:-2])
        if seat is None:
            return Saved(len(tokens), 0)
        if named is None and (seat.head, seat.lora) == (head.said, lora_in(asked)):
            return Saved(len(tokens), 0)  # it has just been read
        with self._set_aside(wire, seat, head, lora_in(asked), through) as is_aside:
            more = {"n_predict": 0, "cache_prompt": True, "id_slot": seat.number}
            for end in range(PIECE_TOKENS, len(tokens) + PIECE_TOKENS, PIECE_TOKENS):
                wire.ask("/completion", asked | more | {"prompt": tokens[:end]})
            size = self._save(wire, seat, named, through, since) if named and through else 0
        if not is_aside:
            seat.held, seat.lora, seat.head = said_in(like)[:-2], lora_in(asked), head.said
        return Saved(len(tokens), size)

    def _begin(
        self, wire: Wire, seat: Seat, head: Head, lora: list[dict[str, Any]], said: str
    ) -> None:
        through, key = self._through(), sealing.secret()
        if through is None or key is None or len(head.said) < LEAST_CHARACTERS:
            return
        tag = head_tag(key, self._identity(wire, lora), head.said)
        state = folder.find(tag)
        if state is None:
            since = folder.epoch() if wire.since is None else wire.since
            if self.keeping.is_due(tag + since):  # what was erased since may be saved again
                self.later = lambda again: _save_later(again, wire.options, head, lora, since)
        elif not (seat.lora == json.dumps(lora) and _goes_on(seat, head, said)):
            self._restore(wire, seat, lora, state, through)

    def _restore(
        self, wire: Wire, seat: Seat, lora: list[dict[str, Any]], state: Path, through: Path
    ) -> None:
        if lora and seat.lora != json.dumps(lora):
            # A slot forgets what it holds when its adapters change, so they change first.
            prime = {"prompt": [0], "n_predict": 0, "id_slot": seat.number, "cache_prompt": False}
            wire.ask("/completion", prime | {"lora": lora})
        try:
            with folder.lent(state, through) as file:
                _slot(wire, seat, "restore", file)
        except (Refused, ValueError, OSError) as error:
            _log.warning("A saved state was of no use and is gone: %s", type(error).__name__)
            folder.erase(lambda other: str(other) == state.name.removesuffix(folder.SEALED))

    @contextmanager
    def _set_aside(
        self, wire: Wire, seat: Seat, head: Head, lora: str, through: Path | None
    ) -> Iterator[bool]:
        """All that the seat holds is put back after the block, where it is a conversation that
        begins with ``head``: it may go on, and should not have to be read again."""
        if through is None or seat.head != head.said or seat.lora != lora:
            yield False
            return
        with ExitStack() as stack:
            is_aside = False
            with suppress(Refused, OSError):
                aside = stack.enter_context(folder.on_its_way(through))
                _slot(wire, seat, "save", aside.name)
                is_aside = True
            try:
                yield is_aside
            finally:
                if is_aside:
                    _slot(wire, seat, "restore", aside.name)

    def _save(self, wire: Wire, seat: Seat, named: Name, through: Path, since: str) -> int:
        budget = self.keeping.budget_bytes
        try:
            with folder.on_its_way(through) as written:
                _slot(wire, seat, "save", written.name)
                size = written.stat().st_size
                return size if folder.keep(written, named, budget, since) else 0
        except (Refused, OSError) as error:
            _log.warning("A state could not be saved: %s", type(error).__name__)
            return 0

    def _named(
        self, wire: Wire, head: Head, lora: list[dict[str, Any]], tokens: list[int], owner: str
    ) -> Name | None:
        key = sealing.secret()
        return (
            None if key is None else name(key, self._identity(wire, lora), head.said, tokens, owner)
        )

    def _identity(self, wire: Wire, lora: list[dict[str, Any]]) -> Identity:
        client = wire.loaded.client
        if client not in _props:
            _props[client] = wire.ask("/props")
        return identify(self._spec, self._launch, _props[client], lora)

    def _through(self) -> Path | None:
        """The folder that the process may use, if that is still the right one."""
        told = self._launch.running.states_folder
        if not (told and self.keeping.budget_bytes):
            return None
        found = folder.exchange()
        return found if found and str(found) == told.rstrip("/") else None


def _goes_on(seat: Seat, head: Head, said: str) -> bool:
    """Whether a request continues what its seat holds. Another one with the same beginning gets the
    state too: then its answer does not hang on what was asked before, in whichever batches that
    was read."""
    if seat.head != head.said or seat.held == said:
        return False
    return shared(seat.held, said) >= len(seat.held) - len('"}]]')


def prefix_tokens(wire: Wire, head: Head) -> list[int]:
    """The tokens that every prompt has which begins with ``head``."""
    from ondol.engine.chatting import opening

    found = []
    for probe in PROBES:
        prompt = opening(wire, [*head.opening, Message("user", probe)]).prompt
        body = {"content": prompt, "add_special": True, "parse_special": True}
        found.append([int(token) for token in wire.ask("/tokenize", body)["tokens"]])
    one, other = found
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    return one[:same]


def prepare(wire: Wire, messages: Sequence[Message], owner: str, since: str) -> Saved:
    """Keep the state of what a chat with ``messages`` begins with, for the pin ``owner``; see
    ``Sitting.prepare``."""
    from ondol.engine.dialect import llama_extras

    head, sitting = head_of(messages, wire.options), wire.loaded.sitting
    if head is None or sitting is None:
        return Saved(0, 0)
    lora = llama_extras(wire.options, wire.loaded.adapters).get("lora", [])
    return sitting.prepare(wire, head, lora, owner, since)


def _save_later(
    loaded: Loaded, options: GenerateOptions, head: Head, lora: list[dict[str, Any]], since: str
) -> None:
    from ondol.engine.generation import Cancellation
    from ondol.engine.request import Wire

    if loaded.sitting is not None:
        loaded.sitting.prepare(Wire(loaded, options, Cancellation()), head, lora, "", since)


def _slot(wire: Wire, seat: Seat, action: str, file: str) -> None:
    # Never left in the middle: llama-server would write the file all the same, after it is gone.
    wire.ask(f"/slots/{seat.number}?action={action}", {"filename": file}, to_its_end=True)
