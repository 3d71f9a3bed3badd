"""What is known about an answer, for clients of any dialect: headers always, an ``ondol`` object
only where a request asks for it, so that no strict client stumbles.

``Ondol-Route`` (local, home, abstain), ``Ondol-Confidence`` (a probability; absent where the model
is uncalibrated) and ``Ondol-Ledger-Id`` stand on answers in one piece. A stream begins before its
answer is known: it has the route, and what else was asked for comes with its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from fastapi.responses import Response

from ondol.chat import Reply, Start
from ondol.json import verdict_json
from ondol.parts import Parts
from ondol.server.streaming import Source
from ondol.types import Answer, GenerateOptions, Message, Token, Wanted

ROUTE = "Ondol-Route"
CONFIDENCE = "Ondol-Confidence"
LEDGER_ID = "Ondol-Ledger-Id"
HERE: Mapping[str, str] = {ROUTE: "local"}

R = TypeVar("R", bound=Response)


class Chat(Source[Token]):
    """The tokens of one reply; ``answer`` once they have ended."""

    def __init__(
        self,
        parts: Parts,
        model: str,
        messages: list[Message],
        options: GenerateOptions,
        start: Start,
        wanted: Wanted = "here",
    ) -> None:
        self._reply: Reply | None = None

        def begin() -> Iterator[Token]:
            self._reply = Reply(start, messages, options, parts.trust, model, wanted)
            return self._reply

        super().__init__(begin)

    @property
    def answer(self) -> Answer | None:
        return self._reply.answer if self._reply else None

    def verdict(self) -> dict[str, object]:
        """The ``ondol`` object."""
        return verdict_json(self.answer) if self.answer else {}

    def noted(self, write: Callable[[Iterator[Token]], R]) -> Callable[[Iterator[Token]], R]:
        """``write``, whose response then has the headers."""

        def write_noted(tokens: Iterator[Token]) -> R:
            return with_headers(write(tokens), self.answer)

        return write_noted


def with_headers(response: R, answer: Answer | None) -> R:
    """``response`` with what is known of its answer."""
    if answer is not None:
        response.headers[ROUTE] = answer.route.value
        if answer.confidence is not None and answer.confidence.probability is not None:
            response.headers[CONFIDENCE] = f"{answer.confidence.probability:.4f}"
        if answer.ledger_id:
            response.headers[LEDGER_ID] = answer.ledger_id
    return response
