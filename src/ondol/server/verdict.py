"""What is known about an answer, for clients of any dialect: headers always, an ``ondol`` object
only where a request asks for it, so that no strict client stumbles.

``Ondol-Route`` (local, home, abstain), ``Ondol-Confidence`` (a probability; absent where the model
is uncalibrated) and ``Ondol-Ledger-Id`` stand on answers in one piece. A stream begins before its
answer is known: it has the route, and what else was asked for comes with its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeVar

from fastapi.responses import Response

from ondol.json import answer_json, verdict_json
from ondol.server.streaming import Source
from ondol.types import Answer, Route, Token

ROUTE = "Ondol-Route"
CONFIDENCE = "Ondol-Confidence"
LEDGER_ID = "Ondol-Ledger-Id"
HERE: Mapping[str, str] = {ROUTE: "local"}

R = TypeVar("R", bound=Response)


class KnownLater(Mapping[str, str]):
    """The headers of a stream, looked up when they are sent."""

    def __init__(self, route: Callable[[], Route | None]) -> None:
        self._route = route

    def _now(self) -> dict[str, str]:
        route = self._route()
        return {ROUTE: route.value} if route else {}

    def __getitem__(self, name: str) -> str:
        return self._now()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())


class Replying(Iterator[Token], Protocol):
    """Tokens of a reply whose ``answer`` is there once it is known, and so its ``route``."""

    answer: Answer | None

    @property
    def route(self) -> Route | None: ...

    def close(self) -> None: ...


class Chat(Source[Token]):
    """The tokens of one reply, begun by ``start``; ``answer`` once they have ended. With ``quotes``
    it answers from documents and says from which."""

    def __init__(self, start: Callable[[], Replying], *, quotes: bool = False) -> None:
        self._reply: Replying | None = None
        self._quotes = quotes

        def begin() -> Iterator[Token]:
            self._reply = start()
            return self._reply

        super().__init__(begin)

    @property
    def answer(self) -> Answer | None:
        return self._reply.answer if self._reply else None

    @property
    def route(self) -> Route | None:
        """Who answers, once that is known."""
        return self._reply.route if self._reply else None

    @property
    def known(self) -> Mapping[str, str]:
        """The headers of a stream: what is known of the answer when its first piece goes out, for
        they are looked up no earlier."""
        return KnownLater(lambda: self.route)

    def verdict(self) -> dict[str, object]:
        """The ``ondol`` object."""
        answer = self.answer
        if answer is None:
            return {}
        told = verdict_json(answer)
        if self._quotes:
            whole = answer_json(answer)
            told |= {name: whole[name] for name in ("quotes", "citations", "model")}
        return told

    def noted(self, write: Callable[[Iterator[Token]], R]) -> Callable[[Iterator[Token]], R]:
        """``write``, whose response then has the headers."""

        def write_noted(tokens: Iterator[Token]) -> R:
            return with_headers(write(tokens), self.answer)

        return write_noted


class Later(Chat):
    """A reply that is made by ``make`` in the thread that takes its first token, so that a request
    changes threads once. Raises there what ``make`` raises."""

    def __init__(self, make: Callable[[], Chat]) -> None:
        self._made: Chat | None = None

        def begin() -> Iterator[Token]:
            self._made = make()
            return self._made

        Source.__init__(self, begin)

    @property
    def answer(self) -> Answer | None:
        return self._made.answer if self._made else None

    @property
    def route(self) -> Route | None:
        return self._made.route if self._made else None

    def verdict(self) -> dict[str, object]:
        return self._made.verdict() if self._made else {}

    def _close(self) -> None:
        if self._made is not None:
            self._made.stop()


def with_headers(response: R, answer: Answer | None) -> R:
    """``response`` with what is known of its answer."""
    if answer is not None:
        response.headers[ROUTE] = answer.route.value
        if answer.confidence is not None and answer.confidence.probability is not None:
            response.headers[CONFIDENCE] = f"{answer.confidence.probability:.4f}"
        if answer.ledger_id:
            response.headers[LEDGER_ID] = answer.ledger_id
    return response
