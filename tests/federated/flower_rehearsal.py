"""A federation of toy learners through Flower's apps in one process. Run in Flower's environment;
prints JSON."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from unittest.mock import patch

import httpx
from flwr.common.constant import Status
from flwr.server.superlink.utils import check_abort
from flwr.supercore.corestate import in_memory_corestate

from ondol.federated.flower.carried import Carried
from ondol.federated.flower.in_process import run_in_process
from ondol.federated.flower.superlink import HomeState
from ondol.federated.grid import Grid
from tests.federated.rounds import Household


class Slow:
    """Does not answer in time."""

    def answer(self, stage: str, body: bytes) -> bytes:
        import time

        time.sleep(0.5)
        return b""


class Telling:
    """Home's answers, an hour ahead of this machine's clock."""

    def call(self, name: str, head: object, body: bytes, *, seconds: float) -> object:
        there = datetime.now(UTC) + timedelta(hours=1)
        return {"status": 200, "type": "", "date": format_datetime(there, usegmt=True)}, b""


def home_is_an_hour_ahead() -> list[object]:
    """How far the time that is signed is ahead before and after home was heard, in minutes, and
    how often it had to be set."""
    carried = Carried(Telling())  # type: ignore[arg-type]

    def ahead() -> int:
        return round((carried.now() - datetime.now(UTC)).total_seconds() / 60)

    found: list[object] = [ahead()]
    with httpx.Client(transport=carried) as client:
        for _ in range(3):
            client.post("http://home/v1/fleet/get-run")
    return [*found, ahead(), carried.corrections]


def home_slept_for_an_hour() -> bool:
    """Whether its run is over then."""
    state = HomeState()
    run = state.begin_run("family")

    def later() -> datetime:
        return datetime.now(UTC) + timedelta(hours=1)

    with patch.object(in_memory_corestate, "now", later):
        said = check_abort(run.run_id, [Status.FINISHED], state)
    return said is not None


def main() -> None:
    household = Household(Path(sys.argv[1]))
    seen: dict[str, object] = {}

    def work(grid: Grid) -> None:
        records = household.coordinator(grid).run()
        seen["clients"] = [len(record.clients) for record in records]
        seen["vector"] = household.coordinator(grid).vector().tolist()
        seen["late"] = [answer.code for answer in grid.ask("ready", {1: b"", 2: b""}, 0.1).values()]  # type: ignore[union-attr]

    seen["clock"] = home_is_an_hour_ahead()
    seen["ended_by_sleep"] = home_slept_for_an_hour()
    run_in_process({**household.devices(), 1: Slow()}, work)
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
