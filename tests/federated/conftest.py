"""Rounds write often, and wait for the disk each time; here nothing loses its power."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
