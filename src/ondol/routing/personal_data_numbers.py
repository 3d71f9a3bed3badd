"""Numbers that identify a person or a purse: registration numbers, licences, passports, phones,
cards, accounts.

Phones are our own patterns: the phonenumbers library is 48 MB and takes 4.4 ms for 4 kB of text.
"""

from __future__ import annotations

import re

from ondol.routing import personal_data_checks as checks
from ondol.routing.personal_data_patterns import SEP, Recogniser, Span, digits, group, whole

_START = r"(?<![\dA-Za-z])(?<!\d[.,-])"
_END = r"(?![\dA-Za-z]|[.,-]\d)"
_REGIONS = "서울|부산|경기|강원|충북|충남|전북|전남|경북|경남|제주|대구|인천|광주|대전|울산"
_BANKS = (
    "국민|신한|우리|하나|농협|기업|카카오뱅크|카뱅|토스뱅크|케이뱅크|새마을금고|신협|수협|우체국|"
    "외환|씨티|제일|산업|부산은행|대구은행|광주은행|전북은행|경남은행|제주은행"
)
_COUNTRIES = (
    r"1|7|20|27|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|2[1-69]\d|3[578]\d|42\d|"
    r"5[09]\d|6[79]\d|8[058]\d|9[679]\d"
)
_MONEY = r"(?!\s?(?:원|만|억|won|KRW|달러|dollars|USD|euros?|EUR))"


def _registration(match: re.Match[str]) -> Span | None:
    number = digits(match.group())
    born = checks.birth(number)
    if born is None:
        return None
    # With its hyphen it is what it looks like, whatever its last digit: numbers that were given
    # or changed since October 2020 have no check digit, those of old people included.
    is_written = not match.group().isdigit() and number[6] not in "90"
    is_right = checks.registration_check(number) or checks.has_no_check_digit(born)
    return match.span() if is_written or is_right else None


def _resident(match: re.Match[str]) -> Span | None:
    return None if match.group("kind") in "5678" else _registration(match)


def _foreigner(match: re.Match[str]) -> Span | None:
    return _registration(match) if match.group("kind") in "5678" else None


def _iban(match: re.Match[str]) -> Span | None:
    text = match.group()
    found = checks.iban("".join(c for c in text if c.isalnum()).upper())
    if found is None or (
        not text[:4].isalnum() and sum(c.isdigit() for c in found) < _LEAST_DIGITS
    ):
        return None
    seen = 0
    for place, character in enumerate(text):
        seen += character.isalnum()
        if seen == len(found):
            return match.start(), match.start() + place + 1
    return None


# Written wide, it is in capitals: "no 15" and "at 20" are words.
_IN_IBAN = r"[ .\t\r\n/_|*~-]{0,4}"
_IBAN_BEGINS = rf"(?:[A-Za-z]{{2}}\d{{2}}|[A-Z]{_IN_IBAN}[A-Z]{_IN_IBAN}\d{_IN_IBAN}\d)"
_LEAST_DIGITS = 10
_DAY = r"\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_REGISTRATION = re.compile(
    rf"{_START}{_DAY}(?:\s?[-~./]\s?|\s{{0,2}})(?P<kind>\d)(?:\s?-\s?)?\d{{6}}{_END}"
)
_PHONES = (
    # Korean mobile phones, with or without the country.
    r"(?<!\d)(?<!\d[.,])(?:(?:\+?82[-. ]{0,3}(?:\(0\)[-. ]?|0)?|0)1[016789]|\(01[016789]\))\)?"
    rf"{SEP}\d{{3,4}}{SEP}\d{{4}}(?!\d)",
    # Korean lines with an area code, internet and relay numbers.
    r"(?<!\d)(?<!\d[.,-])(?:\(?0(?:2|[3-6][1-5]|70|80|50\d?)(?:\)[-. ]?|[-.]\s?| )|"
    r"\+82[-. ]{1,2}(?:2|[3-6][1-5]|70)[-. ]{1,2})\d{3,4}(?:[-.]\s?| )\d{4}(?!\d)",
    # North America, Britain, Japan.
    r"(?<!\d)(?<!\d[.,-])(?:1[-. ])?(?:\([2-9]\d{2}\)\s?|[2-9]\d{2}[-.])[2-9]\d{2}[-. ]\d{4}"
    r"(?![\d-])",
    r"(?<!\d)(?<!\d[ -])0(?:7\d{3}[ -]?\d{3}[ -]?\d{3}|(?:20|1\d{2,3})[ -]\d{3,4}[ -]\d{3,4}|"
    r"[36]-\d{4}-\d{4}|[789]0-\d{4}-\d{4})(?![\d-])",
)
_NAMED_PHONE = (
    r"(?i:전화|연락처|휴대폰|핸드폰|휴대전화|폰번호|팩스|\btel\b|\bphone\b|\bmobile\b|\bcell\b|"
    r"\bfax\b|\bcall (?:me|us|him|her) (?:at|on)\b)"
    r"[^\d\n+(]{0,16}(\(?\+?\d[\d\-. ()]{6,17}\d)(?!\d)"
)

