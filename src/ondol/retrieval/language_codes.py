"""The language of a document as its ISO 639 code, to filter by: told by its script, and for Latin
letters by its smallest words. ``und`` is a language that cannot be told. Knows no dialects.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

UNDETERMINED = "und"
SAMPLE_LETTERS = 1500
# A page of Korean or Japanese is full of Latin names; one of English has no Hangul by accident.
_SHARES = {"HANGUL": 0.15, "HIRAGANA": 0.1, "KATAKANA": 0.1, "CJK": 0.2}
_BY_SCRIPT = {
    "HANGUL": "ko", "HIRAGANA": "ja", "KATAKANA": "ja", "CJK": "zh", "CYRILLIC": "ru",
    "GREEK": "el", "ARABIC": "ar", "HEBREW": "he", "THAI": "th", "DEVANAGARI": "hi",
}  # fmt: skip
_SMALL_WORDS = {
    "en": "the of and to in is that it for was with as on are this be by from or have not you",
    "de": "der die und das ist nicht den von zu mit dem ein eine im für auf sich auch wird als",
    "fr": "le la les des et est une un du dans que qui pour pas sur par au avec ne sont il",
    "es": "el la los las de y que en un una es por con para del se no su al lo como más",
    "it": "il la di che e è un una per non in del della con sono le gli dei da si nel",
    "pt": "o a os as de e que do da em um uma para com não por se na no dos é mais",
    "nl": "de het een en van is in dat op te niet met voor zijn aan er ook als bij door",
}
_WORDS = {code: frozenset(words.split()) for code, words in _SMALL_WORDS.items()}
_ALSO_CALLED = {
    "korean": "ko", "한국어": "ko", "english": "en", "영어": "en", "japanese": "ja",
    "일본어": "ja", "chinese": "zh", "중국어": "zh", "german": "de", "deutsch": "de",
    "독일어": "de", "french": "fr", "프랑스어": "fr", "spanish": "es", "스페인어": "es",
    "kor": "ko", "eng": "en", "jpn": "ja", "zho": "zh", "deu": "de", "fra": "fr", "spa": "es",
}  # fmt: skip
_CODE = re.compile(r"([a-z]{2,3})(?:[-_][a-z0-9-]+)?")


def language_code(text: str) -> str:
    """The language that most of ``text`` is in, by its beginning and its middle."""
    middle = max(SAMPLE_LETTERS, len(text) // 2)
    sample = unicodedata.normalize(
        "NFC", f"{text[:SAMPLE_LETTERS]} {text[middle : middle + SAMPLE_LETTERS]}"
    )
    scripts = Counter(_script(letter) for letter in sample if letter.isalpha())
    total = sum(scripts.values())
    if not total:
        return UNDETERMINED
    for script, share in _SHARES.items():
        if scripts[script] >= share * total:
            return _BY_SCRIPT[script]
    script = scripts.most_common(1)[0][0]
    return _latin(sample) if script == "LATIN" else _BY_SCRIPT.get(script, UNDETERMINED)


def read_code(name: str) -> str | None:
    """The code that ``name`` ("ko", "ko-KR", "Korean", "한국어") stands for; ``None`` for what is
    no language."""
    plain = name.strip().lower()
    found = _CODE.fullmatch(_ALSO_CALLED.get(plain, plain))
    return _ALSO_CALLED.get(found[1], found[1]) if found else None


def _script(letter: str) -> str:
    return "LATIN" if letter.isascii() else unicodedata.name(letter, "").partition(" ")[0]


def _latin(text: str) -> str:
    counts = Counter(re.findall(r"[^\W\d_]{2,}", text.lower()))
    scores = {code: sum(counts[word] for word in words) for code, words in _WORDS.items()}
    best = max(scores, key=lambda code: scores[code])
    # Names, numbers and code have few small words in any language.
    is_prose = scores[best] and scores[best] * 20 >= sum(counts.values())
    return best if is_prose else UNDETERMINED
