"""How GGUF stores a header, read with no trust in the file.

Every count, length, type and offset is checked against a cap and the file's size before it is
believed; long arrays are walked, not kept. As strict as llama.cpp, so that what passes here is
not refused there. Raises ``InvalidModelError``: what is wrong, and where.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

from ondol.errors import InvalidModelError
from ondol.i18n import t
from ondol.models.fim import LENGTHS, WORDS

MAX_HEADER_BYTES = 128 * 2**20
MAX_NAME_BYTES = 512
MAX_STRING_BYTES = 32 * 2**20
MAX_ARRAY_ITEMS = 2**23
MAX_DIMENSIONS = 4

KEPT_STRING_BYTES = 2**20
KEPT_ARRAY_ITEMS = 4096
KEPT_BYTES = 16 * 2**20
_ITEM_BYTES = 64  # what Python itself spends on one small value
_WINDOW_BYTES = 2**18


@dataclass(frozen=True, slots=True)
class Elided:
    """Stands for a value too long to keep: an array of ``count`` items, or a string's bytes."""

    count: int


Scalar = int | float | bool | str
Value = Scalar | Elided | tuple[Scalar | Elided, ...]

_SCALARS = {
    code: struct.Struct(f"<{letter}")
    for code, letter in zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True)
}
_U32, _STRING, _ARRAY, _U64 = 4, 8, 9, 10