RECOGNISERS: tuple[Recogniser, ...] = (
    Recogniser("kr_rrn", _REGISTRATION, _resident),
    Recogniser("kr_frn", _REGISTRATION, _foreigner),
    Recogniser(
        "card",
        re.compile(
            rf"{_START}(?:(?:\d{{4}}{SEP}){{3}}\d{{1,4}}(?:{SEP}\d{{3}})?|"
            rf"\d{{4}}{SEP}\d{{6}}{SEP}\d{{4,5}}|\d{{13,19}}){_END}"
        ),
        whole(lambda number: 13 <= len(number) <= 19 and checks.card(number)),
    ),
    Recogniser(
        "iban",
        re.compile(rf"(?<![A-Za-z0-9]){_IBAN_BEGINS}(?:{_IN_IBAN}[A-Za-z0-9]){{11,30}}"),
        _iban,
        anchor=re.compile(rf"(?<![A-Za-z0-9]){_IBAN_BEGINS}(?=(?:{_IN_IBAN}[A-Za-z0-9]){{3}})"),
        reach=80,
    ),
    Recogniser(
        "kr_business",
        re.compile(rf"{_START}\d{{3}}\s?-\s?\d{{2}}\s?-\s?\d{{5}}{_END}"),
        whole(checks.business),
    ),
    Recogniser(
        "kr_business",
        re.compile(
            r"(?i:사업자|business registration)[^\d\n]{0,24}"
            rf"(\d{{3}}[-. ]?\d{{2}}[-. ]?\d{{5}}){_END}"
        ),
        group(checks.business),
    ),
    Recogniser(
        "kr_driver_licence",
        re.compile(
            rf"{_START}(?:(?:1[1-9]|2[0-68])|(?:{_REGIONS}))\s?-?\s?\d{{2}}\s?-\s?\d{{6}}\s?-\s?"
            rf"\d{{2}}{_END}"
        ),
    ),
    Recogniser(
        "kr_driver_licence",
        re.compile(
            r"(?i:면허|driver'?s? licen[sc]e)[^\d\n]{0,24}"
            rf"((?:1[1-9]|2[0-68])[ -]?\d{{2}}[ -]?\d{{6}}[ -]?\d{{2}}){_END}"
        ),
        lambda match: match.span(1),
    ),
    Recogniser("passport", re.compile(r"(?<![A-Za-z0-9])[MSRODGT]\d{3}[A-Z]\d{4}(?![A-Za-z0-9])")),
    Recogniser(
        "passport",
        re.compile(
            r"(?i:여권|passport)(?:[^A-Za-z0-9\n]|(?i:no|number|num|nr|is|번호)\b){0,12}"
            r"((?=(?:[A-Z]*\d){4})[A-Z0-9]{8,9})(?![A-Za-z0-9])"
        ),
        lambda match: match.span(1),
        anchor=("여권", "passport"),
        reach=40,
    ),
    Recogniser(
        "us_ssn",
        re.compile(rf"{_START}(?!000|666|9)\d{{3}}-(?!00)\d{{2}}-(?!0000)\d{{4}}{_END}"),
    ),
    *(Recogniser("phone", re.compile(pattern)) for pattern in _PHONES),
    Recogniser(
        "phone",
        re.compile(
            rf"(?<![\dA-Za-z])\+(?:{_COUNTRIES})[-. ()]{{0,3}}\d(?:[-. ()]{{0,2}}\d){{5,13}}"
        ),
        whole(lambda number: 9 <= len(number) <= 15),
    ),
    Recogniser("phone", re.compile(_NAMED_PHONE), group(lambda number: 8 <= len(number) <= 15)),
    Recogniser(
        "bank_account",
        re.compile(
            rf"(?:계좌|입금|송금|이체|(?:{_BANKS})(?:은행)?)[^\d\n]{{0,16}}"
            rf"(\d{{2,6}}(?:[- ]\d{{2,7}}){{1,3}}|\d{{10,14}})(?![\d-]){_MONEY}"
        ),
        group(lambda number: 10 <= len(number) <= 14),
    ),
    Recogniser(
        "bank_account",
        re.compile(
            r"(?i:\b(?:account|acct|routing)\b\.?\s?(?:no\b\.?|number|num\b|#)?)"
            rf"[^\d\n]{{0,12}}(\d{{2,6}}(?:[- ]\d{{2,7}}){{1,3}}|\d{{8,17}})(?![\d-]){_MONEY}"
        ),
        group(lambda number: 8 <= len(number) <= 17),
    ),
)
