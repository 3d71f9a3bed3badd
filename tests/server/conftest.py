"""What the tests of the server room share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from house import House, scripted_house


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
