"""kill -9 at random points of a pull: nothing half-listed, nothing acknowledged lost, it resumes.

``python benchmarks/kill/pull.py [POINTS]`` (50 when not said); tests/models/test_pull.py runs a few
points of the same. The server is on loopback and slow; the child is a real process.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "models"))

from pull_servers import Server, add_repository, serving, sha256, tiny_gguf

from ondol.models.blobs import digest_of
from ondol.models.store import ModelStore

CHILD = """
import sys
from pathlib import Path
from ondol.egress import Egress
from ondol.models.pull import pull
from ondol.models.store import ModelStore
pull(sys.argv[2], ModelStore(Path(sys.argv[1])), Egress())
print("acknowledged", flush=True)
"""
SIZE = 1_500_000


@dataclass
class Tally:
    """What happened. ``lost``, ``half_listed`` and ``spliced`` must be 0."""

    points: int = 0
    pulls_finished: int = 0
    resumed: int = 0
    started_over: int = 0
    lost: int = 0
    half_listed: int = 0
    spliced: int = 0

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.half_listed or self.spliced or self.started_over)


def run(points: int, *, seed: int = 0) -> Tally:
    """Kill ``points`` pulls, each at its own moment, over several kinds of sources."""
    chance, tally = random.Random(seed), Tally()
    with serving(pause_seconds=0.003) as server, tempfile.TemporaryDirectory() as folder:
        for round_number in _rounds():
            name, contents = _offer(server, round_number)
            store, size = ModelStore(Path(folder) / "models"), sum(map(len, contents))
            environ = {**os.environ, "HF_ENDPOINT": server.url, "HF_HOME": folder}
            rest = {"environ": environ, "chance": chance, "tally": tally}
            rest |= {"points": points, "size": size}
            while not _pull_once(server, store, name, **rest):
                _check(store, contents, tally, acknowledged=False)
            _check(store, contents, tally, acknowledged=True)
            tally.pulls_finished += 1
            store.remove(name)
            if tally.points >= points:
                return tally
    return tally


def _rounds() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def _offer(server: Server, number: int) -> tuple[str, set[bytes]]:
    """A model to pull, a new one each round: at an address, with a digest, in two parts."""
    first, second = (tiny_gguf(SIZE, seed=2 * number + part) for part in (0, 1))
    if number % 3 == 2:
        parts = {f"m-Q8_0-0000{n}-of-00002.gguf": c for n, c in ((1, first), (2, second))}
        add_repository(server, f"owner/model{number}", parts)
        return f"hf:owner/model{number}:Q8_0", {first, second}
    server.add(f"/model{number}.gguf", first, etag=f'"{number}"')
    pin = f"#sha256={sha256(first)}" if number % 3 else ""
    return f"{server.url}/model{number}.gguf{pin}", {first}


def _pull_once(
    server: Server,
    store: ModelStore,
    name: str,
    *,
    environ: dict[str, str],
    chance: random.Random,
    tally: Tally,
    points: int,
    size: int,
) -> bool:
    """Start a pull and kill it, while there are points left; whether it acknowledged."""
    have = sum(p.stat().st_size for p in store.blobs.directory.glob("partial-*[0-9a-f]"))
    remaining = max(size - have - sum(map(_size, store.blobs.directory.glob("sha256-*"))), 1)
    asked = len(server.requests)
    command = [sys.executable, "-c", CHILD, str(store.directory), name]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE) as child:
        if tally.points < points:
            # Half the points lie in the transfer, half after it: verifying, listing, tidying.
            late = chance.random() < 0.5
            target = server.served + (remaining if late else chance.randrange(remaining))
            server.wait_for(target, lambda: child.poll() is not None, timeout=5)
            server.closing.wait(chance.uniform(0, 0.15 if late else 0.02))
            child.send_signal(signal.SIGKILL)
        output, _ = child.communicate()
    tally.points += child.returncode == -signal.SIGKILL
    starts = [r.start for r in server.requests[asked:] if r.method == "GET" and r.start]
    tally.resumed += bool(starts)
    reached = [r for r in server.requests[asked:] if r.path.endswith(".gguf") or "cdn" in r.path]
    tally.started_over += bool(have and reached and not any(_continues(r) for r in reached))
    return b"acknowledged" in output


def _size(path: Path) -> int:
    return path.stat().st_size


def _continues(request: object) -> bool:
    headers = getattr(request, "headers", {})
    return "range" in headers or getattr(request, "path", "").startswith("/owner")


def _check(store: ModelStore, contents: set[bytes], tally: Tally, *, acknowledged: bool) -> None:
    listed = store.list()
    tally.lost += acknowledged and len(listed) != 1
    for model in listed:
        digests = {file.digest for file in model.files}
        whole = digests == {f"sha256:{sha256(content)}" for content in contents}
        true = all(digest_of(store.blobs.path(d)) == d for d in digests)
        tally.half_listed += not whole
        tally.spliced += not true
    for blob in store.blobs.directory.glob("sha256-*"):
        tally.spliced += digest_of(blob) != blob.name.replace("-", ":", 1)


if __name__ == "__main__":
    result = run(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
    print(json.dumps(asdict(result)))
    sys.exit(0 if result.is_clean else 1)
