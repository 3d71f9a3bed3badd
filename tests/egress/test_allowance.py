"""Who asks a server all day long fills no ledger, and nothing leaves that does not stand in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from listener import OK, listening

from ondol.egress import Egress, Passage
from ondol.egress.departures import Allowance
from ondol.errors import EgressError
from ondol.types import Sensitivity

PRIVATE, TRUSTED, PUBLIC = Sensitivity


def passage(bytes_out: int) -> Passage:
    return Passage("federation", "home:1", TRUSTED, bytes_out, 0, True)


@given(
    most=st.integers(1, 10_000),
    sizes=st.lists(st.integers(0, 400), max_size=200),
)
def test_what_was_written_down_is_never_less_than_what_left(most: int, sizes: list[int]) -> None:
    told: list[Passage] = []
    allowance = Allowance(Egress(record=told.append), most)
    left = 0
    for size in sizes:
        if allowance.is_for(passage(size)):
            allowance.take(passage(size))
            left += size
            assert left <= sum(one.bytes_out for one in told)
            # And is it not much more: what is told next is what the last one did not hold.
            assert sum(one.bytes_out for one in told) <= left * 2 + most
    assert {one.reason for one in told} <= {"standing"}


def test_small_requests_are_one_entry_and_large_ones_have_their_own() -> None:
    told: list[Passage] = []

    def record(one: Passage) -> str:
        told.append(one)
        return f"entry-{len(told)}"

    with listening() as server:
        with Egress(record=record).client(
            server.url, "federation", sensitivity=TRUSTED, allowance_bytes=64_000
        ) as client:
            for _ in range(20):
                client.post(server.url, content=b"anything new?")
            assert [(one.reason, one.bytes_out) for one in told] == [("standing", 64_000)]
            client.post(server.url, content=bytes(5_000))
        sizes = [len(one) for one in server.received]
    assert [(one.reason, one.bytes_out) for one in told[1:2]] == [("", sizes[-1])]
    assert (told[-1].about, told[-1].bytes_in, told[-1].count) == ("entry-1", 21 * len(OK), 21)


def test_an_allowance_that_cannot_be_written_down_lets_nothing_out() -> None:
    def record(one: Passage) -> str:
        raise OSError("disk full")

    with listening() as server:
        with Egress(record=record).client(
            server.url, "federation", sensitivity=TRUSTED, allowance_bytes=64_000
        ) as client:
            with pytest.raises(EgressError):
                client.post(server.url, content=b"anything new?")
        assert b"".join(server.received) == b""


def test_what_was_learned_is_not_read_as_text_but_all_around_it_is() -> None:
    seen: list[bytes] = []
    key, signature = "TFMw" * 75, "MGUC" * 30
    egress = Egress(record=lambda one: "x", inspector=lambda sent: seen.append(sent) or PUBLIC)  # type: ignore[func-returns-value]
    with (
        listening() as server,
        egress.client(server.url, "federation", sensitivity=TRUSTED) as client,
    ):
        headers = {"flwr-public-key": key, "flwr-signature": signature, "flwr-note": "of my own"}
        client.post(f"{server.url}/v1", content=b"masked", headers=headers)
        assert b"masked" in server.received[0]
    assert b"masked" not in seen[0] and b"of my own" in seen[0]
    assert key.encode() not in seen[0] and signature.encode() not in seen[0]


def test_private_text_is_in_no_federation() -> None:
    told: list[Passage] = []
    egress = Egress(record=told.append)
    with pytest.raises(EgressError):
        with egress.client("https://127.0.0.1:1", "federation", sensitivity=PRIVATE, pinned="0"):
            pass
    assert told[0].reason == "label" and not told[0].allowed
