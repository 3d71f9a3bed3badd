"""Bytes to text: byte order mark, UTF-8, what the file declares, then the best guess.

The guess knows the encodings that Korean, East Asian and Western files come in. A byte that its
encoding cannot read becomes U+FFFD, so one bad byte does not lose a document. Never raises.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Browsers read these labels as the supersets that programs really write.
_SUPERSETS = {
    "euc-kr": "cp949", "euckr": "cp949", "ks_c_5601-1987": "cp949", "ksc5601": "cp949",
    "windows-949": "cp949", "x-windows-949": "cp949", "uhc": "cp949", "korean": "cp949",
    "iso-8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "us-ascii": "cp1252",
    "ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932",
    "shift-jis": "cp932", "sjis": "cp932", "x-sjis": "cp932",
}  # fmt: skip
_SAMPLE_BYTES = 256 * 1024
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\x1b\b")) + b"\x7f"
_NON_ASCII = re.compile(r"[^\x00-\x7f]")
_MAX_BAD_SHARE = 0.02


def decode(data: bytes, declared: str = "") -> str:
    """The text of ``data``, line ends unchanged, without its byte order mark."""
    mark, name = _marked(data)
    if not name:
        name = _unmarked(data, declared)
    return data[len(mark) :].decode(name, errors="replace")


def is_binary(data: bytes) -> bool:
    """Whether ``data`` is not text in any encoding that ``decode`` knows."""
    if _marked(data)[1]:
        return False
    sample = data[:_SAMPLE_BYTES]
    if b"\0" in sample:
        return not _wide(sample)
    controls = len(sample) - len(sample.translate(None, _CONTROL))
    return controls > len(sample) * 0.01


def _marked(data: bytes) -> tuple[bytes, str]:
    for mark, name in _BOMS:
        if data.startswith(mark):
            return mark, name
    return b"", ""


def _unmarked(data: bytes, declared: str) -> str:
    declared = declared.strip().lower()
    if declared.startswith("iso-2022") and _known(declared):
        return declared
    if b"\0" in data[:_SAMPLE_BYTES] and (wide := _wide(data)):
        return wide
    if _is_utf8(data):
        return "utf-8"
    declared = _SUPERSETS.get(declared, declared)
    if _known(declared) and _bad_share(data[:_SAMPLE_BYTES], declared) < _MAX_BAD_SHARE:
        return declared
    return _guess(data[:_SAMPLE_BYTES])


def _known(name: str) -> bool:
    try:
        return bool(name) and codecs.lookup(name)._is_text_encoding
    except (LookupError, ValueError):
        return False


def _is_utf8(data: bytes) -> bool:
    """Whether it is UTF-8, but for a stray byte or an end cut off in the middle of a character."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        text = data[:_SAMPLE_BYTES].decode("utf-8", errors="replace")
        marks = len(_NON_ASCII.findall(text))
        return text.count("\ufffd") < marks * _MAX_BAD_SHARE + (marks > 10) * 2
    return True


def _wide(data: bytes) -> str:
    """UTF-16 without a mark: every second byte of its spaces and line ends is zero."""
    sample = data[: min(len(data), _SAMPLE_BYTES) & ~1]
    zeros = sample.count(0)
    for name, high in (("utf-16-le", 1), ("utf-16-be", 0)):
        # Some Hangul syllables, 가 for one, end in a zero byte: not all zeros are high bytes.
        if sample[high::2].count(0) > zeros * 0.7:
            text = sample.decode(name, errors="replace")
            if any(c.isascii() for c in text) and _is_plausible(text):
                return name
    return ""


def _is_plausible(text: str) -> bool:
    kinds = Counter(map(unicodedata.category, text.replace("\r", "").replace("\n", "")))
    strange = sum(kinds[kind] for kind in ("Cn", "Co", "Cs", "Cc")) + text.count("\ufffd")
    common = sum(c.isascii() or "가" <= c <= "힣" or "\u3040" <= c <= "\u9fff" for c in text)
    return strange <= len(text) * _MAX_BAD_SHARE and common > len(text) * 0.6


def _bad_share(sample: bytes, name: str) -> float:
    marks = _NON_ASCII.findall(sample.decode(name, errors="replace"))
    return marks.count("\ufffd") / len(marks) if marks else 0.0


def _guess(sample: bytes) -> str:
    """The encoding under which the text looks most like a language that people write."""
    scores = {
        "cp949": _share(sample, "cp949", r"[가-힣]"),
        "cp932": _share(sample, "cp932", r"[぀-ヿ]") * 2,  # a third of Japanese is kana
        "euc_jp": _share(sample, "euc_jp", r"[぀-ヿ]") * 2,
        "gb18030": _share(
            sample,
            "gb18030",
            r"[的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过]",
        )
        * 4,
        "big5": _share(
            sample,
            "big5",
            r"[的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過]",
        )
        * 4,
    }
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] >= 0.5 else "cp1252"


def _share(sample: bytes, name: str, letters: str) -> float:
    """How much of the non-ASCII text is ``letters``; nothing when much of it cannot be read."""
    marks = "".join(_NON_ASCII.findall(sample.decode(name, errors="replace")))
    if not marks or marks.count("\ufffd") > max(len(marks) * _MAX_BAD_SHARE, 1):
        return 0.0
    return len(re.findall(letters, marks)) / len(marks)
