"""``ondol pack`` as people type it: built, installed, listed, shown, removed, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from made_packs import pack_folder
from served_llama import write_llama

from ondol.cli.main import run
from ondol.config import load
from ondol.hub import scan
from ondol.hub.scan import Report
from ondol.models.blobs import digest_of
from ondol.models.store import ModelStore
from ondol.parts import Parts
from ondol.updating import pack_trial, packs

Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ondol(capsys: pytest.CaptureFixture[str]) -> Said:
    """What a command says, and its exit code."""

    def say(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(one) for one in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return say


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """That of the base model, which is here; no process is started to scan or to try."""
    file = write_llama(tmp_path / "tiny.gguf")
    store = ModelStore(load().models_dir)
    store.add("tiny:1m", [store.stage(file, "weights", "tiny.gguf")])
    monkeypatch.setattr(scan, "scan", lambda *files, **how: Report(True, (), 0.0))
    monkeypatch.setattr(pack_trial.trial, "check", lambda *engine: None)
    return digest_of(file)


def test_a_pack_from_its_folder_to_its_removal(ondol: Said, digest: str, tmp_path: Path) -> None:
    source, built = pack_folder(tmp_path / "p", digest), tmp_path / "built"
    code, out, err = ondol("pack", "build", source, "--out", built, "--no-evaluation")
    assert (code, err.count("ondol pack install")) == (0, 1) and "words 1 is in" in out
    code, out, _ = ondol("pack", "install", built, "--no-evaluation", "--json")
    made = json.loads(out)
    assert code == 0 and made["name"] == "words" and made["evaluation"] == {}
    out = ondol("pack", "show", "words")[1]
    assert "Not for law." in out and "Model: tiny:1m" in out
    assert "words" in ondol("pack", "list")[1] and "words:latest" in ondol("list")[1]
    with Parts(load()) as parts:
        library = parts.kept.conversations.prompts
        library.change(library.all()[0].id, text="Mine.")
    code, out, err = ondol("pack", "remove", "words")
    assert out.startswith("words is gone") and "1" in err
    assert json.loads(ondol("pack", "list", "--json")[1]) == {"packs": []}


def test_what_is_no_pack_is_refused_in_a_sentence(ondol: Said, tmp_path: Path) -> None:
    for arguments, code, told in (
        (("install", tmp_path), 12, "pack.toml is missing"),
        (("install", "nothing"), 2, "PUBLISHER/ITEM"),
        (("install", "clinic/words", "--force"), 2, "from a folder"),
        (("show", "nothing"), 12, "no pack called nothing"),
        (("evaluate", "nothing"), 12, "no pack called nothing"),
        (("remove", "nothing"), 12, "no pack called nothing"),
    ):
        found = ondol("pack", *arguments)
        assert found[:2] == (code, "") and told in found[2]


def test_who_sees_no_bar_is_told_that_it_takes_a_while(
    ondol: Said, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ondol("pack", "install", pack_folder(tmp_path / "p", digest), "--no-evaluation")

    def measured(parts: Parts, name: str, tell: Callable[[int, int], None]) -> packs.InstalledPack:
        for done in (1, 2, 3):
            tell(done, 120)
        return packs.get(parts, name)

    monkeypatch.setattr(packs, "evaluate", measured)
    code, _, err = ondol("pack", "evaluate", "words")
    assert code == 0 and err.count("Asking 120 questions") == 1
    assert "Asking" not in ondol("pack", "evaluate", "words", "--quiet")[2]
