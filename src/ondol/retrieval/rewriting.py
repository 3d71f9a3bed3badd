"""A question of a conversation as one that stands alone: "and the second one?", "그럼 두 번째는?".

A small rule sees that a question points back (a pronoun, an ellipsis, an "and"), and carries over
what the last turns were about; a search weighs that below the new words. What the new words replace
(another month, another number) is left behind. Knows nothing of the library; no model is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ondol.retrieval.terms import STOP_WORDS, query_terms
from ondol.types import Message

# A long answer is about many things; its first words are about what was asked.
ANSWER_WORDS = 24
MOST_CARRIED = 24
FEW_WORDS = 4

_MARKS = re.compile(r"\[\d{1,3}\]")
_WORD = re.compile(r"\w+")

_JOINS = re.compile(
    r"^\W*(?:and|or|but|so|then|also|plus|ok(?:ay)?|what about|how about|same (?:for|question)|"
    r"why|how come|what else|who else|anything else|any others?|since when|for whom|by whom)\b",
    re.IGNORECASE,
)
_POINTS = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|these|those|this|"
    r"that(?=\W*$|\s+(?:one|time|year|day|case|amount))|there(?=\W*$)|"
    r"(?:the|that|this)\s+(?:same|other|others|latter|former|rest)|ones?(?=\W*$)|"
    r"(?:first|second|third|fourth|fifth|last|next|other|previous)\s+ones?)\b",
    re.IGNORECASE,
)
# "Is there a …" and "it is true that …" point at nothing.
_POINTS_NOWHERE = re.compile(
    r"\b(?:(?:is|are|was|were)\s+there|there\s+(?:is|are|was|were)|is\s+it\s+(?:true|possible)\s+)",
    re.IGNORECASE,
)
_KOREAN_JOINS = re.compile(
    r"^\W*(?:그럼|그러면|그리고|그래서|그런데|근데|그렇다면|또|또는|혹시\s*그|아니면|왜|이유는|나머지|반대로|"
    r"다른\s*(?:건|것|거|하나|쪽)|(?:첫|두|세|네|다섯)\s*번째|첫째|둘째|셋째|마지막\s*(?:건|것|은))"
)
_KOREAN_POINTS = re.compile(
    r"(?<!\S)(?:그건|그게|그거|그것|이건|이게|이거|이것|저건|저거|거기|그곳|그때|당시|그녀|그들|걔|그분|그쪽|그중|"
    r"그는|그가|그를|그의|이를|이는|여기(?:서|에)?(?=\W*$)|(?:그|이|저)\s+[가-힣]+|(?:그|이)(?:날|해|사람|책|돈|집))"
)
_KOREAN_ASKS = re.compile(
    r"무엇|무슨|뭐|뭔|뭘|누구|누가|누군|누굴|언제|언젠|어디|어딘|얼마|몇|왜|어떻게|어떤|했|하|해|됐|되|있|없|이야|이지|인가|건가"
)
# A topic and nothing else: "보증금은?"
_KOREAN_TOPIC = re.compile(r"^(?:\S+\s+){0,2}\S+(?:은|는|도)\s*\?*$")
_ORDINALS = (
    r"first|1st|첫\s*번째|첫째",
    r"second|2nd|두\s*번째|둘째",
    r"third|3rd|세\s*번째|셋째",
    r"fourth|4th|네\s*번째|넷째",
    r"fifth|5th|다섯\s*번째|다섯째",
)
_MONTHS = (
    "january february march april may june july august september october november december".split()
)
_DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
# A new word of a class replaces the old ones of that class.
_CLASSES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:{'|'.join(_ORDINALS[:1])}|" + "|".join(_ORDINALS[1:]) + r"|last|마지막)(?:\s+one)?",
        rf"\b(?:{'|'.join(_MONTHS)})\b|(?<!\d)\d{{1,2}}월",
        rf"\b(?:{'|'.join(_DAYS)})\b|[월화수목금토일]요일",
        r"\b(?:1[0-9]|20)\d{2}\b년?|작년|올해|내년|지난해",
        r"\b(?:spring|summer|autumn|fall|winter)\b|봄|여름|가을|겨울",
    )
)
_LISTED = re.compile(r"(?:^|\n)\s*(?:\d{1,2}[.)]|[-*•])\s+(.+)")
_FILLING = re.compile(
    r"\b(?:and|or|but|so|then|also|what about|how about|ones?|others?|else|same)\b|"
    r"(?<!\S)(?:그럼|그러면|그리고|그래서|그런데|근데|그렇다면|또|혹시|아니면)(?!\S)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class StandAlone:
    """A question that needs no conversation: ``text`` is what a reader of it alone would have to be
    told, ``terms`` are those of the question, ``carried`` those of the turns before it."""

    text: str
    terms: tuple[str, ...]
    carried: tuple[str, ...] = ()


def follows_up(question: str) -> bool:
    """Whether ``question`` points back at what was said before it."""
    text = " ".join(question.split())
    plain = _POINTS_NOWHERE.sub(" ", text)
    if _JOINS.search(text) or _POINTS.search(plain):
        return True
    if _KOREAN_JOINS.search(text) or _KOREAN_POINTS.search(text) or _KOREAN_TOPIC.match(text):
        return True
    # "How much?", "누가 썼어?": too little to search for.
    words = _WORD.findall(text.lower())
    said = [word for word in words if word not in STOP_WORDS and not _KOREAN_ASKS.match(word)]
    return len(words) <= FEW_WORDS and len(said) <= 1


def rewrite(question: str, history: Sequence[Message], *, morphemes: bool = False) -> StandAlone:
    """``question`` with what it points back at in ``history``; itself where it does not. Its terms
    have Korean ``morphemes`` where those are asked for."""
    terms_of = partial(query_terms, morphemes=morphemes)
    if not history or not follows_up(question):
        return StandAlone(question, tuple(terms_of(question)))
    own = _own_terms(question, terms_of)
    asked, answered = _last_turn(history)
    before = [_without_replaced(part, question) for part in (asked, answered) if part]
    item = _item_of(question, answered)
    if item:
        before = [_without_replaced(asked, question), item]
    if asked and follows_up(asked):
        # The last question pointed back itself.
        earlier, _ = _last_turn(_until(history, asked))
        before.insert(0, _without_replaced(_without_replaced(earlier, asked), question))
    text = " ".join([*(part for part in before if part), question])
    terms = (term for part in before for term in (terms_of(part) if part else ()))
    # A number of the last answer is what was asked then.
    carried = [t for t in dict.fromkeys(terms) if t not in own and not t.isdigit()]
    return StandAlone(" ".join(text.split()), own, tuple(carried[:MOST_CARRIED]))


def _own_terms(question: str, terms_of: Callable[[str], list[str]]) -> tuple[str, ...]:
    """The terms of the question that say something; none where it only points."""
    plain = _FILLING.sub(" ", question)
    # "the second one" says "second", "그 계약서" says "계약서"; "it" and "그거" say nothing.
    for pattern in (_POINTS, _KOREAN_POINTS):
        plain = pattern.sub(lambda match: match.group().partition(" ")[2], plain)
    says = any(word not in STOP_WORDS for word in _WORD.findall(plain.lower()))
    return tuple(terms_of(plain)) if says else ()


def _last_turn(history: Sequence[Message]) -> tuple[str, str]:
    """The last question and the beginning of its answer."""
    asked = next((m.content for m in reversed(history) if m.role == "user"), "")
    last = history[-1] if history else None
    answered = last.content if last is not None and last.role == "assistant" else ""
    plain = _MARKS.sub(" ", answered)
    if _LISTED.search(plain):
        return asked, plain
    return asked, " ".join(plain.split()[:ANSWER_WORDS])


def _until(history: Sequence[Message], asked: str) -> Sequence[Message]:
    """What was said before ``asked``."""
    places = [i for i, m in enumerate(history) if m.role == "user" and m.content == asked]
    return history[: places[-1]] if places else ()


def _without_replaced(text: str, question: str) -> str:
    """``text`` without the month, the year, the place in a row that ``question`` has another of."""
    for kind in _CLASSES:
        if kind.search(question):
            text = kind.sub(" ", text)
    return " ".join(text.split())


def _item_of(question: str, answered: str) -> str:
    """The item of a listed answer that an ordinal of ``question`` means; "" where there is none."""
    listed = _LISTED.findall(answered)
    for place, ordinal in enumerate(_ORDINALS):
        if re.search(rf"(?:\b|(?<=\s))(?:{ordinal})", question, re.IGNORECASE):
            return listed[place] if place < len(listed) else ""
    return ""
