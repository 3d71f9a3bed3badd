"""The device's key: made once, kept with the library, and nothing passes that it did not sign."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol import database, encryption, keys, paths
from ondol.errors import LockedError
from ondol.identity import Identity, thumbprint, verify


def opened() -> Identity:
    with closing(database.connect(paths.database_file())) as connection:
        return Identity.open(connection)


def fresh() -> Identity:
    with closing(database.connect(database.IN_MEMORY)) as connection:
        return Identity.open(connection)


def test_identity_is_the_same_after_a_restart() -> None:
    first, second = opened(), opened()
    assert first.device_id == second.device_id
    assert first.sign(b"x") == second.sign(b"x")


def test_identity_opens_within_a_transaction() -> None:
    with closing(database.connect(paths.database_file())) as connection:
        with database.transaction(connection):
            first = Identity.open(connection)
        assert Identity.open(connection).device_id == first.device_id


def test_identity_is_one_for_all_who_open_a_new_library_at_once() -> None:
    database.connect(paths.database_file()).close()
    found: set[str] = set()
    threads = [threading.Thread(target=lambda: found.add(opened().device_id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


@given(data=st.binary(max_size=200), index=st.integers(0, 511))
def test_signature_holds_for_what_was_signed_and_for_nothing_else(data: bytes, index: int) -> None:
    identity, other = fresh(), fresh()
    signature = identity.sign(data)
    assert verify(identity.public_key, signature, data)
    assert not verify(identity.public_key, signature, data + b"\0")
    assert not verify(other.public_key, signature, data)
    flipped = bytearray(signature)
    flipped[index // 8] ^= 1 << index % 8
    assert not verify(identity.public_key, bytes(flipped), data)


@pytest.mark.parametrize(("key", "signature"), [(b"", b""), (b"x" * 32, b"y" * 64), (b"1", b"2")])
def test_what_is_no_key_and_no_signature_is_a_no(key: bytes, signature: bytes) -> None:
    assert not verify(key, signature, b"data")


def test_thumbprint_is_that_of_the_standard() -> None:
    # RFC 8037, appendix A.3.
    key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert thumbprint(key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_key_is_locked_with_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = opened()
    file: Path = paths.database_file()
    try:
        encryption.lock(file, "korrekt Pferd Batterie")
        keys.forget_all()
        with pytest.raises(LockedError):
            opened()
        monkeypatch.setenv(keys.PASSPHRASE, "korrekt Pferd Batterie")
        assert opened().device_id == identity.device_id
    finally:
        keys.forget_all()


SMALL_ORDER = [
    bytes(32),
    (1).to_bytes(32, "little"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
]


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize("key", SMALL_ORDER)
def test_key_that_anybody_can_sign_for_signs_nothing(key: bytes, sign: int) -> None:
    key = key[:-1] + bytes([key[-1] | sign])
    forged = [one + bytes(32) for one in (*SMALL_ORDER, key)]
    texts = [bytes([number]) for number in range(64)]
    assert not any(verify(key, one, text) for one in forged for text in texts)
