"""What tests of updates share: a hub that is served, and a device that knows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_scene import Scene, scene

from ondol import config
from ondol.parts import Parts
from ondol.updating import fetching, trial
from ondol.updating.switching import Progress, Tried


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One hub for a file of tests; each publishes items of its own."""
    with scene(tmp_path_factory.mktemp("scene")) as made:
        yield made


@pytest.fixture
def parts(home: Path, hub: Scene) -> Iterator[Parts]:
    """A fresh device that knows the hub."""
    hub.add_to_device()
    with Parts(config.load()) as house:
        yield house


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the scanner's and the engine's processes, which have tests of their own."""
    monkeypatch.setattr(fetching, "scanned", lambda parts, release, files: None)

    def tried(*arguments: object) -> Tried:
        arguments[-1](Progress("smoke"))  # type: ignore[operator]
        return Tried()

    monkeypatch.setattr(trial, "try_model", tried)
    monkeypatch.setattr(trial, "try_adapter", tried)
