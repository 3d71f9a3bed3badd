"""Where somebody is reached: postal addresses, Korean and Western, and e-mail."""

from __future__ import annotations

import re

from ondol.routing.personal_data_patterns import Recogniser, Span

# Where an address may be: quicker to see than the whole of it.
_NUMBERED = re.compile(r"(?:[로길동리읍면가]|번길)\s{0,2}(?:산|지하)?\s?\d")
_NUMBER_AND_NAME = re.compile(r"\d[A-Za-z]?,? (?:[A-Z]|\d)")
_NAME_AND_NUMBER = re.compile(
    r"[a-zß.] \d{1,4}(?!\d)|\d (?:bis )?(?:rue|avenue|boul|place|chem|quai)"
)
_FILES = frozenset(
    "png jpg jpeg gif svg webp ico css js ts py rs go md txt html json xml pdf zip yml yaml toml "
    "local localhost".split()
)
_PROVINCES = (
    "서울|부산|대구|인천|광주|대전|울산|세종|경기|강원|충북|충남|전북|전남|경북|경남|제주|"
    "충청[남북]도|전라[남북]도|경상[남북]도"
)
# What a number after a street or a ward counts, when it is no house number.
_COUNTED = (
    r"(?!\s?(?:개|명|년|월|일|시간|시|분|초|km|킬로|미터|m\b|%|퍼센트|원|만|억|천|차|호선|가|번째|위|"
    r"회|배|대|도|세기|여|층|평|곳|건|마리|권|살|세|주|인|번\s|번출구|번 출구|[,.]?\d))"
)
_HOUSE = re.compile(
    # A road and the number on it, or a ward or village and its lot.
    rf"(?:(?P<road>[가-힣\d]{{1,10}}(?:대로|로|길)(?:\s?\d{{1,4}}(?:번)?길)?)\s{{0,2}}"
    rf"(?:지하\s?)?\d{{1,4}}(?:-\d{{1,4}})?(?!\d){_COUNTED}|"
    r"(?P<ward>[가-힣\d]{1,8}(?:동|리|읍|면|가))\s{0,2}(?:산\s?)?"
    r"(?:\d{1,4}-\d{1,4}(?!\d|-)(?:\s?번지)?|\d{1,4}\s?번지))"
)
_REST = re.compile(
    r"[\s,()]{0,3}(?:[가-힣A-Za-z\d]{1,16}(?:아파트|빌라|빌딩|타워|오피스텔|맨션|하우스)\s?,?\s?)?"
    r"(?:\d{1,4}동\s?)?(?:지하\s?)?(?:\d{1,3}층\s?)?(?:\d{1,5}호)?"
)
_ABOVE = re.compile(
    rf"(?:(?:{_PROVINCES})(?:특별시|광역시|특별자치시|특별자치도|도|시)?[\s,]{{0,2}})?"
    r"(?:[가-힣]{1,5}(?:시|군|구)[\s,]{1,2}|[가-힣]{2,5}(?:시|군|구)[\s,]{0,2}){0,2}"
    r"(?:[가-힣]{1,5}(?:읍|면|동)[\s,]{0,2})?$"
)
_NAMED_BEFORE = re.compile(r"(?:주소|배송지|거주지|사는 곳|자택|본가|집)[^\n]{0,24}$")
_SECTION = re.compile(rf"{_PROVINCES}|[가-힣](?:시|군|구)[\s,]")
_WESTERN_STREETS = (
    r"(?:Street|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Drive|Court|Square|Terrace|Place|"
    r"Parkway|Pkwy|Highway|Hwy|Close|Crescent|Way|Row|Circle|Trail|Mews|Gardens|Grove|Hill|"
    r"St|Dr|Ln|Ct|Sq|Pl|Ter)\b\.?"
)
_STREET = re.compile(
    r"(?<![\w.,-])\d{1,6}[A-Za-z]?,? (?:(?:[NSEW]{1,2}\.?|North|South|East|West) )?"
    rf"(?:(?:[A-Z][\w'.-]*|\d{{1,3}}(?:st|nd|rd|th)) ){{1,4}}{_WESTERN_STREETS}"
)
_CONTINENTAL = re.compile(
    r"(?<!\w)(?:[A-Z][\w-]*(?:stra(?:ss|ß)e|str\.|weg|platz|allee|gasse|laan|straat|plein) "
    r"\d{1,4}\s?[a-z]?|\d{1,4}(?: ?(?:bis|ter))?,? (?:rue|avenue|boulevard|place|chemin|quai) "
    r"(?:de |du |des |de la |d')?[A-Z][\w'-]*(?: [A-Z][\w'-]*)*|"
    r"(?:Calle|Via|Viale|Piazza|Rua) (?:[A-Z][\w'.-]*|de|la|del|della) ?(?:[A-Z][\w'.-]* )*,? ?"
    r"\d{1,4})"
)
_POSTCODE = re.compile(
    r"\b(?:\d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}|[A-Z]\d[A-Z] \d[A-Z]\d|\d{4} ?[A-Z]{2})"
    r"(?!\d)"
)
_UNIT = re.compile(r"(?i)^[,. \n]{1,3}(?:apt|apartment|unit|suite|ste|flat|floor|fl|#)\b")
_BEFORE = re.compile(
    r"(?i:address|lives? (?:at|in|on)|living at|reside\w* at|ship(?:ped|ping)? to|deliver\w* to|"
    r"moved to|home is|send (?:it|them) to|my house|I'm at|주소)\W{0,3}(?:\w+ ){0,2}$"
)
_NEAR = 60


