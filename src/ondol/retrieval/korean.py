"""Korean words to the morphemes that carry their meaning, with Kiwi, where ``ondol[korean]`` is
installed.

Morphemes stand beside the bigrams of ``terms``, under a mark that no other term begins with: Latin
and Hangul are never one term. Only documents and questions are analysed; whether a sentence
mentions a morpheme is seen from its letters, because analysis takes 14 ms a passage. Loading the
model takes 3 s and 0.5 GB, once, and not before Korean text asks for it. Raises ``DocumentError``
when what is installed cannot be used.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from typing import Any

from ondol.errors import DocumentError
from ondol.i18n import t

MARK = "k"
_HANGUL = re.compile(r"[\uac00-\ud7a3]")

# Nouns, numerals, stems of verbs and adjectives, roots (the Sejong tag set).
_CONTENT_TAGS = frozenset(("NNG", "NNP", "NR", "VV", "VA", "XR"))
# What only asks, or stands in every sentence.
_STOP_MORPHEMES = frozenset(
    "하 되 있 없 알리 말하 설명 이유 까닭 때 수 것 어떻 어떠 어떤 정도 관하 대하 주 보 같 좀 더 잘 "
    "안 못".split()
)
_lock = threading.Lock()


@cache
def analyser() -> str:
    """The analyser that is installed, with its version; "" where there is none."""
    try:
        release = metadata.version("kiwipiepy")
    except metadata.PackageNotFoundError:
        return ""
    return f"kiwi {'.'.join(release.split('.')[:2])}"


def has_hangul(text: str) -> bool:
    """Whether there is anything to analyse in ``text``, composed or not."""
    return _HANGUL.search(unicodedata.normalize("NFC", text)) is not None


def morphemes(text: str) -> list[str]:
    """The content morphemes of ``text``, marked, in order, as often as they occur. Needs an
    ``analyser``."""
    text = unicodedata.normalize("NFKC", text)
    if not _HANGUL.search(text):
        return []
    with _lock:
        tokens = _kiwi().tokenize(text)
    return [
        MARK + token.form.lower()
        for token in tokens
        if token.tag.partition("-")[0] in _CONTENT_TAGS and _HANGUL.search(token.form)
    ]


def query_morphemes(text: str) -> list[str]:
    """Those of ``text`` that are worth searching for, each once."""
    found = dict.fromkeys(morphemes(text))
    return [one for one in found if one.removeprefix(MARK) not in _STOP_MORPHEMES]


def mentioned(wanted: Iterable[str], normal: str) -> list[str]:
    """The morphemes among the terms ``wanted`` whose letters stand in the normalised text, so that
    "보험" is in "보험금"."""
    return [one for one in wanted if is_morpheme(one) and one[1:] in normal]


def is_morpheme(term: str) -> bool:
    """Whether ``term`` is one of those that are made here."""
    return term[:1] == MARK and _HANGUL.match(term, 1) is not None


@cache
def _kiwi() -> Any:
    try:
        from kiwipiepy import Kiwi

        return Kiwi(num_workers=1)
    except Exception as error:
        # Kiwi's C++ raises what it likes when a file of its model is missing or damaged.
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        hint = t("korean.install_hint")
        raise DocumentError(t("korean.unusable", reason=reason), hint) from error
