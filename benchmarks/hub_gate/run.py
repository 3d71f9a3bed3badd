"""Does an update that is worse at what its owner wants get past the owner's gate?

A real hub offers versions of the default model, each changed in another way; a device whose owner
has corrected answers is asked to take each in turn, with the real scanner and the real engine. See
README.md; --write keeps results.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "personal"), str(HERE.parent / "hub_delta")]

import cases  # noqa: E402
import gguf  # noqa: E402
import numpy as np  # noqa: E402
import persona  # noqa: E402
from house import circumstances, house  # noqa: E402

from ondol import config  # noqa: E402
from ondol.egress import Egress  # noqa: E402
from ondol.errors import OndolError  # noqa: E402
from ondol.hub.card import Card  # noqa: E402
from ondol.hub.client.rows import Hubs  # noqa: E402
from ondol.hub.repository import Repository, keys  # noqa: E402
from ondol.hub.scan import Report  # noqa: E402
from ondol.parts import Parts  # noqa: E402
from ondol.samples.records import Draft  # noqa: E402
from ondol.updating import switching, updater  # noqa: E402
from ondol.updating.installs import Installs  # noqa: E402

NAME = "steady:135m"
BLOCK_BYTES, SCALES_BYTES = 20, 4
"""Of Q4_1: two scales of 16 bits, and 32 numbers."""


def nudged(share: float) -> Callable[[Path, Path], None]:
    """That share of the blocks of four-bit numbers holds others; their scales stay, so that every
    weight is a number of the size that it was."""

    def change(old: Path, new: Path) -> None:
        content, random = np.fromfile(old, np.uint8), np.random.default_rng(7)
        for tensor in gguf.GGUFReader(old).tensors:
            if tensor.tensor_type == gguf.GGMLQuantizationType.Q4_1:
                end = tensor.data_offset + int(tensor.n_bytes)
                blocks = content[tensor.data_offset : end].reshape(-1, BLOCK_BYTES)
                which = random.random(len(blocks)) < share
                numbers = (int(which.sum()), BLOCK_BYTES - SCALES_BYTES)
                blocks[which, SCALES_BYTES:] = random.integers(0, 256, numbers, np.uint8)
        content.tofile(new)

    return change


VERSIONS: dict[str, Callable[[Path, Path], None]] = {
    "other metadata": cases.metadata,
    "bytes changed anywhere": cases.scattered,
    "1 % of the blocks hold other numbers": nudged(0.01),
    "5 % of the blocks hold other numbers": nudged(0.05),
    "20 % of the blocks hold other numbers": nudged(0.2),
    "the grounding adapter merged in": cases.fine_tuned,
}


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """``folder`` as any web server has it."""
    handler = partial(Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        return


def owner(parts: Parts) -> int:
    """The corrected answers of the persona as this owner's samples; how many are held out."""
    source = parts.kept.samples.add_source("file", "corrected")
    drafts = [
        Draft("sft", f"c{number}", one.messages, one.wanted)
        for number, one in enumerate(persona.feedback())
    ]
    parts.kept.samples.add(source.id, drafts)
    return len(parts.kept.samples.all(held_out=True))


def active(parts: Parts) -> str:
    with Installs.open() as kept:
        return switching.place_of(parts, kept.named(NAME)).active()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, house() as parts:
        place = Path(folder)
        repository, key = Repository(place / "hub"), keys.make()
        offline = repository.init("Bench", root_keys=1, threshold=1)
        repository.add_publisher("bench", keys.public_text(key), offline.targets)
        base = parts.store.get(config.load()["models.chat"])
        first = parts.store.path(base)
        results: dict[str, Any] = circumstances(base.name) | {"held_out": owner(parts)}

        def publish(number: int, file: Path) -> None:
            card = Card("model", NAME, {"model.gguf": "weights"})
            # A publisher who does not look: what is wrong is for the device to find.
            files, seen = {"model.gguf": file}, Report(True, (), 0.0)
            repository.publish("bench", "steady", str(number), card, files, key, report=seen)

        publish(1, first)
        with serving(place / "hub") as url:
            with Hubs.open() as hubs:
                hubs.add(url, repository.fingerprint, "bench", egress=Egress())
            updater.install(parts, "bench/steady")
            for number, (name, change) in enumerate(VERSIONS.items(), start=2):
                change(first, place / "new.gguf")
                publish(number, place / "new.gguf")
                results[name] = found = tried(parts, number)
                print(name, json.dumps(found, ensure_ascii=False), flush=True)
    if arguments.write:
        text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        (HERE / "results.json").write_text(text, "utf-8")


def tried(parts: Parts, number: int) -> dict[str, Any]:
    """What came of version ``number``, in the device's words."""
    steps: list[str] = []
    began, before = time.monotonic(), active(parts)

    def tell(progress: switching.Progress) -> None:
        if progress.step not in steps:
            steps.append(progress.step)

    try:
        outcome = updater.install(
            parts, f"bench/steady@{number}", allow_stale=True, on_progress=tell
        )
        said: dict[str, Any] = {"what": outcome.what, "gate": outcome.gate}
    except OndolError as error:
        said = {"what": "refused", "code": error.code, "sentence": error.message}
    seconds = round(time.monotonic() - began, 1)
    return said | {"before": before, "active": active(parts), "steps": steps, "seconds": seconds}


if __name__ == "__main__":
    main()
