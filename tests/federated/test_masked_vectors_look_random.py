"""What home sees of one member's vector is like random numbers, before and after the sum."""

from __future__ import annotations

import numpy as np
import pytest

from ondol.federated.masking import keys, stream
from tests.federated.masked_round import Round, session

# Chi-square with 255 degrees of freedom: 99.9 % of random samples lie between these.
LEAST, MOST = 190.9, 330.6
LENGTH = 1 << 16


def chi_square(words: np.ndarray, bins: int = 256) -> float:
    """How far the counts of ``words`` (0 to ``bins - 1``) are from equal ones."""
    counts = np.bincount(words, minlength=bins)
    expected = len(words) / bins
    return float(((counts - expected) ** 2).sum() / expected)


@pytest.fixture(scope="module")
def masked() -> Round:
    """Vectors as unlike random numbers as can be: zeros, ones, the largest number, a ramp."""
    round = Round(session(4, bits=8, length=LENGTH))
    round.vectors = {
        11: np.zeros(LENGTH, np.uint32),
        12: np.ones(LENGTH, np.uint32),
        13: np.full(LENGTH, 255, np.uint32),
        14: (np.arange(LENGTH) % 7).astype(np.uint32),
    }
    assert np.array_equal(round.sum(), round.plain_sum())
    return round


def test_the_measure_sees_what_is_not_random(masked: Round) -> None:
    noisy = np.random.default_rng(1).binomial(255, 0.5, LENGTH)
    assert chi_square(masked.vectors[14]) > 1000 * MOST
    assert chi_square(noisy) > 100 * MOST
    assert LEAST < chi_square(np.random.default_rng(1).integers(0, 256, LENGTH)) < MOST


@pytest.mark.parametrize("node", [11, 12, 13, 14])
def test_masked_vector_looks_random_whatever_was_masked(masked: Round, node: int) -> None:
    assert LEAST < chi_square(masked.masked[node]) < MOST


@pytest.mark.parametrize("node", [11, 12, 13, 14])
def test_it_still_does_when_its_own_mask_is_known(masked: Round, node: int) -> None:
    """After the sum home knows the own mask of each that stayed: the masks in common remain."""
    total = masked.masked[node].astype(np.uint16)
    own = keys.Secrets.of(node.to_bytes(32), masked.session).self_mask
    stream.apply(total, own, adds=False)
    seen = stream.reduce(total, 8)
    assert LEAST < chi_square(seen) < MOST
    assert (seen != masked.vectors[node]).mean() > 0.99


def test_it_still_does_when_all_members_but_two_help_home(masked: Round) -> None:
    """13 and 14 tell home everything: of 11 and 12 it learns their sum, and neither of them."""
    seen = {}
    for node in (11, 12):
        total = masked.masked[node].astype(np.uint16)
        mine = keys.Secrets.of(node.to_bytes(32), masked.session)
        stream.apply(total, mine.self_mask, adds=False)
        for other in (13, 14):
            theirs = keys.Secrets.of(other.to_bytes(32), masked.session).mask_key
            common = masked.adder._circle().pair_mask(theirs, other, node)
            stream.apply(total, common, adds=False)
        seen[node] = stream.reduce(total, 8)
        assert LEAST < chi_square(seen[node]) < MOST
    both = (masked.vectors[11] + masked.vectors[12]) % 256
    assert np.array_equal((seen[11] + seen[12]) % 256, both)


def test_two_members_vectors_do_not_hang_together(masked: Round) -> None:
    for one, other in ((11, 12), (11, 14), (13, 14)):
        pairs = masked.masked[one] % 16 * 16 + masked.masked[other] % 16
        assert LEAST < chi_square(pairs) < MOST


def test_the_same_vector_in_two_rounds_is_not_seen_to_be_the_same(masked: Round) -> None:
    again = Round(session(4, bits=8, length=LENGTH, round=2))
    again.vectors = masked.vectors
    again.sum()
    difference = (again.masked[11] - masked.masked[11]) % 256
    assert LEAST < chi_square(difference) < MOST
