"""What every room's tests share: a private ONDOL_HOME, and the default models where they are.

The models are those that ``make setup`` fetched (or ONDOL_TEST_MODELS, a models directory).
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from ondol.config import Config, load
from ondol.egress import guard
from ondol.models.store import ModelStore
from ondol.retrieval import korean

# How long an example takes says how busy the machine is, and nothing of what is tested.
hypothesis.settings.register_profile("ondol", deadline=None)
hypothesis.settings.load_profile("ondol")

# No test reaches beyond this machine, whatever it loads.
guard.install()

CHAT_MODEL = "smollm2:135m"
EMBEDDING_MODEL = "all-minilm:l6-v2"

# Read before any test points ONDOL_HOME elsewhere.
_MODELS_DIR = Path(os.environ.get("ONDOL_TEST_MODELS") or load().models_dir)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What ``slow.txt`` names is marked slow. A line that names nothing is a mistake."""
    lines = Path(__file__).with_name("slow.txt").read_text(encoding="utf-8").splitlines()
    slow = {line for line in lines if line and not line.startswith("#")}
    named = [item for item in items if item.nodeid in slow]
    for item in named:
        item.add_marker(pytest.mark.slow)
    files = {item.nodeid.split("::")[0] for item in items}
    lost = {id for id in slow if id.split("::")[0] in files} - {item.nodeid for item in named}
    asked_for_files = not any("::" in argument for argument in config.args)
    if lost and asked_for_files:
        raise pytest.UsageError(f"tests/slow.txt names tests that are not there: {sorted(lost)}")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh ONDOL_HOME for every test, in English; nothing of the developer's is touched."""
    directory = tmp_path / "ondol-home"
    for name in list(os.environ):
        if name.startswith("ONDOL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ONDOL_HOME", str(directory))
    monkeypatch.setenv("ONDOL_LANGUAGE", "en")
    return directory


@pytest.fixture(autouse=True, scope="session")
def no_wait_after_a_failure() -> Iterator[None]:
    """A test that fails within ``with subprocess.Popen(…)`` ends the process; it would wait for it,
    and the whole run with it."""
    leave = subprocess.Popen.__exit__

    def ended(process: subprocess.Popen[bytes], kind: Any, error: Any, traceback: Any) -> None:
        if kind is not None:
            process.kill()
        leave(process, kind, error, traceback)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__exit__", ended)
        yield


@pytest.fixture(autouse=True)
def log_levels() -> Iterator[None]:
    """A command that runs in this process sets what is logged; the next test hears all again."""
    loggers = [logging.getLogger(), logging.getLogger("ondol")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(autouse=True)
def without_korean_analyser(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same terms on machines with and without ``ondol[korean]``; its tests switch it on."""
    monkeypatch.setattr(korean, "analyser", lambda: "")


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """A models directory that holds the two default models; treat it as read-only."""
    names = (
        {model.name for model in ModelStore(_MODELS_DIR).list()} if _MODELS_DIR.exists() else set()
    )
    if not {CHAT_MODEL, EMBEDDING_MODEL} <= names:
        pytest.fail(f"The default models are not in {_MODELS_DIR}: run make setup first.")
    return _MODELS_DIR


@pytest.fixture(scope="session")
def chat_model_file(models_dir: Path) -> Path:
    """The default chat model's GGUF."""
    store = ModelStore(models_dir)
    return store.path(store.get(CHAT_MODEL))


@pytest.fixture(scope="session")
def embedding_model_files(models_dir: Path) -> tuple[Path, Path]:
    """The default embedder's ONNX graph and its tokenizer."""
    store = ModelStore(models_dir)
    model = store.get(EMBEDDING_MODEL)
    return store.path(model, "graph"), store.path(model, "tokenizer")


@pytest.fixture
def config(home: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    """The configuration of a fresh home that has the default models."""
    monkeypatch.setenv("ONDOL_MODELS", str(models_dir))
    yield load()
