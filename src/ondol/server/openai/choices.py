"""Several answers to one request, given one after the other, as one source that can be stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from fastapi.responses import Response

from ondol.server.streaming import Source
from ondol.server.verdict import Chat, KnownLater, with_headers
from ondol.types import Token

R = TypeVar("R", bound=Response)

Numbered = tuple[int, Token]


class Choices(Source[Numbered]):
    """The tokens of the chats that ``make`` makes, in the thread that takes the first of them; each
    with the number of its own. What is known of an answer is said of the first. Raises there what
    ``make`` raises."""

    def __init__(self, make: Callable[[], Sequence[Chat]]) -> None:
        self._make = make
        self._chats: Sequence[Chat] = ()
        super().__init__(self._begin)

    def _begin(self) -> Iterator[Numbered]:
        self._chats = self._make()
        return self._all()

    def _close(self) -> None:
        # Before our own generator, which may be waiting in one of them.
        for chat in self._chats:
            chat.stop()
        super()._close()

    @property
    def known(self) -> Mapping[str, str]:
        """The headers of a stream."""
        return KnownLater(lambda: self._chats[0].route if self._chats else None)

    def verdict(self) -> dict[str, object]:
        """The ``ondol`` object."""
        return self._chats[0].verdict() if self._chats else {}

    def noted(self, write: Callable[[Iterator[Numbered]], R]) -> Callable[[Iterator[Numbered]], R]:
        """``write``, whose response then has the headers."""
        return lambda tokens: with_headers(write(tokens), self._chats[0].answer)

    def _all(self) -> Iterator[Numbered]:
        for number, chat in enumerate(self._chats):
            for token in chat:
                yield number, token
