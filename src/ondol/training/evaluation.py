"""How good answers are: questions with known answers through any ``ask``, and what came of it.

Pure once the answers are there: the same outcomes give the same scores. Word-level exact match and
F1 are SQuAD's (Rajpurkar et al. 2016, its official script); for Korean, where particles cling to
words, they are KorQuAD's (Lim et al. 2019): F1 over characters.
"""

from __future__ import annotations

import random
import re
import statistics
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ondol.prompt import MARKS
from ondol.training.bootstrap import Estimate, mean
from ondol.training.dataset import SourceDocument
from ondol.types import Answer, Quote, Route

Ask = Callable[[str], tuple[Answer, tuple[Quote, ...]]]
"""Asks a question; the answer, and the quotes that the model was given to answer from."""
OnProgress = Callable[[int, int], None]

TRIAL_CASES = 200

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
# KorQuAD's script drops these before it drops ASCII punctuation.
_KOREAN_PUNCTUATION = str.maketrans("", "", "'\"《》<>〈〉()‘’")


@dataclass(frozen=True, slots=True)
class Case:
    """A question with every answer that is right; none when the library does not hold one.

    ``group`` is the article it is about (intervals resample groups), ``kind`` a label to break the
    scores down by; a ``yes_no`` answer must begin with its gold. ``support`` are the fragments of
    the document that prove the answer, where they are known.
    """

    question: str
    answers: tuple[str, ...]
    language: str
    group: str
    kind: str = "span"
    support: tuple[str, ...] = ()

    @property
    def answerable(self) -> bool:
        return bool(self.answers)


def cases_of(documents: Sequence[SourceDocument]) -> list[Case]:
    """Everything that is asked about ``documents``, in their order."""
    return [
        Case(
            question.text,
            () if question.answer is None else (question.answer,),
            document.language,
            document.group or document.id,
            question.kind,
            question.support,
        )
        for document in documents
        for question in document.questions
    ]


