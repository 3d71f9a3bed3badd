"""The last months in numbers, the whole ledger as a file, and how well probabilities hold."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from house import House, scripted_house

from ondol.confidence.calibration import Calibrator, Weighted
from ondol.confidence.scaling import Platt
from ondol.egress.passage import Passage
from ondol.ledger import summary as summing
from ondol.ledger.cost import Pricing
from ondol.ledger.entries import Entry
from ondol.ledger.ledger import Ledger
from ondol.types import Sensitivity

SENT = Passage("home", "attic.local:11443", Sensitivity.TRUSTED, 2310, 800, True)


@pytest.fixture
def ledger_house(tmp_path: Path) -> Iterator[House]:
    """A house with three answers from here, one from home, and one that home was asked for."""
    with scripted_house(tmp_path) as house:
        fill(house.parts.ledger)
        yield house


def fill(ledger: Ledger) -> None:
    here = Entry("answer", route="local", energy_joules=2.0, energy_source="estimated")
    for _ in range(2):
        ledger.append(here)
    ledger.append(replace(here, energy_source="measured", energy_joules=3.0, cost_krw=0.5))
    ledger.record(SENT)
    ledger.append(Entry("answer", route="home"))
    ledger.append(Entry("answer", route="local", reasons=("unsure", "home_failed")))


def test_month_says_how_many_answers_never_left(ledger_house: House) -> None:
    with ledger_house.client() as client:
        found = client.get("/ondol/v1/ledger/summary").json()
    (month,) = found["months"]
    assert month["month"] == datetime.now().astimezone().strftime("%Y-%m")
    assert (month["num_answers"], month["stayed_here"], month["asked_home"]) == (5, 3, 2)
    assert month["answers"] == {"local": 4, "home": 1}
    assert month["bytes_out"] == {"home": 2310}
    assert month["energy_joules"] == {"estimated": 4.0, "measured": 3.0}
    assert month["answers_without_energy"] == 2 and month["cost_here"]["krw"] == 0.5
    assert sum(day["num_answers"] for day in found["days"]) == 5


def test_months_are_those_that_were_asked_for_oldest_first(ledger_house: House) -> None:
    with ledger_house.client() as client:
        found = client.get("/ondol/v1/ledger/summary?months=3").json()["months"]
        wrong = client.get("/ondol/v1/ledger/summary?months=25")
    assert [one["num_answers"] for one in found] == [0, 0, 5]
    assert [one["month"] for one in found] == sorted(one["month"] for one in found)
    assert wrong.status_code == 422 and wrong.json()["error"]["param"] == "months"


def test_day_is_that_of_the_owners_zone(ledger_house: House) -> None:
    ledger, pricing = ledger_house.parts.ledger, Pricing.from_config(ledger_house.parts.config)
    noon = datetime.now(UTC)
    for hours in (-12, 12):
        there = noon.astimezone(timezone(timedelta(hours=hours)))
        days = summing.summary(ledger, pricing, there, 2).days
        assert list(days) == [there.date().isoformat()]


def test_ledger_is_exported_as_the_command_line_does(ledger_house: House) -> None:
    with ledger_house.client() as client:
        lines = client.get("/ondol/v1/ledger/export")
        table = client.get("/ondol/v1/ledger/export?format=csv")
        wrong = client.get("/ondol/v1/ledger/export?format=xml")
    read = [json.loads(line) for line in lines.text.splitlines()]
    assert sum("entry" in one for one in read) >= 6 and "head" in read[-1]
    assert 'filename="ondol-ledger.jsonl"' in lines.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert {row["kind"] for row in rows} >= {"answer", "egress"}
    assert 'filename="ondol-ledger.csv"' in table.headers["content-disposition"]
    assert wrong.status_code == 422 and wrong.json()["error"]["param"] == "format"


def calibrator(*, right: bool, digest: str = "sha256:abc") -> Calibrator:
    """One whose held-out answers are nearly all right, or all wrong."""
    held_out = tuple((0.95, right or n % 50 == 0) for n in range(400))
    return Calibrator(
        model="tiny:1b",
        digest=digest,
        task="grounded",
        signals=(Weighted("mean_logprob", 0.0, 1.0, 1.0),),
        intercept=0.0,
        scaling=Platt(1.0, 0.0),
        n=400,
        ece=0.031,
        auroc=0.8,
        brier=0.1,
        date=date(2026, 11, 1),
        held_out=held_out,
    )


@pytest.fixture
def judged_house(house: House) -> Iterator[House]:
    judge = house.parts.oversight.judge
    yield house
    for digest in ("sha256:abc", "sha256:def"):
        judge.calibrators.forget(digest, "grounded")
    judge._choices.clear()


def named(house: House, digest_or_own: bool = True) -> list[dict]:
    with house.client() as client:
        found = client.get("/ondol/v1/confidence/calibrators").json()
    assert found["target_error"] == house.parts.config["routing.target_error"]
    return [one for one in found["calibrators"] if one["own"] == digest_or_own]


def test_calibrator_says_how_well_it_held_and_what_it_may_keep(judged_house: House) -> None:
    judged_house.parts.oversight.judge.calibrators.keep(calibrator(right=True))
    (found,) = named(judged_house)
    assert (found["model"], found["task"], found["n"]) == ("tiny:1b", "grounded", 400)
    assert (found["ece"], found["auroc"]) == (0.031, 0.8)
    assert found["name"].endswith(f"@{found['version']}")
    assert found["feasible"] and 0 < found["threshold"] < 1 and found["coverage"] == 1.0


def test_target_that_cannot_be_met_says_what_can_be(judged_house: House) -> None:
    judged_house.parts.oversight.judge.calibrators.keep(calibrator(right=False))
    (found,) = named(judged_house)
    assert not found["feasible"] and found["threshold"] is None and found["coverage"] is None
    target = judged_house.parts.config["routing.target_error"]
    assert found["possible"] is None or found["possible"]["target_error"] > target


def test_owners_calibrator_hides_the_one_that_came_with_ondol(judged_house: House) -> None:
    shipped = named(judged_house, False)
    assert shipped, "Ondol comes with calibrators"
    known = judged_house.parts.oversight.judge.calibrators
    first = next(one for one, own in known.list() if not own)
    known.keep(replace(first, n=first.n + 1))
    try:
        own, rest = named(judged_house), named(judged_house, False)
        assert [one["n"] for one in own] == [first.n + 1] and len(rest) == len(shipped) - 1
    finally:
        known.forget(first.digest, first.task)


def test_entry_says_how_well_its_probability_held(judged_house: House) -> None:
    kept = calibrator(right=True)
    judged_house.parts.oversight.judge.calibrators.keep(kept)
    ledger = judged_house.parts.ledger
    entry = Entry("answer", route="local", model="tiny:1b", probability=0.9, calibrator=kept.name)
    ledger.append(entry)
    ledger.append(replace(entry, calibrator="gone@1"))
    with judged_house.client() as client:
        entries = client.get("/ondol/v1/ledger?limit=2").json()["entries"]
        gone, there = (client.get(f"/ondol/v1/ledger/{one['id']}").json() for one in entries)
    assert there["calibration"] == {"n": 400, "ece": 0.031}
    assert "400 answers" in there["explanation"]
    assert gone["calibration"] is None
