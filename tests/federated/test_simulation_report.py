"""``ondol federation simulate`` and the folder that it leaves."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ondol.cli.main import run
from ondol.errors import ConfigError, FederationSetupError
from ondol.federated.flower import environment
from ondol.federated.simulating import report
from ondol.federated.simulating.history import Round
from ondol.federated.simulating.scenario import Scenario
from ondol.federated.simulating.simulation import Outcome
from ondol.i18n import use_language

OUTCOME = Outcome(
    Scenario(clients=1000, rounds=3, attackers=0.1, attack="scale", noise_multiplier=1.0),
    [
        Round(1, 100, 10, (1, 2, 3), "taken", "", 2.5, 0.25, 2.5, 0.1),
        Round(2, 100, 9, (1, 2), "rolled_back", "worse", 2.5, 0.25, 9.0, 0.4),
        Round(3, 100, 9, (), "failed", "too few", 2.5, 0.25),
    ],
    before=0.08,
    alone=0.2,
    numbers=832,
    most=2,
    epsilon=3.25,
    labels=[[3, 0, 1], [0, 2, 2]],
)


@pytest.fixture
def without_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "is_ready", lambda: False)


@pytest.mark.usefixtures("without_drawings")
def test_a_report_says_what_was_tried_and_what_came_of_it(tmp_path: Path) -> None:
    assert not report.write(OUTCOME, tmp_path / "new" / "folder")
    text = (tmp_path / "new" / "folder" / "report.md").read_text("utf-8")
    assert text.startswith("# A simulated federation of 1,000 devices\n")
    for said in ("10% of the devices attack", "1 taken, 1 rolled back, 0 refused, 1 failed"):
        assert said in text
    assert "8.0% before, 25.0% after; a device that learned alone: 20.0%" in text
    assert "epsilon 3.25 at delta 1e-05" in text
    assert "| 2 | 100 | 2 | 9 | rolled back | 25.0% | 2.500 |" in text
    assert ".png" not in text
    found = json.loads((tmp_path / "new" / "folder" / "report.json").read_text("utf-8"))
    assert found["scenario"]["attack"] == "scale" and len(found["rounds"]) == 3
    assert found["rounds"][0]["clients"] == 3


@pytest.mark.usefixtures("without_drawings")
def test_a_report_is_written_in_the_language_of_who_asks(tmp_path: Path) -> None:
    with use_language("ko"):
        report.write(OUTCOME, tmp_path)
    assert (
        (tmp_path / "report.md").read_text("utf-8").startswith("# 기기 1,000대의 연합 모의실험\n")
    )


def test_even_data_is_no_number_of_json(tmp_path: Path) -> None:
    found = replace(OUTCOME, scenario=replace(OUTCOME.scenario, alpha=float("inf"))).json()
    assert found["scenario"]["alpha"] is None
    json.dumps(found, allow_nan=False)


@pytest.mark.skipif(not environment.is_ready(), reason="what draws is not installed")
def test_a_report_has_its_drawings(tmp_path: Path) -> None:
    assert report.write(OUTCOME, tmp_path)
    named = re.findall(r"\((\w+\.png)\)", (tmp_path / "report.md").read_text("utf-8"))
    assert len(named) == 3
    for name in named:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_drawings_that_fail_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "is_ready", lambda: True)
    monkeypatch.setattr(environment, "python", lambda: Path(sys.executable))
    with pytest.raises(FederationSetupError, match="could not be made"):
        report.draw(tmp_path)


@pytest.mark.usefixtures("without_drawings")
def test_the_command_simulates_and_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "federation simulate --clients 120 --per-round 6 --rounds 2 --seed 3 --json --report"
    assert run([*words.split(), str(tmp_path)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert [one["chosen"] for one in said["rounds"]] == [6, 6]
    assert said["accuracy"] > said["accuracy_before"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("--clients 2", "--clients"),
        ("--defence krum", "--defence"),
        ("--attackers 0.7", "--attackers"),
        ("--attack worm", "--attack"),
    ],
)
def test_the_command_refuses_by_name(
    words: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["federation", "simulate", *words.split(), "--report", str(tmp_path)])
    assert code == ConfigError.exit_code
    assert what in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
