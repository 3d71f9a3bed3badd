"""Which requests are answered with drafts: tokens guessed from what stands in the prompt, checked
by the model many at a time, so that the answer is the same and sooner there.

A draft that is refused costs time, and how much depends on the format of the weights and on the
machine. So each process is watched: requests of a kind ask for drafts while answers with them took
less time a token than those without. Knows timings as llama-server writes them; raises nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import httpx2

MOST_AHEAD = 15
NGRAMS = f"6,{MOST_AHEAD}"
"""Six tokens that stood there before draft the fifteen that came after them: of the lengths tried
in benchmarks/drafts the ones that quote well and hardly disturb prose. With the token before them
they are sixteen, which matrix products like."""

KEPT = 0.8  # how much of what was seen before counts beside a new answer
TRY_AGAIN = 24
FEW_TOKENS = 8  # an answer of fewer says nothing of speed
MUCH_TEXT = 1200

Kind = Literal["quoting", "prose", "held"]


@dataclass(slots=True)
class _Pace:
    """Milliseconds and tokens, the later the more."""

    ms: float = 0.0
    tokens: float = 0.0

    def add(self, ms: float, tokens: float) -> None:
        self.ms, self.tokens = KEPT * self.ms + ms, KEPT * self.tokens + tokens

    @property
    def per_token(self) -> float:
        return self.ms / self.tokens if self.tokens else 0.0


@dataclass(slots=True)
class _Seen:
    """Answers to one kind of request, with drafts and without."""

    drafted: _Pace = field(default_factory=_Pace)
    plain: _Pace = field(default_factory=_Pace)
    requests: int = 0

    def asks(self) -> bool:
        self.requests += 1
        if self.drafted.tokens and not self.plain.tokens:
            return False
        # Now and then the other way: a machine that was busy is not busy for ever.
        return self._pays() != (self.requests % TRY_AGAIN == 0)

    def _pays(self) -> bool:
        return not self.drafted.tokens or self.drafted.per_token <= self.plain.per_token

    def learn(self, timings: Mapping[str, Any]) -> None:
        tokens = _number(timings, "predicted_n")
        if tokens >= FEW_TOKENS:
            # An answer that found nothing to guess from was a plain one.
            pace = self.drafted if _number(timings, "draft_n") else self.plain
            pace.add(_number(timings, "predicted_ms"), tokens)


@dataclass(frozen=True, slots=True)
class Drafts:
    """One request's. ``asked`` goes into its body."""

    asked: Mapping[str, str] = field(default_factory=dict)
    _seen: _Seen | None = None

    def learning(self, events: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
        """The same events; what came of the drafts is remembered."""
        return events if self._seen is None else _watched(events, self._seen)


NONE = Drafts()
"""A process that knows of no drafts."""

_seen: WeakKeyDictionary[httpx2.Client, dict[Kind, _Seen]] = WeakKeyDictionary()


def of(client: httpx2.Client, body: Mapping[str, Any]) -> Drafts:
    """Whether the request ``body`` to the process behind ``client`` asks for drafts."""
    if (body.get("max_tokens") or body.get("n_predict") or 2) == 1 or "seed" in body:
        # Checked in a batch a token's probability is rounded otherwise; a seed asks for the same.
        return Drafts({"ondol_drafts": "off"})
    seen = _seen.setdefault(client, {}).setdefault(kind_of(body), _Seen())
    return Drafts({"ondol_drafts": "on" if seen.asks() else "off"}, seen)


def kind_of(body: Mapping[str, Any]) -> Kind:
    """What can be quoted: much text, a little, or any in a form that is held to a grammar."""
    if any(body.get(name) for name in ("json_schema", "grammar", "tools", "response_format")):
        return "held"
    return "quoting" if _letters(body) >= MUCH_TEXT else "prose"


def _letters(body: Mapping[str, Any]) -> int:
    prompt = body.get("prompt")
    if isinstance(prompt, str):
        return len(prompt)
    if isinstance(prompt, list):
        return 4 * len(prompt)
    contents = (message.get("content") for message in body.get("messages") or ())
    return sum(len(content) for content in contents if isinstance(content, str))


def _watched(events: Iterable[Mapping[str, Any]], seen: _Seen) -> Iterator[Mapping[str, Any]]:
    for event in events:
        # Only the last has timings.
        if isinstance(timings := event.get("timings"), Mapping):
            seen.learn(timings)
        yield event


def _number(timings: Mapping[str, Any], name: str) -> float:
    value = timings.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
