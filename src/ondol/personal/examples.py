"""Samples to what a training reads: examples with the reply to learn, pairs, thumbs.

A prompt is what a plain chat sends: the turns of the conversation and nothing else. What a chat
gets beside them, a persona, memories, somebody's instructions, changes from day to day; an adapter
that had learned to need it would be lost without. Nothing twice: what differs by its kind alone is
one thing to learn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.samples.records import Sample
from ondol.training.dataset import Example
from ondol.types import Message

if TYPE_CHECKING:
    from ondol.training.lines import Task
    from ondol.training.preference import Pair, Thumb

# Fewer say nothing that would hold for the next conversation; with fewer held out the gate could
# not tell an adapter that is better from one that was lucky.
FEWEST_LEARNED = 20
FEWEST_HELD_OUT = 5
FEWEST_PAIRS = 10


class TooFewSamplesError(TrainingError):
    """There is not enough to learn from, or to measure with."""

    code = "too_few_samples"


@dataclass(frozen=True, slots=True)
class Lesson:
    """What there is to learn and to measure with, of one set of samples. ``thumbs`` are replies
    that were liked, a good reply being one, and some that were not; none where all were liked.
    ``news`` are the pairs whose better reply is no sample of its own; ``num_replies`` counts the
    examples that are."""

    examples: tuple[Example, ...]
    checks: tuple[Example, ...]
    pairs: tuple[Sample, ...]
    check_pairs: tuple[Sample, ...]
    thumbs: tuple[Sample, ...]
    check_thumbs: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    news: tuple[Sample, ...]
    num_replies: int

    @property
    def languages(self) -> tuple[str, ...]:
        """Those of more than a tenth of the examples, the most frequent first."""
        counted = Counter(one.language for one in self.examples if one.language != "und")
        return tuple(name for name, n in counted.most_common() if n * 10 > len(self.examples))


def lesson(samples: Sequence[Sample]) -> Lesson:
    """What ``samples`` teach. Those held out are in ``checks`` and ``check_…`` only."""
    learned = [one for one in samples if not one.is_held_out]
    held_out = [one for one in samples if one.is_held_out]
    pairs, check_pairs = ([s for s in part if s.rejected] for part in (learned, held_out))
    thumbs, check_thumbs = (
        [s for s in part if not s.rejected] if any(s.is_desirable is False for s in part) else []
        for part in (learned, held_out)
    )
    replies = {
        (prompt_of(s), s.reply) for s in learned if not s.rejected and s.is_desirable is not False
    }
    return Lesson(
        tuple(examples(learned)),
        tuple(examples(held_out)),
        tuple(pairs),
        tuple(check_pairs),
        tuple(thumbs),
        tuple(check_thumbs),
        tuple(held_out),
        tuple(s for s in pairs if (prompt_of(s), s.reply) not in replies),
        len(replies),
    )


def examples(samples: Iterable[Sample]) -> list[Example]:
    """The replies as they should be: what was said well, or put right. In the samples' order."""
    found: dict[tuple[tuple[Message, ...], str], Example] = {}
    for one in samples:
        if one.is_desirable is False:
            continue
        prompt = prompt_of(one)
        example = Example(prompt, one.reply, False, one.language, one.conversation)
        found.setdefault((prompt, one.reply), example)
    return list(found.values())


def prompt_of(sample: Sample) -> tuple[Message, ...]:
    """The turns that a plain chat would send, the last one the owner's."""
    return tuple(
        Message(one.role, one.content)
        for one in sample.messages
        if one.role in ("user", "assistant")
    )


def pairs_of(samples: Iterable[Sample]) -> list[Pair]:
    from ondol.training.preference import Pair

    return [Pair(prompt_of(one), one.reply, one.rejected) for one in samples if one.rejected]


def thumbs_of(samples: Iterable[Sample]) -> list[Thumb]:
    from ondol.training.preference import Thumb

    return [Thumb(prompt_of(one), one.reply, one.is_desirable is not False) for one in samples]


def check_enough(found: Lesson) -> None:
    """Raise ``TooFewSamplesError`` that says what is missing and how to get it."""
    learned, held_out = len(found.examples), len(found.checks)
    if learned < FEWEST_LEARNED or held_out < FEWEST_HELD_OUT:
        raise TooFewSamplesError(
            t(
                "personal.too_few",
                learned=learned,
                held_out=held_out,
                fewest=FEWEST_LEARNED,
                fewest_held_out=FEWEST_HELD_OUT,
            ),
            t("personal.too_few_hint"),
        )


def tasks_of(found: Lesson, asked: str) -> tuple[Task, ...]:
    """What is learned, in this order. Asked for by name, what is too little raises
    ``TooFewSamplesError``.

    "auto" learns replies, and then, gently, what was preferred among replies that those do not
    teach: to push an edit further away from what it replaced costs a small model more truth than
    it gains in style (``benchmarks/personal``). Pairs and little else are learned by themselves.
    """
    check_enough(found)
    downs = sum(one.is_desirable is False for one in found.thumbs)
    counts = {"dpo": len(found.pairs), "kto": min(downs, len(found.thumbs) - downs)}
    if asked in counts and counts[asked] < FEWEST_PAIRS:
        raise TooFewSamplesError(
            t(f"personal.too_few_{asked}", found=counts[asked], fewest=FEWEST_PAIRS),
            t("personal.too_few_hint"),
        )
    if asked == "kto":
        return ("kto",)
    if asked == "dpo":
        return ("dpo",)
    if asked == "sft" or len(found.news) < FEWEST_PAIRS:
        return ("sft",)
    return ("sft", "dpo") if found.num_replies >= FEWEST_LEARNED else ("dpo",)
