"""Questions with a rule that says whether a reply is right, of whichever suite: how each is asked,
never by whom. Made by ``suites`` and ``golden``, asked by ``asking``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ondol.types import Message, Quote

Shelf = Literal["documents", "injection", "leakage"]
"""The documents that a question is asked of; each lie in one library, as the owner's do."""


@dataclass(frozen=True, slots=True)
class Said:
    """What came of an item. ``text`` is the whole answer, in the documents' own words where no
    model spoke; ``abstained`` says that it is that there is none; ``seconds`` what it took."""

    text: str
    abstained: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Item:
    """``messages`` end with the question. It is asked of the documents of ``shelf``; or answered
    from ``quotes`` as a grounded answer is; or, with neither, in a chat. ``hides`` is a path that
    the filter of the question excludes. Intervals resample whole groups."""

    id: str
    messages: tuple[Message, ...]
    is_right: Callable[[Said], bool]
    language: str = "en"
    group: str = ""
    shelf: Shelf | None = None
    quotes: tuple[Quote, ...] = ()
    hides: str = ""

    @property
    def question(self) -> str:
        return self.messages[-1].content
