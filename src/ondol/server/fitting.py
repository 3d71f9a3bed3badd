"""Chats that are longer than the model's context: what is left out, and that it is said.

Nothing is cut silently. The oldest exchanges go, whole; the system's message and everything since
the user last spoke stay, and where even that is too long the request is refused with the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fastapi.responses import Response

from ondol.errors import ContextLengthError
from ondol.types import Engine, GenerateOptions, Message, Token

HEADER = "Ondol-Truncated"

R = TypeVar("R", bound=Response)


@dataclass(slots=True)
class Forgotten:
    """What was left out so that a prompt fits: so many messages, about so many tokens."""

    messages: int = 0
    tokens: int = 0

    def __bool__(self) -> bool:
        return self.messages > 0

    def fields(self) -> Mapping[str, int]:
        """As a client is told."""
        return {"messages": self.messages, "tokens": self.tokens}

    def noted(self, response: R) -> R:
        """``response``, whose headers say it too (a dictionary, RFC 9651)."""
        if self:
            response.headers[HEADER] = f"messages={self.messages}, tokens={self.tokens}"
        return response


class FittingChat:
    """A chat that forgets its oldest exchanges until it fits, and says so in ``forgotten``."""

    def __init__(
        self,
        engine: Engine,
        messages: Sequence[Message],
        options: GenerateOptions,
        forgotten: Forgotten | None = None,
    ) -> None:
        self.forgotten = Forgotten() if forgotten is None else forgotten
        self._engine = engine
        self._messages = list(messages)
        self._options = options
        self._begun = False
        self._tokens = engine.generate(self._messages, options)

    def __iter__(self) -> Iterator[Token]:
        return self

    def __next__(self) -> Token:
        while True:
            try:
                token = next(self._tokens)
            except ContextLengthError as error:
                if self._begun or not self._forget(error.excess_tokens):
                    raise
            else:
                self._begun = True
                return token

    def meanwhile(self, work: Callable[[], None]) -> None:
        """Do ``work`` while the model is at work on its first word; perhaps never."""
        if (meanwhile := getattr(self._tokens, "meanwhile", None)) is not None:
            meanwhile(work)

    def close(self) -> None:
        """Stop the generation; any thread may."""
        self._tokens.close()  # type: ignore[attr-defined]

    def _forget(self, excess_tokens: int) -> bool:
        """Leave out exchanges of at least so many tokens, at least one; False: there is none."""
        before, lost = self.forgotten.messages, 0
        while exchange := self._oldest():
            for index in reversed(exchange):
                lost += self._engine.count_tokens(self._messages.pop(index).content)
            self.forgotten.messages += len(exchange)
            if lost >= excess_tokens:
                break
        if self.forgotten.messages == before:
            return False
        self.forgotten.tokens += lost
        self._tokens = self._engine.generate(self._messages, self._options)
        return True

    def _oldest(self) -> Sequence[int]:
        """Where the messages of the oldest exchange are. It is left out whole: many templates
        refuse a conversation that begins with an answer."""
        users = [index for index, m in enumerate(self._messages) if m.role == "user"]
        # What follows the last question belongs to it: the calls made for it, and their results.
        end = users[-1] if users else len(self._messages) - 1
        turns = [index for index in range(end) if self._messages[index].role != "system"]
        later = [n for n, index in enumerate(turns) if n and self._messages[index].role == "user"]
        return turns[: later[0]] if later else turns
