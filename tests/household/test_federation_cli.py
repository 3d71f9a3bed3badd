"""``ondol join``, ``ondol federation`` and ``ondol home federation`` as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ondol import config
from ondol.cli.main import run
from ondol.federated.flower import environment
from ondol.federated.plan import Plan
from ondol.home.federations import Coordination
from ondol.household.federations import Federations, Round
from ondol.parts import Parts
from ondol.samples.records import Draft
from ondol.types import Message
from tests.home.homestead import Homestead

MODEL = "tiny:1"


@pytest.fixture(autouse=True)
def model(home: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONDOL_CHAT_MODEL", MODEL)
    with Parts(config.load()) as parts:
        parts.store.add(MODEL, [parts.store.stage(base, "weights", base.name)])


@pytest.fixture
def ondol(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command line: the exit code and what it says."""

    def typed(*words: str) -> tuple[int, str]:
        code = run(words)
        heard = capsys.readouterr()
        return code, heard.out + heard.err

    return typed


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """What it says on stdout with ``--json``."""

    def typed(*words: str) -> Any:
        code = run([*words, "--json"])
        told = json.loads(capsys.readouterr().out)
        assert (code == 0) == ("error" not in told), told
        return told

    return typed


def family(nest: Homestead, plan: dict[str, Any], name: str) -> tuple[Coordination, str]:
    """A federation of another home with the same plan, and an invite to it."""
    made = nest.registry.federations.create(name, Plan.of(plan))
    return made, nest.registry.invite(nest.url, nest.mine.fingerprint, "", made.id).encode()


def test_home_creates_invites_shows_ends_and_forgets(
    said: Callable[..., Any], ondol: Callable[..., tuple[int, str]]
) -> None:
    made = said("home", "federation", "create", "family", "--rounds", "3", "--r", "4")
    plan = made["plan"]
    assert (plan["model"], plan["rounds"], plan["r"], plan["lora_alpha"]) == (MODEL, 3, 4, 8)
    assert plan["aggregation"] == "secure"
    assert said("home", "federation", "list")["federations"][0]["name"] == "family"
    invited = said("home", "federation", "invite", "family", "--address", "home:1")
    assert invited["code"].startswith("ONDOLF1")
    code, text = ondol("home", "join", invited["code"])
    assert code == 2
    assert "ondol join CODE" in text
    assert said("home", "federation", "status", "family")["members"] == []
    code, text = ondol("home", "federation", "start", "family")
    assert code == 2
    assert "0 members" in text
    said("home", "federation", "stop", "family")
    assert said("home", "federation", "start", "family")["error"]["code"] == "invalid_request"
    said("home", "federation", "remove", "family")
    gone = said("home", "federation", "status", "family")["error"]
    assert gone["code"] == "federation_not_found"


@pytest.mark.parametrize(
    "words",
    [
        ("--min-clients", "2"),
        ("--strategy", "product"),
        ("--epsilon-budget", "4"),
        ("--first-layer", "99"),
        ("--model", "nothing"),
    ],
    ids=lambda words: words[0],
)
def test_plan_that_cannot_work_is_refused(said: Callable[..., Any], words: tuple[str, ...]) -> None:
    assert "error" in said("home", "federation", "create", "family", *words)
    assert said("home", "federation", "list")["federations"] == []


def test_device_joins_looks_agrees_pauses_and_leaves(
    nest: Homestead, said: Callable[..., Any], ondol: Callable[..., tuple[int, str]]
) -> None:
    plan = said("home", "federation", "create", "plan")["plan"]
    there, code = family(nest, plan, "clinic")
    with Parts(config.load()) as parts:
        source = parts.kept.samples.add_source("file", "letters").id
        drafts = [
            Draft("sft", f"c{n}", (Message("user", f"What is {n} of {n * n}?"),), f"It is {n}.")
            for n in range(30)
        ]
        parts.kept.samples.add(source, drafts)
    assert said("join", code)["error"]["code"] == "invalid_request"  # nobody was asked
    joined = said("join", code, "--yes", "--source", source)
    assert (joined["name"], joined["sources"]) == ("clinic", [source])
    (row,) = said("federation", "consent")["sources"]
    assert row["is_agreed"] and row["num_examples"] > 0
    ahead = said("federation", "preview")
    assert ahead["num_examples"] == row["num_examples"]
    assert ahead["bytes_up"] > 0
    assert said("federation", "pause")["state"] == "paused"
    assert said("federation", "resume")["state"] == "active"
    assert said("federation", "consent", "--none")["sources"][0]["is_agreed"] is False
    nest.registry.federations.note(
        there.id, 1, {"number": 1, "clients": [joined["members"][0]["node"]], "rolled_back": False}
    )
    with Federations.open() as kept:
        kept.note(there.id, Round(1, took_part=True, bytes_up=1234))
    (shown,) = said("federation", "status")["federations"]
    assert shown["rounds"][0]["mine"]["bytes_up"] == 1234
    assert "no_consent" in shown["readiness"]["codes"]
    for words in (("status",), ("preview",), ("consent",)):
        code_of, text = ondol("federation", *words)
        assert code_of == 0
        assert text.strip()
    gone = said("federation", "leave", "--yes")
    assert (gone["heard"], gone["rounds"]) == (True, 1)
    assert said("federation", "preview")["error"]["code"] == "federation_not_found"
    assert said("federation", "status")["federations"] == []


def test_flowers_environment_is_made_on_demand(
    said: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bool] = []

    def make(may_reach: Callable[[], None], *, ray: bool = False) -> Path:
        made.append(ray)
        return Path("python")

    monkeypatch.setattr(environment, "make", make)
    assert said("federation", "setup", "--ray") == {"python": "python"}
    assert made == [True]
