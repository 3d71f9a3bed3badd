"""Who trains without the ``train`` extra is told what to install, at once."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from ondol.errors import TrainingError
from ondol.training import extra
from ondol.training.export import export_adapter


def without_peft(name: str) -> object:
    return None if name == "peft" else find_spec(name)


def test_missing_library_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extra, "find_spec", without_peft)
    with pytest.raises(TrainingError) as error:
        extra.require()
    assert error.value.message == "Training needs libraries that are not installed: peft."
    assert "pip install 'ondol[train]'" in error.value.hint


def test_export_says_so_before_it_reads_anything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(extra, "find_spec", without_peft)
    with pytest.raises(TrainingError, match="not installed: peft"):
        export_adapter({}, {}, tmp_path / "no-base.gguf", tmp_path / "out.gguf")


def test_looking_for_the_libraries_loads_none_of_them() -> None:
    script = (
        "import sys; from ondol.training import extra; extra.require(); "
        f"print(*(set({extra.LIBRARIES!r}) & set(sys.modules)))"
    )
    child = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == ""
