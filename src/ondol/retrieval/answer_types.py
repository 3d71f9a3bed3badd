"""What kind of answer a question wants, and whether a sentence holds one.

"When", "how many", "what does it cost", "who", "why" and their Korean sisters are answered by a
date, a number, a name or a reason, and a sentence without one is less likely to be the answer
(Voorhees, 1999). Only a hint: it moves a sentence a little, and a question of no known kind none.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_WORD = re.compile(r"[\w.,:½¼¾⅓⁄/-]*\d[\w.,:⁄/-]*|[^\W\d_]+(?:['’-]\w+)*")
_NUMBERS = frozenset(
    "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty "
    "hundred thousand million billion half third quarter dozen once twice first second".split()
)
_TIMES = frozenset(
    "january february march april may june july august september october november december "
    "monday tuesday wednesday thursday friday saturday sunday century noon midnight "
    "spring summer autumn winter yesterday today tomorrow".split()
)
_KOREAN_NUMBER = re.compile(
    r"\d|(?:한|두|세|네|다섯|여섯|일곱|여덟|아홉|열|스무|서른|마흔|쉰)\s?"
    r"(?:번|명|개|달|살|시간|사람|가지|곳|해|주|차례|잔|마리|분)|하루|이틀|사흘|나흘|닷새|엿새|열흘|보름|절반"
)
_KOREAN_TIME = re.compile(
    r"\d+\s?(?:년|월|일|시|분|세기|주|개월)|[월화수목금토일]요일|오전|오후|새벽|정오|자정|"
    r"하루|이틀|사흘|나흘|닷새|엿새|열흘|보름|주말|평일|매달|매주|매일|봄|여름|가을|겨울"
)
# A reason follows one of these.
_REASON = re.compile(
    r"\b(?:because|since|as|so|owing|due|thanks|therefore|thus|hence|otherwise|reasons?|caus(?:ed?|es)|"
    r"prompted|explains?|led to|results? (?:of|from|in)|resulted|in order to|to (?:avoid|prevent)|"
    r"for fear)\b",
    re.IGNORECASE,
)
_KOREAN_REASON = re.compile(
    r"때문|므로|[아어여해라]서|위해|위하여|도록|니까|으니|탓|덕|까닭|이유|바람에"
)
# What has an amount, as a question names it.
_AMOUNT = (
    r"(?:price|cost|fee|fare|rent|charge|salary|wage|bill|sum|total|deposit|fine|excess|interest|rate|"
    r"share|ratio|score|temperature|depth|height|length|width|thickness|weight|size|area|volume|"
    r"distance|speed|population|capacity|duration|frequency|limit|maximum|minimum)s?"
)
_KOREAN_AMOUNT = (
    r"(?:값|가격|요금|비용|회비|월세|보증금|수수료|금액|총액|벌금|이자|비율|기간|두께|높이|길이|깊이|너비|"
    r"넓이|면적|무게|온도|속도|거리|인구|용량|점수|나이)"
)

_ASKED: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"\bwhy\b|\bhow come\b|\bwhat (?:caused|led to|prompted)\b|"
            r"\b(?:what|which)\b.{0,200} (?:reasons?|purpose|cause)\b"
        ),
        "reason",
    ),
    (re.compile(r"왜|이유|까닭|(?:무엇|뭐)\s?때문"), "korean reason"),
    (
        re.compile(
            r"\bwhen\b|\b(?:what|which) (?:\w+ )?(?:year|date|day|month|century|decade|time)\b"
        ),
        "time",
    ),
    (
        re.compile(
            r"\bhow (?:many|much|old|long|far|tall|large|big|high|often|fast|quickly|soon|deep|"
            r"wide|heavy|hot|cold|thick|frequently|strong|loud)\b|"
            r"\bwhat (?:\w+ )?(?:percent|percentage|number|amount|age|fraction|proportion)\b|"
            r"\b(?:what|which)(?: (?:is|was|are|were)(?: (?:the|a|an))?(?: [\w-]+){0,2})? "
            rf"{_AMOUNT}\b|"
            r"\bwhat (?:do|does|did|will|should|must|would)\b.{0,200} "
            r"(?:cost|weigh|measure|charge|pay|earn)\b"
        ),
        "number",
    ),
    (re.compile(r"\bwho(?:m|se)?\b"), "name"),
    (
        re.compile(r"\bwhere\b|\b(?:what|which) (?:country|city|state|place|region|town)\b"),
        "name",
    ),
    (
        re.compile(
            r"언제|며칠|몇\s?(?:시|월|일|년|분|주|요일|달)|요일|날짜|(?:해|날|때|시각|시기|[가-힣]일)(?:는|은)\s*(?:\?|$)"
        ),
        "korean time",
    ),
    (re.compile(rf"얼마|몇|퍼센트|{_KOREAN_AMOUNT}(?:은|는|이|가)?\s*(?:\?|$)"), "korean number"),
)


def answer_type(question: str) -> str:
    """The kind of answer that ``question`` wants; empty when it does not show."""
    lowered = question.lower()
    return next((kind for pattern, kind in _ASKED if pattern.search(lowered)), "")


def holds_answer(kind: str, question: str, sentence: str) -> bool:
    """Whether ``sentence`` has something of ``kind`` that the question did not say itself."""
    holds = _HOLDS.get(kind)
    return holds is not None and holds(sentence, _words(question))


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip(".,:-/").lower() for word in _WORD.findall(text))


def _holds_number(sentence: str, asked: frozenset[str]) -> bool:
    new = _words(sentence) - asked
    return any(word in _NUMBERS or any(c.isdigit() for c in word) for word in new)


def _holds_time(sentence: str, asked: frozenset[str]) -> bool:
    new = _words(sentence) - asked
    return any(word in _TIMES or any(c.isdigit() for c in word) for word in new)


def _holds_name(sentence: str, asked: frozenset[str]) -> bool:
    """A capital inside the sentence; at its beginning every word has one."""
    words = _WORD.findall(sentence)
    new = [word[0].isupper() and word.lower() not in asked for word in words]
    return any(new[1:]) or (all(word[0].isupper() for word in words[:2]) and any(new[:2]))


_HOLDS: dict[str, Callable[[str, frozenset[str]], bool]] = {
    "number": _holds_number,
    "time": _holds_time,
    "name": _holds_name,
    "reason": lambda sentence, asked: bool(_REASON.search(sentence)),
    "korean reason": lambda sentence, asked: bool(_KOREAN_REASON.search(sentence)),
    "korean number": lambda sentence, asked: bool(_KOREAN_NUMBER.search(sentence)),
    "korean time": lambda sentence, asked: bool(_KOREAN_TIME.search(sentence)),
}
