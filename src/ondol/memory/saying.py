"""What the owner says that is worth remembering, found by rules in the words of a chat.

``stated`` is an order ("remember that …", "… 기억해 줘"): it holds at once. ``noticed`` are
sentences about the owner that nobody asked to be remembered: suggestions, for which a yes is
needed. Only for what the owner typed: a caller never hands in documents, results of tools or what
programs say. An order in a long text, or anywhere but at its edges, was pasted: it is none.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from ondol.memory import claims, wording
from ondol.memory.records import LONGEST_LETTERS

# Who types an order to remember types a line, not a page.
LONGEST_ORDER = 500
LONGEST_READ = 4000
MOST_NOTICED = 3


@dataclass(frozen=True, slots=True)
class Said:
    """A ``text`` to be remembered, and what ``kind`` of memory it is. ``rest`` is what was said
    beside it."""

    text: str
    kind: str
    rest: str = ""


_LEAD = r"(?:(?:ok(?:ay)?|hey|hi|please|ondol|also|and|btw|by the way)[,:!]? +)*"
_ORDER = re.compile(
    rf"^{_LEAD}(?P<asks>(?:can|could|would|will) you )?(?:i(?: want|'d like) you to )?(?:please )?"
    r"(?:remember|keep in mind|do(?:n'?t| not) forget|memori[sz]e|make a note|note down)"
    r"(?P<link> *: *| +this *: *| +that +|,? +)(?P<text>\S.*)$",
    re.IGNORECASE,
)
_STATEMENT = re.compile(
    r"(?:i|i'm|i've|my|we|our|the|it|he|she|they|always|never|[A-Z][\w-]*'s)\b", re.IGNORECASE
)
_NO_STATEMENT = re.compile(
    r"(?:that|the|it) (?:time|day|night|one|year|song|movie|film|episode|scene)\b", re.IGNORECASE
)
_KEEP = r"기억해\s*(?:줘요|줘|둬요|둬|두세요|두십시오|주세요|주십시오|놔|놓아|달라)"
_ORDER_FIRST_KO = re.compile(
    rf"^(?:온돌(?:아|,)?\s*)?(?:(?:이거|이것|이걸|다음을|꼭|잘)\s*)*"
    rf"(?:{_KEEP}\s*[:,.!]?\s+|기억(?:해|하기|할 것)?\s*:\s*|{_KEEP}\s*[:,]\s*)(?P<text>\S.*)$"
)
_ORDER_LAST_KO = re.compile(
    r"^(?:온돌(?:아|,)?\s*)?(?P<text>.+?)[.,!~\s]*"
    rf"(?:(?:이거|이것|이걸|이 점|꼭|잘)\s*)*{_KEEP}\s*[.!~]*$"
)
_QUOTED_KO = (
    (re.compile(r"(?<=해) ?달라(?:고|는\s*(?:것|거|걸|점)(?:을|를)?)$"), " 줘"),
    (re.compile(r"하는\s*(?:걸|거|것을)$"), "한다"),
    (re.compile(r"다는\s*(?:것|거|걸|점|사실)(?:을|를|도|만)?$"), "다"),
    (re.compile(r"다고$"), "다"),
    (re.compile(r"이라고$"), "이다"),
    (re.compile(r"(?<=[가-힣])라고$"), "다"),
    (re.compile(r"(?:라|이라)는\s*(?:것|거|걸|점|사실)(?:을|를|도|만)?$"), "다"),
    (re.compile(r"는\s*(?:걸|거|것을)$"), "는 것"),
)
_SENTENCE = re.compile(r"[^.!?。\n]*(?:[.!?。](?=\S)[^.!?。\n]*)*[.!?。]*")
_QUESTION = re.compile(r"\?|(?:니|까|나요|가요|는지|은지|을까|ㄹ까)[.!~ ]*$")

_PREFERENCE = re.compile(
    r"^(?:please |from now on,? |in (?:the )?future,? |always |never |do not |don't )*"
    r"(?:answer|reply|respond|write|use|call me|speak|talk|explain|keep|be|address me|format"
    r"|give me|show|start|end|avoid|stop|translate|quote|cite)\b"
    r"|\bi (?:would )?(?:prefer|want you to|like you to)\b|\bi'd (?:prefer|like you to)\b|"
    r"(?:대답|답|답변|말|써|설명|요약|불러|작성|번역|표시|사용|알려)\w*\s*(?:해|하|줘|주|달라|마)\w*\s*[.!~]*$|"
    r"(?:줘|주세요|말아|마라|마세요|바라|바랍니다)[.!~]*$|존댓말|반말|선호",
    re.IGNORECASE,
)
_NOTICED = re.compile(
    r"^i am (?:allergic|intolerant|diabetic|vegetarian|vegan|pregnant|deaf|blind|colou?r ?blind"
    r"|left[- ]handed|married|retired|a (?!bit|little|big|fan|lot)[\w -]+? by (?:trade|profession)"
    r"|(?:a|an) (?:vegetarian|vegan|nurse|doctor|teacher|student|lawyer|farmer|engineer|developer"
    r"|programmer|designer|writer|musician|chef|pilot|translator|accountant|researcher))\b"
    r"|^i (?:do not|can not|not) (?:eat|drink|speak|drive|smoke)\b|^i (?:speak|prefer|suffer)\b"
    r"|^(?:from now on|in (?:the )?future|always|not|please (?:always|not|do not))\b.*"
    r"\b(?:answer|reply|respond|write|use|call|speak|talk|explain|translate)\b"
)
_NOTICED_KO = re.compile(
    r"알레르기가? 있|(?:나는|저는|난|전) .*(?:못 먹|안 먹|먹지 않|먹지 못)|"
    r"(?:나는|저는|난|전) .*(?:채식|비건|임신|당뇨|왼손잡이)|"
    r"(?:나는|저는|난|전) .*(?:선호|제일 좋아|가장 좋아)|"
    r"^(?:앞으로(?:는|도)?|항상|언제나|늘) .*(?:줘|주세요|말아|마)"
)
_PASSING = re.compile(
    r"(?:\w+ing|not|so|very|too|really|quite|broken|wrong|slow|fast|missing|correct|fine|ok)\b"
)
_SECRETS = frozenset(("password", "passphrase", "pin", "code"))
_CLAUSE = re.compile(
    r",? (?:and|but|so) (?=(?:i|i'm|my)\b)|"
    r",? (?=(?:and |so |but )?(?:what|how|where|when|who|which|can|could|should|do|is)\b[^.!]*\?)",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"^(?:by the way|btw|fyi|also|and|so|well|oh|ok(?:ay)?|참고로|그리고|참|아)[,:]? +",
    re.IGNORECASE,
)


def stated(message: str) -> Said | None:
    """What ``message`` orders to be remembered; what else it says is the ``rest``."""
    message = message.strip().replace("’", "'")
    if not message or len(message) > LONGEST_ORDER or "\n\n" in message:
        return None
    first, *others = _sentences(message)
    rest = " ".join(others)
    found = _ORDER.match(first.rstrip())
    if found and _is_statement(found["link"], found["text"]):
        # "Can you remember that …?" asks for nothing else.
        text = found["text"].rstrip("?") if found["asks"] else found["text"]
        return _said(text, rest)
    return _stated_in_korean(first, others) if wording.is_korean(message) else None


def _stated_in_korean(first: str, others: list[str]) -> Said | None:
    # Hangul may come in pieces, as some keyboards and file systems write it.
    first = unicodedata.normalize("NFC", " ".join(first.split()))
    if found := _ORDER_FIRST_KO.match(first):
        return _said(found["text"], " ".join(others))
    if others and _is_bare_order(first):
        # "기억해 줘. 내 생일은 5월 3일이야."
        return _said(others[0], " ".join(others[1:]))
    if others and _is_bare_order(others[0]):
        return _said(first, " ".join(others[1:]))
    if found := _ORDER_LAST_KO.match(first):
        return _said(_unquoted(found["text"]), " ".join(others))
    return None


def noticed(message: str) -> list[Said]:
    """Sentences of ``message`` in which the owner speaks of themselves, or of how they want to be
    answered; at most ``MOST_NOTICED``."""
    if len(message) > LONGEST_READ or "```" in message:
        return []
    found: list[Said] = []
    for line in message.splitlines():
        # What stands after a mark of quotation is somebody else's.
        for clause in _clauses("" if line.lstrip().startswith((">", "|", "#")) else line):
            text = _FILLER.sub("", clause.strip().replace("’", "'")).strip(" ,;")
            if _is_about_the_owner(text):
                found.append(Said(text, kind_of(text)))
    return list({one.text: one for one in found}.values())[:MOST_NOTICED]


def unordered(text: str) -> str:
    """``text``, typed where everything is to be remembered, without an order to do so."""
    said = stated(text)
    if said and not said.rest:
        return said.text
    bare = re.sub(r"^\s*that\s+(?=(?:i|i'm|my|we|our|the)\b)", "", text, flags=re.IGNORECASE)
    return bare[:1].upper() + bare[1:] if bare != text else text


def kind_of(text: str) -> str:
    """``preference`` for how the owner wants to be answered, else ``fact``."""
    return "preference" if _PREFERENCE.search(text.strip()) else "fact"


def _said(text: str, rest: str) -> Said | None:
    text = text.strip().rstrip(",;: ").strip("\"'“”")
    if not text or len(text) > LONGEST_LETTERS or _QUESTION.search(text):
        return None
    shown = text[0].upper() + text[1:] if text[0].isascii() else text
    return Said(shown, kind_of(text), rest.strip())


def _is_statement(link: str, text: str) -> bool:
    """Whether what follows "remember" says something, as "remember to …" and "remember when …" do
    not."""
    if _NO_STATEMENT.match(f"{link.strip()} {text}".strip()):
        return False
    if link.strip(" ,"):
        return True
    return _STATEMENT.match(text) is not None or kind_of(text) == "preference"


def _is_bare_order(text: str) -> bool:
    return (
        re.fullmatch(rf"(?:(?:이거|이것|이걸|꼭|잘)\s*)*{_KEEP}\s*[.!~]*", text.strip()) is not None
    )


def _unquoted(text: str) -> str:
    """A Korean statement without what turns it into an object: "…다는 것을" is "…다"."""
    for ending, plain in _QUOTED_KO:
        if ending.search(text):
            return ending.sub(plain, text)
    return text


def _is_about_the_owner(text: str) -> bool:
    if not 6 <= len(text) <= 300 or _QUESTION.search(text):
        return False
    said = wording.plain(text)
    is_korean = wording.is_korean(said)
    if _NOTICED_KO.search(said) if is_korean else _NOTICED.match(wording.expanded(said)):
        return True
    claim = claims.of_the_owner(text)
    # "My job is killing me", and what nobody should be asked to keep.
    return claim is not None and not (
        _PASSING.match(claim.value) or _SECRETS.intersection(claim.subject)
    )


def _sentences(text: str) -> list[str]:
    return [one.strip() for one in _SENTENCE.findall(text) if one.strip()]


def _clauses(text: str) -> list[str]:
    return [clause for one in _sentences(text) for clause in _CLAUSE.split(one)]
