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
_NOT_A_UNIT = r"(?![.,]\d| ?(?:%|percent|per cent|[a-z]*met(?:re|er)|k?m\b|kg|miles|people))"
_YEAR = rf"\b(?:1\d{{3}}|20\d\d|[1-9]\d{{2}})s?\b{_NOT_A_UNIT}"
_YEARS = re.compile(_YEAR)
_MONEY = re.compile(
    r"[$£€₩¥]\s?\d|\d\s?원|\b(?:dollar|pound|euro|cent|penny|pence|crown|franc|mark|won|"
    r"yen|rupee|shilling|guilder|florin|peso|krone|krona)s?\b|\bfree\b|\bnothing\b"
)
_NUMBER = re.compile(rf"\d[\d.,]*|\b(?:{_NUMBER_WORDS})s?\b")
_TIME = re.compile(
    rf"{_YEAR}|\b\d{{1,2}}(?::\d\d|st|nd|rd|th)?\b{_NOT_A_UNIT}|\b(?:{_MONTHS})\b|"
    r"\bcentur(?:y|ies)\b|\b(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|spring|"
    r"summer|autumn|winter|noon|midnight|morning|evening|dawn|today|yesterday)\b|"
    r"\d+\s?(?:년|월|일|시|세기)"
)
_NAME = re.compile(r"\b[A-Z][\w'’-]*(?:\s+(?:(?:of|the|de|von|van|and)\s+)*[A-Z][\w'’-]*)*")
_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "yes_no",
        re.compile(
            r"^(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|may|must)\b"
        ),
    ),
    ("year", re.compile(r"\b(?:what|which)(?: \w+)? years?\b|몇\s?년")),
    (
        "time",
        re.compile(
            r"\bwhen\b|\b(?:what|which)(?: \w+)? (?:date|day|month|century|decade|era|time)s?\b|"
            r"\bsince what|언제|며칠|몇\s?(?:시|월|일)"
        ),
    ),
    (
        "money",
        re.compile(
            r"\b(?:what|how much)\b.*\b(?:price|cost|costs|fee|fare|rent|salary|pay|paid)\b|"
            r"얼마"
        ),
    ),
    (
        "number",
        re.compile(
            r"\bhow (?:many|much|old|long|far|tall|large|big|high|often|fast|deep|wide|heavy)\b|"
            r"\b(?:what|which)(?: \w+)? (?:percent|percentage|number|amount|age|fraction|"
            r"proportion|share|size|length|width|height|area|speed|temperature)\b|몇"
        ),
    ),
    ("name", re.compile(r"\bwho(?:m|se)?\b|\bname of\b|누구|누가")),
    ("name", re.compile(r"\bwhere\b|\b(?:what|which) (?:country|city|state|place|region|town)\b")),
)
_PATTERNS = {"time": _TIME, "year": _YEARS, "money": _MONEY, "number": _NUMBER}


def asks_for(question: str) -> str:
    """yes_no, year, time, money, number or name; empty when it does not show."""
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
    """Every place of ``text`` that is of ``kind``."""
    if kind == "name":
        return _NAME.findall(text)
    pattern = _PATTERNS.get(kind)
    return pattern.findall(folded(text)) if pattern else []
