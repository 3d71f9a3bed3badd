"""One prompt, looked at: its tokens as they come, what is known of each text, what of all of them.

The one shape of what ``ondol explore --json`` and ``/ondol/v1/explore`` say. Raises what ``reply``
raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ondol.lab.exploring.diversity import diversity
from ondol.lab.exploring.watching import Sample, totals
from ondol.types import Token

Event = tuple[str, dict[str, Any]]


def explored(
    samples: Sequence[Sample], reply: Callable[[Sample], Iterator[Token]]
) -> Iterator[Event]:
    """Events ``token`` and ``sample`` of each sample, one after the other, and a ``summary``."""
    for number, sample in enumerate(samples):
        steps: list[dict[str, Any]] = []
        for step in sample.steps(reply(sample)):
            steps.append(step.json())
            yield "token", {"sample": number, **steps[-1]}
        yield "sample", {"sample": number, **sample.json(), **totals(steps)}
    yield "summary", diversity([sample.text for sample in samples]).json()


def gathered(events: Iterator[Event]) -> dict[str, Any]:
    """All events as one object."""
    tokens: dict[int, list[dict[str, Any]]] = {}
    samples: list[dict[str, Any]] = []
    summary: dict[str, Any] = {}
    for name, data in events:
        rest = {key: value for key, value in data.items() if key != "sample"}
        if name == "token":
            tokens.setdefault(data["sample"], []).append(rest)
        elif name == "sample":
            samples.append({**rest, "steps": tokens.get(data["sample"], [])})
        else:
            summary = data
    return {"samples": samples, "summary": summary}
