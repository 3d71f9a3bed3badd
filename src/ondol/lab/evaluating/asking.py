"""Asks items of a model as it serves: of documents through the whole pipeline, in a chat with what
was activated for chats; without sampling, and nothing is written down.

Built by whoever evaluates, and closed by it. Raises what retrieval and the engine raise.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from ondol.answering import gather, merge
from ondol.ask import Manner, ask
from ondol.database import IN_MEMORY
from ondol.errors import ContextLengthError
from ondol.lab.evaluating import suites
from ondol.lab.evaluating.items import Item, Said, Shelf
from ondol.parts import Parts
from ondol.prompt import abstains, build_prompt
from ondol.retrieval.filters import Filter
from ondol.train import House
from ondol.types import Answer, GenerateOptions, Message, Route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ondol.retrieval.library import Library

MOST_TOKENS = 64
"""Of a reply in a chat: what a suite asks for needs no more."""


class Asker:
    """Of one model. A context manager: the libraries of the suites' documents are in memory, and
    go with it."""

    def __init__(self, parts: Parts, model: str) -> None:
        self._parts = parts
        self._model = model
        self._shelves: dict[Shelf, Library] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for library in self._shelves.values():
            library.close()
        self._shelves.clear()

    def ask(self, item: Item) -> Said:
        """What is said to ``item``; nothing to one that is too long for the model."""
        began = time.perf_counter()
        text, abstained = "", False
        with suppress(ContextLengthError):
            text, abstained = self._answer(item)
        return Said(text, abstained, time.perf_counter() - began)

    def _answer(self, item: Item) -> tuple[str, bool]:
        if item.shelf is not None:
            return self._of_documents(item, item.shelf)
        return self._from_quotes(item) if item.quotes else self._in_chat(item)

    def _of_documents(self, item: Item, shelf: Shelf) -> tuple[str, bool]:
        house = House(self._parts, self._shelf(shelf), self._model)
        where = Filter(excluded=Filter(paths=(item.hides,))) if item.hides else None
        *_, answer = ask(item.question, house, where=where)
        assert isinstance(answer, Answer)
        return answer.text, answer.route is Route.ABSTAIN

    def _from_quotes(self, item: Item) -> tuple[str, bool]:
        manner = self._parts.manner(self._model)
        *before, asked = item.messages
        quotes = manner.given(item.quotes)
        messages = build_prompt(asked.content, quotes, before, manner.template)
        text = self._said(messages, manner, GenerateOptions())
        return text, abstains(text)

    def _in_chat(self, item: Item) -> tuple[str, bool]:
        manner = self._parts.chat_manner(self._model)
        options = GenerateOptions(max_tokens=MOST_TOKENS, temperature=0.0, think=False)
        text = self._said(item.messages, manner, options)
        return text, abstains(text)

    def _said(self, messages: Sequence[Message], manner: Manner, asked: GenerateOptions) -> str:
        engine = self._parts.engine(self._model)
        options = merge(manner.options, asked)
        return gather(list(engine.generate(messages, options))).text.strip()

    def _shelf(self, shelf: Shelf) -> Library:
        if shelf not in self._shelves:
            library = self._parts.open_library(IN_MEMORY)
            self._shelves[shelf] = library
            for name, text in suites.texts(shelf).items():
                library.add_text(name, text)
        return self._shelves[shelf]
