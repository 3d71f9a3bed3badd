"""What a request says, read as whoever receives it could read it: decoded up to two layers deep.

Base64 and its kin, hex, percent, escapes, entities, quoted-printable, character codes, gzip and
zlib. A best effort against careless and clever disguises, not against encryption. Raises
``TooLargeError`` for what nobody should have to unpack.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import json
import quopri
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from urllib.parse import unquote_plus

LAYERS = 2
MOST_BYTES = 4 << 20
_SHARE_PRINTABLE = 0.85
_LEAST_CHARACTERS = 6
_SHORT_CHARACTERS = 40
_NO_CONTENT = ("role", "type", "model", "id")

_ESCAPE = re.compile(
    r"\\+(?:u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|x([0-9a-fA-F]{2})|([nrtbf\"'/\\]))"
)
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_PERCENT = re.compile(r"%[0-9a-fA-F]{2}")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[a-z]{2,8});")
_QUOTED = re.compile(r"(?:=[0-9A-F]{2}){2,}|=\r?\n")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
_LINES = re.compile(
    r"(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/_-]{16,128}\s{1,2}){1,}[A-Za-z0-9+/_-]{2,}={0,2}"
)
_HEX = re.compile(r"(?:(?:0x|\\x)?[0-9a-fA-F]{2}[\s:,;-]{0,2}){8,}")
_BASE32 = re.compile(r"[A-Z2-7]{16,}={0,6}")
_CODES = re.compile(r"(?:\d{2,5}[\s,;]{1,2}){7,}\d{2,5}")
_PIECES = re.compile(r"(?:[\"'][^\"'\\]{1,8}[\"']\s{0,2}[,+]\s{0,2}){2,}[\"'][^\"'\\]{1,8}[\"']")
_BETWEEN = re.compile(r"[\"']\s{0,2}[,+]\s{0,2}[\"']")
_GZIP, _ZLIB = b"\x1f\x8b", (b"x\x01", b"x\x9c", b"x\xda", b"x^")


class TooLargeError(ValueError):
    """Something unpacks to more than ``MOST_BYTES``: it has not been read."""


def readings(data: bytes) -> Iterator[str]:
    """Every text that ``data`` may be read as, its own first."""
    seen: set[str] = set()
    _, _, body = data.partition(b"\r\n\r\n")
    # The body of its own where it is packed: what it is shows at its beginning.
    parts = [data, body] if b"\0" in body or body[:2] in _ZLIB else [data]
    waiting = [(text, LAYERS) for part in parts for text in _texts(part)]
    while waiting:
        text, layers = waiting.pop(0)
        if text in seen:
            continue
        seen.add(text)
        yield text
        if layers:
            waiting += [(_unescaped(decoded), layers - 1) for decoded in _decoded(text)]


def rot13(text: str) -> str:
    return codecs.encode(text, "rot13")


def _texts(data: bytes) -> Iterator[str]:
    """``data`` as text, however it is packed, escapes undone: what JSON itself does to a text is no
    disguise."""
    for plain in _unpacked(data):
        text = _as_text(plain)
        yield _unescaped(text)
        values = _values(text)
        if values:
            yield values


def _unpacked(data: bytes) -> Iterator[bytes]:
    yield data
    at = data.find(_GZIP)
    starts = [at] if at >= 0 else []
    # The magic of zlib is short: only at the beginning does it mean something.
    starts += [0] if data[:2] in _ZLIB else []
    for start in starts:
        unpacker = zlib.decompressobj(47)
        try:
            yield unpacker.decompress(data[start:], MOST_BYTES)
        except zlib.error:
            continue
        if unpacker.unconsumed_tail:
            raise TooLargeError


def _as_text(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    if data.count(0) * 3 > len(data):
        # ASCII in 16 bits, with no mark of it.
        return data.replace(b"\0", b"").decode("utf-8", "replace")
    return data.decode("utf-8", "replace")


def _values(text: str) -> str:
    """The short strings in the JSON that ``text`` ends with, one after another: a value that was
    cut in pieces is whole again."""
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0:
        return ""
    try:
        found = [s for s in _strings(json.loads(text[start:])) if len(s) <= _SHORT_CHARACTERS]
    except (ValueError, RecursionError):
        return ""
    return "".join(found) if len(found) > 1 else ""


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str) and value[:1] in ("[", "{"):
        # JSON in JSON, as tool arguments are.
        try:
            yield from _strings(json.loads(value))
        except ValueError:
            yield value
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int | float):
        yield str(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in _NO_CONTENT:  # "user" stands between any two turns
                yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text

    def plain(match: re.Match[str]) -> str:
        code = match.group(1) or match.group(2) or match.group(3)
        if code:
            return chr(int(code, 16)) if int(code, 16) < 0x110000 else ""
        return {"n": "\n", "r": "\r", "t": "\t"}.get(match.group(4), match.group(4))

    joined = _ESCAPE.sub(plain, text)
    return _PAIR.sub(lambda m: m.group().encode("utf-16", "surrogatepass").decode("utf-16"), joined)


def _decoded(text: str) -> Iterator[str]:
    """What one layer of encoding, taken off, leaves."""
    if _PERCENT.search(text):
        yield unquote_plus(text)
    if _ENTITY.search(text):
        yield html.unescape(text)
    if _QUOTED.search(text):
        yield quopri.decodestring(text.encode()).decode("utf-8", "replace")
    if _PIECES.search(text):
        yield _PIECES.sub(lambda match: _BETWEEN.sub("", match.group()), text)
    for pattern, decode in _CODECS:
        for match in pattern.finditer(text):
            for data in decode(match.group()):
                yield from _legible(data)


def _legible(data: bytes) -> Iterator[str]:
    for plain in _texts(data):
        # What nobody sees (Cf) may be half of it, and is no sign of nonsense.
        shown = (c.isprintable() or c.isspace() or unicodedata.category(c) == "Cf" for c in plain)
        printable = sum(shown) - plain.count("\ufffd")
        if len(plain) >= _LEAST_CHARACTERS and printable >= _SHARE_PRINTABLE * len(plain):
            yield plain


def _base64(run: str) -> Iterator[bytes]:
    bare = re.sub(r"\s", "", run).rstrip("=").replace("-", "+").replace("_", "/")
    # It may begin anywhere in the run.
    for whole in (*(bare[start:] for start in range(4)), bare[::-1]):
        yield base64.b64decode(whole[: len(whole) - (len(whole) % 4 == 1)] + "===")


def _hex(run: str) -> Iterator[bytes]:
    bare = re.sub(r"0x|\\x|[^0-9a-fA-F]", "", run)
    for start in range(2):
        whole = bare[start:]
        yield bytes.fromhex(whole[: len(whole) // 2 * 2])


def _base32(run: str) -> Iterator[bytes]:
    bare = run.rstrip("=")
    for length in (0, 2, 4, 5, 7):
        if len(bare) % 8 == length:
            yield base64.b32decode(bare + "=" * (-len(bare) % 8))


def _codes(run: str) -> Iterator[bytes]:
    numbers = [int(number) for number in re.findall(r"\d+", run)]
    yield "".join(chr(n) for n in numbers if n < 0xD800).encode()


def _safe(decode: Callable[[str], Iterator[bytes]]) -> Callable[[str], Iterator[bytes]]:
    def decoded(run: str) -> Iterator[bytes]:
        try:
            yield from decode(run)
        except (binascii.Error, ValueError):
            # What no such encoding wrote.
            return

    return decoded


_CODECS = (
    (_BASE64, _safe(_base64)),
    (_LINES, _safe(_base64)),
    (_HEX, _safe(_hex)),
    (_BASE32, _safe(_base32)),
    (_CODES, _safe(_codes)),
)
