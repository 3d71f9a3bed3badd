"""Whether a reply does what it was told, decided by rules that anybody can read.

The kind of instruction whose following needs no judge (Zhou et al. 2023, IFEval, arXiv:2311.07911):
how many words, which words, which form. Knows texts only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ondol.training.conduct import MOSTLY, hangul_share
from ondol.training.evaluation import fold

_BULLET = re.compile(r"^\s*[-*•]\s+\S")
_QUOTES = ('"', "“", "”")

Check = Callable[[str, Any], bool]


def passes(reply: str, checks: Mapping[str, Any]) -> bool:
    """Whether ``reply`` says something and passes every one of ``checks``. A check that is not
    known is a ``KeyError``: the suite is wrong."""
    return bool(reply.strip()) and all(CHECKS[name](reply, how) for name, how in checks.items())


def _words(reply: str) -> list[str]:
    return [word for word in reply.split() if any(map(str.isalnum, word))]


def _lines(reply: str) -> list[str]:
    return [line for line in reply.splitlines() if line.strip()]


def _is_json_object(reply: str, keys: list[str]) -> bool:
    text = reply.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and set(keys) == set(found)


def _is_cased(reply: str, folded: str) -> bool:
    return any(map(str.isalpha, reply)) and reply == folded


def _is_quoted(reply: str) -> bool:
    text = reply.strip()
    return len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES


CHECKS: Mapping[str, Check] = {
    "words_at_most": lambda reply, most: len(_words(reply)) <= most,
    "words_at_least": lambda reply, least: len(_words(reply)) >= least,
    "lines": lambda reply, count: len(_lines(reply)) == count,
    "bullets": lambda reply, count: (
        len(_lines(reply)) == count and all(map(_BULLET.match, _lines(reply)))
    ),
    "has": lambda reply, all_of: all(fold(one) in fold(reply) for one in all_of),
    "avoids": lambda reply, none_of: not any(fold(one) in fold(reply) for one in none_of),
    "only": lambda reply, any_of: fold(reply) in map(fold, any_of),
    "begins_with": lambda reply, word: fold(reply).startswith(fold(word)),
    "ends_with": lambda reply, word: fold(reply).endswith(fold(word)),
    "upper": lambda reply, _: _is_cased(reply, reply.upper()),
    "lower": lambda reply, _: _is_cased(reply, reply.lower()),
    "quoted": lambda reply, _: _is_quoted(reply),
    "json_keys": _is_json_object,
    "language": lambda reply, code: (hangul_share(reply) >= MOSTLY) == (code == "ko"),
}
"""By the names that ``instructions.jsonl`` uses; each is given the reply and the check's value."""
