"""``/ondol/v1/engines``: which there are, building one, which serves; changed at this machine."""

from __future__ import annotations

import pytest
from house import House

from ondol.engine.native import compiling, health, job, records, toolchain
from ondol.engine.native.job import Job
from ondol.engine.native.records import NativeEngine
from ondol.errors import NoCompilerError
from ondol.lab.engines import making

FOREIGN = {"origin": "http://evil.example"}
COMPILER = toolchain.Compiler("cc", "c++", "g++ 1")


@pytest.fixture
def kept(tmp_path) -> NativeEngine:
    binary = tmp_path / "llama-server"
    binary.write_text("a program")
    stamp = records.stamp_of(binary) or (0, 0)
    return records.write(
        NativeEngine("native-1", "built", str(binary), stamp=stamp, health={"ok": True})
    )


def test_engines_are_listed_without_paths_of_this_machine(house: House, kept) -> None:
    with house.client() as client:
        told = client.get("/ondol/v1/engines").json()
    assert (told["serving"], told["runtime"], told["build"]) == ("bundled", "auto", None)
    (one,) = told["engines"]
    assert (one["name"], one["state"]) == ("native-1", "ready")
    assert kept.binary not in str(told)


def test_an_engine_is_used_and_left_and_removed(house: House, kept) -> None:
    with house.client() as client:
        used = client.put("/ondol/v1/engines/serving", json={"name": "native-1"}).json()
        assert used["serving"] == "native-1"
        assert used["engines"][0]["state"] == "serving"
        assert client.delete("/ondol/v1/engines/native-1").json() == {"removed": "native-1"}
        assert client.get("/ondol/v1/engines").json()["serving"] == "bundled"
        gone = client.put("/ondol/v1/engines/serving", json={"name": "native-1"})
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "engine_not_found")


def test_a_building_is_begun_seen_and_ended(house: House, kept, monkeypatch) -> None:
    begun = Job("compiling", name="native-1", step=3, steps=9, pid=7)
    started: list[list[str]] = []
    monkeypatch.setattr(toolchain, "find_compiler", lambda: COMPILER)
    monkeypatch.setattr(making, "smallest_model", lambda parts: None)
    monkeypatch.setattr(job, "start", lambda arguments: started.append(arguments) or begun)
    monkeypatch.setattr(job, "read", lambda: begun)
    monkeypatch.setattr(job, "cancel", lambda: True)
    with house.client() as client:
        answer = client.post("/ondol/v1/engines/build")
        assert (answer.status_code, answer.json()["build"]["state"]) == (201, "compiling")
        assert client.get("/ondol/v1/engines").json()["build"]["step"] == 3
        assert client.delete("/ondol/v1/engines/build").json() == {"cancelled": True}
        # One that would be the same as one that did not pass is compiled again only.
        findings = [{"name": "answers", "ok": False, "told": {"token": 3}}]
        records.write(
            NativeEngine(
                compiling.name_of(COMPILER),
                "built",
                str(kept.path),
                stamp=kept.stamp,
                health={"ok": False, "findings": findings, "check": health.CHECK},
            )
        )
        known = client.post("/ondol/v1/engines/build")
        assert (known.status_code, known.json()["error"]["code"]) == (409, "engine_unhealthy")
        assert client.post("/ondol/v1/engines/build?again=true").status_code == 201
    assert started == [[], ["--again"]]


def test_without_a_compiler_nothing_begins(house: House, monkeypatch) -> None:
    def refuse() -> None:
        raise NoCompilerError("There is none.", "Install one.")

    monkeypatch.setattr(toolchain, "find_compiler", refuse)
    with house.client() as client:
        answer = client.post("/ondol/v1/engines/build")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_compiler")
    assert job.read() is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/ondol/v1/engines/build"),
        ("DELETE", "/ondol/v1/engines/build"),
        ("PUT", "/ondol/v1/engines/serving"),
        ("DELETE", "/ondol/v1/engines/native-1"),
    ],
)
def test_a_foreign_page_changes_no_engine(house: House, kept, method: str, path: str) -> None:
    with house.client() as client:
        answer = client.request(method, path, json={"name": "native-1"}, headers=FOREIGN)
    assert answer.status_code == 403
    assert records.active() is None
    assert records.listed() == [kept]
