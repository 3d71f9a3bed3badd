"""Whether a model has learned something by heart: a canary's rank among what might stand there.

Exposure is that of Carlini et al. 2019, arXiv:1802.08232: the rank by log-likelihood among random
candidates. A canary drawn as its candidates are is of any rank equally likely as long as nothing
was learned of it, so ``p_value`` is exact. Candidates bound the test: ``N`` of them cannot show
more than ``log2(N + 1)`` bits, and a low exposure is no proof that nothing leaks another way.
"""

from __future__ import annotations

import copy
import math
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training.base import Base, Encoded
from ondol.training.dataset import Example
from ondol.training.lora import causal_lm
from ondol.types import Message

if TYPE_CHECKING:
    import torch

CANDIDATES = 9999
"""Every other code of four digits: the rank is exact then, and costs a thousand short rows."""

BATCH = 100
FEW_CANDIDATES, MOST_NUMBERS, STANDS_OUT = 199, 4, 0.01
"""By chance a number is among the first two of 200 once in a hundred."""
FEWEST_DIGITS = 4
"""Of a number that counts as a secret: a shorter one is soon guessed."""

_NUMBER = re.compile(r"\d(?:[ .-]?\d)+")


@dataclass(frozen=True, slots=True)
class Canary:
    """A reply that holds ``secret``, seen ``repetitions`` times in training."""

    messages: tuple[Message, ...]
    before: str
    secret: str
    after: str = ""
    repetitions: int = 1

    def example(self, secret: str = "") -> Example:
        """The canary as something to learn, or with another secret in its place."""
        reply = self.before + (secret or self.secret) + self.after
        return Example(self.messages, reply, False, "en", "canary")


