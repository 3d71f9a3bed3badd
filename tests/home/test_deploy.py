"""The templates in deploy/ are what the programs they are for can read."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ondol.config import SETTINGS

DEPLOY = Path(__file__).parents[2] / "deploy"
DOCS = Path(__file__).parents[2] / "docs" / "home.md"


def dry(script: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(DEPLOY / script), *arguments],
        env={**os.environ, "DRY_RUN": "1", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_unit_is_one_that_systemd_reads(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    unit = (DEPLOY / "ondol-home.service").read_text("utf-8")
    # Its program is not installed where the tests run.
    there = tmp_path / "ondol-home.service"
    there.write_text(unit.replace("/opt/ondol/bin/ondol", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(there)], capture_output=True, text=True, check=False
    )
    mine = [line for line in done.stderr.splitlines() if "ondol-home" in line]
    assert mine == [] and done.returncode == 0, done.stderr


def test_compose_file_is_one_that_docker_reads() -> None:
    docker = shutil.which("docker")
    if (
        docker is None
        or subprocess.run(
            [docker, "compose", "version"], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("docker compose is not here")
    done = subprocess.run(
        [docker, "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"],
        env={**os.environ, "VLLM_IMAGE": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("single", []),
        ("tensor", ["--tensor-parallel-size", "4"]),
        ("pipeline", ["--pipeline-parallel-size", "4"]),
        ("nodes", ["--tensor-parallel-size", "4", "--pipeline-parallel-size", "3"]),
    ],
)
def test_vllm_is_started_for_the_cards_there_are(how: str, expected: list[str]) -> None:
    words = dry("vllm.sh", "big-model", how, GPUS="4", NODES="3").stdout.split()
    assert words[:3] == ["vllm", "serve", "big-model"]
    sizes = [word for word in words if word.endswith("parallel-size")]
    assert [(w, words[words.index(w) + 1]) for w in sizes] == list(
        zip(expected[::2], expected[1::2], strict=True)
    )
    assert words[words.index("--host") + 1] == "127.0.0.1"


def test_llama_server_divides_as_it_is_told() -> None:
    words = dry("llama-server.sh", "m.gguf", "row", SPLIT="3,1").stdout.split()
    assert words[words.index("--split-mode") + 1] == "row"
    assert words[words.index("--tensor-split") + 1] == "3,1"
    assert words[words.index("--host") + 1] == "127.0.0.1"


@pytest.mark.parametrize("script", ["vllm.sh", "llama-server.sh"])
def test_unknown_way_is_said(script: str) -> None:
    done = dry(script, "model", "sideways")
    assert done.returncode == 2 and "sideways" in done.stderr
    assert dry(script).returncode != 0


def test_what_is_set_in_deploy_and_told_in_the_docs_can_be_set() -> None:
    import re

    known = {setting.env for setting in SETTINGS} | {"ONDOL_HOME", "ONDOL_PASSPHRASE_FILE"}
    used: set[str] = set()
    for file in DEPLOY.iterdir():
        used |= set(re.findall(r"ONDOL_[A-Z_]+[A-Z]", file.read_text("utf-8")))
    assert used <= known and "ONDOL_HOME_UPSTREAMS" in used
    named = set(re.findall(r"`(home\.[a-z_]+)`", DOCS.read_text("utf-8")))
    assert named - {"home.pem"} <= {setting.name for setting in SETTINGS}
    assert {s.name for s in SETTINGS if s.name.startswith("home.")} - named <= {
        "home.host",
        "home.port",
    }
