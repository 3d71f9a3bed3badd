"""Looks at a reply while it is given: each token with what else might have come.

Stands between an engine and whoever reads its tokens, who see them as they asked for them. Knows
neither HTTP nor a terminal. Raises what the engine raises.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ondol.lab.exploring.sampler import Row, Shape, entropy_bits, spread
from ondol.types import GenerateOptions, Token, Usage

# So many alternatives leave an entropy uncertain by less than a tenth of a bit, as a rule.
WATCHED = 1000
MOST_SHOWN = 100
# What is less likely than this counts as this likely: a mean has to stay a number.
LEAST = -100.0

Start = Callable[[GenerateOptions], Iterator[Token]]


@dataclass(frozen=True, slots=True)
class Step:
    """One token. ``rank`` is its place among the alternatives, from 1; ``entropy`` the least and
    the most that the choice can have had, in bits; ``kept`` how many tokens the sampler left, at
    least so many unless it ``is_whole``; ``rows`` the likeliest alternatives. Of a token that the
    engine tells nothing of all but the text is missing."""

    text: str
    logprob: float | None = None
    rank: int | None = None
    entropy: tuple[float, float] | None = None
    kept: int = 0
    is_whole: bool = False
    rows: tuple[Row, ...] = ()

    @property
    def bits(self) -> float | None:
        """The entropy in one number."""
        return None if self.entropy is None else sum(self.entropy) / 2

    def json(self) -> dict[str, Any]:
        """As the API and ``--json`` show it."""
        if self.entropy is None:
            return {"text": self.text, "logprob": None}
        return {
            "text": self.text,
            "logprob": round(max(self.logprob or 0.0, -9999.0), 6),
            "rank": self.rank,
            "entropy_bits": [round(bound, 4) for bound in self.entropy],
            "kept": self.kept,
            "is_whole": self.is_whole,
            "alternatives": [
                {
                    "text": row.text,
                    "logprob": round(max(row.logprob, -9999.0), 6),
                    "after": round(row.after, 6),
                    "cut": row.cut,
                }
                for row in self.rows
            ],
        }


@dataclass(slots=True)
class Sample:
    """One reply that is looked at. ``vocabulary`` is how many tokens the model knows, ``shown`` how
    many alternatives a step has."""

    shape: Shape
    seed: int
    vocabulary: int
    shown: int = 20
    text: str = field(default="", init=False)
    finish_reason: str = field(default="", init=False)
    usage: Usage = field(default=Usage(), init=False)
    _watched: deque[Token] = field(default_factory=deque, init=False)

    def options(self, max_tokens: int) -> GenerateOptions:
        """How to generate, so that nothing but the shape decides what is cut."""
        return GenerateOptions(
            max_tokens=max_tokens,
            temperature=self.shape.temperature,
            top_k=self.shape.top_k,
            top_p=self.shape.top_p,
            min_p=self.shape.min_p,
            typical_p=1.0,
            repeat_penalty=1.0,
            presence_penalty=0.0,
            frequency_penalty=0.0,
            seed=self.seed % 2**31,
        )

    def watching(self, start: Start) -> Start:
        """``start``, whose tokens come with all that is asked of them here, and go on with what was
        asked for: a judge that was given more would judge otherwise."""

        def begin(options: GenerateOptions) -> Iterator[Token]:
            wanted = options.logprobs
            return _Watched(start(replace(options, logprobs=WATCHED)), wanted, self._watched)

        return begin

    def steps(self, tokens: Iterator[Token]) -> Iterator[Step]:
        """The steps of the reply whose ``tokens`` these are."""
        for token in tokens:
            whole = self._watched.popleft() if self._watched else token
            if token.finish_reason is not None:
                self.finish_reason, self.usage = token.finish_reason, token.usage or Usage()
            if token.text:
                self.text += token.text
                yield self._step(whole)

    def json(self) -> dict[str, Any]:
        """What is known when it has ended."""
        return {
            "seed": self.seed,
            "text": self.text,
            "finish_reason": self.finish_reason,
            "usage": {
                "prompt_tokens": self.usage.prompt_tokens,
                "completion_tokens": self.usage.completion_tokens,
            },
        }

    def _step(self, token: Token) -> Step:
        if token.logprob is None or not token.top:
            return Step(token.text)
        found = spread(token.top, self.shape, self.vocabulary)
        return Step(
            token.text,
            token.logprob,
            _rank(token, found.rows),
            entropy_bits(token.top, self.vocabulary),
            found.kept,
            found.is_whole,
            found.rows[: self.shown],
        )


class _Watched(Iterator[Token]):
    """``tokens``, kept as they are in ``watched``, and passed on with ``wanted`` alternatives."""

    def __init__(self, tokens: Iterator[Token], wanted: int | None, watched: deque[Token]) -> None:
        self._tokens = tokens
        self._wanted = wanted
        self._watched = watched
        if (meanwhile := getattr(tokens, "meanwhile", None)) is not None:
            self.meanwhile = meanwhile

    def __next__(self) -> Token:
        token = next(self._tokens)
        self._watched.append(token)
        if self._wanted is None:
            return replace(token, logprob=None, top=())
        return replace(token, top=token.top[: self._wanted])

    def close(self) -> None:
        """Stop the generation."""
        close = getattr(self._tokens, "close", None)
        if close is not None:
            close()


def _rank(token: Token, rows: tuple[Row, ...]) -> int | None:
    """The place of what was said. Pieces of letters may look alike, so the number decides."""
    same = [place for place, row in enumerate(rows, 1) if row.logprob == token.logprob]
    named = [place for place in same if rows[place - 1].text == token.text]
    return next(iter([*named, *same]), None)


def totals(steps: Sequence[Mapping[str, Any]]) -> dict[str, float | int]:
    """Of a text whose steps (as JSON) these are: how sure the model was."""
    logprobs = [max(step["logprob"], LEAST) for step in steps if step["logprob"] is not None]
    if not logprobs:
        return {"tokens": len(steps)}
    mean = sum(logprobs) / len(logprobs)
    bits = [sum(step["entropy_bits"]) / 2 for step in steps if step["logprob"] is not None]
    return {
        "tokens": len(steps),
        "mean_probability": round(math.exp(mean), 4),
        "perplexity": round(math.exp(-mean), 3),
        "mean_entropy_bits": round(sum(bits) / len(bits), 3),
        "not_the_likeliest": sum(
            step.get("rank") != 1 for step in steps if step["logprob"] is not None
        ),
    }
