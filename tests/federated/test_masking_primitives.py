"""Known answers: of the standards, and of the protocol as its documentation writes it down."""

from __future__ import annotations

import hashlib
import hmac
import json

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.federated.masking import keys, shares, stream
from ondol.federated.masking.rows import join
from tests.federated.masked_round import STEPS, Round, session

# RFC 8439, A.1, test vector 1: key, nonce and counter are zero.
CHACHA20 = bytes.fromhex(
    "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
    "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
)


def test_key_stream_is_that_of_the_rfc() -> None:
    assert stream.keystream(bytes(32), 64) == CHACHA20


@pytest.mark.parametrize(("bits", "word"), [(12, "<u2"), (16, "<u2"), (17, "<u4"), (32, "<u4")])
def test_mask_is_the_key_stream_in_little_endian_words(bits: int, word: str) -> None:
    total = stream.words(16, bits)
    stream.apply(total, bytes(32), adds=True)
    expected = np.frombuffer(CHACHA20, word)[:16].astype(np.uint64) % (1 << bits)
    assert np.array_equal(stream.reduce(total, bits), expected)
    stream.apply(total, bytes(32), adds=False)
    assert not total.any()


def test_agreement_is_that_of_the_rfc() -> None:
    # RFC 7748, 6.1.
    one = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    two = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    secret = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    alice, bob = keys.private_key(one), keys.private_key(two)
    assert keys.agree(alice, keys.public(bob), other=2) == secret
    assert keys.agree(bob, keys.public(alice), other=1) == secret


def expanded(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) for 32 bytes, from HMAC."""
    key = hmac.digest(salt, secret, "sha256")
    return hmac.digest(key, b"ondol federated masking 1, " + info + b"\x01", "sha256")


def test_masked_vector_is_what_the_documentation_says() -> None:
    """A second implementation of a member's masked vector, from the primitives alone."""
    masked = Round(session(3, bits=16, length=40))
    found = masked.mask()[12]

    digest = hashlib.sha256(
        b"ondol federated masking 1, session\0"
        + json.dumps(masked.session.json(), sort_keys=True, separators=(",", ":")).encode()
    ).digest()
    private = {n: expanded(n.to_bytes(32), digest, b"mask") for n in (11, 12, 13)}
    all_keys = join({n: masked.members[n].keys() for n in (11, 12, 13)})
    transcript = hashlib.sha256(
        b"ondol federated masking 1, transcript\0" + digest + all_keys
    ).digest()

    def mask(key: bytes) -> np.ndarray:
        cipher = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
        return np.frombuffer(cipher.update(bytes(80)), "<u2").astype(np.int64)

    def common(one: int, other: int) -> np.ndarray:
        public = X25519PrivateKey.from_private_bytes(private[other]).public_key()
        secret = X25519PrivateKey.from_private_bytes(private[one]).exchange(public)
        ids = one.to_bytes(8, "little") + other.to_bytes(8, "little")
        return mask(expanded(secret, transcript, b"pair mask" + ids))

    own = mask(expanded((12).to_bytes(32), digest, b"self mask"))
    expected = masked.vectors[12] + own - common(11, 12) + common(12, 13)
    assert np.array_equal(found, expected % (1 << 16))


def test_what_is_sent_is_what_it_was() -> None:
    """Another digest here means that older devices cannot take part any more: then the domain in
    ``keys`` gets a version."""
    masked = Round(session(4, bits=16, length=40), leaves={14: STEPS.index("mask")})
    signatures = masked.survivors()
    bundles = masked.adder.relay_shares({})
    reveals = {node: masked.members[node].unmask(signatures) for node in masked.masked}
    vectors = {node: vector.tobytes() for node, vector in masked.masked.items()}
    said = [masked.adder.relay_keys({}), signatures, masked.adder.ask_survivors([])]
    said += [join(rows) for rows in (bundles, reveals, vectors)]
    assert [hashlib.sha256(part).hexdigest()[:16] for part in said] == KNOWN


KNOWN = [
    "199b1299189c3479",
    "a2b4020f6914bc92",
    "bea42187b8d65702",
    "595d58d33b1ccbbd",
    "03c772cd2ad67d6e",
    "7b5fab98dd53b021",
]


def is_prime(number: int) -> bool:
    """Miller-Rabin with forty bases."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in range(2, 42):
        power = pow(base, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def test_field_is_the_smallest_that_holds_every_secret() -> None:
    primes = [number for number in range(1 << 256, shares.PRIME + 1) if is_prime(number)]
    assert primes == [shares.PRIME]


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), st.data())
def test_any_threshold_of_shares_gives_the_secret_and_fewer_do_not(
    secret: bytes, key: bytes, data: st.DataObject
) -> None:
    count = data.draw(st.integers(2, 12), "count")
    threshold = data.draw(st.integers(2, count), "threshold")
    points = data.draw(
        st.lists(st.integers(1, 1000), min_size=count, max_size=count, unique=True), "points"
    )
    made = dict(zip(points, shares.split(secret, points, threshold, key), strict=True))
    some = data.draw(st.permutations(points), "order")
    assert shares.combine({point: made[point] for point in some[:threshold]}) == secret
    assert shares.combine(made) == secret
    assert shares.combine({point: made[point] for point in some[: threshold - 1]}) != secret


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
@settings(max_examples=30, deadline=None)
def test_shares_below_the_threshold_fit_every_secret(secret: bytes, other: bytes) -> None:
    """For the shares that home may have there is a polynomial of each secret: so they say nothing
    about which it is."""
    first, second = shares.split(secret, [1, 2], 3, b"k" * 32)
    a, b, s = int.from_bytes(first), int.from_bytes(second), int.from_bytes(other)
    # The parabola through (0, other), (1, a) and (2, b), at 3.
    third = (s - 3 * a + 3 * b) % shares.PRIME
    told = {1: first, 2: second, 3: third.to_bytes(shares.SHARE_BYTES)}
    assert shares.combine(told) == other


def test_shares_of_two_secrets_and_of_two_sessions_come_from_polynomials_of_their_own() -> None:
    points = [1, 2, 3]
    one = shares.split(b"s" * 32, points, 2, b"a" * 32)
    assert one == shares.split(b"s" * 32, points, 2, b"a" * 32)
    assert not set(one) & set(shares.split(b"s" * 32, points, 2, b"b" * 32))


def test_derived_keys_differ_by_secret_salt_and_purpose() -> None:
    made = {
        keys.derive(secret, salt, info)
        for secret in (b"a" * 32, b"b" * 32)
        for salt in (b"s" * 32, b"t" * 32)
        for info in (b"mask", b"share")
    }
    assert len(made) == 8
    assert keys.derive(b"a" * 32, b"s" * 32, b"mask") == expanded(b"a" * 32, b"s" * 32, b"mask")
