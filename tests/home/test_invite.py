"""Invites: read as they were written, and nothing else is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.errors import UsageError
from ondol.homes.invite import Invite, decode

CODE = Invite("https://192.168.0.10:11436", b"f" * 32, b"s" * 16).encode()


@given(
    fingerprint=st.binary(min_size=32, max_size=32),
    secret=st.binary(min_size=16, max_size=16),
    host=st.from_regex(r"[a-z0-9.-]{1,60}(:[0-9]{1,5})?", fullmatch=True),
    lower=st.booleans(),
)
def test_invite_is_read_as_it_was_written(
    fingerprint: bytes, secret: bytes, host: str, lower: bool
) -> None:
    invite = Invite(f"https://{host}", fingerprint, secret)
    code = invite.encode()
    # Letters and digits: the smallest kind of QR code, and one word for a double click.
    assert code.isalnum() and code.isupper()
    typed = " ".join(code[i : i + 5] for i in range(0, len(code), 5))
    assert decode(typed.lower() if lower else typed) == invite


@given(at=st.integers(0, len(CODE) - 1), letter=st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_one_wrong_letter_is_noticed(at: int, letter: str) -> None:
    changed = CODE[:at] + letter + CODE[at + 1 :]
    if changed == CODE:
        return
    try:
        # The bits that base32 adds at the end mean nothing.
        assert decode(changed) == decode(CODE) and at == len(CODE) - 1
    except UsageError as error:
        assert "mistyped" in error.message


@pytest.mark.parametrize(
    "code", ["", "ONDOL1", CODE[:-4], CODE[6:], "ondol2" + CODE[6:], CODE + "A", "hello", "온돌"]
)
def test_what_is_no_invite_is_said_so(code: str) -> None:
    with pytest.raises(UsageError, match="no invite"):
        decode(code)


def test_invite_to_an_address_without_tls_is_none() -> None:
    with pytest.raises(UsageError):
        decode(Invite("http://192.168.0.10:11436", b"f" * 32, b"s" * 16).encode())


def test_secret_is_not_shown_by_accident() -> None:
    assert "ssss" not in repr(decode(CODE))
