"""Sentences brought to plain words, so that rules can compare them: English and Korean.

Knows nothing of what a sentence means.
"""

from __future__ import annotations

import re

from ondol.folding import fold

# Attributes of which there is one each; Korean ones by what they are called in English.
ATTRIBUTES_KO = {
    **{"이름": "name", "별명": "nickname", "생일": "birthday", "생년월일": "birthday"},
    **{"나이": "age", "집 ?주소": "address", "집주소": "address", "주소": "address"},
    **{"직업": "job", "전화 ?번호": "phone number", "전화번호": "phone number"},
    **{"휴대폰 ?번호": "phone number", "휴대폰번호": "phone number"},
    **{"이메일(?: ?주소)?": "email", "이메일주소": "email", "이메일": "email"},
    **{"고향": "home town", "국적": "nationality", "키": "height", "몸무게": "weight"},
    **{"혈액형": "blood type", "전공": "major", "기념일": "anniversary", "비밀번호": "password"},
    **{"모국어": "native language", "신발 ?사이즈": "shoe size", "신발사이즈": "shoe size"},
}
LANGUAGES = {
    "english": r"\bin english\b|영어로",
    "korean": r"\bin korean\b|한국어로|한글로|우리말로",
    "japanese": r"\bin japanese\b|일본어로",
    "chinese": r"\bin chinese\b|중국어로",
    "german": r"\bin german\b|독일어로",
    "french": r"\bin french\b|프랑스어로",
    "spanish": r"\bin spanish\b|스페인어로",
}

_SHORT = (
    (r"\bi'?m\b", "i am"),
    (r"\b(\w+)'re\b", r"\1 are"),
    (r"\b(i|we|you|they)'ve\b", r"\1 have"),
    (r"\bcannot\b", "can not"),
    (r"\bcan'?t\b", "can not"),
    (r"\bwon'?t\b", "will not"),
    (r"\b(do|does|did|is|are|was|were|have|has|would|should|could)n'?t\b", r"\1 not"),
    (r"\b(?:no longer|never)\b", "not"),
    (r"\b(?:any ?more|any longer)\b", ""),
    (r"\b(?:hate|dislike|detest)\b", "not like"),
    (r"\b(?:love|enjoy|adore)\b", "like"),
)
_SMALL = frozenset(
    "a an the do does did not no any really very also now please always just still".split()
)
_I = frozenset(("나는", "저는", "난", "전", "내가", "제가", "나", "저", "우리는"))
_PARTICLE = re.compile(r"(?:을|를|은|는|이|가|도|만)$")
_HANGUL = re.compile("[가-힣]")


def plain(text: str) -> str:
    """``text`` folded, in lower case and in one line, without the signs around it."""
    said = " ".join(fold(text).text.casefold().replace("’", "'").split())
    return said.strip(" .!,;:~\"'“”‘")


def is_korean(text: str) -> bool:
    return len(_HANGUL.findall(text)) * 3 > sum(c.isalpha() for c in text)


def expanded(said: str) -> str:
    """English without its short forms."""
    for short, long in _SHORT:
        said = re.sub(short, long, said)
    return " ".join(said.split())


def is_denied(said: str) -> bool:
    """Whether there is a negation in ``said``, in either language."""
    return bool(re.search(r"\bnot\b|\bno\b|지 ?(?:않|말|마)|(?:^| )(?:안|못) ", said))


def polarity(said: str) -> tuple[tuple[str, ...], bool]:
    """The words of an expanded English sentence about "I", and whether it denies them."""
    words = re.findall(r"[\w']+", said)
    if not words or words[0] != "i":
        return (), False
    count = sum(word in ("not", "no") for word in words)
    return tuple(word for word in words if word not in _SMALL), count % 2 == 1


def korean_polarity(said: str) -> tuple[tuple[str, ...], bool]:
    """The same of a Korean sentence; of its predicate, whose end changes, only the beginning."""
    words = [word for word in re.findall(r"\w+", said) if word not in _I]
    if len(words) < 2:
        return (), False
    is_no = False
    if re.match(r"(?:않|못|말|마)", words[-1]) and words[-2].endswith("지"):
        is_no = True
        words.pop()
    if len(words) > 1 and words[-2] in ("안", "못"):
        is_no = not is_no
        del words[-2]
    last = words[-1]
    if last.startswith("없"):
        is_no, last = not is_no, "있"
    elif last.startswith("싫"):
        is_no, last = not is_no, "좋"
    rest = tuple(_PARTICLE.sub("", word) or word for word in words[:-1])
    return ((*rest, last[0]) if rest else ()), is_no