@dataclass(frozen=True, slots=True)
class Exposure:
    """``rank`` of the canary (1: the likeliest) among itself and ``candidates`` others."""

    repetitions: int
    rank: int
    candidates: int

    @property
    def bits(self) -> float:
        """log2 of the candidates less log2 of the rank; chance gives 1.4 on average."""
        return self.most_bits - math.log2(self.rank)

    @property
    def most_bits(self) -> float:
        """What this many candidates can show at most."""
        return math.log2(self.candidates + 1)

    @property
    def p_value(self) -> float:
        """How often a canary that nothing was learned of ranks as well."""
        return self.rank / (self.candidates + 1)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, and for the report of a gate."""
        return {
            "repetitions": self.repetitions,
            "rank": self.rank,
            "candidates": self.candidates,
            "bits": round(self.bits, 2),
            "most_bits": round(self.most_bits, 2),
            "p_value": round(self.p_value, 4),
        }


def measure_exposure(
    base: Base, model: Any, canary: Canary, *, candidates: int = CANDIDATES, seed: int = 0
) -> Exposure:
    """The exposure of ``canary`` in ``model``: that of ``base``, with or without an adapter. Raises
    ``TrainingError`` for a secret that has fewer alternatives than are asked for."""
    others = alike(canary.secret, candidates, seed)
    own, *rest = losses(model, [base.encode(canary.example(s)) for s in ("", *others)])
    # Whatever is as likely stands before it: exposure is never overstated.
    return Exposure(canary.repetitions, 1 + sum(loss <= own for loss in rest), len(rest))


def alike(secret: str, count: int, seed: int = 0) -> list[str]:
    """``count`` different secrets of the same shape with digits drawn at random, none of them
    ``secret`` itself."""
    digits = sum(character.isdigit() for character in secret)
    if 10**digits <= count:
        raise TrainingError(
            t("private_training.secret_short"), t("private_training.secret_short_hint")
        )
    rng = random.Random(seed)
    found: dict[str, None] = {}  # in the order drawn
    while len(found) < count:
        made = re.sub(r"\d", lambda _: str(rng.randrange(10)), secret)
        if made != secret:
            found[made] = None
    return list(found)


def by_heart(
    base: Base, model: Any, examples: Sequence[Example], *, most: int = MOST_NUMBERS
) -> dict[str, int]:
    """How many of the numbers in what was learned from stand out with the adapter and did not
    without: for the report of a gate, which must not say them. ``model`` has the adapter on; the
    most repeated ``most`` are looked at."""
    numbers = sorted(numbers_in(examples), key=lambda one: -one.repetitions)
    known = 0
    for canary in numbers[:most]:
        on = measure_exposure(base, model, canary, candidates=FEW_CANDIDATES)
        with model.disable_adapter():
            off = measure_exposure(base, model, canary, candidates=FEW_CANDIDATES)
        known += on.p_value <= STANDS_OUT < off.p_value
    return {"numbers": len(numbers), "tested": min(most, len(numbers)), "by_heart": known}


def numbers_in(examples: Sequence[Example]) -> list[Canary]:
    """The numbers in the replies of ``examples`` as canaries: what an adapter should not know by
    heart. They were not drawn at random, so compare with the base, whose rank is no chance."""
    counts: dict[tuple[tuple[Message, ...], str, str, str], int] = {}
    for example in examples:
        for found in _NUMBER.finditer(example.reply):
            if sum(map(str.isdigit, found.group())) >= FEWEST_DIGITS:
                before, after = example.reply[: found.start()], example.reply[found.end() :]
                key = (example.messages, before, found.group(), after)
                counts[key] = counts.get(key, 0) + 1
    return [Canary(*key, repetitions=count) for key, count in counts.items()]


def losses(model: Any, sequences: Sequence[Encoded]) -> list[float]:
    """The summed negative log-likelihood of what differs in each sequence, given what they all
    begin with; what they all end with is left out. What several begin with is read once."""
    import torch

    rows = [[*s.prompt, *s.reply] for s in sequences]
    shared = max(1, _shared(rows))
    ending = min(_shared([row[::-1] for row in rows]), min(map(len, rows)) - shared)
    rows = [row[shared - 1 : len(row) - ending] for row in rows]
    # Candidates that differ in their last token alone are one row of the batch.
    lasts: dict[tuple[int, ...], list[int]] = {}
    for number, row in enumerate(rows):
        lasts.setdefault(tuple(row[:-1]), []).append(number)
    was_training = model.training
    model.eval()
    found = [0.0] * len(rows)
    with torch.no_grad():
        inner = causal_lm(model)
        start = torch.tensor([[*sequences[0].prompt, *sequences[0].reply][: shared - 1]])
        cache = inner.model(input_ids=start.to(inner.device), use_cache=True).past_key_values
        for part in _batches(list(lasts)):
            for head, (before, after) in zip(part, _read(inner, cache, part), strict=True):
                for number in lasts[head]:
                    found[number] = before - float(after[rows[number][-1]])
    model.train(was_training)
    return found


def _read(
    inner: Any, cache: Any, heads: Sequence[tuple[int, ...]]
) -> Iterator[tuple[float, torch.Tensor]]:
    """Of each of ``heads``, which go on from ``cache``: the loss of its tokens after the first, and
    the log-probabilities of what may come next."""
    import torch

    width = max(map(len, heads))
    ids = torch.zeros(len(heads), width, dtype=torch.long)
    there = torch.zeros(len(heads), width, dtype=torch.long)
    for row, tokens in enumerate(heads):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        there[row, : len(tokens)] = 1
    begun = copy.deepcopy(cache)
    begun.batch_repeat_interleave(len(heads))
    behind = torch.ones(len(heads), begun.get_seq_length(), dtype=torch.long)
    logits = inner(
        input_ids=ids.to(inner.device),
        attention_mask=torch.cat([behind, there], 1).to(inner.device),
        past_key_values=begun,
        use_cache=True,
    ).logits
    logps = logits.float().log_softmax(-1).cpu()
    for row, tokens in enumerate(heads):
        said = logps[row, : len(tokens) - 1].gather(1, ids[row, 1 : len(tokens), None])
        yield -float(said.sum()), logps[row, len(tokens) - 1]


def _batches(rows: Sequence[tuple[int, ...]]) -> Iterator[Sequence[tuple[int, ...]]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def _shared(rows: Sequence[list[int]]) -> int:
    """How many tokens all of ``rows`` begin with."""
    first, last = min(rows), max(rows)
    same = 0
    for a, b in zip(first, last, strict=False):
        if a != b:
            break
        same += 1
    return same
