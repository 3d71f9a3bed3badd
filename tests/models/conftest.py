"""What the tests of the models room share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def chat_model_file() -> Path:
    """The default chat model's GGUF."""
    file = Path(os.environ.get("ONDOL_TEST_CHAT_MODEL", "/tmp/dev-models/smollm2.gguf"))
    if not file.is_file():
        pytest.skip(f"no chat model at {file}: set ONDOL_TEST_CHAT_MODEL")
    return file
