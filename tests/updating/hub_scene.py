"""A small real hub, served on loopback, and a device that added it: what tests of updates share."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lora_gguf import random_adapter
from served_llama import write_llama

from ondol.egress import Egress
from ondol.hub.card import Card
from ondol.hub.client.rows import Hubs
from ondol.hub.release import Release
from ondol.hub.repository import Repository, keys
from ondol.hub.scan import Report
from ondol.models.blobs import digest_of

MODEL, ITEM = "tiny:1m", "tiny"
PUBLISHER = "clinic"


@dataclass
class Scene:
    """``folder`` is the hub's; ``work`` is where files to publish are made."""

    folder: Path
    work: Path
    url: str = ""
    publishers: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.repository = Repository(self.folder)
        self.offline = self.repository.init("Test")
        self.publisher(PUBLISHER)

    def publisher(self, name: str) -> None:
        key = keys.make()
        self.repository.add_publisher(name, keys.public_text(key), self.offline.targets)
        self.publishers[name] = key

    def rekey(self, name: str) -> None:
        """Another key signs for a publisher from now on."""
        key = keys.make()
        self.repository.rotate(name, [self.offline.targets], new=[key])
        self.publishers[name] = key

    def publish(
        self,
        item: str,
        version: str,
        files: Mapping[str, Path],
        roles: Mapping[str, str],
        *,
        publisher: str = PUBLISHER,
        **card: Any,
    ) -> Release:
        """As the publisher would, and as if it was scanned."""
        made = Card(files=dict(roles), **card)
        key = self.publishers[publisher]
        report = Report(True, (), 0.0)
        return self.repository.publish(publisher, item, version, made, files, key, report=report)

    def model(self, version: str, seed: int, item: str = ITEM, **card: Any) -> Release:
        """Publish a tiny chat model; another ``seed`` is another model."""
        file = write_llama(self.work / f"{item}-{seed}.gguf", seed)
        return self.weights(version, file, item, **card)

    def weights(self, version: str, file: Path, item: str = ITEM, **card: Any) -> Release:
        roles = {"model.gguf": "weights"}
        told = {"kind": "model", "name": MODEL} | card
        return self.publish(item, version, {"model.gguf": file}, roles, **told)

    def adapter(
        self, version: str, base: Path, seed: int, item: str = "law", **card: Any
    ) -> Release:
        """Publish a random adapter of ``base``."""
        file = random_adapter(base, self.work / f"{item}-{seed}.gguf", seed=seed, strength=0.05)
        told = {"kind": "adapter", "name": item, "base_model": MODEL, "r": 4}
        told |= {"base_digest": digest_of(base)} | card
        return self.publish(item, version, {"a.gguf": file}, {"a.gguf": "adapter"}, **told)

    def add_to_device(self, name: str = "test") -> None:
        """The device under ONDOL_HOME knows the hub."""
        with Hubs.open() as hubs:
            hubs.add(self.url, self.repository.fingerprint, name, egress=Egress())


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """An empty hub in ``folder``, served."""
    (folder / "work").mkdir(parents=True)
    made = Scene(folder / "hub", folder / "work")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(made.folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    """Any web server serves a hub: this one knows nothing of hubs."""

    def log_message(self, format: str, *arguments: object) -> None:
        return