# ggml's tensor types, by elements in a block: name, code in the file, bytes of a block.
_BLOCKS = {
    1: "F32 0 4, F16 1 2, BF16 30 2, F64 28 8, I8 24 1, I16 25 2, I32 26 4, I64 27 8",
    32: "Q4_0 2 18, Q4_1 3 20, Q5_0 6 22, Q5_1 7 24, Q8_0 8 34, Q8_1 9 36, IQ4_NL 20 18, "
    "MXFP4 39 17",
    64: "NVFP4 40 36, Q2_0 42 18",
    128: "Q1_0 41 18",
    256: "Q2_K 10 84, Q3_K 11 110, Q4_K 12 144, Q5_K 13 176, Q6_K 14 210, Q8_K 15 292, "
    "IQ1_S 19 50, IQ1_M 29 56, IQ2_XXS 16 66, IQ2_XS 17 74, IQ2_S 22 82, IQ3_XXS 18 98, "
    "IQ3_S 21 110, IQ4_XS 23 136, TQ1_0 34 54, TQ2_0 35 66",
}
TENSOR_TYPES: Mapping[int, tuple[str, int, int]] = {
    int(code): (name, block, int(size))
    for block, types in _BLOCKS.items()
    for name, code, size in (entry.split() for entry in types.split(", "))
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor; ``shape`` has the fastest-changing dimension first, as ggml does.

    ``offset`` counts bytes from ``GgufHeader.data_offset``.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    size_bytes: int


class Reader:
    """Little-endian values off the front of a file, in order."""

    def __init__(self, file: BinaryIO, name: str, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._file, self._name = file, name
        self._window, self._start, self._at = b"", 0, 0
        self._kept_bytes = 0
        self.fim_words: set[str] = set()

    def tensors(self, count: int, alignment: int) -> tuple[tuple[TensorInfo, ...], int]:
        """``count`` tensors that lie one after another inside the file, and where the first is."""
        infos: list[TensorInfo] = []
        names: set[str] = set()
        for index in range(count):
            infos.append(self.tensor(t("gguf.at_tensor", number=index + 1)))
            if infos[-1].name in names:
                raise self.invalid("duplicate_tensor", tensor=shown(infos[-1].name))
            names.add(infos[-1].name)
        data_offset = padded(self.position, alignment)
        expected = 0
        for info in infos:
            if info.offset % alignment:
                raise self.invalid("unaligned", tensor=shown(info.name), alignment=alignment)
            if data_offset + info.offset + info.size_bytes > self.size_bytes:
                raise self.invalid("past_the_end", tensor=shown(info.name))
            if info.offset != expected:
                raise self.invalid("misplaced", tensor=shown(info.name), expected=expected)
            expected = padded(info.offset + info.size_bytes, alignment)
        return tuple(infos), data_offset

    def tensor(self, where: str) -> TensorInfo:
        name = self.name(where)
        where = shown(name)
        num_dimensions = self.u32(where)
        if num_dimensions > MAX_DIMENSIONS:
            raise self.invalid("bad_dimensions", tensor=where, count=num_dimensions)
        shape = tuple(self.u64(where) for _ in range(num_dimensions))
        code = self.u32(where)
        if code not in TENSOR_TYPES:
            raise self.invalid("unknown_tensor_type", tensor=where, code=code)
        kind, block, block_bytes = TENSOR_TYPES[code]
        elements, row = prod(shape), shape[0] if shape else 1
        size_bytes = elements // block * block_bytes
        if not elements or row % block or size_bytes > self.size_bytes:
            raise self.invalid("bad_shape", tensor=where, shape=list(shape), type=kind)
        return TensorInfo(name, shape, kind, self.u64(where), size_bytes)

    def value(self, code: int, where: str) -> Value:
        """The value of type ``code`` that comes next."""
        if code == _STRING:
            return self.string(where)
        if code == _ARRAY:
            return self.array(where)
        if code not in _SCALARS:
            raise self.invalid("unknown_value_type", where=where, code=code)
        return self.scalar(code, where)

    def array(self, where: str) -> Value:
        code, count = self.u32(where), self.u64(where)
        if code != _STRING and code not in _SCALARS:
            raise self.invalid("unknown_value_type", where=where, code=code)
        if count > MAX_ARRAY_ITEMS:
            raise self.invalid("long_array", where=where, count=count, most=MAX_ARRAY_ITEMS)
        if count <= KEPT_ARRAY_ITEMS:
            self.keep(count * _ITEM_BYTES, where)
            return tuple(
                self.string(where) if code == _STRING else self.scalar(code, where)
                for _ in range(count)
            )
        if code == _STRING:
            self.skip_strings(count, where)
        else:
            self.skip(count * _SCALARS[code].size, where)
        return Elided(count)

    def string(self, where: str) -> Scalar | Elided:
        length = self.length(where)
        if length > KEPT_STRING_BYTES:
            self.skip(length, where)
            return Elided(length)
        self.keep(length, where)
        return self.take(length, where).decode("utf-8", errors="replace")

    def skip_strings(self, count: int, where: str) -> None:
        """Walk past ``count`` strings; a vocabulary has hundreds of thousands."""
        for _ in range(count):
            if self._at + 8 > len(self._window):
                self._fill(8, where)
            (length,) = _SCALARS[_U64].unpack_from(self._window, self._at)
            after = self._at + 8 + length
            if after <= len(self._window):
                if length in LENGTHS:
                    self.fim_words.add(WORDS.get(self._window[self._at + 8 : after], ""))
                self._at = after
            else:
                self.skip(self.length(where), where)

    def name(self, where: str) -> str:
        length = self.u64(where)
        if not 0 < length <= MAX_NAME_BYTES:
            raise self.invalid("bad_name", where=where, length=length, most=MAX_NAME_BYTES)
        try:
            return self.take(length, where).decode("utf-8")
        except UnicodeDecodeError:
            raise self.invalid("name_not_text", where=where) from None

    def length(self, where: str) -> int:
        length = self.u64(where)
        if length > MAX_STRING_BYTES:
            raise self.invalid("long_string", where=where, length=length, most=MAX_STRING_BYTES)
        return length

    def scalar(self, code: int, where: str) -> Scalar:
        value: Scalar
        (value,) = _SCALARS[code].unpack(self.take(_SCALARS[code].size, where))
        return value

    def u32(self, where: str) -> int:
        return int(self.scalar(_U32, where))

    def u64(self, where: str) -> int:
        return int(self.scalar(_U64, where))

    def keep(self, size_bytes: int, where: str) -> None:
        """Count ``size_bytes`` more as held in memory."""
        self._kept_bytes += size_bytes + _ITEM_BYTES
        if self._kept_bytes > KEPT_BYTES:
            raise self.invalid("too_much", where=where, most=KEPT_BYTES)

    @property
    def position(self) -> int:
        return self._start + self._at

    def take(self, size: int, where: str) -> bytes:
        """The next ``size`` bytes."""
        if self._at + size > len(self._window):
            self._fill(size, where)
        piece = self._window[self._at : self._at + size]
        self._at += size
        return piece

    def skip(self, size: int, where: str) -> None:
        """Move past ``size`` bytes without reading them."""
        self._require(size, where)
        if self._at + size <= len(self._window):
            self._at += size
            return
        self._start, self._at, self._window = self.position + size, 0, b""
        self._file.seek(self._start)

    def invalid(self, why: str, **values: object) -> InvalidModelError:
        return _invalid(self._name, why, **values)

    def _fill(self, size: int, where: str) -> None:
        self._require(size, where)
        kept = self._window[self._at :]
        wanted = max(size, _WINDOW_BYTES) - len(kept)
        self._start, self._at = self.position, 0
        self._window = kept + self._file.read(wanted)
        if len(self._window) < size:
            raise self.invalid("truncated", where=where)

    def _require(self, size: int, where: str) -> None:
        if self.position + size > self.size_bytes:
            raise self.invalid("truncated", where=where)
        if self.position + size > MAX_HEADER_BYTES:
            raise self.invalid("long_header", where=where, most=MAX_HEADER_BYTES)


@contextmanager
def open_reader(path: Path, name: str = "") -> Iterator[Reader]:
    """A reader at the front of the regular file at ``path``; errors call it ``name``."""
    name = name or path.name
    try:
        status = path.stat()
        # A pipe or a device would be waited on for ever, or read without end.
        if not stat.S_ISREG(status.st_mode):
            raise _invalid(name, "not_a_file")
        with path.open("rb") as file:
            yield Reader(file, name, status.st_size)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _invalid(name, "unreadable", error=reason) from error


def padded(size: int, alignment: int) -> int:
    """``size`` rounded up to a multiple of ``alignment``."""
    return -(-size // alignment) * alignment


def shown(text: str) -> str:
    """``text`` from the file, short and harmless on a terminal."""
    short = text if len(text) <= 60 else f"{text[:59]}…"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in short)


def _invalid(name: str, why: str, **values: object) -> InvalidModelError:
    sentence = t("gguf.invalid", file=shown(name), why=t(f"gguf.{why}", **values))
    return InvalidModelError(sentence, t("gguf.invalid_hint"))
