"""What a gate looks at of the suites: a brief part of those that are asked in a chat, of an engine
with and without what is on trial, and both in the history.

Answers from documents, refusals and languages a gate measures with probes of its own. Raises what
the engine raises; a history that cannot be written is no reason against anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from ondol.answering import gather
from ondol.errors import LockedError, StorageError
from ondol.lab.evaluating import suites
from ondol.lab.evaluating.asking import MOST_TOKENS
from ondol.lab.evaluating.evaluate import made, subject_of
from ondol.lab.evaluating.history import History
from ondol.lab.evaluating.items import Item, Said
from ondol.lab.evaluating.results import Evaluation, Purpose, Score, Subject, scored
from ondol.parts import Parts
from ondol.types import Engine, GenerateOptions

ASKED = ("instructions", "leakage")

Heard = tuple[Score, ...]


def items(names: Collection[str] = ASKED) -> dict[str, Sequence[Item]]:
    """What is asked, by suite."""
    found = {name: suites.brief(suites.load(name)) for name in names}
    return {name: [one for one in some if one.shelf is None] for name, some in found.items()}


def num_items(names: Collection[str] = ASKED) -> int:
    """How many questions that are."""
    return sum(map(len, items(names).values()))


def hear(
    engine: Engine, tick: Callable[[], None] = lambda: None, names: Collection[str] = ASKED
) -> Heard:
    """The scores of ``engine``; ``tick`` is called after each question."""
    found = []
    for name, asked in items(names).items():
        said = []
        for item in asked:
            said.append(_said(engine, item))
            tick()
        found.append(scored(name, asked, said))
    return tuple(found)


def outcomes(heard: Heard) -> dict[str, bool]:
    """Which items were right."""
    return {id: right for score in heard for id, right in score.right.items()}


def keep(parts: Parts, heard: Mapping[str, Heard], purpose: Purpose) -> list[Evaluation]:
    """Write what each of these models said into the history, in this order."""
    found = [(subject_of(parts, model), scores) for model, scores in heard.items()]
    return keep_of(found, purpose)


def keep_of(heard: Sequence[tuple[Subject, Heard]], purpose: Purpose) -> list[Evaluation]:
    """The same for models that are not installed."""
    found = [
        made(subject, scores, purpose, sum(one.median_seconds * len(one.right) for one in scores))
        for subject, scores in heard
    ]
    with suppress(StorageError, LockedError), History.open() as history:
        for one in found:
            history.add(one)
    return found


def _said(engine: Engine, item: Item) -> Said:
    began = time.perf_counter()
    options = GenerateOptions(max_tokens=MOST_TOKENS, temperature=0.0, think=False)
    text = gather(list(engine.generate(item.messages, options))).text.strip()
    return Said(text, seconds=time.perf_counter() - began)
