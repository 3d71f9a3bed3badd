"""What is said in a round, as bytes: named fields, each a JSON value, bytes, or an array.

A head in JSON (names, kinds, sizes, dtypes, shapes) and then the bytes of each field,
one after another, with nothing between, before or behind. Read strictly and within ``most_bytes``:
nothing is called, nothing is guessed, no object is built but dicts, lists, numbers, strings, bytes
and arrays. Arrays are little-endian. Raises ``MalformedMessageError``.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ondol.errors import MalformedMessageError
from ondol.i18n import t

if TYPE_CHECKING:
    import numpy as np

MAGIC = b"ONDW\x01"
DTYPES = ("|u1", "|i1", "<u2", "<i2", "<f2", "<u4", "<i4", "<f4", "<u8", "<i8", "<f8")
MOST_HEAD_BYTES = 4 * 1024 * 1024
MOST_FIELDS = 64
MOST_DIMENSIONS = 4
MOST_DEPTH = 8

_HEAD = struct.Struct("<I")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def pack(fields: Mapping[str, Any]) -> bytes:
    """The bytes of ``fields``. The same fields give the same bytes, in whatever order they stand.
    Raises ``TypeError`` or ``ValueError`` for what cannot be sent: that is our own mistake."""
    head: dict[str, list[Any]] = {}
    parts: list[bytes] = []
    for name in sorted(fields):
        if not _NAME.fullmatch(name):
            raise ValueError(f"no name of a field: {name!r}")
        value = fields[name]
        if isinstance(value, bytes | bytearray | memoryview):
            raw = bytes(value)
            head[name] = ["bytes", len(raw)]
            parts.append(raw)
        elif hasattr(value, "dtype") and hasattr(value, "tobytes"):
            array = _little_endian(value)
            head[name] = ["array", array.dtype.str, list(array.shape)]
            parts.append(array.tobytes())
        else:
            head[name] = ["json", value]
    text = json.dumps(head, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
    return b"".join([MAGIC, _HEAD.pack(len(text)), text, *parts])


def unpack(data: bytes, most_bytes: int) -> dict[str, Any]:
    """The fields that ``pack`` wrote; arrays are read-only views of ``data``."""
    if len(data) > most_bytes:
        raise _malformed(f"{len(data)} > {most_bytes} bytes")
    start = len(MAGIC) + _HEAD.size
    if len(data) < start or data[: len(MAGIC)] != MAGIC:
        raise _malformed("no head")
    (head_bytes,) = _HEAD.unpack_from(data, len(MAGIC))
    if head_bytes > MOST_HEAD_BYTES or start + head_bytes > len(data):
        raise _malformed("size of the head")
    head = _head(data[start : start + head_bytes])
    read: dict[str, Any] = {}
    at = start + head_bytes
    for name, about in head.items():
        read[name], at = _field(name, about, data, at)
    if at != len(data):
        raise _malformed("bytes behind the last field")
    return read


def _head(text: bytes) -> dict[str, Any]:
    try:
        head = json.loads(
            text, object_pairs_hook=_no_twins, parse_constant=_no_constant, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        raise _malformed("the head is no JSON") from error
    if not isinstance(head, dict) or len(head) > MOST_FIELDS:
        raise _malformed("the head is no list of fields")
    if list(head) != sorted(head) or not all(_NAME.fullmatch(name) for name in head):
        raise _malformed("names of fields")
    return head


def _field(name: str, about: Any, data: bytes, at: int) -> tuple[Any, int]:
    match about:
        case ["json", value]:
            _not_too_deep(value)
            return value, at
        case ["bytes", int(size)] if _is_size(size) and at + size <= len(data):
            return data[at : at + size], at + size
        case ["array", str(dtype), list(shape)] if dtype in DTYPES:
            return _array(name, dtype, shape, data, at)
    raise _malformed(name)


def _array(
    name: str, dtype: str, shape: list[Any], data: bytes, at: int
) -> tuple[np.ndarray[Any, Any], int]:
    import numpy as np

    if len(shape) > MOST_DIMENSIONS or not all(_is_size(size) for size in shape):
        raise _malformed(name)
    count = math.prod(shape)
    size = count * int(dtype[2:])
    if at + size > len(data):
        raise _malformed(name)
    try:
        return np.frombuffer(data, dtype, count, at).reshape(shape), at + size
    except ValueError:  # no numbers at all, in a shape that numpy cannot count
        raise _malformed(name) from None


def _little_endian(value: Any) -> np.ndarray[Any, Any]:
    import numpy as np

    array = np.asarray(value, order="C")
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if array.dtype.str not in DTYPES:
        raise TypeError(f"no array of {array.dtype} is sent")
    return array


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40


def _not_too_deep(value: Any, depth: int = 0) -> None:
    if depth > MOST_DEPTH:
        raise _malformed("depth")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        _not_too_deep(item, depth + 1)


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number


def _malformed(what: str) -> MalformedMessageError:
    return MalformedMessageError(t("federated_rounds.malformed", what=what))
