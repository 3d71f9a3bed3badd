"""What the tests of the server room share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conversing import own_house
from house import CHAT, House, scripted_house
from reading import Recording, documented_house


@pytest.fixture(scope="module")
def shared_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with scripted_house(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture
def house(shared_house: House) -> Iterator[House]:
    """A running server, as if freshly started."""
    shared_house.pool.calls.clear()
    shared_house.pool.engines.clear()
    shared_house.pool.names.clear()
    yield shared_house


@pytest.fixture
def chats(tmp_path: Path) -> Iterator[House]:
    """A house of the test's own, whose library is where conversations are kept."""
    with own_house(tmp_path) as house:
        yield house


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with documented_house(tmp_path_factory.mktemp("documented")) as house:
        yield house


@pytest.fixture
def library(documented: House) -> Iterator[House]:
    """A house with documents in it, as if freshly started."""
    documented.pool.calls.clear()
    documented.pool.names.clear()
    documented.pool.engines.clear()
    documented.pool.engines[CHAT] = Recording()
    yield documented
