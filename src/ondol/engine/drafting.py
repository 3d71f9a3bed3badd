"""Which requests are answered with drafts: tokens guessed from what stands in the prompt, checked
by the model many at a time, so that the answer is the same and sooner there.

A draft that is refused costs time. So each process is watched: as long as of the drafted tokens
more were accepted than what they cost in time, requests of that kind ask for drafts; else only one
in ``TRY_AGAIN`` does. Knows requests and timings as llama-server writes them; raises nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import httpx2

NGRAMS = "4,12"
"""A repetition of 4 tokens, as such or of the prompt, drafts the 12 that came after them."""

WORTH = 0.5  # the part of a token's time that one more in a batch costs: benchmarks/drafts
KEPT = 0.8  # how much of what was seen before counts beside a new answer
TRY_AGAIN = 16
MUCH_TEXT = 1200

Kind = Literal["quoting", "prose", "held"]


@dataclass(slots=True)
class _Seen:
    """What drafts of one kind of request came to, the later answers the more."""

    drafted: float = 0.0
    accepted: float = 0.0
    skipped: int = 0

    def pays(self) -> bool:
        if self.accepted >= WORTH * self.drafted:
            return True
        self.skipped = (self.skipped + 1) % TRY_AGAIN
        return self.skipped == 0

    def learn(self, drafted: float, accepted: float) -> None:
        if drafted:
            self.drafted = KEPT * self.drafted + drafted
            self.accepted = KEPT * self.accepted + accepted


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
    if (body.get("max_tokens") or body.get("n_predict") or 2) == 1:
        return Drafts({"ondol_drafts": "off"})
    seen = _seen.setdefault(client, {}).setdefault(kind_of(body), _Seen())
    pays = seen.pays()
    return Drafts({"ondol_drafts": "on" if pays else "off"}, seen if pays else None)


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
        timings = event.get("timings")
        if isinstance(timings, Mapping):
            drafted, accepted = timings.get("draft_n"), timings.get("draft_n_accepted")
            if isinstance(drafted, int | float) and isinstance(accepted, int | float):
                seen.learn(drafted, accepted)
        yield event
