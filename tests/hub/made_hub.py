"""A small hub with its keys at hand, and one publisher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuf_client import TufClient

from ondol.hub.card import Card
from ondol.hub.release import Release
from ondol.hub.repository import Repository, keys
from ondol.hub.scan import Report

CLEAN = Report(True, (), 0.0)
CARD = Card("model", "tiny:1", {"tiny.gguf": "weights"}, licence="MIT", epsilon=1.5)


class MadeHub:
    """A hub with its keys at hand, a publisher ``clinic``, and a client that knows it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder / "hub"
        self.repository = Repository(self.folder)
        self.offline = self.repository.init("Test")
        self.clinic = keys.make()
        self.repository.add_publisher("clinic", keys.public_text(self.clinic), self.offline.targets)
        self.client = TufClient(self.folder, folder / "client")

    def publish(self, version: str = "1", content: bytes = b"weights", **more: Any) -> Release:
        """Release ``content`` as a file of no format at all: it is not scanned."""
        file = self.folder.parent / "tiny.gguf"
        file.write_bytes(content)
        given = {"card": CARD, "files": {"tiny.gguf": file}, "key": self.clinic, "report": CLEAN}
        return self.repository.publish("clinic", "tiny", version, **{**given, **more})
