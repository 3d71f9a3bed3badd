"""An update in ring integers: sums exact to the last step, lengths bounded, nothing lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.errors import FederationError, MalformedMessageError, UpdateRefusedError
from ondol.federated.encoding import Codec
from ondol.federated.entropy import SYSTEM
from ondol.federated.packing import pack_bits, packed_size, unpack_bits
from ondol.federated.plan import Plan
from ondol.federated.rotation import rotate, unrotate

PLAN = Plan("f", "family", "m", "0" * 64, "0" * 64, "style", clip_norm=1.0)


def vector(dimension: int, norm: float, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_t(3, dimension)
    return (drawn * norm / np.linalg.norm(drawn)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(
    dimension=st.integers(1, 300),
    num_clients=st.integers(1, 9),
    value_bits=st.integers(2, 12),
    norm=st.sampled_from([0.0, 0.3, 1.0, 50.0]),
    peaked=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_sum_in_the_ring_is_the_sum_of_the_integers(
    dimension: int, num_clients: int, value_bits: int, norm: float, peaked: bool, seed: int
) -> None:
    codec = Codec(value_bits, 1.0, num_clients, 0.0, dimension, seed.to_bytes(4))
    rng = np.random.default_rng(seed)
    plain, ring = np.zeros(codec.length, np.int64), np.zeros(codec.length, np.uint64)
    for client in range(num_clients):
        update = np.eye(1, dimension)[0] * norm if peaked else vector(dimension, norm, client)
        encoded = codec.encode(update.astype(np.float32), rng)
        ints = codec.signed(encoded, 1)
        assert int(ints @ ints) <= codec.squared_norm_bound
        plain += ints
        ring += encoded
    wrapped = (ring % 2**codec.bits).astype(np.uint32)
    np.testing.assert_array_equal(codec.signed(wrapped, num_clients), plain)


@pytest.mark.parametrize("dimension", [1, 2, 3, 64, 1001])
def test_the_decoded_sum_is_near_the_sum_of_the_updates(dimension: int) -> None:
    codec = Codec.of(PLAN, 5, dimension, number=3)
    updates = [vector(dimension, 0.8, seed) for seed in range(5)]
    encoded = [codec.encode(update, SYSTEM).astype(np.int64) for update in updates]
    total = codec.decode_sum(codec.wrap(sum(encoded)), 5)
    assert total.dtype == np.float32
    assert total.shape == (dimension,)
    # Each coordinate of each update errs by less than a step, in a rotation that keeps lengths.
    assert np.linalg.norm(total - sum(updates)) < 5 * codec.step * np.sqrt(codec.length)


def test_rounding_is_right_on_average() -> None:
    codec = Codec(4, 1.0, 1, 0.0, 64, b"seed")
    update, rng = vector(64, 0.5), np.random.default_rng(5)
    mean = np.mean([codec.decode_sum(codec.encode(update, rng), 1) for _ in range(2000)], axis=0)
    once = np.abs(codec.decode_sum(codec.encode(update, rng), 1) - update).max()
    assert np.abs(mean - update).max() < once / 5


def test_a_longer_update_counts_as_one_of_the_clip_norm() -> None:
    codec = Codec.of(PLAN, 3, 500, number=1)
    total = codec.decode_sum(codec.encode(vector(500, 40.0), np.random.default_rng(0)), 1)
    assert 0.95 < np.linalg.norm(total) <= codec.norm_bound * codec.step < 1.02


def test_unlucky_rounding_still_stays_below_the_bound() -> None:
    class Unlucky:
        def bytes(self, length: int, /) -> bytes:
            return bytes(length)  # every coin says "up", away from zero above it

    codec = Codec(4, 1.0, 2, 0.0, 4000, b"")
    spread = unrotate(np.full(4000, 1 / np.sqrt(4000)), b"").astype(np.float32)
    ints = codec.signed(codec.encode(spread, Unlucky()), 1)
    assert int(ints @ ints) <= codec.squared_norm_bound


@settings(max_examples=30, deadline=None)
@given(dimension=st.integers(1, 400), seed=st.binary(max_size=8))
def test_a_rotation_keeps_lengths_and_can_be_undone(dimension: int, seed: bytes) -> None:
    update = vector(dimension, 2.0)
    turned = rotate(update, seed)
    assert np.linalg.norm(turned) == pytest.approx(np.linalg.norm(update))
    np.testing.assert_allclose(unrotate(turned, seed)[:dimension], update, atol=1e-9)


def test_a_rotation_spreads_a_single_peak() -> None:
    peak = np.zeros(10_000, np.float32)
    peak[17] = 1.0
    assert np.abs(rotate(peak, b"any")).max() < 5 / np.sqrt(10_000)


def test_rounds_rotate_differently_and_every_member_alike() -> None:
    first, again = Codec.of(PLAN, 5, 10, number=1), Codec.of(PLAN, 5, 10, number=1)
    assert first == again
    assert first.rotation != Codec.of(PLAN, 5, 10, number=2).rotation
    assert first.rotation != Codec.of(replace(PLAN, seed=1), 5, 10, number=1).rotation


def test_the_ring_has_room_for_the_noise_that_is_added() -> None:
    quiet, noisy = Codec(8, 1.0, 5, 0.0, 1000), Codec(8, 1.0, 5, 2.0, 1000)
    deviation = 2.0 / noisy.step
    assert noisy.bits > quiet.bits
    assert 4.5 * deviation < noisy.noise_room < 6 * deviation
    assert 2**noisy.bits > 2 * (5 * noisy.most + noisy.noise_room)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_refused(bad: float) -> None:
    update = np.zeros(10, np.float32)
    update[3] = bad
    with pytest.raises(UpdateRefusedError):
        Codec(8, 1.0, 3, 0.0, 10).encode(update, SYSTEM)


def test_another_length_is_refused() -> None:
    codec = Codec(8, 1.0, 3, 0.0, 10)
    with pytest.raises(UpdateRefusedError):
        codec.encode(np.zeros(11, np.float32), SYSTEM)
    with pytest.raises(UpdateRefusedError):
        codec.decode_sum(np.zeros(11, np.uint32), 3)


def test_a_sum_that_no_clients_can_have_is_refused() -> None:
    codec = Codec(8, 1.0, 3, 0.0, 2)
    beyond = np.array([3 * codec.most + 1, 0], np.uint32)
    with pytest.raises(UpdateRefusedError):
        codec.decode_sum(beyond, 3)
    with pytest.raises(UpdateRefusedError):
        codec.decode_sum(np.array([2 * codec.most, 0], np.uint32), 1)
    with pytest.raises(UpdateRefusedError):
        codec.decode_sum(np.array([2**codec.bits, 0], np.uint32), 3)
    with pytest.raises(UpdateRefusedError):
        codec.decode_sum(np.zeros(2, np.uint32), 4)


@pytest.mark.parametrize(
    ("value_bits", "clip", "clients", "noise"),
    [(1, 1.0, 3, 0.0), (17, 1.0, 3, 0.0), (8, 0.0, 3, 0.0), (8, 1.0, 0, 0.0), (8, 1.0, 3, -1.0)],
)
def test_numbers_that_encode_nothing_are_refused(
    value_bits: int, clip: float, clients: int, noise: float
) -> None:
    with pytest.raises(FederationError):
        Codec(value_bits, clip, clients, noise, 10)


def test_a_ring_beyond_32_bits_is_refused_with_the_way_out() -> None:
    with pytest.raises(FederationError) as refused:
        Codec(16, 1.0, 1_000_000, 0.0, 10)
    assert "value_bits" in refused.value.hint


@settings(max_examples=40, deadline=None)
@given(data=st.data(), bits=st.integers(1, 32))
def test_integers_come_back_from_their_bits(data: st.DataObject, bits: int) -> None:
    ints = np.array(data.draw(st.lists(st.integers(0, 2**bits - 1), max_size=70)), np.uint32)
    packed = pack_bits(ints, bits)
    assert len(packed) == packed_size(len(ints), bits)
    np.testing.assert_array_equal(unpack_bits(packed, bits, len(ints)), ints)


def test_many_integers_are_packed_in_parts() -> None:
    ints = np.random.default_rng(0).integers(0, 2**13, 2**16 + 77, dtype=np.uint32)
    np.testing.assert_array_equal(unpack_bits(pack_bits(ints, 13), 13, len(ints)), ints)


def test_a_packed_update_of_another_length_is_refused() -> None:
    packed = pack_bits(np.arange(10, dtype=np.uint32), 5)
    for wrong in (packed[:-1], packed + b"\0"):
        with pytest.raises(MalformedMessageError):
            unpack_bits(wrong, 5, 10)
    with pytest.raises(MalformedMessageError):
        unpack_bits(packed[:-1] + b"\xff", 5, 10)
    with pytest.raises(ValueError, match="bits"):
        pack_bits(np.array([32], np.uint32), 5)
