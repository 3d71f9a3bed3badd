"""Protocol Buffers' wire format, read with no trust in the message: ONNX graphs and SentencePiece
models are written in it.

https://protobuf.dev/programming-guides/encoding/ . Raises ``Refused``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ondol.hub.scan.refused import Refused

MAX_FIELDS = 5_000_000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Field:
    """One field; ``value`` is its number, or its bytes, which are not copied."""

    number: int
    value: int | memoryview

    @property
    def message(self) -> memoryview:
        """Its bytes; ``Refused`` where it is a number."""
        if isinstance(self.value, int):
            raise Refused("bad_protobuf")
        return self.value

    @property
    def whole(self) -> int:
        """Its number, with a sign; ``Refused`` where it has bytes."""
        if not isinstance(self.value, int):
            raise Refused("bad_protobuf")
        return self.value - 2**64 if self.value >= 2**63 else self.value

    @property
    def text(self) -> str:
        try:
            return bytes(self.message).decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("bad_protobuf") from None


class Wire:
    """Fields of messages; all that are read are counted, and no more than ``MAX_FIELDS``."""

    def __init__(self) -> None:
        self._left = MAX_FIELDS

    def fields(self, message: memoryview) -> Iterator[Field]:
        """Those of ``message``, in their order."""
        at, end = 0, len(message)
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise Refused("bad_protobuf")
            tag, at = varint(message, at)
            number, kind = tag >> 3, tag & 7
            size = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
            if kind == _VARINT:
                whole, at = varint(message, at)
                yield Field(number, whole)
                continue
            if kind == _BYTES:
                size, at = varint(message, at)
            if not number or kind not in (_FIXED64, _FIXED32, _BYTES) or size > end - at:
                raise Refused("bad_protobuf")
            yield Field(number, message[at : at + size])
            at += size


def varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number at ``at``, seven bits a byte, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
    raise Refused("bad_protobuf")
