"""``ondol create``: Modelfiles on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from lora_gguf import base_bytes

MODELFILE = """FROM ./base.gguf
PARAMETER temperature 0.2
PARAMETER num_gpu 1
SYSTEM You are a pirate.
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONDOL_MODELS", str(tmp_path / "models"))
    (tmp_path / "base.gguf").write_bytes(base_bytes())
    (tmp_path / "Pirate").write_text(MODELFILE, encoding="utf-8")
    return tmp_path


def test_a_modelfile_makes_a_model_of_a_file_and_another_of_that(ondol, folder: Path) -> None:
    made = ondol("create", "pirate", "-f", folder / "Pirate")
    assert made.code == 0, made.stderr
    assert "pirate:latest" in made.stdout and "num_gpu changes nothing here" in made.stderr
    shown = ondol("show", "pirate").stdout
    assert "You are a pirate." in shown
    again = ondol("create", "calm", "-f", "-", "--json", stdin="FROM pirate\nSYSTEM Calm.\n")
    assert again.code == 0 and again.json["name"] == "calm:latest"
    assert "pirate:latest" in ondol("show", "calm").stdout
    assert ondol("rm", "calm", "--json").json["removed"][0]["freed_bytes"] == 0
    assert (folder / "base.gguf").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FROM nobody", "nobody"),
        ("FROM ./base.gguf\nFROM nobody", "from one model, or from files"),
        ("FROM ./base.gguf\nADAPTER ./base.gguf", "base.gguf"),
        ("FROM ./base.gguf\nADAPTER ./none.gguf", "none.gguf"),
        ("FRUM x", "FRUM"),
    ],
)
def test_what_is_wrong_is_said_and_makes_nothing(ondol, folder: Path, text, words) -> None:
    (folder / "Pirate").write_text(text, encoding="utf-8")
    made = ondol("create", "pirate", "-f", folder / "Pirate")
    assert made.code != 0 and words in made.stderr
    assert ondol("list", "--quiet").stdout == ""


def test_without_a_modelfile_it_says_which_it_wants(ondol, folder: Path) -> None:
    made = ondol("create", "pirate", "-f", folder / "none", ONDOL_LANGUAGE="ko")
    assert made.code == 2 and "ondol create NAME -f FILE" in made.stderr
