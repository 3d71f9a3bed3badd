"""The door and everything behind it, attacked over sockets.

``doors`` tries the rules on a server that asks for no key and on one that does; ``fuzzed`` sends
mutated requests, and looks at what became of the server. Whoever calls starts the servers.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ondol.lab.redteam.report import Breach, Outcome
from ondol.lab.redteam.requests import doors as rules
from ondol.lab.redteam.requests.fuzzing import fuzz
from ondol.lab.redteam.requests.target import Target, operations

CLIENTS = 4
SEED = 7
MOST_GROWTH_MB = 200
"""Above what the first requests need; a leak of 20 kB a request would show."""

Progress = Callable[[int, int], None]


def doors(
    open_port: int, locked_port: int, key: str, programs_key: str, progress: Progress
) -> Outcome:
    """Every rule of the door; ``key`` opens the locked server, ``programs_key`` is a program's."""
    with listening() as (listener, heard):
        target, locked = Target(open_port, listener=listener), Target(locked_port, key)
        known, closed = operations(target), operations(locked)
        steps: list[Callable[[], None]] = [
            lambda: rules.foreign_names(target),
            lambda: rules.foreign_pages(target, known),
            lambda: rules.without_a_key(locked, closed),
            lambda: rules.with_a_programs_key(locked, programs_key, closed),
            lambda: rules.page(target),
            lambda: rules.sizes(target),
            lambda: rules.framing(target),
            lambda: rules.ways_out(target),
            lambda: rules.fetched(target, heard),
        ]
        for done, step in enumerate(steps):
            progress(done, len(steps))
            step()
        for one in (target, locked):
            one.refuses("does it still answer", one.send("GET", "/ondol/v1/health"), 200)
        if not known or not closed:
            target.breach("operations", "the server does not say what it has")
    breaches = (*target.breaches, *locked.breaches)
    return Outcome(target.tried + locked.tried, breaches, {"operations": len(known)})


def fuzzed(port: int, pid: int, requests: int, progress: Progress) -> Outcome:
    """So many mutated requests."""
    found: dict[str, Any] = asyncio.run(fuzz(port, pid, requests, SEED, CLIENTS, progress))
    breaches = [Breach("a mutated request", told) for told in found["failures"]]
    curve = found["curve_requests_rss_mb_fds_threads"]
    grown = curve[-1][1] - curve[0][1]
    if not found["is_alive"]:
        breaches.append(Breach("all of them together", "the server is gone"))
    if grown > MOST_GROWTH_MB:
        breaches.append(Breach("all of them together", f"{grown:.0f} MB more memory"))
    figures = {name: found[name] for name in ("server_errors", "violations", "hung", "hung_up_on")}
    figures["memory_mb"] = f"{curve[0][1]:.0f} → {curve[-1][1]:.0f}"
    return Outcome(found["requests"], tuple(breaches), figures)


@contextmanager
def listening() -> Iterator[tuple[int, Callable[[], int]]]:
    """The attacker's own server: its port, and how often it was asked."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        connection.settimeout(2)
                        heard.append(connection.recv(4096))

        threading.Thread(target=listen, daemon=True).start()
        yield server.getsockname()[1], lambda: len(heard)
