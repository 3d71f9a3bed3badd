"""Messages as bytes: what is packed comes back, and nothing else is read."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.errors import MalformedMessageError
from ondol.federated.wire import MAGIC, MOST_FIELDS, pack, unpack

MOST = 1 << 20
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(names, plain | st.binary(max_size=40), max_size=6))
def test_what_is_packed_comes_back_in_whatever_order(fields: dict[str, Any]) -> None:
    packed = pack(fields)
    assert unpack(packed, MOST) == fields
    assert pack(dict(reversed(list(fields.items())))) == packed


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda x: MAGIC + x))
def test_noise_is_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        unpack(data, MOST)


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_changed_byte_gives_another_message_or_none(at: int, by: int) -> None:
    fields = {"round": 3, "reply": b"abcdef", "numbers": np.arange(4, dtype=np.float32)}
    packed = bytearray(pack(fields))
    packed[at % len(packed)] ^= by
    try:
        read = unpack(bytes(packed), MOST)
    except MalformedMessageError:
        return
    assert pack(read) != pack(fields)


@pytest.mark.parametrize("dtype", ["u1", "<u4", ">f4", "<f2", "<i8", ">u2"])
def test_arrays_keep_their_numbers_and_shape_and_are_not_written_to(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    read = unpack(pack({"x": array}), MOST)["x"]
    assert read.shape == (2, 3) and read.dtype == np.dtype(dtype).newbyteorder("<")
    assert (read == array).all()
    with pytest.raises(ValueError, match="read-only"):
        read[0] = 1


@pytest.mark.parametrize("value", [np.array(["a"]), np.array([object()]), np.zeros(2, complex)])
def test_what_is_no_plain_array_is_not_packed(value: Any) -> None:
    with pytest.raises(TypeError):
        pack({"x": value})


@pytest.mark.parametrize("value", [float("nan"), [float("inf")]])
def test_numbers_that_are_none_are_not_packed(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        pack({"x": value})


@pytest.mark.parametrize("name", ["", "X", "1a", "a b", "a" * 65, "ä"])
def test_names_that_are_none_are_not_packed(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        pack({name: 1})


@pytest.mark.parametrize(
    "head",
    [
        b"[]",
        b"{",
        b'{"a":["json",NaN]}',
        b'{"a":["json",1e999]}',
        b'{"a":["array","<f4",[0,549755813888,549755813888,549755813888]]}',
        b'{"a":["json",1],"a":["json",2]}',
        b'{"b":["json",1],"a":["json",1]}',
        b'{"A":["json",1]}',
        b'{"a":["bytes",-1]}',
        b'{"a":["bytes",true]}',
        b'{"a":["bytes",9]}',
        b'{"a":["array","|O",[1]]}',
        b'{"a":["array","<f4",[99999999999]]}',
        b'{"a":["array","<f4",[1,1,1,1,1]]}',
        b'{"a":["pickle",1]}',
        b'{"a":1}',
        b'{"a":["json",' + b"[" * 20 + b"]" * 20 + b"]}",
        b"[" * 100_000,
        json.dumps({f"a{i}": ["json", 1] for i in range(MOST_FIELDS + 1)}, sort_keys=True).encode(),
    ],
    ids=lambda head: head[:24].decode(),
)
def test_heads_that_say_what_cannot_be_are_refused(head: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        unpack(MAGIC + struct.pack("<I", len(head)) + head, MOST)


def test_what_is_too_long_or_has_a_tail_is_refused() -> None:
    packed = pack({"a": b"x" * 100})
    for data, most in ((packed, 50), (packed + b"y", MOST), (packed[:-1], MOST)):
        with pytest.raises(MalformedMessageError):
            unpack(data, most)
