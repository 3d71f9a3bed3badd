"""Ways to write a text so that a filter does not see it. ``DISGUISES`` are those that looking at a
request is expected to see through; ``BLIND`` those that it cannot: only labels hold there.
"""

from __future__ import annotations

import base64
import codecs
import gzip
import html
import json
import random
import zlib
from collections.abc import Callable
from urllib.parse import quote

Disguise = Callable[[str, random.Random], str]

_LATIN = "abcdefghijklmnopqrstuvwxyz"
_LOOKALIKES = str.maketrans("aceopxyABEHKMOPCTX", "асеорхуАВЕНКМОРСТХ")
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_UNSEEN = "\u200b\u200c\u200d\u2060\ufeff"


def _bytes(text: str) -> bytes:
    return text.encode()


def _zero_width(text: str, chance: random.Random) -> str:
    return "".join(c + chance.choice(_UNSEEN) for c in text)


def _tags(text: str, chance: random.Random) -> str:
    """Unicode tags: nobody sees them, some models read them."""
    return "".join(chr(0xE0000 + ord(c)) if 0x20 <= ord(c) < 0x7F else c for c in text)


def _escapes(text: str, chance: random.Random) -> str:
    return "".join(f"\\u{unit:04x}" for unit in _utf16(text))


def _utf16(text: str) -> list[int]:
    data = text.encode("utf-16-be")
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]


DISGUISES: dict[str, Disguise] = {
    "plain": lambda text, chance: text,
    "upper case": lambda text, chance: text.upper(),
    "other spaces": lambda text, chance: text.replace(" ", chance.choice(["  ", "\n", "_", "-"])),
    "base64": lambda text, chance: base64.b64encode(_bytes(text)).decode(),
    "base64 for URLs": lambda text, chance: (
        base64.urlsafe_b64encode(_bytes(text)).decode().rstrip("=")
    ),
    "base64 in lines": lambda text, chance: base64.encodebytes(_bytes(text)).decode(),
    "base64 twice": lambda text, chance: (
        base64.b64encode(base64.b64encode(_bytes(text))).decode()
    ),
    "base32": lambda text, chance: base64.b32encode(_bytes(text)).decode(),
    "hex": lambda text, chance: _bytes(text).hex(),
    "hex with spaces": lambda text, chance: _bytes(text).hex(" "),
    "URL": lambda text, chance: quote(text, safe=""),
    "URL, every byte": lambda text, chance: "".join(f"%{b:02X}" for b in _bytes(text)),
    "URL twice": lambda text, chance: quote(quote(text, safe=""), safe=""),
    "HTML": lambda text, chance: "".join(f"&#{ord(c)};" for c in text),
    "HTML, hex": lambda text, chance: html.escape("".join(f"&#x{ord(c):x};" for c in text), False)
    .replace("&amp;", "&"),
    "\\u escapes": _escapes,
    "JSON in JSON": lambda text, chance: json.dumps(json.dumps({"note": text})),
    "rot13": lambda text, chance: codecs.encode(text, "rot13"),
    "reversed": lambda text, chance: text[::-1],
    "zero width": _zero_width,
    "lookalikes": lambda text, chance: text.translate(_LOOKALIKES),
    "full width": lambda text, chance: text.translate(_FULL_WIDTH),
    "tags": _tags,
    "gzip, base64": lambda text, chance: base64.b64encode(gzip.compress(_bytes(text))).decode(),
    "zlib, hex": lambda text, chance: zlib.compress(_bytes(text)).hex(),
    "base64 of reversed": lambda text, chance: base64.b64encode(_bytes(text[::-1])).decode(),
}  # fmt: skip


def _exclusive_or(text: str, chance: random.Random) -> str:
    key = chance.randbytes(16)
    return bytes(b ^ key[i % 16] for i, b in enumerate(_bytes(text))).hex()


def _shift(text: str, chance: random.Random) -> str:
    by = chance.choice([3, 5, 7, 11])
    table = str.maketrans(_LATIN, _LATIN[by:] + _LATIN[:by])
    return "".join(
        chr(ord(c) + by) if "가" <= c <= "힠" else c for c in text.lower().translate(table)
    )


def _interleaved(text: str, chance: random.Random) -> str:
    return "".join(c + chance.choice(_LATIN) for c in text)


def _acrostic(text: str, chance: random.Random) -> str:
    words = "apple boat cloud door east fern gate hill iron june kite lamp moon nest oak pond quay"
    known = {w[0]: w for w in (words + " rose sand tree urn vale wind xylem yarn zeal").split()}
    return " ".join(known.get(c, c) for c in text.lower() if not c.isspace())


BLIND: dict[str, Disguise] = {
    "encrypted": _exclusive_or,
    "shifted letters": _shift,
    "noise between letters": _interleaved,
    "first letters of words": _acrostic,
    "numbers for letters": lambda text, chance: " ".join(str(ord(c) - 7) for c in text),
    "words shuffled": lambda text, chance: " ".join(chance.sample(text.split(), len(text.split()))),
}
