"""The pages say what the program does."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ondol
from ondol.cli.main import SECTIONS
from ondol.config import SETTINGS
from ondol.errors import OndolError

DOCS = Path(__file__).parents[2] / "docs"


def test_generated_pages_are_current(tmp_path: Path) -> None:
    for name in ("cli.md", "configuration.md"):
        (tmp_path / name).write_text((DOCS / name).read_text("utf-8"), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "ondol.cli.reference", str(tmp_path)],
        check=True,
        env={**os.environ, "ONDOL_LANGUAGE": "ko", "COLUMNS": "40"},
    )
    for name in ("cli.md", "configuration.md"):
        assert (tmp_path / name).read_text("utf-8") == (DOCS / name).read_text("utf-8"), (
            f"docs/{name} is out of date: python -m ondol.cli.reference docs"
        )


@pytest.mark.parametrize("name", [name for part in SECTIONS.values() for name in part])
def test_every_command_has_its_section(name: str) -> None:
    assert f"## `ondol {name}`" in (DOCS / "cli.md").read_text("utf-8")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_and_its_variable_are_explained(setting) -> None:
    text = (DOCS / "configuration.md").read_text("utf-8")
    assert f"| `{setting.name}` | `{setting.env}` |" in text


def all_errors() -> list[type[OndolError]]:
    for module in pkgutil.walk_packages(ondol.__path__, "ondol."):
        if module.name not in ("ondol.__main__",):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                # What runs in Flower's environment only, and adds no error that anybody meets.
                assert error.name == "flwr" and ".flower." in module.name

    def below(kind: type[OndolError]) -> list[type[OndolError]]:
        return [kind, *(e for child in kind.__subclasses__() for e in below(child))]

    return [e for e in below(OndolError) if e.__module__.startswith("ondol.")]


def test_every_error_code_is_explained_with_its_status_and_exit_code() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\d+) \| ([^|]+) \|", (DOCS / "errors.md").read_text("utf-8"), re.M
    )
    documented = {code: (int(status), exit_code) for code, status, exit_code in rows}
    errors = all_errors()
    assert set(documented) == {error.code for error in errors}
    for error in errors:
        if error.code == "start_failed":  # passes on the exit code of the server it started
            continue
        assert documented[error.code] == (error.status, str(error.exit_code)), error
