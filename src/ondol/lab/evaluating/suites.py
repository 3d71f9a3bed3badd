"""The suites that come with Ondol: small, written for it, in English and Korean (see
suites/DATA_CARD.md).

Knows what is asked and what is right; asks nobody. Nothing is ever trained on them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.resources import as_file, files
from typing import Any

from ondol.lab.evaluating import checks
from ondol.lab.evaluating.items import Item, Said, Shelf
from ondol.lab.evaluating.leaking import leaks
from ondol.training.conduct import load_probe, refuses
from ondol.training.dataset import SourceDocument, read_documents
from ondol.training.evaluation import holds
from ondol.types import Message

BRIEF_EVERY = 3
"""Of a suite that is only to be looked at briefly, every third item is asked."""
PRIVATE = "private"
"""The folder of documents that no question of theirs may see."""


def load(name: str) -> tuple[Item, ...]:
    """The items of the suite ``name``, one of ``SUITES``."""
    return _loaded(name)


def brief(items: Sequence[Item]) -> tuple[Item, ...]:
    """Some of them, spread over all."""
    return tuple(items[::BRIEF_EVERY])


def texts(shelf: Shelf) -> dict[str, str]:
    """The documents of ``shelf``, by their names."""
    if shelf == "documents":
        return {document.id: document.text for document in _documents()}
    if shelf == "injection":
        return {row["id"]: row["text"] for row in _rows("injection")}
    return {
        f"{PRIVATE}/{row['id']}" if row["kind"] == "document" else row["id"]: row["given"]
        for row in _rows("leakage")
        if row["kind"] in ("document", "quoted")
    }


@cache
def _loaded(name: str) -> tuple[Item, ...]:
    return tuple(SUITES[name]())


@cache
def _documents() -> tuple[SourceDocument, ...]:
    with as_file(files("ondol.lab.evaluating") / "suites" / "documents.jsonl") as path:
        return tuple(read_documents(path))


def _rows(name: str) -> list[dict[str, Any]]:
    text = (files("ondol.lab.evaluating") / "suites" / f"{name}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def _asked(*texts: str) -> tuple[Message, ...]:
    """A question, after what the system says where there are two texts."""
    roles = ("system", "user")[-len(texts) :]
    return tuple(Message(role, text) for role, text in zip(roles, texts, strict=True))  # type: ignore[arg-type]


def _of_documents(*languages: str, answerable: bool) -> list[Item]:
    found = []
    for document in _documents():
        for number, question in enumerate(document.questions, start=1):
            if (question.answer is not None) != answerable or document.language not in languages:
                continue
            rule = partial(_holds, (question.answer,)) if question.answer else _abstains
            found.append(
                Item(
                    f"{document.id}-{number}",
                    _asked(question.text),
                    rule,
                    document.language,
                    document.id,
                    shelf="documents",
                )
            )
    return found


def _instructions() -> list[Item]:
    return [
        Item(
            row["id"],
            _asked(row["prompt"]),
            partial(_passes, row["checks"]),
            row["language"],
            row["id"],
        )
        for row in _rows("instructions")
    ]


def _refusal() -> list[Item]:
    rule = partial(_refuses, load_probe().refusals)
    return [
        Item(
            row["id"],
            _asked(row["prompt"]),
            partial(rule, row["kind"] == "harmful"),
            row["language"],
            row["id"],
        )
        for row in _rows("refusal")
    ]


def _injection() -> list[Item]:
    return [
        Item(
            row["id"],
            _asked(row["question"]),
            partial(_avoids, tuple(row["avoid"])),
            row["language"],
            row["id"],
            shelf="injection",
        )
        for row in _rows("injection")
    ]


def _leakage() -> list[Item]:
    found = []
    for row in _rows("leakage"):
        is_asked = row["kind"] in ("document", "quoted")
        texts = (row["prompt"],) if is_asked else (row["given"], row["prompt"])
        found.append(
            Item(
                row["id"],
                _asked(*texts),
                partial(_keeps, row["secret"]),
                row["language"],
                row["id"],
                shelf="leakage" if is_asked else None,
                hides=PRIVATE if row["kind"] == "document" else "",
            )
        )
    return found


def _holds(answers: tuple[str, ...], said: Said) -> bool:
    return not said.abstained and holds(said.text, answers)


def _abstains(said: Said) -> bool:
    return said.abstained


def _passes(rules: dict[str, Any], said: Said) -> bool:
    return checks.passes(said.text, rules)


def _refuses(refusals: tuple[str, ...], wanted: bool, said: Said) -> bool:
    return bool(said.text.strip()) and refuses(said.text, refusals) == wanted


def _avoids(unwanted: tuple[str, ...], said: Said) -> bool:
    return not holds(said.text, unwanted)


def _keeps(secret: str, said: Said) -> bool:
    return not leaks(said.text, secret)


SUITES: dict[str, Callable[[], list[Item]]] = {
    "grounded-en": lambda: _of_documents("en", answerable=True),
    "grounded-ko": lambda: _of_documents("ko", answerable=True),
    "abstention": lambda: _of_documents("en", "ko", answerable=False),
    "instructions": _instructions,
    "refusal": _refusal,
    "injection": _injection,
    "leakage": _leakage,
}
"""In the order in which they are asked and shown."""
