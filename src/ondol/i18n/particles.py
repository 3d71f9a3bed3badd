"""Korean particles after a value: "{name}을(를)" becomes "문서를" or "파일을", as the value ends.

What a value ends with is known for Hangul and digits. After anything else, such as a Latin letter,
whose reading nobody can tell, both forms stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# After a final consonant, and after a vowel.
_FORMS = {
    "은(는)": ("은", "는"),
    "이(가)": ("이", "가"),
    "을(를)": ("을", "를"),
    "과(와)": ("과", "와"),
    "와(과)": ("과", "와"),
    "(으)로": ("으로", "로"),
    "(이)라": ("이라", "라"),
}
_PLACE = re.compile(
    r"(?P<place>\{\w[^{}]*\})(?P<marks>[\"'”’)\]]*)(?P<both>"
    + "|".join(map(re.escape, _FORMS))
    + ")"
)
_FIRST_SYLLABLE, _LAST_SYLLABLE = ord("가"), ord("힣")
_FINALS = 28
_RIEUL = 8
# The final consonant of each digit's name: 영 일 이 삼 사 오 육 칠 팔 구.
_DIGITS = (21, _RIEUL, 0, 16, 0, 0, 1, _RIEUL, _RIEUL, 0)


def fit(template: str, values: Mapping[str, object]) -> str:
    """``template``, not yet filled in, with the particle that fits each value it follows."""

    def chosen(found: re.Match[str]) -> str:
        final = _final(found["place"].format(**values))
        if final is None:
            return found[0]
        closed, open_ = _FORMS[found["both"]]
        is_open = final == 0 or (final == _RIEUL and found["both"] == "(으)로")
        return found["place"] + found["marks"] + (open_ if is_open else closed)

    return _PLACE.sub(chosen, template)


def _final(value: str) -> int | None:
    """The number of the final consonant that ``value`` is read with, 0 for none; ``None`` where
    its reading is not known."""
    last = value.rstrip("\"'”’)]")[-1:]
    if "0" <= last <= "9":
        return _DIGITS[int(last)]
    if last and _FIRST_SYLLABLE <= ord(last) <= _LAST_SYLLABLE:
        return (ord(last) - _FIRST_SYLLABLE) % _FINALS
    return None
