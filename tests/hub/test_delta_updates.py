"""What an update costs a device that has the version before: published, served and fetched for
real."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from forged_hub import HURRIED
from served import served

from ondol.egress import Egress
from ondol.hub.card import Card
from ondol.hub.client import Hub, HubRow
from ondol.hub.delta import naming
from ondol.hub.delta.layout import MAGIC
from ondol.hub.release import ReleaseFile
from ondol.hub.repository import Repository, keys
from ondol.hub.scan import Report
from ondol.hub.serving import create_app
from ondol.models.blobs import sidecar

SIZE = 600_000
OLD = Random(1).randbytes(SIZE)
CHANGED = Random(2).randbytes(SIZE // 100)
NEW = OLD[:200_000] + CHANGED + OLD[200_000 + len(CHANGED) :]


@dataclass
class Scene:
    """A hub with two versions of a model, and a device that has the first of them."""

    hub: Hub
    new: ReleaseFile
    old: Path
    delta: Path
    partial: Path
    sent: dict[str, int]

    def update(self, *have: Path) -> dict[str, int]:
        """What was sent for the update, by the folder that it came from."""
        self.sent.clear()
        self.partial.unlink(missing_ok=True)
        file = self.hub.fetch(self.new, self.partial, have=have)
        assert file.read_bytes() == NEW
        left = {one.name for one in file.parent.iterdir()} - {file.name, sidecar(file).name}
        assert not left, "no delta and no half of a file stays"
        totals: dict[str, int] = {}
        for path, count in self.sent.items():
            folder = path.split("/")[1]
            totals[folder] = totals.get(folder, 0) + count
        return totals


class Counting:
    """An ASGI app that counts what another one sends, by path."""

    def __init__(self, app: object) -> None:
        self.app = app
        self.sent: dict[str, int] = {}

    async def __call__(self, scope: dict, receive: object, send: object) -> None:
        async def counted(message: dict) -> None:
            if message["type"] == "http.response.body":
                path = scope["path"]
                self.sent[path] = self.sent.get(path, 0) + len(message.get("body", b""))
            await send(message)  # type: ignore[operator]

        await self.app(scope, receive, counted)  # type: ignore[operator]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(naming, "SMALLEST_BYTES", 1000)
        folder = tmp_path_factory.mktemp("hub")
        repository = Repository(folder / "hub")
        offline = repository.init("Test")
        key = keys.make()
        repository.add_publisher("clinic", keys.public_text(key), offline.targets)
        card = Card("model", "letters", {"letters.gguf": "weights"})
        for version, content in (("1", OLD), ("2", NEW)):
            file = folder / f"{version}.gguf"
            file.write_bytes(content)
            repository.publish(
                "clinic",
                "letters",
                version,
                card,
                {"letters.gguf": file},
                key,
                report=Report(True, (), 0.1),
            )
        yield repository


@pytest.fixture
def scene(published: Repository, tmp_path: Path) -> Iterator[Scene]:
    app = Counting(create_app(published.folder))
    (delta,) = (published.folder / "deltas").iterdir()
    whole = delta.read_bytes()
    digest = hashlib.sha256(OLD).hexdigest()
    old = tmp_path / f"sha256-{digest}"
    old.write_bytes(OLD)
    (tmp_path / "staged").mkdir()
    with served(app) as url:  # type: ignore[arg-type]
        root = (published.folder / "metadata" / "1.root.json").read_bytes()
        row = HubRow("clinic", published.fingerprint, root, url, (), "2026-11-22")
        hub = Hub(row, tmp_path / "known", Egress(), HURRIED)
        hub.refresh()
        newest = max(hub.releases(), key=lambda release: release.version)
        yield Scene(hub, newest.files[0], old, delta, tmp_path / "staged" / "new", app.sent)
    delta.write_bytes(whole)


def test_an_update_costs_what_changed(scene: Scene) -> None:
    sent = scene.update(scene.old)
    assert set(sent) == {"deltas"}, "nothing of the whole file was asked for"
    assert sent["deltas"] < SIZE * 0.02


def test_who_has_nothing_of_it_takes_the_whole(scene: Scene, tmp_path: Path) -> None:
    assert scene.update() == {"blobs": SIZE}
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    sent = scene.update(other)
    assert sent["blobs"] == SIZE and sent.get("deltas", 0) < 1000, "a delta that nobody made"


def test_a_delta_that_lies_costs_one_more_download_and_nothing_else(scene: Scene) -> None:
    content = bytearray(scene.delta.read_bytes())
    content[-100] ^= 1
    scene.delta.write_bytes(content)
    assert scene.update(scene.old)["blobs"] == SIZE
    assert scene.hub.left, "who lied is named"


def test_what_is_no_delta_and_one_that_is_longer_than_what_it_saves(scene: Scene) -> None:
    scene.delta.write_bytes(MAGIC)
    assert scene.update(scene.old)["blobs"] == SIZE
    scene.delta.write_bytes(bytes(SIZE))
    sent = scene.update(scene.old)
    assert sent["blobs"] == SIZE


def test_the_old_file_that_changed_meanwhile_yields_nothing_wrong(scene: Scene) -> None:
    scene.old.write_bytes(bytes(SIZE))
    assert scene.update(scene.old)["blobs"] == SIZE