def _korean(match: re.Match[str]) -> Span | None:
    text = match.string
    before = text[max(0, match.start() - 40) : match.start()]
    above = _ABOVE.search(before)
    start = match.start() - (len(above.group()) if above else 0)
    lead = len(text[start : match.start()]) - len(text[start : match.start()].lstrip(" ,"))
    is_placed = bool(above and _SECTION.search(above.group() + " "))
    if not is_placed and not _NAMED_BEFORE.search(before):
        return None
    rest = _REST.match(text, match.end())
    end = rest.end() if rest else match.end()
    return start + lead, len(text[:end].rstrip(" ,(\n"))


def _western(match: re.Match[str]) -> Span | None:
    """A street and a number alone may be anything; with a postcode, a flat or the word it is where
    somebody is."""
    text = match.string
    code = _POSTCODE.search(text, match.end(), match.end() + _NEAR)
    if code is not None and "\n\n" not in text[match.end() : code.start()]:
        return match.start(), code.end()
    before = text[max(0, match.start() - 40) : match.start()]
    if _UNIT.match(text[match.end() : match.end() + 20]) or _BEFORE.search(before):
        return match.span()
    return None


def _email(match: re.Match[str]) -> Span | None:
    found = match.group()
    last = re.split(r"\W|_", found)[-1].lower()
    is_remote = found.startswith("git@") and match.string[match.end() : match.end() + 1] == ":"
    return None if last in _FILES or is_remote else match.span()


_AT = r"(?:\s?@\s?|\s?[\[({<]\s?(?:at|AT|@|골뱅이)\s?[\])}>]\s?|\s골뱅이\s)"
_DOT = r"(?:\.|\s?[\[({<]\s?(?:dot|DOT|\.|점)\s?[\])}>]\s?|\s(?:dot|점)\s)"

RECOGNISERS: tuple[Recogniser, ...] = (
    Recogniser(
        "email",
        re.compile(
            r"(?<![A-Za-z0-9._%+-])(?<!://)[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[\w-]{1,63}\.)+"
            r"(?:[A-Za-z]{2,24}|한국)(?![A-Za-z0-9])"
        ),
        _email,
        anchor=("@",),
        reach=260,
    ),
    Recogniser(
        "email",
        re.compile(
            rf"(?<![A-Za-z0-9._%+-])(?<!://)[A-Za-z0-9](?:[A-Za-z0-9._%+-]{{0,63}}){_AT}"
            rf"[A-Za-z0-9-]{{1,63}}(?:{_DOT}[A-Za-z0-9-]{{1,63}}){{0,3}}{_DOT}"
            r"(?:com|net|org|edu|gov|io|kr|co|de|uk|jp|fr|me|dev|info|example)(?![A-Za-z0-9])"
        ),
        _email,
        anchor=("@", "at)", "at]", "at}", "at>", "at )", "at ]", "골뱅이"),
        reach=200,
    ),
    Recogniser("kr_address", _HOUSE, _korean, anchor=_NUMBERED, reach=16),
    Recogniser(
        "kr_address",
        re.compile(r"(?<![\d-])\d{3,4}동\s{0,2}\d{3,4}호(?![가-힣]*선)"),
        anchor=("동",),
    ),
    Recogniser("address", _STREET, _western, anchor=_NUMBER_AND_NAME, reach=80),
    Recogniser("address", _CONTINENTAL, _western, anchor=_NAME_AND_NUMBER, reach=60),
    Recogniser("address", re.compile(r"(?i:\bP\.? ?O\.? ?Box) \d{1,6}\b"), anchor=("box ",)),
)
