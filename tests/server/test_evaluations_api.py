"""Evaluations over the API: in the background, one at a time, and a history of scores."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from house import CHAT, House

from ondol.engine.scripted import ScriptedEngine
from ondol.lab.evaluating.history import History


def until_done(client: Any) -> dict[str, Any]:
    for _ in range(400):
        found: dict[str, Any] = client.get("/ondol/v1/evaluations").json()
        if found["running"]["state"] != "running":
            return found
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def test_an_evaluation_runs_in_the_server_and_is_compared_with_the_next(house: House) -> None:
    house.pool.engines[CHAT] = ScriptedEngine(["I can't do that."], model=CHAT)
    wanted = {"suites": ["refusal"], "quick": True}
    with house.client() as client:
        begun = client.post("/ondol/v1/evaluations", json=wanted)
        assert begun.status_code == 201 and begun.json()["total"] == 8
        first = until_done(client)
        assert first["running"]["state"] == "done" and first["golden"] == 0
        assert {"name": "refusal", "items": 24} in first["suites"]
        [kept] = first["evaluations"]
        assert kept["id"] == first["running"]["evaluation"] and kept["model"] == CHAT
        # Who refuses everything gets half.
        assert kept["scores"][0]["value"] == 0.5 and kept["scores"][0]["n"] == 8
        house.pool.engines[CHAT] = ScriptedEngine(["Gladly."], model=CHAT)
        client.post("/ondol/v1/evaluations", json=wanted)
        second = until_done(client)["running"]["evaluation"]
        told = client.get(f"/ondol/v1/evaluations/{second}", params={"before": kept["id"]}).json()
        assert len(told["changes"][0]["lost"]) == len(told["changes"][0]["gained"]) == 4
        assert client.delete(f"/ondol/v1/evaluations/{second}").json() == {"removed": second}
        gone = client.get(f"/ondol/v1/evaluations/{second}")
        assert gone.status_code == 404
        assert gone.json()["error"]["code"] == "evaluation_not_found"


def test_what_ends_while_it_is_looked_at_is_not_done_before_it_is_listed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    class Waits(ScriptedEngine):
        def generate(self, *asked: Any) -> Any:
            go.wait(20)
            return super().generate(*asked)

    read = History.all

    def then_it_ends(self: History, *asked: Any) -> Any:
        found = read(self, *asked)
        # The evaluation itself looks at the one before it.
        if threading.current_thread().name != "ondol-evaluation":
            go.set()
            for thread in threading.enumerate():
                if thread.name == "ondol-evaluation":
                    thread.join(20)
        return found

    house.pool.engines[CHAT] = Waits(["Gladly."], model=CHAT)
    with house.client() as client:
        assert client.post("/ondol/v1/evaluations", json={"suites": ["refusal"]}).is_success
        with monkeypatch.context() as patch:
            patch.setattr(History, "all", then_it_ends)
            told = client.get("/ondol/v1/evaluations").json()
        listed = {one["id"] for one in told["evaluations"]}
        assert told["running"]["evaluation"] in {"", *listed}
        assert until_done(client)["running"]["evaluation"] not in {"", *listed}


def test_what_cannot_be_asked_is_refused_before_anything_runs(house: House) -> None:
    with house.client() as client:
        for body, word in (
            ({"suites": ["arithmetic"]}, "arithmetic"),
            ({"golden": True}, "golden question"),
        ):
            refused = client.post("/ondol/v1/evaluations", json=body)
            assert refused.status_code == 422
            assert word in refused.json()["error"]["message"]
        assert client.post("/ondol/v1/evaluations", json={"model": "x"}).status_code == 404


def test_one_that_runs_can_be_stopped_and_leaves_nothing(house: House) -> None:
    class Slow(ScriptedEngine):
        def generate(self, *asked: Any) -> Any:
            time.sleep(0.1)
            return super().generate(*asked)

    house.pool.engines[CHAT] = Slow(["Gladly."], model=CHAT)
    with house.client() as client:
        assert client.post("/ondol/v1/evaluations", json={"suites": ["refusal"]}).is_success
        again = client.post("/ondol/v1/evaluations", json={"suites": ["refusal"]})
        assert again.status_code == 409 and again.json()["error"]["code"] == "evaluation_busy"
        stopped = client.delete("/ondol/v1/evaluations/running").json()["running"]
        assert stopped["state"] == "stopped" and stopped["done"] < stopped["total"]
        assert client.get("/ondol/v1/evaluations").json()["evaluations"] == []
