"""The data of the grounding adapter: documents written for Ondol, and reading sets the owner has.

What is trained on and what is measured on never share an article. See grounding/DATA_CARD.md.
Raises ``TrainingError`` for data that cannot be read.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training.conduct import MOSTLY, hangul_share
from ondol.training.dataset import Question, SourceDocument, read_documents
from ondol.training.lora import LoraConfig, Schedule

HELD_OUT_EVERY = 10
SPLIT_SEED = 7

HARD_NEGATIVES = 0.05
MOST_ABSTENTIONS = 0.16
# So many passes over so many examples are an hour of two cores. What people ask teaches more than
# what was written for Ondol, but lists, yes or no, and what is not there are only in ours.
MOST_QUESTIONS = 7600
MOST_LEARNED_WHOLE = 3000
LEAST_OURS = 1500
# What of a sentence names it: the answer, with this many characters on either side.
AROUND_THE_ANSWER = 24
SENTENCE_ENDS = re.compile(r"[.?!;:]\s|\n")
# Layers that do not learn need no gradient: a step costs less (benchmarks/training: both).
LORA = LoraConfig(r=16, lora_alpha=32, first_layer=10)
LAYERS = 30  # of smollm2:135m, which LORA is for
SCHEDULE = Schedule(epochs=0.92, batch_size=4, learning_rate=8e-4, checks=4, patience=2)


def own_documents() -> list[SourceDocument]:
    """What was written for Ondol, all of it."""
    documents = []
    for file in sorted(files("ondol.training").joinpath("grounding").iterdir(), key=str):
        if file.name.endswith(".jsonl"):
            with as_file(file) as path:
                documents += read_documents(path)
    return documents


def reading_set(folder: Path) -> list[SourceDocument]:
    """A set in the form of SQuAD's paragraphs: ``passages.jsonl`` (id, title, text) and
    ``questions.jsonl`` (question, answers, passage). Articles are groups."""
    try:
        passages = {p["id"]: p for p in _lines(folder / "passages.jsonl")}
        questions: dict[str, list[Question]] = {id: [] for id in passages}
        for fields in _lines(folder / "questions.jsonl"):
            text = passages[fields["passage"]]["text"]
            answers = [a for a in fields["answers"] if a and a in text]
            if answers:
                shortest = min(answers, key=len)
                question = Question(fields["question"], shortest, (shortest,))
                questions[fields["passage"]].append(question)
        return [
            SourceDocument(
                id=f"{folder.name}/{id}",
                text=passage["text"],
                language=passage.get("language", "en"),
                questions=tuple(questions[id]),
                title=passage["title"],
                group=passage["title"],
            )
            for id, passage in passages.items()
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            t("training.data_unreadable", file=folder, reason=error), t("training.data_hint")
        ) from error


def learned_whole(file: Path) -> list[SourceDocument]:
    """A file in SQuAD's own form (``{"data": [{"title", "paragraphs": [{"context", "qas"}]}]}``),
    nothing of which is measured on: all its paragraphs, with a sample of ``MOST_LEARNED_WHOLE`` of
    their questions."""
    return sample(paragraphs(file), MOST_LEARNED_WHOLE)


def paragraphs(file: Path) -> list[SourceDocument]:
    """All of a file in SQuAD's own form. A question that it says cannot be answered has no
    answer."""
    try:
        articles = json.loads(file.read_text("utf-8"))["data"]
        return [
            SourceDocument(
                id=f"{file.stem}/{a}/{p}",
                text=paragraph["context"],
                language="ko" if hangul_share(paragraph["context"]) >= MOSTLY else "en",
                questions=tuple(_asked(qa, paragraph["context"]) for qa in paragraph["qas"]),
                title=article["title"],
                group=article["title"],
            )
            for a, article in enumerate(articles)
            for p, paragraph in enumerate(article["paragraphs"])
        ]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise TrainingError(
            t("training.data_unreadable", file=file, reason=error), t("training.data_hint")
        ) from error


def lessons(documents: Sequence[SourceDocument]) -> list[SourceDocument]:
    """All that was given beside ours, and of ours a sample that makes it ``MOST_QUESTIONS``, at
    least ``LEAST_OURS``."""
    ours = [document for document in documents if not document.group]
    others = [document for document in documents if document.group]
    left = MOST_QUESTIONS - sum(len(d.questions) for d in others)
    return others + sample(ours, max(left, LEAST_OURS))


def sample(documents: Sequence[SourceDocument], most: int) -> list[SourceDocument]:
    """``documents`` with at most ``most`` of their questions, the same ones every time."""
    places = [(d, q) for d, one in enumerate(documents) for q in range(len(one.questions))]
    if len(places) <= most:
        return list(documents)
    kept = set(random.Random(SPLIT_SEED).sample(places, max(most, 0)))
    return [
        replace(
            document,
            questions=tuple(q for i, q in enumerate(document.questions) if (d, i) in kept),
        )
        for d, document in enumerate(documents)
    ]


def _asked(fields: dict[str, Any], context: str) -> Question:
    """The proof is the answer with what stands around it in its sentence: by itself it may stand in
    several."""
    if fields.get("is_impossible") or not fields["answers"]:
        return Question(fields["question"], None, kind="unanswerable")
    answer = min(fields["answers"], key=lambda one: len(one["text"]))
    text, start = answer["text"], answer["answer_start"]
    if not text.strip() or context[start : start + len(text)] != text:
        raise ValueError(f"not at {start}: {text!r}")
    before = SENTENCE_ENDS.split(context[max(start - AROUND_THE_ANSWER, 0) : start])[-1]
    after = SENTENCE_ENDS.split(context[start + len(text) :][:AROUND_THE_ANSWER])[0]
    return Question(fields["question"], text, (before + text + after,))


class Split(NamedTuple):
    """``train`` is learned from; ``validation`` picks the weights and calibrates; ``test`` is only
    measured on. No article is in two of them."""

    train: list[SourceDocument]
    validation: list[SourceDocument]
    test: list[SourceDocument]


def split(*sets: Sequence[SourceDocument], whole: Sequence[SourceDocument] = ()) -> Split:
    """Where each document belongs; those of ``whole`` are for training, but for articles that are
    measured.

    Of our own every tenth (its id ends in a number that ten divides) is held out, in turn for
    validation and for the test. Of a reading set every second article of a fixed shuffle is for the
    test. Each set is split by itself, so that what is measured in one does not change with the
    others; an article that two have in common is measured if it is in either.
    """
    unseen = {title for one in sets for title in unseen_titles({d.group for d in one if d.group})}
    parts = Split([d for d in whole if d.group not in unseen], [], [])
    for document in (document for one in sets for document in one):
        ending = document.id.rpartition("-")[2]
        tenth, rest = divmod(int(ending) if ending.isdecimal() else 1, HELD_OUT_EVERY)
        if document.group:
            (parts.test if document.group in unseen else parts.train).append(document)
        elif rest:
            parts.train.append(document)
        else:
            (parts.validation if tenth % 2 else parts.test).append(document)
    return parts


def unseen_titles(titles: Iterable[str]) -> list[str]:
    """The articles of a reading set that are never trained on."""
    shuffled = sorted(titles)
    random.Random(SPLIT_SEED).shuffle(shuffled)
    return shuffled[1::2]


def fitted(config: LoraConfig, layers: int) -> LoraConfig:
    """``config``, which is meant for ``LAYERS``, for a base of ``layers``: the same share stays."""
    return replace(config, first_layer=config.first_layer * layers // LAYERS)


def facts(documents: Sequence[SourceDocument]) -> dict[str, int]:
    """Documents and questions by language, for an adapter's manifest."""
    counted: dict[str, int] = {"documents": len(documents)}
    for document in documents:
        key = f"questions_{document.language}"
        counted[key] = counted.get(key, 0) + len(document.questions)
    return counted


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").split("\n") if line.strip()]
