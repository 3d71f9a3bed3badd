"""What is built once is built once, whoever asks at the same time, and whatever it is built of."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from ondol.kept import Kept
from ondol.models.adapters import AdapterStore
from ondol.models.store import ModelStore
from ondol.once import Once


class House(Once):
    def __init__(self) -> None:
        super().__init__()
        self.built: list[str] = []

    @property
    def wall(self) -> str:
        return self._once("wall", lambda: self._build("wall"))

    @property
    def roof(self) -> str:
        return self._once("roof", lambda: f"{self.wall} and {self._build('roof')}")

    def _build(self, what: str) -> str:
        time.sleep(0.05)
        self.built.append(what)
        return what


def test_everything_is_built_once_by_whoever_comes_first() -> None:
    house = House()
    threads = [threading.Thread(target=lambda: house.roof) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert house.built == ["wall", "roof"]
    assert house.roof == "wall and roof"


def test_what_failed_is_built_again_the_next_time() -> None:
    once = Once()
    with pytest.raises(ZeroDivisionError):
        once._once("x", lambda: 1 // 0)
    assert once._once("x", lambda: 5) == 5


def test_what_is_kept_is_opened_once(home: Path) -> None:
    kept = Kept(lambda: AdapterStore(ModelStore(home)))
    try:
        assert kept.memories is kept.memories
        assert kept.conversations is kept.conversations
    finally:
        kept.close()
