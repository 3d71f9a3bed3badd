"""Calibrations put together from the parts of the house: questions with known answers through the
pipeline, their signals, and a calibrator that knows from them when the model is right.

A question file is JSON lines: ``question``, ``answers`` (every one that is right; none where the
right answer is that the documents do not say), and ``document`` to keep questions together. Raises
what retrieval and the engine raise, and ``CalibrationError``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ondol.answering import gather
from ondol.ask import ask
from ondol.confidence import learning
from ondol.confidence.calibration import Labelled
from ondol.confidence.judge import CalibratedJudge
from ondol.confidence.learning import Change
from ondol.database import IN_MEMORY
from ondol.errors import CalibrationError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.retrieval.library import Library
from ondol.train import House
from ondol.training.evaluation import fold, holds
from ondol.trust import LOGPROBS, Trust
from ondol.types import Answer, Evidence, Message, Route, Task

OnProgress = Callable[[int, int], None]

MOST_CHAT_TOKENS = 128
THUMBS = "thumbs"


class Known(NamedTuple):
    """A question with the answers that are right, and what it belongs to."""

    question: str
    answers: tuple[str, ...]
    group: str = ""


@dataclass(frozen=True, slots=True)
class _JudgedHouse(House):
    """A house whose answers carry their signals; nothing is written down."""

    judge: CalibratedJudge | None = None

    @property
    def trust(self) -> Trust:
        return Trust(judge=self.judge)


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def read_questions(file: Path) -> list[Known]:
    """The questions of ``file``. Raises ``CalibrationError`` for a line that is none."""
    found = []
    try:
        lines = file.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(
            t("confidence.questions_unreadable", file=file, reason=_reason(error)),
            t("confidence.questions_hint"),
        ) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            answers = fields["answers"]
            if not isinstance(answers, list) or not all(isinstance(a, str) and a for a in answers):
                raise ValueError("answers")
            question = str(fields["question"]).strip()
            if not question:
                raise ValueError("question")
            group = fields.get("group") or fields.get("document") or ""
            found.append(Known(question, tuple(answers), str(group)))
        except (ValueError, KeyError, TypeError) as error:
            raise CalibrationError(
                t("confidence.question_line", file=file, line=number, reason=error),
                t("confidence.questions_hint"),
            ) from error
    return found


def from_documents(
    parts: Parts,
    judge: CalibratedJudge,
    questions: Sequence[Known],
    documents: Sequence[Path] = (),
    on_progress: OnProgress | None = None,
) -> dict[str, list[Labelled]]:
    """Every question asked of ``documents`` (of the owner's library, when there are none), by the
    name of the model that answered; "" are answers in the documents' own words. What retrieval
    finds nothing for is judged by nobody, and left out."""
    library = _library(parts, documents) if documents else parts.library
    house = _JudgedHouse(parts, library, parts.config["models.chat"], judge)
    found: dict[str, list[Labelled]] = {}
    try:
        for done, known in enumerate(questions, start=1):
            *_, answer = ask(known.question, house)
            assert isinstance(answer, Answer)
            if answer.confidence is not None:
                labelled = Labelled(answer.confidence.signals, is_right(answer, known), known.group)
                found.setdefault(answer.model, []).append(labelled)
            if on_progress is not None:
                on_progress(done, len(questions))
    finally:
        if documents:
            library.close()
    return found


def from_chat(
    parts: Parts,
    judge: CalibratedJudge,
    questions: Sequence[Known],
    on_progress: OnProgress | None = None,
) -> dict[str, list[Labelled]]:
    """Every question asked of the chat model alone."""
    manner = parts.chat_manner()
    name, engine = manner.model, parts.engine()
    options = replace(
        manner.options, max_tokens=MOST_CHAT_TOKENS, temperature=0.0, logprobs=LOGPROBS
    )
    found = []
    for done, known in enumerate(questions, start=1):
        said = gather(list(engine.generate([Message("user", known.question)], options)))
        confidence = judge.judge(known.question, Evidence(), (), said, model=name, task="chat")
        right = holds_word(said.text, known.answers)
        found.append(Labelled(confidence.signals, right, known.group))
        if on_progress is not None:
            on_progress(done, len(questions))
    return {name: found} if found else {}


def is_right(answer: Answer, known: Known) -> bool:
    """Whether the answer's own words hold one that is right; for a question without one, whether it
    says so."""
    if not known.answers:
        return answer.route is Route.ABSTAIN
    return answer.route is not Route.ABSTAIN and holds(answer.text, known.answers)


def holds_word(text: str, answers: Iterable[str]) -> bool:
    """Whether one of ``answers`` stands in ``text`` as words of its own: "4" is not in "14". Where
    particles cling to words, as in Korean, they may."""
    folded = fold(text)
    return any(
        re.search(rf"(?<![a-z0-9]){re.escape(fold(answer))}(?![a-z0-9])", folded)
        for answer in answers
    )


def learn(
    judge: CalibratedJudge, labelled: Sequence[Labelled], model: str, task: str, source: str
) -> Change:
    """What ``judge`` learns about ``model`` from ``labelled``; kept when it is better. A calibrator
    that the owner's own labels made is replaced: it may have been fitted on the same ones."""
    digest = judge.identify(model)
    shipped = judge.calibrators.find(digest, task, shipped=True)
    change = learning.learn(labelled, shipped, model=model, digest=digest, task=task, source=source)
    used = judge.calibrators.find(digest, task)
    if used is not None and used.source == source:
        probabilities = [used.probability(one.signals) for one in labelled]
        before = learning.figures(probabilities, [one.right for one in labelled])
        change = replace(change, before=before)
    if change.adopted:
        judge.calibrators.keep(change.calibrator)
    return change


def task_of(model: str, task: Task) -> str:
    """The task as calibrators name it."""
    from ondol.confidence.calibrators import QUOTED

    return task if model else QUOTED


def _library(parts: Parts, documents: Sequence[Path]) -> Library:
    library = parts.open_library(IN_MEMORY)
    library.add(list(documents))
    return library
