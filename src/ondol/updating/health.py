"""Does what was switched to keep well? For some days a new version is watched: processes that fail
and answers that its owner finds wrong; what is beyond chance or tolerance takes it back.

Only a version that another one stands behind is watched. Whether thumbs fell is Fisher's exact test
(1922), one-sided. Nothing here raises: what is watched must not suffer from being watched.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ondol.errors import OndolError
from ondol.i18n import t
from ondol.updating import installed, switching
from ondol.updating.installs import CRASHED, INSTALLED, UPDATED, Event, Install, Installs

if TYPE_CHECKING:
    from ondol.engine.failing import Failure
    from ondol.parts import Parts
    from ondol.updating.bringing import Outcome

WATCHED = timedelta(days=7)
MOST_FAILURES = 2
"""One may be the machine's."""
FEWEST_THUMBS = 5
"""On either side of a switch."""
MOST_CHANCE = 0.05

OnRollback = Callable[["Outcome"], None]
_log = logging.getLogger(__name__)


def look(parts: Parts, on_rollback: OnRollback = lambda outcome: None) -> None:
    """Go back from versions whose answers their owner finds wrong more often than those before."""
    try:
        with Installs.open() as kept:
            watched = [(row, since) for row in kept.rows() if (since := _since(parts, kept, row))]
        for row, since in watched:
            told = _fallen(parts, row, since.at)
            if told:
                _go_back(parts, row, since.version, told, on_rollback)
    except OndolError as error:
        _log.info("health was not looked at: %s", error.message)


def after_failure(parts: Parts, failure: Failure, on_rollback: OnRollback) -> None:
    """A process failed: note it with what was switched last of what it had loaded."""
    try:
        with Installs.open() as kept:
            names = {failure.model, *(f"{failure.model}:{one}" for one in failure.adapters)}
            found = [
                (since.number, row)
                for row in kept.rows()
                if row.name in names and (since := _since(parts, kept, row))
            ]
            if not found:
                return
            number, row = max(found, key=lambda one: one[0])
            version = switching.place_of(parts, row).active()
            kept.note(row, CRASHED, version=version, reason=failure.error.message)
            events = kept.events(row)
            failures = sum(one.deed == CRASHED and one.number > number for one in events)
        if failures >= MOST_FAILURES:
            told = t("updating.failed_again", version=version, reason=failure.error.message)
            _go_back(parts, row, version, told, on_rollback)
    except OndolError as error:
        _log.warning("an engine's failure was not written down: %s", error.message)


def _go_back(
    parts: Parts, row: Install, version: str, reason: str, on_rollback: OnRollback
) -> None:
    from ondol.updating.rolling_back import rollback

    outcome = rollback(parts, row.name, reason=reason, leaving=version)
    if outcome.what == "rolled_back":
        _log.warning("%s is back at %s: %s", row.name, outcome.version, reason)
        on_rollback(outcome)


def _since(parts: Parts, kept: Installs, row: Install) -> Event | None:
    """The switch to what is active now, while that is watched."""
    events = kept.events(row)
    last = next((one for one in events if one.deed not in (CRASHED, *_QUIET)), None)
    if last is None or last.deed not in (INSTALLED, UPDATED) or not last.before:
        return None
    if datetime.now(UTC) - datetime.fromisoformat(last.at) > WATCHED:
        return None
    place = switching.place_of(parts, row)
    is_active = place.active() == last.version
    return last if is_active and len(installed.states(events)) > 1 else None


_QUIET = ("pinned", "unpinned", "failed")


def _fallen(parts: Parts, row: Install, since: str) -> str:
    """The sentence where thumbs are down more often on what answered ``since`` than on what did
    before, beyond chance; else ""."""
    model, _, adapter = row.name.rpartition(":") if row.kind == "adapter" else (row.name, "", "")
    before, after = [0, 0], [0, 0]
    for message in parts.kept.conversations.opinions.all():
        told = message.feedback
        if told is None or told.right is None or not message.answer:
            continue
        if not _is_of(str(message.answer.get("model") or ""), model, adapter):
            continue
        side = after if message.created_at >= since else before
        side[told.right] += 1
    if sum(before) < FEWEST_THUMBS or sum(after) < FEWEST_THUMBS:
        return ""
    if chance(before[0], before[1], after[0], after[1]) >= MOST_CHANCE:
        return ""
    return t(
        "updating.thumbs_fell",
        wrong=after[0],
        total=sum(after),
        wrong_before=before[0],
        total_before=sum(before),
    )


def _is_of(answered: str, model: str, adapter: str) -> bool:
    """Whether the answer is that model's: of an adapter, with it switched on."""
    if not adapter:
        return answered == model or answered.startswith(f"{model}:")
    names = answered.removeprefix(f"{model}:").split(",") if answered != model else []
    return adapter in (name.partition("@")[0] for name in names)


def chance(wrong_before: int, right_before: int, wrong: int, right: int) -> float:
    """How likely at least so many of the later answers are the wrong ones, if it made no difference
    which came later (Fisher's exact test, one-sided)."""
    num_wrong, num_after = wrong_before + wrong, wrong + right
    total = num_wrong + right_before + right
    ways = sum(
        math.comb(num_wrong, k) * math.comb(total - num_wrong, num_after - k)
        for k in range(wrong, min(num_wrong, num_after) + 1)
    )
    return ways / math.comb(total, num_after)
