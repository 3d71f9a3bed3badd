"""What a name means to commands that act on a model or on its adapter: ``rm``, and those that fetch
what is not here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from lora_gguf import base_bytes, random_adapter

from ondol import config
from ondol.cli import pulling
from ondol.cli.main import make_group
from ondol.cli.models import _remove
from ondol.cli.output import Output
from ondol.errors import AdapterNotFoundError, ModelNotFoundError, UsageError
from ondol.models import adapter_manifest
from ondol.models.adapters import Adapter, AdapterStore
from ondol.models.store import Model
from ondol.parts import Parts

CHAT = "smollm2:135m"
STYLE = f"{CHAT}:style"


class Server:
    """A running server, as far as ``rm`` needs one."""

    def __init__(self) -> None:
        self.unloaded: list[str] = []

    def unload(self, name: str) -> bool:
        self.unloaded.append(name)
        return True


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with Parts(config.load(environ={"ONDOL_MODELS": str(tmp_path / "models")})) as parts:
        file = tmp_path / "base.gguf"
        file.write_bytes(base_bytes())
        parts.store.add(CHAT, [parts.store.stage(file, "weights", "base.gguf")])
        yield parts


@pytest.fixture
def style(parts: Parts, tmp_path: Path) -> Adapter:
    file = random_adapter(tmp_path / "base.gguf", tmp_path / "style.gguf")
    return parts.adapters.add(file, name="style", model=CHAT)


def make_stale(parts: Parts, adapter: Adapter) -> None:
    (path,) = parts.store.directory.glob("adapters/*/*/style.json")
    old = replace(adapter, base_digest=f"sha256:{'0' * 64}")
    path.write_bytes(adapter_manifest.to_json(old))


def test_an_adapter_goes_and_its_model_stays_loaded(parts, server, style):
    assert _remove(parts, server, STYLE) == style.size_bytes
    assert parts.adapters.list() == [] and parts.store.get(CHAT)
    assert server.unloaded == []


@pytest.fixture
def shipped(parts: Parts, style: Adapter, tmp_path: Path) -> None:
    """The adapter came with Ondol."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "style.gguf").write_bytes(parts.adapters.path(style).read_bytes())
    (folder / "style.json").write_bytes(adapter_manifest.to_json(style))
    parts.adapters.remove(CHAT, "style")
    parts._built["adapters"] = AdapterStore(parts.store, folder)


def test_a_shipped_adapter_stays_and_its_model_stays_loaded(parts, server, shipped):
    with pytest.raises(UsageError, match="came with Ondol") as caught:
        _remove(parts, server, STYLE)
    assert "answer.adapter" in caught.value.hint
    assert server.unloaded == []


def test_an_adapter_for_another_version_can_be_removed(parts, server, style):
    make_stale(parts, style)
    assert _remove(parts, server, STYLE) == style.size_bytes
    assert parts.adapters.list() == [] and server.unloaded == []


def test_a_mistyped_adapter_names_the_nearest(parts, server, style):
    with pytest.raises(AdapterNotFoundError, match="Did you mean style"):
        _remove(parts, server, f"{CHAT}:stile")
    assert parts.adapters.list() == [style] and server.unloaded == []


def test_a_model_leaves_the_server_and_the_disk_even_when_it_is_damaged(parts, server, style):
    parts.store.path(parts.store.get(CHAT)).unlink()
    _remove(parts, server, CHAT)
    assert server.unloaded == [CHAT]
    assert parts.store.list() == [] and list(parts.store.damaged()) == []
    with pytest.raises(ModelNotFoundError):
        _remove(parts, server, CHAT)


def test_a_name_that_cannot_be_one_is_said(parts, server):
    with pytest.raises(UsageError):
        _remove(parts, server, "no name")


def test_a_model_is_fetched_for_an_adapter_only_if_it_will_have_it(
    parts, shipped, tmp_path, monkeypatch
):
    parts.store.remove(CHAT)
    file, asked = tmp_path / "base.gguf", []

    def fetch(parts: Parts, name: str, output: Output, projector: Path | None = None) -> Model:
        asked.append(name)
        return parts.store.add(name, [parts.store.stage(file, "weights", "m.gguf")])

    monkeypatch.setattr(pulling, "pull_with_progress", fetch)
    for unknown in (f"{CHAT}:typo", "hf:owner/repo:Q4_K_M:typo", "nosuch:1b:style", "smollm2:13:x"):
        with pytest.raises(ModelNotFoundError):
            pulling.ensure_model(parts, unknown, Output())
    assert asked == []
    assert pulling.ensure_model(parts, STYLE, Output()).name == STYLE
    assert asked == [CHAT]


def test_pulling_another_version_says_which_adapters_it_leaves_behind(
    parts, style, tmp_path, monkeypatch
):
    def fetch(parts: Parts, name: str, output: Output, projector: Path | None = None) -> Model:
        file = tmp_path / "base.gguf"
        file.write_bytes(base_bytes("another version"))
        return parts.store.add(name, [parts.store.stage(file, "weights", "base.gguf")])

    monkeypatch.setattr(pulling, "pull_with_progress", fetch)
    monkeypatch.setenv("ONDOL_MODELS", str(parts.config.models_dir))
    pulled = CliRunner().invoke(make_group(), ["pull", CHAT])
    assert pulled.exit_code == 0, pulled.output
    assert f"{STYLE} was made for another version of {CHAT}" in pulled.stderr
    parts.adapters.remove(CHAT, "style")
    assert "another version" not in CliRunner().invoke(make_group(), ["pull", CHAT]).output
