"""One part of ``ondol redteam``: ``python -P -m ondol.cli.attacked PART FOLDER EFFORT``.

Runs in a home that was made for it, starts the servers that the part attacks, and speaks JSON lines
on stdout (``lab.redteam.running``).
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ondol.lab.redteam.report import Outcome

SERVER = (sys.executable, "-P", "-m", "ondol.cli.attacked_server")
WITHOUT_THE_DOOR = 20
"""So many attacks are tried without the door first: they must arrive, or nothing would be seen."""


def main() -> None:
    """Run the part; the last line says what was found."""
    name, folder, effort = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    (folder / "home").mkdir(exist_ok=True)
    try:
        outcome = PARTS[name](folder, effort)
    except OSError as error:
        if name != "egress":
            raise
        say(unavailable=error.strerror or str(error))
        return
    say(outcome=outcome.json())


def say(**fields: Any) -> None:
    """One line for the parent."""
    sys.stdout.write(json.dumps(fields, default=str) + "\n")
    sys.stdout.flush()


def progress(done: int, total: int) -> None:
    """How far it is."""
    say(progress=[done, total])


def _egress(folder: Path, effort: int) -> Outcome:
    from ondol.lab.redteam.egress.trial import outcome, trial

    found = trial(folder, range(effort), without=WITHOUT_THE_DOOR, progress=progress)
    return outcome(found)


def _orders(folder: Path, effort: int) -> Outcome:
    from ondol import config
    from ondol.lab.redteam.egress.trial import CORPUS, fill
    from ondol.lab.redteam.egress.world import Corpus
    from ondol.lab.redteam.orders import orders
    from ondol.parts import Parts

    corpus = Corpus.read(CORPUS)
    fill(corpus)
    with Parts(config.load()) as parts:
        return orders(parts, corpus, progress)


def _releases(folder: Path, effort: int) -> Outcome:
    from ondol.lab.redteam.releases.trial import releases

    return releases(folder / "releases", progress)


def _documents(folder: Path, effort: int) -> Outcome:
    from ondol.lab.redteam.documents.trial import documents
    from ondol.lab.redteam.requests.trial import listening

    with listening() as (port, heard):
        return documents(folder, f"http://127.0.0.1:{port}", heard, progress)


def _doors(folder: Path, effort: int) -> Outcome:
    from ondol.lab.redteam.requests.trial import doors

    key = secrets.token_hex(16)
    with _serving(folder / "open") as server, _serving(folder / "locked", key) as locked:
        return doors(server["port"], locked["port"], key, locked["key"], progress)


def _requests(folder: Path, effort: int) -> Outcome:
    from ondol.lab.redteam.requests.trial import fuzzed

    with _serving(folder / "open") as server:
        return fuzzed(server["port"], server["pid"], effort, progress)


@contextmanager
def _serving(folder: Path, key: str = "") -> Iterator[dict[str, Any]]:
    """A server in a process of its own, which ends when its stdin does."""
    folder.mkdir()
    with subprocess.Popen(
        [*SERVER, str(folder), key], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        try:
            line = server.stdout.readline()
            if not line:
                raise RuntimeError("the server that was to be attacked did not start")
            yield json.loads(line)
        finally:
            with suppress(OSError):
                server.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                server.wait(30)
            server.kill()


PARTS: dict[str, Callable[[Path, int], Outcome]] = {
    "egress": _egress,
    "orders": _orders,
    "releases": _releases,
    "documents": _documents,
    "doors": _doors,
    "requests": _requests,
}

if __name__ == "__main__":
    main()
