"""The syntax of a search box: ``boiler in:home type:pdf path:~/work after:2025-01 -lang:en``.

Only known keys with a value right after the colon are taken, so that ``http://x``, ``note: buy
milk`` and ``12:30`` stay text, and so does everything in quotes. The same words and values are the
flags of the commands and the fields of the API. A value that cannot be is a ``UsageError`` that
says what can.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.retrieval import kinds
from ondol.retrieval.filters import Filter
from ondol.retrieval.language_codes import read_code

KEYS = ("in", "path", "type", "after", "before", "lang")
NEGATABLE = ("in", "path", "type", "lang")
_IN_KOREAN = dict(zip(("모음", "경로", "종류", "이후", "이전", "언어"), KEYS, strict=True))
_NAMES = {name: name for name in KEYS} | _IN_KOREAN

_TOKEN = re.compile(
    r"(?P<minus>-?)(?P<key>" + "|".join(_NAMES) + r"):"
    # A quoted value, or a word; not what follows in C++ and Rust (path::Path) or in an address.
    r'(?:["“”](?P<quoted>(?:\\.|[^"“”\\])*)["“”](?P<after>[?!.,;:)]*)(?=\s|$)'
    r'|(?P<word>(?![:="“”]|//)\S+))',
    re.IGNORECASE,
)
_PHRASE = re.compile(r'["“”][^"“”]*["“”]\S*|\S+')
_PUNCTUATION = "?!.,;:)"
_PLAIN = re.compile(r"[\w/~*+-][\w/~*+.-]*")
_DATE = re.compile(r"(\d{4})(?:[-./](\d{1,2})(?:[-./](\d{1,2}))?)?")
_AGO = re.compile(r"(\d{1,4})([dw])")
_DAYS = {"today": 0, "오늘": 0, "yesterday": 1, "어제": 1}
_YEARS = range(1900, 3000)
_MAX_LENGTH = 1000
# SQLite takes no longer chains of conditions than a few hundred.
MAX_VALUES = 100


def parse(text: str, *, base: Path | None = None) -> tuple[str, Filter]:
    """``text`` without its filters, and these. Without any it is given back as it is.

    ``base`` is the folder that ``path:./notes`` begins in; without one that is an error.
    """
    values: dict[str, list[str]] = {}
    rest: list[str] = []
    for piece in _pieces(text):
        found = _TOKEN.fullmatch(piece)
        key = _NAMES[found["key"].lower()] if found else ""
        if found is None or (found["minus"] and key not in NEGATABLE):
            rest.append(piece)
            continue
        value, tail = _value(found, key)
        if not value:
            rest.append(piece)
            continue
        values.setdefault(("-" if found["minus"] else "") + key, []).append(value)
        if tail and rest:
            rest[-1] += tail
    return (" ".join(rest), read(values, base=base)) if values else (text, Filter())


def read(values: Mapping[str, Iterable[str]], *, base: Path | None = None) -> Filter:
    """The filter that ``values`` by key (``in``, ``-in``, ``path`` …) ask for."""
    given = {key: list(dict.fromkeys(found)) for key, found in values.items()}
    for key, found in given.items():
        if len(found) > MAX_VALUES:
            hint = t("filters.too_many_hint", field=key, limit=MAX_VALUES)
            raise UsageError(t("filters.too_many", field=key), hint, param=key)
    excluded = {key[1:]: found for key, found in given.items() if key.startswith("-")}
    after = [_date("after", value) for value in given.get("after", ())]
    before = [_date("before", value) for value in given.get("before", ())]
    return Filter(
        collections=tuple(_name(value) for value in given.get("in", ())),
        paths=tuple(_path(value, base) for value in given.get("path", ())),
        types=tuple(_type(value) for value in given.get("type", ())),
        after=max(after, default=None),
        before=min(before, default=None),
        languages=tuple(_language(value) for value in given.get("lang", ())),
        excluded=read(excluded, base=base) if excluded else None,
    )


def written(where: Filter) -> dict[str, list[str]]:
    """The values by key that ``read`` makes ``where`` of; ``also`` has no such form."""
    values = {
        "in": list(where.collections),
        "path": list(where.paths),
        "type": list(where.types),
        "after": [where.after.isoformat()] if where.after else [],
        "before": [where.before.isoformat()] if where.before else [],
        "lang": list(where.languages),
    }
    if where.excluded:
        values |= {f"-{key}": found for key, found in written(where.excluded).items()}
    return {key: found for key, found in values.items() if found}


def render(where: Filter) -> str:
    """``where`` in the syntax that ``parse`` reads."""
    return " ".join(
        f"{key}:{_quoted(value)}" for key, values in written(where).items() for value in values
    )


def _pieces(text: str) -> list[str]:
    """``text`` at its spaces, but not at those inside quotes."""
    pieces, position = [], 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        found = _TOKEN.match(text, position) or _PHRASE.match(text, position)
        assert found is not None
        pieces.append(found[0])
        position = found.end()
    return pieces


def _value(found: re.Match[str], key: str) -> tuple[str, str]:
    """The value, and the punctuation of the sentence behind it."""
    if found["quoted"] is not None:
        return re.sub(r"\\(.)", r"\1", found["quoted"]).strip(), found["after"]
    word = found["word"]
    value = word.rstrip(_PUNCTUATION.replace(".", "") if key == "path" else _PUNCTUATION)
    return value, word[len(value) :]


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value) and value[-1] not in _PUNCTUATION and not value.startswith("//"):
        return value
    return '"' + re.sub(r'(["“”\\])', r"\\\1", value) + '"'


def _name(value: str) -> str:
    return unicodedata.normalize("NFC", value.strip())


def _path(value: str, base: Path | None) -> str:
    path = value.strip()
    first = path.split("/", 1)[0]
    if first in (".", "..") and base is None:
        raise _refusal("path", value)
    if first.startswith("~"):
        path = os.path.expanduser(path)
    if base is not None and first in (".", ".."):
        path = os.path.join(base, path)
    if path.startswith("/"):
        path = os.path.normpath("/" + path.lstrip("/"))
    path = re.sub(r"\*+", "*", path)
    path = path.rstrip("/") or path[:1]
    if not path or len(path) > _MAX_LENGTH or "\0" in path or path.startswith("~"):
        raise _refusal("path", value)
    return path


def _type(value: str) -> str:
    kind = kinds.read(value)
    if kind is None:
        raise _refusal("type", value)
    return kind


def _language(value: str) -> str:
    code = read_code(value)
    if code is None:
        raise _refusal("lang", value)
    return code


def _date(key: str, value: str) -> date:
    text = value.strip().lower().rstrip(".")
    ago = _AGO.fullmatch(text)
    if ago or text in _DAYS:
        days = int(ago[1]) * (7 if ago[2] == "w" else 1) if ago else _DAYS[text]
        return date.today() - timedelta(days=days)
    found = _DATE.fullmatch(text)
    try:
        if found and int(found[1]) in _YEARS:
            return date(int(found[1]), int(found[2] or 1), int(found[3] or 1))
    except ValueError:
        pass  # there is no such day
    raise _refusal(key, value)


def _refusal(key: str, value: str) -> UsageError:
    shown = value if len(value) <= 60 else value[:60] + "…"
    word = "date" if key in ("after", "before") else key
    return UsageError(
        t(f"filters.bad_{word}", field=key, value=shown),
        t(f"filters.bad_{word}_hint", field=key),
        param=key,
    )
