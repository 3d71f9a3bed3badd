"""Mutated requests over real sockets: does anything that can be sent break the server?"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ondol.lab.redteam.requests.answers import HONEST, wrong
from ondol.lab.redteam.requests.mutating import Mutator
from ondol.lab.redteam.requests.wire import Client

HANG_SECONDS = 60


@dataclass
class Found:
    """What came of it."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    hung: int = 0
    hung_up: int = 0


async def fuzz(
    port: int,
    pid: int,
    requests: int,
    seed: int,
    clients: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """So many ``requests`` from so many ``clients`` at once, and what became of the server."""
    import psutil

    found, server = Found(), psutil.Process(pid)
    curve: list[tuple[int, float, int, int]] = []
    started = time.monotonic()

    def look() -> None:
        rss = round(server.memory_info().rss / 2**20, 1)
        files = server.num_fds() if hasattr(server, "num_fds") else 0
        curve.append((found.sent, rss, files, server.num_threads()))

    async def work(number: int) -> None:
        client, mutator = Client(port), Mutator(seed * 1000 + number)
        while found.sent < requests:
            found.sent += 1
            if found.sent % max(1, requests // 10) == 0:
                look()
                progress(found.sent, requests)
            await _send(client, mutator, found)
        client.close()

    # The first requests build what is built on demand: a Korean one loads the analyser.
    first = json.dumps({"query": "온돌"}).encode()
    head = f"POST /ondol/v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(first)}"
    await Client(port).ask("POST", head.encode() + b"\r\n\r\n" + first)
    look()
    await asyncio.gather(*(work(number) for number in range(clients)))
    look()
    return {
        "requests": found.sent,
        "seconds": round(time.monotonic() - started),
        "statuses": dict(sorted(found.statuses.items())),
        "server_errors": sum(n for s, n in found.statuses.items() if s >= 500 and s not in HONEST),
        "violations": len(found.failures) - found.hung - found.hung_up,
        "hung": found.hung,
        "hung_up_on": found.hung_up,
        "is_alive": server.is_running(),
        "curve_requests_rss_mb_fds_threads": curve,
        "failures": found.failures[:50],
    }


async def _send(client: Client, mutator: Mutator, found: Found) -> None:
    """One request, and what is to be said of how it was answered."""
    method, path, raw, dialect = mutator.request()
    try:
        async with asyncio.timeout(HANG_SECONDS):
            status, kind, body = await client.ask(method, raw)
    except TimeoutError:
        found.hung += 1
        found.failures.append(f"hung: {raw[:600]!r}")
        client.close()
    except (ConnectionError, asyncio.IncompleteReadError, OSError, ValueError) as error:
        found.hung_up += 1
        found.failures.append(f"hung up on ({type(error).__name__}): {raw[:600]!r}")
        client.close()
    else:
        found.statuses[status] += 1
        if told := wrong(dialect, status, kind, body):
            found.failures.append(f"{method} {path[:80]}: {told} for {raw[:600]!r}")
