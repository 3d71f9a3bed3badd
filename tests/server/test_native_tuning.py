"""``/ondol/v1/tuning``: what is in force, a tuning in the background, the way back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from house import CHAT, EMBEDDING, House
from test_native import call

from ondol.lab.tuning.choosing import Row
from ondol.lab.tuning.jobs import Jobs
from ondol.lab.tuning.mix import Mix
from ondol.lab.tuning.report import Report
from ondol.lab.tuning.tuning import Tuning
from ondol.models import tuned
from ondol.training.bootstrap import Estimate

ORIGINAL = Row("F32", 9, 1, 100.0, 40.0, is_original=True)
BEST = Row("F16", 8, 1, 300.0, 50.0, loss=Estimate(0.0, 0.0, 0.001, 9))


class Pretended:
    """A tuning that measures nothing, and goes on when it is told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.asked: list[str] = []

    def run(self, tuning: Tuning, only: str = "") -> Report:
        self.asked.append(only)
        tuning._on_step("F32: speed")
        self.go_on.wait(10)
        tuning._on_step("F16: speed")
        origin = tuning._origin.digest
        rows = [ORIGINAL, BEST]
        return Report(
            tuning.model, origin, "an engine", "A processor", 2, 1e9, Mix(), rows, (), BEST
        )


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch, house: House) -> Iterator[Pretended]:
    found = Pretended()
    monkeypatch.setattr(Tuning, "run", lambda tuning, only="": found.run(tuning, only))
    yield found
    found.go_on.set()
    settled(house)


def settled(house: House) -> dict[str, Any] | None:
    """How the latest tuning ended."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        now = call(house, "GET", f"tuning?model={CHAT}").json()["running"]
        if now is None or now["state"] != "running":
            return now
        time.sleep(0.02)
    raise AssertionError("it did not end")


def test_tuning_goes_on_in_the_background_and_can_be_taken_back(
    house: House, pretended: Pretended
) -> None:
    assert call(house, "GET", "tuning").json()["tuned"] is None
    begun = call(house, "POST", "tuning", model=CHAT)
    assert begun.status_code == 201 and begun.json()["state"] == "running"
    second = call(house, "POST", "tuning", model=CHAT)
    assert second.status_code == 409 and second.json()["error"]["code"] == "evaluation_busy"
    pretended.go_on.set()
    ended = settled(house)
    assert ended is not None and (ended["state"], ended["error"]) == ("done", None)
    assert ended["report"]["applied"] and ended["report"]["chosen"]["format"] == "F16"
    known = call(house, "GET", f"tuning?model={CHAT}").json()["tuned"]
    assert known["format"] == "F16" and known["in_force"] and known["engine"] == "an engine"
    assert known["measured"]["rows"][0]["is_original"]
    undone = call(house, "DELETE", "tuning", model=CHAT).json()
    assert undone == {"model": CHAT, "undone": True, "freed_bytes": known["size_bytes"]}
    assert call(house, "GET", f"tuning?model={CHAT}").json()["tuned"] is None


def test_what_ends_while_it_is_looked_at_is_not_applied_before_it_is_in_force(
    house: House, pretended: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = tuned.recorded

    def then_it_ends(*asked: Any) -> Any:
        found = read(*asked)
        if threading.current_thread().name != "ondol-tuning":
            pretended.go_on.set()
            for thread in threading.enumerate():
                if thread.name == "ondol-tuning":
                    thread.join(20)
        return found

    call(house, "POST", "tuning", model=CHAT)
    with monkeypatch.context() as patch:
        patch.setattr(tuned, "recorded", then_it_ends)
        told = call(house, "GET", f"tuning?model={CHAT}").json()
    assert told["tuned"] is None and told["running"]["report"] is None
    ended = settled(house)
    assert ended is not None and ended["report"]["applied"]
    assert call(house, "DELETE", "tuning", model=CHAT).json()["undone"]


def test_the_next_may_begin_as_soon_as_the_last_has_said_how_it_ended(
    house: House, pretended: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Jobs._run

    def slow_to_go(*asked: Any) -> None:
        run(*asked)
        time.sleep(0.3)

    monkeypatch.setattr(Jobs, "_run", slow_to_go)
    pretended.go_on.set()
    for _ in range(2):
        assert call(house, "POST", "tuning", model=CHAT, dry_run=True).status_code == 201
        settled(house)


def test_dry_run_changes_nothing(house: House, pretended: Pretended) -> None:
    call(house, "POST", "tuning", model=CHAT, dry_run=True, apply="f16")
    pretended.go_on.set()
    ended = settled(house)
    assert pretended.asked == ["F16"]
    assert ended is not None and ended["report"]["applied"] is False
    assert call(house, "GET", f"tuning?model={CHAT}").json()["tuned"] is None


def test_stopped_tuning_changes_nothing(house: House, pretended: Pretended) -> None:
    call(house, "POST", "tuning", model=CHAT)
    threading.Timer(0.2, pretended.go_on.set).start()
    stopped = call(house, "DELETE", "tuning/running").json()["running"]
    assert stopped["state"] == "stopped" and stopped["report"] is None
    assert call(house, "GET", f"tuning?model={CHAT}").json()["tuned"] is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"model": EMBEDDING}, 422),
        ({"model": "nobody"}, 404),
        ({"model": CHAT, "apply": "Q9_9"}, 422),
        ({"apply": "F16"}, 422),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_anything_runs(
    house: House, pretended: Pretended, body: dict[str, Any], status: int
) -> None:
    refused = call(house, "POST", "tuning", **body)
    assert refused.status_code == status and refused.json()["error"]["message"]
    assert not pretended.asked
