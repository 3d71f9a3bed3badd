"""A GGUF file's facts and tensors without its vocabulary, whose hundred thousand strings take
gguf's own reader many seconds.
"""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from typing import Any

MOST_VALUES = 4096
"""Longer arrays are passed over: tokens, their scores and kinds, merges."""


def facts_of(file: Path) -> Any:
    """gguf's ``GGUFReader`` of ``file``; a long array is there as a field without contents. Raises
    what that raises."""
    return _reader()(file)


@cache
def _reader() -> type[Any]:
    import gguf

    kinds = gguf.GGUFValueType

    class Facts(gguf.GGUFReader):  # type: ignore[misc]
        def _get_field_parts(self, orig_offs: int, raw_type: int) -> Any:
            if raw_type != kinds.ARRAY or self.byte_order == "S":
                return super()._get_field_parts(orig_offs, raw_type)
            try:
                return self._passed_over(orig_offs, raw_type)
            except struct.error as error:
                raise ValueError(f"an array is cut off: {error}") from error

        def _passed_over(self, orig_offs: int, raw_type: int) -> Any:
            kind, count = struct.unpack_from("<IQ", self.data, orig_offs)
            if count <= MOST_VALUES or kind == kinds.ARRAY:
                return super()._get_field_parts(orig_offs, raw_type)
            end = orig_offs + 12
            if kind == kinds.STRING:
                for _ in range(count):
                    end += 8 + struct.unpack_from("<Q", self.data, end)[0]
            else:
                end += count * self.gguf_scalar_to_np[kinds(kind)](0).itemsize
            return end - orig_offs, [], [], [kinds.ARRAY, kinds(kind)]

    return Facts
