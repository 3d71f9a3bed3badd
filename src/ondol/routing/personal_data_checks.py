"""Which numbers can exist: check digits, dates and ranges of numbers that identify people.

Each takes the bare digits (or letters) of a candidate and says whether somebody could have it.
Written here because python-stdnum is LGPL and 6 MB, and these are a few lines each.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

# Resident registration numbers issued from then on have random digits and no check digit.
_NO_CHECK_DIGIT_FROM = date(2020, 10, 1)
_REGISTRATION = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
_BUSINESS = (1, 3, 7, 1, 3, 7, 1, 3, 5)
_CENTURIES = {"9": 1800, "0": 1800, "1": 1900, "2": 1900, "3": 2000, "4": 2000}
_CENTURIES |= {"5": 1900, "6": 1900, "7": 2000, "8": 2000}

# The lengths of the SWIFT IBAN registry.
_IBAN_LENGTHS = {
    code: int(length)
    for length, codes in {
        "15": "NO",
        "16": "BE",
        "18": "DK FI FO GL NL SD",
        "19": "MK SI",
        "20": "AT BA EE KZ LT LU XK",
        "21": "CH CR HR LI LV",
        "22": "BG BH DE GB GE IE ME RS VA",
        "23": "AE GI IL IQ OM SO TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG",
        "25": "LY PT ST",
        "26": "IS TR",
        "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HU LB NI PL SV",
        "29": "BR EG PS QA UA",
        "30": "JO KW MU YE",
        "31": "MT SC",
        "32": "LC",
        "33": "RU",
    }.items()
    for code in codes.split()
}
_CARD_LENGTHS = ((34, 15), (37, 15), (36, 14), (38, 14), (39, 14), (30, 14))


def birth(number: str) -> date | None:
    """The date of birth in a Korean resident or foreigner registration number of 13 digits; None
    where there is no such day, or it has not come yet."""
    try:
        day = date(_CENTURIES[number[6]] + int(number[:2]), int(number[2:4]), int(number[4:6]))
    except ValueError:
        return None
    return day if day <= datetime.now(UTC).date() else None


def registration_check(number: str) -> bool:
    """Whether the 13th digit is the check digit of the others, as it was until October 2020; the
    one of foreigners is moved by two."""
    weighted = sum(int(d) * w for d, w in zip(number, _REGISTRATION, strict=False))
    moved = 2 if number[6] in "5678" else 0
    return (11 - weighted % 11) % 10 == (int(number[12]) - moved) % 10


def has_no_check_digit(born: date) -> bool:
    """Whether somebody born then never had a number with a check digit."""
    return born >= _NO_CHECK_DIGIT_FROM


def business(number: str) -> bool:
    """A Korean business registration number: 10 digits, the last one checks."""
    total = sum(int(d) * w for d, w in zip(number, _BUSINESS, strict=False))
    total += int(number[8]) * 5 // 10
    return number[:3] > "100" and (10 - total % 10) % 10 == int(number[9])


def luhn(number: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        doubled = int(digit) * (2 if place % 2 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def card(number: str) -> bool:
    """A payment card of a network that is in use, with its check digit."""
    return _is_issued(number) and len(set(number)) > 1 and luhn(number)


def _is_issued(number: str) -> bool:
    for prefix, length in _CARD_LENGTHS:
        if number.startswith(str(prefix)):
            return len(number) == length or (prefix in (36, 38, 39) and len(number) == 16)
    two, four = int(number[:2]), int(number[:4])
    is_sixteen = len(number) == 16
    if number[0] == "4":
        return len(number) in (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720 or number[0] == "9":
        return is_sixteen
    is_other = two in (35, 60, 62, 63, 64, 65, 67, 50, 56, 57, 58)
    return is_other and len(number) in (16, 19)


def iban(text: str) -> str | None:
    """The IBAN that ``text`` (letters and digits only, upper case) begins with."""
    length = _IBAN_LENGTHS.get(text[:2], 0)
    found = text[:length]
    if not length or len(found) < length:
        return None
    turned = found[4:] + found[:4]
    number = int("".join(str(int(c, 36)) for c in turned))
    return found if number % 97 == 1 else None
