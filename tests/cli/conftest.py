"""The real command as a process of its own, in the fresh home of the test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from terminal import COMMAND

WASHER = "# Washing machine\n\nThe warranty of the washing machine ends on 3 May 2027.\n"
GARDEN = "The garden has three apple trees. They were planted in 1998 by Mina.\n"


@dataclass(frozen=True)
class Result:
    """How a command ended and what it said."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """stdout, which must be one JSON value and nothing else."""
        return json.loads(self.stdout)


Run = Callable[..., Result]


@pytest.fixture
def ondol() -> Run:
    """Run ``ondol`` to its end."""

    def run(*arguments: object, stdin: str | bytes | None = None, **environ: str) -> Result:
        given = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            # With nothing given stdin is /dev/null: neither a terminal nor a pipe.
            **({"stdin": subprocess.DEVNULL} if given is None else {"input": given}),
            capture_output=True,
            env={**os.environ, **environ},
            timeout=120,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    """A folder with two small documents."""
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "washer.md").write_text(WASHER, encoding="utf-8")
    (folder / "garden.txt").write_text(GARDEN, encoding="utf-8")
    return folder


@pytest.fixture
def own_models(models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the default models that a test may change; it takes no space. The developer's own
    adapters stay behind."""
    directory = tmp_path / "models"
    own_adapters = shutil.ignore_patterns("adapters")
    shutil.copytree(models_dir, directory, copy_function=os.link, ignore=own_adapters)
    monkeypatch.setenv("ONDOL_MODELS", str(directory))
    return directory


@pytest.fixture
def server(config: object, ondol: Run) -> Iterator[str]:
    """The address of a running ``ondol up`` that has the default models."""
    started = ondol("up", "--port", 0, "--json")
    assert started.code == 0, started.stderr
    yield started.json["url"]
    assert ondol("down").code == 0
