"""An answer on its way to a client: any thread may stop it, whoever generates at that moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from ondol.ask import Event, Manner, ask
from ondol.engine.generation import Cancellation, Cancelled
from ondol.parts import Parts
from ondol.pinned import asked_of
from ondol.server.streaming import Source, StoppedError
from ondol.trust import Trust
from ondol.types import Engine, GenerateOptions, Home, HomeState, Label, Message, Retriever, Token


class Asking:
    """One run of ``ask`` that any thread may close, even while the engine reads the prompt. Home is
    there for it only while ``may_ask_home``; ``loading`` is how the model is loaded. With
    ``pinned`` it answers from what is pinned by that name, as a whole."""

    def __init__(
        self,
        parts: Parts,
        question: str,
        redact: bool | None = None,
        may_ask_home: Callable[[], bool] = lambda: True,
        loading: Mapping[str, Any] = MappingProxyType({}),
        pinned: str | None = None,
        **how: Any,
    ) -> None:
        self._parts = parts
        self._may_ask_home = may_ask_home
        self._loading = loading
        self._redact = bool(parts.config["routing.redact"] if redact is None else redact)
        self._tokens: Source[Token] | None = None
        self._reading = Cancellation()
        self._closed = False
        self._events = ask(question, self, **how)
        if pinned is not None:
            self._events = asked_of(pinned, question, self, parts.library, **how)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        return next(self._events)

    def close(self) -> None:
        self._closed = True
        self._reading.cancel()
        if self._tokens is not None:
            self._tokens.stop()
        self._events.close()  # type: ignore[attr-defined]

    @property
    def retriever(self) -> Retriever:
        return self._parts.retriever

    @property
    def num_quotes(self) -> int:
        return self._parts.num_quotes

    def manner(self, model: str | None = None) -> Manner:
        return self._parts.manner(model)

    def engine(self, model: str | None = None) -> Engine:
        return _Watched(self._parts.engine(model, **self._loading), self._watch, self._reading)

    @property
    def trust(self) -> Trust:
        trust = self._parts.oversight.trust_for(redact=self._redact)
        if trust.home is None:
            return trust
        return replace(trust, home=_WatchedHome(trust.home, self._watch, self._may_ask_home))

    def _watch(self, start: Callable[[], Iterator[Token]]) -> Iterator[Token]:
        self._tokens = Source(start)
        if self._closed:
            self._tokens.stop()
        return self._tokens


class _Watched:
    """An engine whose generation somebody else holds on to, and what it reads ahead of it."""

    def __init__(
        self,
        engine: Engine,
        watch: Callable[[Callable[[], Iterator[Token]]], Iterator[Token]],
        reading: Cancellation,
    ) -> None:
        self._engine = engine
        self._watch = watch
        self.model = engine.model
        self.complete = engine.complete
        self.count_tokens = engine.count_tokens
        reads = getattr(engine, "prepare", None)
        self.prepare = reads and partial(_ending, partial(reads, cancellation=reading))

    def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[Token]:
        return self._watch(lambda: self._engine.generate(messages, options))


def _ending(reads: Callable[..., Any], *what: Any, **how: Any) -> Any:
    try:
        return reads(*what, **how)
    except Cancelled:
        raise StoppedError from None


class _WatchedHome:
    """A home whose generation somebody else holds on to."""

    def __init__(
        self,
        home: Home,
        watch: Callable[[Callable[[], Iterator[Token]]], Iterator[Token]],
        is_there: Callable[[], bool],
    ) -> None:
        self._home = home
        self._watch = watch
        self._is_there = is_there

    def state(self) -> HomeState | None:
        return self._home.state() if self._is_there() else None

    def generate(
        self, messages: Sequence[Message], options: GenerateOptions, *, label: Label
    ) -> Iterator[Token]:
        return self._watch(lambda: self._home.generate(messages, options, label=label))
