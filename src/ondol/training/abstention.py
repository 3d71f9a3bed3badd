"""How sure a model must be before it says that the sentences do not hold the answer.

Training on more "not here" than a user's questions have makes a model learn the difference, and
abstain too readily. So the readiness is set afterwards, on held-out questions that do have their
answer among the sentences: a bias on the first token of the abstention, such that at most a chosen
share of them is refused (split conformal risk control: Angelopoulos et al. 2022, arXiv:2208.02814).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from ondol.prompt import ABSTENTION_OPENS
from ondol.training.dataset import Example
from ondol.types import Engine, GenerateOptions

MOST_REFUSED = 0.05
ALTERNATIVES = 20


def margin(engine: Engine, example: Example, options: GenerateOptions) -> float:
    """By how many nats the model prefers to begin the abstention to the next best token; negative
    when it does not. Deterministic; one token is generated."""
    first, *_ = engine.generate(example.messages, options)
    known = {other.text: other.logprob for other in first.top}
    least = min(known.values(), default=0.0)
    others = [logprob for text, logprob in known.items() if text != ABSTENTION_OPENS]
    return known.get(ABSTENTION_OPENS, least) - max(others, default=least)


def margins(
    engine: Engine,
    examples: Sequence[Example],
    options: GenerateOptions,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[float]:
    """The margin of every one of ``examples`` whose reply is an English answer."""
    answers = [e for e in examples if not e.abstains and e.language == "en"]
    found = []
    for number, example in enumerate(answers, start=1):
        found.append(margin(engine, example, options))
        if on_progress is not None:
            on_progress(number, len(answers))
    return found


def bias(margins: Sequence[float], most_refused: float = MOST_REFUSED) -> float:
    """What to add to the abstention's logit (never above 0) so that on questions like these at most
    ``most_refused`` are expected to be refused. 0.0 when there are too few to say."""
    count = len(margins)
    # The finite-sample correction of conformal prediction: as if the next one were the worst yet.
    allowed = math.floor((count + 1) * most_refused) - 1
    if allowed < 0:
        return 0.0
    highest = sorted(margins, reverse=True)[allowed]
    return min(0.0, -highest)


def first_token_options(options: GenerateOptions) -> GenerateOptions:
    """``options`` for one token with its alternatives, and without a bias."""
    return replace(options, max_tokens=1, logprobs=ALTERNATIVES, logit_bias={}, temperature=0.0)
