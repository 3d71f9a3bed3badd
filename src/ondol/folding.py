"""Texts made comparable: however a character is written, it folds to the same plain one.

Full-width and styled letters and digits (NFKC), letters of other scripts that look Latin, accents,
Hangul in pieces, and characters nobody sees (zero width, bidirectional marks, Unicode tags that
smuggle ASCII) all fold away. Called by what looks for personal data and for private text.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

# Lookalikes (Unicode TR39), those that a keyboard or an attack really uses.
_LOOKALIKES = dict(
    zip(
        "АВЕЅІЈКМНОРСТУХаеѕіјкорсухһԁԛԝɡɑΑΒΕΖΗΙΚΜΝΟΡΤΥΧαινορτυχɩоΟՕօ٥۵оⲟᴏ",
        "ABESIJKMHOPCTYXaesijkopcyxhdqwgaABEZHIKMNOPTYXaivoptuxioOOo55ooo",
        strict=True,
    )
)
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d\u30fc\u2500\u3161"
_DOTS = "\u00b7\u2022\u2024\u2027\u30fb\u318d\u3002\uff61\u2219\u22c5"
_SIGNS = {
    **_LOOKALIKES,
    **dict.fromkeys(_DASHES, "-"),
    **dict.fromkeys(_DOTS, "."),
    # Unicode tags, which nobody sees and some models read.
    **{chr(0xE0000 + code): chr(code) for code in range(0x20, 0x7F)},
}
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u2064\u2066-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0100-\U000e01ef]"
)
_PLAIN = "\\x00-\\x7f\uac00-\ud7a3\u4e00-\u9fff\u3040-\u30fb"
_ODD = re.compile(f"[\u1100-\u1112][\u1161-\u1175][\u11a8-\u11c2]?|[^{_PLAIN}]|\u30fb")
_EAST_ASIAN = re.compile("[\u1100-\u11ff\u3041-\u30ff\u3131-\u318e\u3400-\u9fff\uac00-\ud7a3]")


@dataclass(frozen=True, slots=True)
class Folded:
    """A folded text and where it came from: ``text[i]`` stands at ``starts[i]`` of the original.
    ``starts`` is ``None`` where nothing moved."""

    text: str
    original: str
    starts: tuple[int, ...] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original that folded to ``text[start:end]``."""
        if self.starts is None or start >= end:
            return start, end
        last = self.starts[end - 1]
        while end < len(self.starts) and self.starts[end] == last:
            end += 1
        # What nobody sees between the last character and the next one goes along.
        stop = self.starts[end] if end < len(self.starts) else len(self.original)
        return self.starts[start], stop


def fold(text: str) -> Folded:
    """``text`` with every character folded to the plain one it stands for; case is kept."""
    if text.isascii() or not _ODD.search(text):
        return Folded(text, text)
    pieces: list[str] = []
    starts: list[int] = []
    at = 0
    for match in _ODD.finditer(text):
        begin, end = match.span()
        pieces.append(text[at:begin])
        starts.extend(range(at, begin))
        plain = _FOLDS[match.group()] if end - begin == 1 else _composed(match.group())
        pieces.append(plain)
        starts.extend([begin] * len(plain))
        at = end
    pieces.append(text[at:])
    starts.extend(range(at, len(text)))
    return Folded("".join(pieces), text, tuple(starts))


def letters(text: str) -> str:
    """Only the letters and digits of ``text``, folded, in lower case: two texts that differ in
    spaces, signs, case or script tricks alone are the same. Syllables of Hangul and Han characters
    say as much as two letters, so each stands there twice."""
    if text.isascii():
        return text.encode().translate(_LOWER, _NO_LETTERS).decode()
    return unicodedata.normalize("NFKC", text).translate(_LETTERS)


def _composed(jamo: str) -> str:
    return unicodedata.normalize("NFC", jamo)


def _fold(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    if _UNSEEN.match(character) or unicodedata.category(character) in ("Mn", "Me"):
        return ""
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    wide = unicodedata.normalize("NFKC", character)
    if _EAST_ASIAN.match(wide):
        return wide
    bare = "".join(c for c in unicodedata.normalize("NFKD", wide) if not unicodedata.combining(c))
    return "".join(_SIGNS.get(c, c) for c in bare)


class _Folds(dict[str, str]):
    """Each character to what it folds to, worked out once."""

    def __missing__(self, character: str) -> str:
        self[character] = folded = _fold(character)
        return folded


class _Letters(dict[int, str]):
    """A table for ``str.translate``, worked out as characters are met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        plain = character if character.isascii() else _FOLDS[character]
        kept = "".join(c for c in plain.lower() if c.isalnum())
        self[code] = found = _EAST_ASIAN.sub(lambda m: m.group() * 2, kept)
        return found


_FOLDS = _Folds()
_LOWER = bytes(range(256)).lower()
_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalnum())
_LETTERS = _Letters()
