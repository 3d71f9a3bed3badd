"""One line of the ledger: what an entry may say, and its canonical JSON.

An entry holds numbers, times and codes, never words that somebody wrote: what is no code is not
kept, and of an address only host and port are. Canonical JSON is UTF-8 with sorted keys and without
spaces or absent fields, as ``json.dumps(x, sort_keys=True, separators=(",", ":"),
ensure_ascii=False)`` writes it; numbers are the shortest that read back the same.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

HASH_BYTES = 32
NO_HASH = bytes(HASH_BYTES)
"""What the first entry follows."""

MOST_CODES = 32
# The first letter is none that a spreadsheet takes for a formula's.
_CODE = re.compile(r"[\w:][\w.:@+-]{0,99}", re.ASCII)
_MODEL = re.compile(r"\w[\w.:,@+-]*(/\w[\w.:,@+-]*){0,4}", re.ASCII)
_HOST = re.compile(r"[\w.:\[\]-]{1,253}", re.ASCII)
_OTHER = "other"


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened. ``kind`` is a code: "answer", "egress" and "refused" (bytes that leave, or are
    kept from leaving), "received", "given" and "tool" (programs that speak MCP), "feedback",
    "calibration", "enrolment", "restored", "break" …

    ``seconds`` are wall clock, tokens and bytes whole numbers, energy is joules; ``cost_krw`` is
    what it cost here, ``cloud_usd`` what the same tokens cost at ``cloud_model`` by the prices of
    the day ``prices``. ``about`` is the id of another entry, ``count`` a number of entries (or of
    passages that a program was given), ``request`` what two ledgers call the same request by.
    ``happened`` is when it did, where it could not be written down at once."""

    kind: str
    number: int = 0
    time: str = ""
    route: str = ""
    reasons: tuple[str, ...] = ()
    probability: float | None = None
    calibrator: str = ""
    threshold: float | None = None
    gain: float | None = None
    model: str = ""
    task: str = ""
    sensitivity: str = ""
    label_reasons: tuple[str, ...] = ()
    draft_model: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None
    first_token_seconds: float | None = None
    destination: str = ""
    purpose: str = ""
    bytes_out: int | None = None
    bytes_in: int | None = None
    energy_joules: float | None = None
    energy_source: str = ""
    energy_meter: str = ""
    cost_krw: float | None = None
    cloud_usd: float | None = None
    cloud_model: str = ""
    prices: str = ""
    krw_per_usd: float | None = None
    verdict: str = ""
    device: str = ""
    request: str = ""
    about: str = ""
    count: int | None = None
    happened: str = ""
    id: str = ""

    def cleaned(self) -> Entry:
        """The entry with nothing in it but codes and finite numbers."""
        found: dict[str, Any] = {}
        for field in _FIELDS:
            value = getattr(self, field)
            if isinstance(value, str):
                value = _WORDS.get(field, code)(value) if value else ""
            elif isinstance(value, list | tuple):
                value = codes(value)
            elif isinstance(value, float):
                value = float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
            found[field] = value
        return replace(self, **found)

    def json(self) -> dict[str, Any]:
        """What the entry says, without what it does not say; ``id`` is not a part of it."""
        found = {name: getattr(self, name) for name in ("number", "time", *_FIELDS)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value not in ("", (), None)
        }


_FIELDS = tuple(f.name for f in fields(Entry) if f.name not in ("number", "time", "id"))
_DEFAULTS = {"kind": "", "number": 0, "time": ""} | {
    f.name: f.default for f in fields(Entry) if f.name in _FIELDS and f.name != "kind"
}
_DIGITS = 6


def canonical(value: dict[str, Any]) -> str:
    """``value`` as canonical JSON."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def read(text: str | bytes, id: str = "") -> Entry:
    """The entry that canonical JSON holds; what a newer Ondol wrote beside it is left out.

    Raises ``ValueError`` for what is no entry."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError from None
    if not isinstance(value, dict) or "kind" not in value:
        raise ValueError
    known = {name: _typed(name, v) for name, v in value.items() if name in _DEFAULTS}
    return Entry(**{**known, "id": id})


def _typed(name: str, value: Any) -> Any:
    default = _DEFAULTS[name]
    if isinstance(default, str) and isinstance(value, str):
        return value
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(str(one) for one in value)
    if isinstance(default, int | None) and type(value) in (int, float):
        return value
    raise ValueError(name)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def is_time(text: str) -> bool:
    """Whether ``text`` is a time as entries write it, and one that can be reckoned with."""
    try:
        return "1970" <= text < "9999" and as_time(datetime.fromisoformat(text)) == text
    except (ValueError, OverflowError):
        return False


def now() -> str:
    """This moment in UTC, in milliseconds: "2026-11-21T19:42:18.123Z"."""
    return as_time(datetime.now(UTC))


def as_time(moment: datetime) -> str:
    """``moment`` as entries write it, so that their order as text is that of time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def code(text: str) -> str:
    """``text`` if it is a code, else "other": nobody's words get into the ledger."""
    return text if _CODE.fullmatch(text) else _OTHER


def codes(texts: Iterable[str]) -> tuple[str, ...]:
    """``texts``, each a code."""
    return tuple(code(str(text)) for text in texts)[:MOST_CODES]


def model_name(text: str) -> str:
    """``text`` if it is a model's name; of a path the last part, which is what it is called."""
    if _MODEL.fullmatch(text) and len(text) <= 200:
        return text
    return code(re.split(r"[/\\]", text)[-1])


def host_of(text: str) -> str:
    """Host and port of an address; no path, query or password of it is kept."""
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
    except ValueError:
        return _OTHER
    host = parts.netloc.rpartition("@")[2]
    return host.lower() if _HOST.fullmatch(host) else _OTHER


_WORDS = {
    "model": model_name,
    "draft_model": model_name,
    "cloud_model": model_name,
    "calibrator": model_name,
    "destination": host_of,
}
