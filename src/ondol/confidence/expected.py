"""What kind of answer a question wants, and whether an answer is of that kind (Voorhees 1999; the
expected answer type of question answering). Only a hint: what is of no known kind fits nothing."""

from __future__ import annotations

import re

from ondol.confidence.words import folded

_NUMBER_WORDS = (
    "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|"
    "sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|"
    "hundred|thousand|million|billion|half|third|quarter|dozen|once|twice|thrice"
)
_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_NUMBER = re.compile(rf"\d[\d.,]*|\b(?:{_NUMBER_WORDS})s?\b")
_TIME = re.compile(
    rf"\b\d{{3,4}}s?\b|\b\d{{1,2}}(?:st|nd|rd|th)?\b|\b(?:{_MONTHS})\b|\bcentur(?:y|ies)\b|"
    r"\b(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|spring|summer|autumn|winter|"
    r"noon|midnight|morning|evening|dawn|today|yesterday)\b|\d+\s?(?:년|월|일|시|세기)"
)
_NAME = re.compile(r"\b[A-Z][\w'’-]*(?:\s+(?:(?:of|the|de|von|van|and)\s+)*[A-Z][\w'’-]*)*")
_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "time",
        re.compile(
            r"\bwhen\b|\b(?:what|which)(?: \w+)? (?:year|date|day|month|century|decade|era)s?\b|"
            r"\bsince what|언제|며칠|몇\s?(?:시|월|일|년)"
        ),
    ),
    (
        "number",
        re.compile(
            r"\bhow (?:many|much|old|long|far|tall|large|big|high|often|fast|deep|wide|heavy)\b|"
            r"\b(?:what|which)(?: \w+)? (?:percent|percentage|number|amount|age|fraction|"
            r"proportion|share|size|length|width|height|price|cost|speed|temperature)\b|얼마|몇"
        ),
    ),
    ("name", re.compile(r"\bwho(?:m|se)?\b|\bname of\b|누구|누가")),
    ("name", re.compile(r"\bwhere\b|\b(?:what|which) (?:country|city|state|place|region|town)\b")),
    (
        "yes_no",
        re.compile(
            r"^(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|may|must)\b"
        ),
    ),
)


def asks_for(question: str) -> str:
    """time, number, name or yes_no; empty when it does not show."""
    lowered = folded(question)
    return next((kind for kind, pattern in _KINDS if pattern.search(lowered)), "")


def fits(kind: str, answer: str) -> bool:
    """Whether ``answer`` is of ``kind``."""
    if kind == "yes_no":
        return folded(answer).rstrip(".,! ") in ("yes", "no", "예", "네", "아니요")
    return bool(_found(kind, answer))


def candidates(kind: str, question: str, sentence: str) -> frozenset[str]:
    """The answers of ``kind`` that the sentence offers and the question does not say, folded."""
    said = folded(question)
    return frozenset(one for one in map(folded, _found(kind, sentence)) if one not in said)


def _found(kind: str, text: str) -> list[str]:
    if kind == "name":
        return _NAME.findall(text)
    pattern = {"time": _TIME, "number": _NUMBER}.get(kind)
    return pattern.findall(folded(text)) if pattern else []
