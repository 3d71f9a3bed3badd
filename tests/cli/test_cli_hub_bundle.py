"""``ondol hub bundle``, ``bundle-key`` and ``verify-bundle``, from a hub to whoever verifies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Run

from ondol.hub.card import Card
from ondol.hub.repository import Repository, keys
from ondol.hub.scan import Report


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub in which clinic published letters 1 and 2."""
    folder = tmp_path_factory.mktemp("hub")
    repository = Repository(folder / "hub")
    offline = repository.init("Test")
    key = keys.make()
    repository.add_publisher("clinic", keys.public_text(key), offline.targets)
    card = Card("model", "letters", {"letters.gguf": "weights"}, licence="Apache-2.0")
    for version in ("1", "2"):
        file = folder / f"{version}.gguf"
        file.write_bytes(b"GGUF" + version.encode() * 100)
        repository.publish(
            "clinic",
            "letters",
            version,
            card,
            {"letters.gguf": file},
            key,
            report=Report(True, (), 0.1),
        )
    return repository.folder


def test_a_release_goes_out_signed_and_is_verified(hub: Path, ondol: Run, tmp_path: Path) -> None:
    pytest.importorskip("model_signing")
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery staple\n")
    key = tmp_path / "bundle.pem"
    made = ondol("hub", "bundle-key", key, "--passphrase-file", secret, "--json").json
    assert made["public"] == f"{key}.pub"
    out = tmp_path / "letters"
    bundle = ("hub", "bundle", hub, "clinic/letters@1", out, "--key", key)
    locked = ondol(*bundle)
    assert locked.code == 12 and "passphrase" in locked.stderr
    said = ondol(*bundle, "--passphrase-file", secret)
    assert said.code == 0, said.stderr
    assert "clinic/letters@1" in said.stdout
    assert (out / "letters.gguf").read_bytes() == b"GGUF" + b"1" * 100
    verify = ("hub", "verify-bundle", out, "--public-key", made["public"])
    assert set(ondol(*verify, "--json").json["files"]) == {"letters.gguf", "ondol-release.json"}
    (out / "letters.gguf").write_bytes(b"GGUF" + b"2" * 100)
    changed = ondol(*verify)
    assert changed.code == 12
    assert "letters.gguf" in changed.stderr


def test_a_release_goes_out_as_an_oci_layout(hub: Path, ondol: Run, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    said = ondol("hub", "bundle", hub, "clinic/letters", layout, "--format", "modelpack", "--json")
    assert said.json["release"] == "clinic/letters@2", "the newest where none is named"
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    assert entry["digest"] == said.json["manifest"]


def test_what_is_not_there_is_said(hub: Path, ondol: Run, tmp_path: Path) -> None:
    missing = ondol("hub", "bundle", hub, "clinic/letters@3", tmp_path / "out")
    assert missing.code == 12
    assert "clinic/letters@3" in missing.stderr
    unsigned = ondol("hub", "bundle", hub, "clinic/letters", tmp_path / "out")
    assert unsigned.code == 2
    assert "bundle-key" in unsigned.stderr
    assert not (tmp_path / "out").exists()
