"""How long a model stays in memory after an answer, as Ollama's clients write it.

A number is seconds, a string is a Go duration ("5m", "1h30m"), anything negative means for ever.
Raises ``UsageError``.
"""

from __future__ import annotations

import math
import re

from ondol.errors import UsageError
from ondol.i18n import t

_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_TERM = re.compile(rf"({_NUMBER})(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"([+-]?)((?:{_NUMBER}(?:ns|us|µs|μs|ms|s|m|h))+)")


def parse_keep_alive(value: int | float | str | None) -> float | None:
    """Seconds; ``math.inf`` for ever; ``None`` (not given) stays ``None``."""
    if value is None:
        return None
    if isinstance(value, str):
        return _duration(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _bad(value)
    seconds = _seconds(value)
    if math.isnan(seconds):
        raise _bad(value)
    return math.inf if seconds < 0 else seconds


def _duration(text: str) -> float:
    if text in ("0", "+0", "-0"):
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None:
        raise _bad(text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _TERM.findall(match[2]))
    return math.inf if match[1] == "-" and seconds > 0 else seconds


def _seconds(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf  # an int of hundreds of digits


def _bad(value: object) -> UsageError:
    return UsageError(
        t("engine.bad_keep_alive", value=str(value)[:80]),
        t("engine.bad_keep_alive_hint"),
        param="keep_alive",
    )
