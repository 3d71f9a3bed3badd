"""What the tests of a device in a federation share: a home in this process, and a small model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.home.homestead import Homestead, homestead
from tests.training.tiny_models import tiny_model, write_gguf


@pytest.fixture(scope="module")
def nest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homestead]:
    with homestead(tmp_path_factory.mktemp("nest")) as found:
        yield found


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of two layers."""
    folder = tmp_path_factory.mktemp("base")
    return write_gguf(tiny_model("llama"), "llama", folder / "tiny.gguf")
