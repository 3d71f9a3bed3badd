"""What is not masked gets smaller on the wire and comes back bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.errors import MalformedMessageError
from ondol.federated.encoding import Codec
from ondol.federated.squeezing import squeeze, squeeze_ints, unsqueeze, unsqueeze_ints


@settings(max_examples=40, deadline=None)
@given(data=st.data(), bits=st.integers(2, 32))
def test_integers_come_back(data: st.DataObject, bits: int) -> None:
    ints = np.array(data.draw(st.lists(st.integers(0, 2**bits - 1), max_size=50)), np.uint32)
    np.testing.assert_array_equal(unsqueeze_ints(squeeze_ints(ints, bits), bits, len(ints)), ints)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "|i1", "<i2"])
def test_numbers_come_back_bit_for_bit(dtype: str) -> None:
    numbers = (np.random.default_rng(0).standard_normal(1000) * 50).astype(dtype)
    back = unsqueeze(squeeze(numbers), dtype, 1000)
    assert back.dtype == numbers.dtype
    np.testing.assert_array_equal(back, numbers)


def test_an_update_of_eight_bits_gets_smaller_than_a_byte_a_number() -> None:
    drawn = np.random.default_rng(0).standard_t(3, 50_000).astype(np.float32)
    for norm, most in ((1.0, 0.92), (0.1, 0.55)):
        codec = Codec(8, 1.0, 1, 0.0, 50_000)
        update = drawn * norm / np.linalg.norm(drawn)
        ring = codec.encode(update.astype(np.float32), np.random.default_rng(1))
        assert len(squeeze_ints(ring, codec.bits)) < most * 50_000


def test_a_shared_vector_gets_smaller_than_two_bytes_a_number() -> None:
    vector = (np.random.default_rng(0).standard_normal(50_000) * 1e-3).astype("<f2")
    assert len(squeeze(vector)) < 0.94 * 2 * 50_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        squeeze(np.zeros(9, "<i1")),
        squeeze(np.zeros(11, "<i1")),
        zstandard.compress(bytes(10_000_000)),
        squeeze(np.full(10, 100, "<i1")),  # beyond seven bits
        squeeze(np.zeros(10, "<i1"))[:-1],
    ],
)
def test_what_is_no_update_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        unsqueeze_ints(data, 7, 10)
