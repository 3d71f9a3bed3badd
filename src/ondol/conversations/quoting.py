"""Quotes of documents in answers that are kept, and how they are taken out when their document is
forgotten: from the list of quotes, and word for word from the answer itself.

What a model made of a sentence in other words stays, and so does what the owner wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from ondol import erasing
from ondol.conversations import rows
from ondol.conversations.place import Place

TAKEN_OUT = "[…]"
# Shorter ones are words that anything may hold.
LEAST_LETTERS = 12


class Quoting:
    """The quotes in the answers of all conversations."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def sources(self, message: str = "") -> set[str]:
        """The documents that are quoted, in every answer or in that of one ``message``."""
        condition, values = ("id = ?", [message]) if message else ("1", [])
        with self._place.reading() as connection:
            found = connection.execute(
                f"SELECT answer FROM messages WHERE answer IS NOT NULL AND {condition}", values
            ).fetchall()
        return {source for (answer,) in found for source in _sources(json.loads(answer))}

    def forget(self, sources: Collection[str]) -> int:
        """Take out what is quoted of ``sources``; how many quotes that were. The bytes go with the
        next erasing, or when the library is opened next."""
        names = set(sources)
        count = 0
        with self._place.writing() as connection:
            found = connection.execute(
                "SELECT id, content, answer FROM messages WHERE answer IS NOT NULL"
            ).fetchall()
            for id, content, written in found:
                answer = json.loads(written)
                if names.isdisjoint(_sources(answer)):
                    continue
                taken: list[str] = []
                answer = _without(answer, names, taken)
                count += len(taken)
                connection.execute(
                    "UPDATE messages SET content = ?, answer = ? WHERE id = ?",
                    (_cut(content, taken), rows.written(answer), id),
                )
            if count:
                erasing.begin(connection)
        return count


def _sources(answer: dict[str, Any]) -> set[str]:
    draft = answer.get("draft")
    own = {
        source
        for quote in answer.get("quotes") or ()
        for source in (quote["source"], *(quote.get("also_in") or ()))
    }
    return own | (_sources(draft) if draft else set())


def _without(answer: dict[str, Any], names: set[str], taken: list[str]) -> dict[str, Any]:
    """``answer`` without the quotes of ``names``, whose texts are added to ``taken``."""
    kept, gone = [], []
    for quote in answer.get("quotes") or ():
        if quote["source"] in names:
            gone.append(quote)
        else:
            others = [source for source in quote.get("also_in") or () if source not in names]
            kept.append({**quote, "also_in": others})
    taken += [quote["text"] for quote in gone]
    numbers = {quote["number"] for quote in gone}
    draft = answer.get("draft")
    text = _cut(answer.get("answer") or "", taken)
    is_cut = text != answer.get("answer")
    return {
        **answer,
        "answer": text,
        "quotes": kept,
        "citations": [n for n in answer.get("citations") or () if n not in numbers],
        # Its places are those of the text as it was.
        "support": []
        if is_cut
        else [
            {**one, "quote": None if one.get("quote") in numbers else one.get("quote")}
            for one in answer.get("support") or ()
        ],
        "draft": _without(draft, names, taken) if draft else None,
    }


def _cut(text: str, taken: Collection[str]) -> str:
    """``text`` without the sentences of ``taken`` that stand in it, however they are spaced."""
    for sentence in sorted(set(taken), key=len, reverse=True):
        words = sentence.split()
        if len("".join(words)) >= LEAST_LETTERS:
            text = re.sub(r"\s+".join(map(re.escape, words)), TAKEN_OUT, text)
    return text
