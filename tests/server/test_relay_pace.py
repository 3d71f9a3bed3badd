"""An answer's chunks reach the loop whole and in order; the first at once, later ones together."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.server.relay import FIRST_TAKES, LAST, Relay


async def taken(chunks: Iterator[bytes]) -> list[bytes]:
    relay = Relay(chunks)
    relay.start()
    found = []
    while True:
        made, is_last = await relay.take()
        found.append(made)
        if is_last:
            return found


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=9), max_size=30), st.booleans())
def test_nothing_is_lost_and_nothing_changes_places(chunks: list[bytes], says_last: bool) -> None:
    source = iter([*chunks, LAST] if says_last else chunks)
    assert b"".join(asyncio.run(taken(source))) == b"".join(chunks)


def test_the_first_chunks_wait_for_none_that_come_after() -> None:
    async def one_by_one() -> list[bytes]:
        more = threading.Semaphore(0)

        def chunks() -> Iterator[bytes]:
            for number in range(FIRST_TAKES):
                yield b"%d" % number
                # Without the take there is no next chunk.
                assert more.acquire(timeout=20)

        relay = Relay(chunks())
        relay.start()
        found = []
        for _ in range(FIRST_TAKES):
            found.append((await relay.take())[0])
            more.release()
        assert (await relay.take()) == (b"", True)
        return found

    assert asyncio.run(one_by_one()) == [b"%d" % number for number in range(FIRST_TAKES)]


def test_what_a_fast_model_says_is_sent_together() -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(200):
            time.sleep(0.0005)
            yield b"x"

    found = asyncio.run(taken(chunks()))
    assert b"".join(found) == b"x" * 200
    assert len(found) < 100


def test_a_failure_is_told_after_what_was_made_before_it() -> None:
    def chunks() -> Iterator[bytes]:
        yield from [b"a"] * (FIRST_TAKES + 5)
        raise ValueError("broken")

    async def until_it_fails() -> bytes:
        relay = Relay(chunks())
        relay.start()
        found = b""
        try:
            while True:
                found += (await relay.take())[0]
        except ValueError:
            return found

    assert asyncio.run(until_it_fails()) == b"a" * (FIRST_TAKES + 5)