def held_out_cases(documents: Sequence[SourceDocument], most: int = TRIAL_CASES) -> list[Case]:
    """A fixed sample of them."""
    cases = cases_of(documents)
    return random.Random(0).sample(cases, min(most, len(cases)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case. ``given`` are the quotes the model was to answer from: the answer
    itself has only those shown and those it cites, which depend on what was answered."""

    case: Case
    answer: Answer
    given: tuple[Quote, ...]

    @property
    def abstained(self) -> bool:
        return self.answer.route is Route.ABSTAIN

    @property
    def spoke(self) -> bool:
        """Whether a model answered, in its own words."""
        return bool(self.answer.model) and not self.abstained

    @property
    def said(self) -> str:
        """The model's own words without their marks; empty when no model answered."""
        return MARKS.sub("", self.answer.text).strip() if self.spoke else ""


def measure(
    cases: Sequence[Case], ask: Ask, on_progress: OnProgress | None = None
) -> list[Outcome]:
    """Ask every case. Raises what ``ask`` raises."""
    return side_by_side(cases, {"": ask}, on_progress)[""]


def side_by_side(
    cases: Sequence[Case], asks: Mapping[str, Ask], on_progress: OnProgress | None = None
) -> dict[str, list[Outcome]]:
    """Ask every case of every one of ``asks`` before the next, so that their seconds can be
    compared on a machine that is not quiet; who goes first changes with every case."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in asks}
    for number, case in enumerate(cases):
        turn = list(asks.items())
        for name, ask in turn if number % 2 == 0 else reversed(turn):
            outcomes[name].append(Outcome(case, *ask(case.question)))
        if on_progress is not None:
            on_progress(number + 1, len(cases))
    return outcomes


def fold(text: str) -> str:
    """As benchmarks/answers compares: case, width and white space do not matter."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def holds(text: str, answers: Iterable[str]) -> bool:
    """Whether one of ``answers`` stands in ``text``."""
    folded = fold(text)
    return any(fold(answer) in folded for answer in answers)


def exact_match(said: str, answers: Iterable[str], language: str = "en") -> float:
    """1.0 when ``said`` is one of ``answers`` after SQuAD's (KorQuAD's) normalisation."""
    return float(any(_normal(said, language) == _normal(a, language) for a in answers))


def f1(said: str, answers: Iterable[str], language: str = "en") -> float:
    """The best overlap of ``said`` with one of ``answers``, from 0 to 1: of words, in Korean of
    characters."""
    return max((_overlap(_units(said, language), _units(a, language)) for a in answers), default=0)


def _normal(text: str, language: str) -> str:
    if language == "ko":
        text = text.translate(_KOREAN_PUNCTUATION)
    text = text.lower().translate(_ASCII_PUNCTUATION)
    return " ".join((text if language == "ko" else _ARTICLES.sub(" ", text)).split())


def _units(text: str, language: str) -> list[str]:
    words = _normal(text, language).split()
    return list("".join(words)) if language == "ko" else words


def _overlap(said: list[str], gold: list[str]) -> float:
    if not said or not gold:
        return float(said == gold)
    same = sum((Counter(said) & Counter(gold)).values())
    return 2 * same / (len(said) + len(gold))


def is_right(outcome: Outcome) -> bool:
    """Whether the model's own words hold a gold answer."""
    case = outcome.case
    if case.kind == "yes_no":
        first = _normal(outcome.said, case.language).split()[:1]
        return any(first == [_normal(answer, case.language)] for answer in case.answers)
    return outcome.spoke and holds(outcome.said, case.answers)


def _cites_the_proof(outcome: Outcome) -> bool:
    cited = [quote for quote in outcome.given if quote.number in outcome.answer.citations]
    return _proven(cited, outcome.case)


def _proven(quotes: Sequence[Quote], case: Case) -> bool:
    """Whether the quotes hold a gold answer; or every fragment of the proof, where it is known."""
    if case.support:
        return all(any(holds(q.text, [part]) for q in quotes) for part in case.support)
    return any(holds(quote.text, case.answers) for quote in quotes)


def _num_words(text: str) -> int:
    """Pieces between white space that are more than punctuation."""
    return sum(any(map(str.isalnum, piece)) for piece in text.split())


Metric = Callable[[Outcome], float | None]


def _of_answerable(score: Callable[[Outcome], float]) -> Metric:
    return lambda o: float(score(o)) if o.case.answerable else None


METRICS: dict[str, Metric] = {
    "accuracy": _of_answerable(is_right),
    "f1": _of_answerable(lambda o: f1(o.said, o.case.answers, o.case.language) if o.spoke else 0.0),
    "exact_match": _of_answerable(
        lambda o: exact_match(o.said, o.case.answers, o.case.language) if o.spoke else 0.0
    ),
    "quoted": _of_answerable(lambda o: _proven(o.given, o.case)),
    "citation_correctness": lambda o: (
        float(_cites_the_proof(o)) if o.case.answerable and is_right(o) else None
    ),
    "citation_rate": lambda o: float(bool(o.answer.citations)) if o.spoke else None,
    "wrongly_abstains": _of_answerable(lambda o: o.abstained),
    "abstains_beside_proof": lambda o: (
        float(o.abstained) if o.case.answerable and _proven(o.given, o.case) else None
    ),
    "abstention_recall": lambda o: None if o.case.answerable else float(o.abstained),
    "abstention_precision": lambda o: float(not o.case.answerable) if o.abstained else None,
    "words": lambda o: float(_num_words(o.said)) if o.spoke else None,
}
"""What is averaged over the outcomes; None where an outcome does not count. ``quoted`` (the proof
is among the quotes given) is what retrieval alone is worth; ``citation_correctness`` counts right
answers only; ``citation_rate`` and ``words`` count what a model said; ``abstains_beside_proof`` is
of those cases alone whose proof was given: retrieval is not to blame for them."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Every metric with its interval, seconds per answer, and the same for every language and kind
    (``language en``, ``kind date``)."""

    cases: int
    estimates: Mapping[str, Estimate]
    median_seconds: float
    parts: Mapping[str, Scores] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, and for the manifest of an adapter."""
        entries: dict[str, Any] = {"cases": self.cases}
        entries |= {name: estimate.as_dict() for name, estimate in self.estimates.items()}
        entries["median_seconds"] = round(self.median_seconds, 3)
        if self.parts:
            entries["parts"] = {name: part.as_dict() for name, part in self.parts.items()}
        return entries


def scores(outcomes: Sequence[Outcome], *, parts: bool = True) -> Scores:
    """The scores of ``outcomes``, with ``parts`` also of each language and each kind that is not
    all of them."""
    groups = [outcome.case.group for outcome in outcomes]
    estimates = {name: mean(groups, [m(o) for o in outcomes]) for name, m in METRICS.items()}
    seconds = statistics.median([o.answer.seconds.total for o in outcomes] or [0.0])
    inner = {}
    for label in sorted({f for o in outcomes for f in _labels(o.case)}) if parts else ():
        some = [o for o in outcomes if label in _labels(o.case)]
        if len(some) < len(outcomes):
            inner[label] = scores(some, parts=False)
    return Scores(len(outcomes), estimates, seconds, inner)


def _labels(case: Case) -> tuple[str, str]:
    return f"language {case.language}", f"kind {case.kind}"
