"""Documents and questions to what a model is trained on: a prompt as it is really sent, a reply.

The evidence is what retrieval finds, not what it should have found: where it missed the sentence
that holds the answer, the honest reply is that these documents do not say, and that is what the
model learns. Reads JSON lines; raises ``TrainingError`` for a line it cannot use.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.prompt import NOT_IN_DOCUMENTS, Template, build_prompt
from ondol.types import Message, Quote


@dataclass(frozen=True, slots=True)
class Question:
    """``answer`` is None when the document does not hold one; each fragment of ``support`` stands
    word for word in one sentence that proves the answer."""

    text: str
    answer: str | None
    support: tuple[str, ...] = ()
    kind: str = "span"


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A text with the questions asked about it; ``group`` never crosses a split."""

    id: str
    text: str
    language: str
    questions: tuple[Question, ...]
    title: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation and the reply to learn. ``abstains`` marks the honest "not here"."""

    messages: tuple[Message, ...]
    reply: str
    abstains: bool
    language: str
    group: str


def read_documents(file: Path) -> list[SourceDocument]:
    """The documents of a JSON lines file; see the data card for the fields."""
    documents = []
    try:
        # Not splitlines: it also splits at characters that may stand inside a JSON string.
        lines = file.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(
            t("training.data_unreadable", file=file, reason=error), t("training.data_hint")
        ) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            documents.append(_document(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                t("training.data_line", file=file, line=number, reason=error),
                t("training.data_hint"),
            ) from error
    return documents


def build_examples(
    documents: Iterable[SourceDocument],
    evidence: Callable[[str], Sequence[Quote]],
    template: Template,
    *,
    seed: int,
    hard_negatives: float = 0.0,
    most_abstentions: float = 1.0,
) -> list[Example]:
    """One example a question that ``evidence`` finds anything for, shuffled by ``seed``.

    Of the answerable ones the share ``hard_negatives`` comes a second time with the sentences that
    prove the answer taken away, so that the right reply is that it is not there. Abstentions are
    then thinned to ``most_abstentions`` of all.
    """
    rng = random.Random(seed)
    examples: list[Example] = []
    for document, question in _questions(documents):
        quotes = evidence(question.text)
        if not quotes:
            continue  # the pipeline says so by itself, and asks no model
        numbers = proof(document, question, quotes)
        examples.append(_example(document, question, quotes, numbers, template))
        if numbers and rng.random() < hard_negatives:
            rest = without_proof(document, question, quotes)
            if rest:
                examples.append(_example(document, question, rest, (), template))
    rng.shuffle(examples)
    return _thinned(examples, most_abstentions)


def proof(document: SourceDocument, question: Question, quotes: Sequence[Quote]) -> tuple[int, ...]:
    """The numbers of the quotes that prove the answer, ascending; () when one is missing."""
    numbers = set()
    for fragment in question.support:
        found = [q.number for q in quotes if q.source == document.id and _in(fragment, q.text)]
        if not found:
            return ()
        numbers.add(found[0])
    return tuple(sorted(numbers)) if question.answer is not None else ()


def without_proof(
    document: SourceDocument, question: Question, quotes: Sequence[Quote]
) -> tuple[Quote, ...]:
    """``quotes`` without those that prove the answer, or hold it by chance, numbered anew."""
    answer = question.answer or ""
    kept = [
        q
        for q in quotes
        if not any(_in(fragment, q.text) for fragment in question.support)
        and not (len(answer) > len("yes") and _in(answer, q.text))
    ]
    return tuple(replace(q, number=i) for i, q in enumerate(kept, start=1))


def _example(
    document: SourceDocument,
    question: Question,
    quotes: Sequence[Quote],
    numbers: Sequence[int],
    template: Template,
) -> Example:
    if numbers:
        reply = f"{question.answer} {''.join(f'[{n}]' for n in numbers)}"
    else:
        # In the language of the question: a Korean asks about an English document in Korean.
        hangul = any("가" <= character <= "힣" for character in question.text)
        reply = NOT_IN_DOCUMENTS["ko" if hangul else "en"]
    return Example(
        messages=tuple(build_prompt(question.text, quotes, template=template)),
        reply=reply,
        abstains=not numbers,
        language=document.language,
        group=document.group or document.id,
    )


def _thinned(examples: Sequence[Example], most: float) -> list[Example]:
    """Drop the last abstentions above the share ``most``; the order stays."""
    answers = sum(not example.abstains for example in examples)
    room = len(examples) if most >= 1.0 else int(most * answers / (1.0 - most))
    kept = []
    for example in examples:
        if example.abstains:
            if room == 0:
                continue
            room -= 1
        kept.append(example)
    return kept


def _questions(
    documents: Iterable[SourceDocument],
) -> Iterator[tuple[SourceDocument, Question]]:
    for document in documents:
        for question in document.questions:
            yield document, question


def _document(fields: dict[str, Any]) -> SourceDocument:
    json.dumps(fields, ensure_ascii=False).encode()  # half a character (\ud800) has no UTF-8
    document = SourceDocument(
        id=str(fields["id"]),
        text=str(fields["text"]),
        language=str(fields["language"]),
        title=str(fields.get("title", "")),
        group=str(fields.get("group", "")),
        questions=tuple(
            Question(q["question"], q["answer"], _fragments(q["support"]), q["kind"])
            for q in fields["questions"]
        ),
    )
    for question in document.questions:
        if not (question.answer is None or (isinstance(question.answer, str) and question.answer)):
            raise ValueError(f"neither an answer nor null: {question.answer!r}")
        if (question.answer is None) != (not question.support):
            raise ValueError(f"answer without support, or support without answer: {question.text}")
        for fragment in question.support:
            if fragment not in document.text:
                raise ValueError(f"not in the text: {fragment}")
    return document


def _fragments(support: object) -> tuple[str, ...]:
    """A word is a sequence of letters too, and nothing stands in every text: neither is meant."""
    if not isinstance(support, list) or not all(isinstance(x, str) and x.strip() for x in support):
        raise ValueError(f"support is not a list of texts: {support!r}")
    return tuple(support)


def _in(fragment: str, text: str) -> bool:
    return " ".join(fragment.split()).casefold() in " ".join(text.split()).casefold()
