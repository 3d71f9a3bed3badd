"""Device and home as two processes on loopback: answers, ledgers, and every way it can go wrong."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from two_processes import DEVICE, MARKER, PATIENCE_SECONDS, Place, double, enrol, serving

from ondol import database
from ondol.home import certificate

LOOPBACK = {"ONDOL_HOME_HOST": "127.0.0.1", "ONDOL_HOME_PORT": "0"}


@pytest.fixture
def there(tmp_path: Path) -> Place:
    settings = {**LOOPBACK, "ONDOL_MODELS": str(tmp_path / "models")}
    return Place(tmp_path / "there", settings)


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return Place(tmp_path / "here", {"ONDOL_HOME_TIMEOUT": "60"})


@pytest.fixture
def running(there: Place, here: Place) -> Iterator[subprocess.Popen[str]]:
    """A home that the device is enrolled with."""
    with serving(there, *double(there)) as process:
        enrol(there, here)
        yield process


def said(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The error that a device ended with."""
    assert done.returncode == 6, done
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.model
def test_device_enrols_asks_and_both_ledgers_agree(
    tmp_path: Path, models_dir: Path, here: Place
) -> None:
    there = Place(tmp_path / "there", {**LOOPBACK, "ONDOL_MODELS": str(models_dir)})
    with serving(there, "-m", "ondol", "home", "--debug"):
        enrol(there, here)
        assert here.json("home", "status")["homes"][0]["model"] == "smollm2:135m"
        for number in range(2):
            done = here.ask(f"Say hello. {MARKER} {number}")
            assert done.returncode == 0 and done.stdout.strip(), done
        (device,) = there.json("home", "devices")["devices"]
        assert (device["name"], device["requests_today"]) == ("laptop", 2)
        after = here.json("home", "status")["homes"][0]
        assert after["answer_seconds"] > 0
    asked, served = here.entries("home"), there.entries("served")
    assert len(asked) == len(served) == 2
    for mine, theirs in zip(asked, served, strict=True):
        assert mine["request"] == theirs["request"]
        assert (mine["bytes_out"], mine["bytes_in"]) == (theirs["bytes_in"], theirs["bytes_out"])
        for name in ("prompt_tokens", "completion_tokens"):
            assert mine[name] == theirs[name] > 0
        assert theirs["device"] == f"key:{device['id']}"
        assert theirs["energy_source"] in ("measured", "estimated")
    # Home knows how far the device's ledger had come when it was last there.
    assert int(after["ledger"].partition(":")[0]) >= 3
    for place in (here, there):
        assert place.run("ledger", "verify").returncode == 0
        assert place.holding(MARKER) == []


@pytest.mark.model
def test_ask_at_home_is_answered_by_home(tmp_path: Path, models_dir: Path, here: Place) -> None:
    here.settings["ONDOL_MODELS"] = str(models_dir)
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "stove.txt").write_text("The spare key of the boiler room hangs behind the blue door.")
    there = Place(tmp_path / "there", {**LOOPBACK, "ONDOL_MODELS": str(models_dir)})
    with serving(there, "-m", "ondol", "home"):
        enrol(there, here)
        here.json("collection", "create", "work", "--sensitivity", "trusted")
        here.json("add", str(notes), "--collection", "work")
        question = "Where does the spare key of the boiler room hang?"
        answer = here.json("ask", "--home", question)
        assert answer["route"] == "home", answer
        assert answer["answer"].strip()
        # What is private stays, whatever was asked for.
        here.json("sensitivity", str(notes), "private")
        kept = here.json("ask", "--home", question)
        assert kept["route"] != "home", kept
    assert len(there.entries("served")) == 1
    assert there.holding("spare key") == []


def test_home_killed_in_mid_answer_is_said(
    there: Place, here: Place, running: subprocess.Popen[str], tmp_path: Path
) -> None:
    hold = tmp_path / "double" / "hold"
    hold.touch()
    process = here.start("-c", DEVICE, MARKER, "TRUSTED")
    assert process.stdout is not None
    assert process.stdout.read(6) == "first "
    running.send_signal(signal.SIGKILL)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 6, (out, err)
    assert json.loads(out.splitlines()[-1])["code"] == "home_interrupted"
    (entry,) = here.entries("home")
    assert entry["reasons"] == ["home_interrupted"] and entry["bytes_in"] > 0
    # Then nobody is there at all.
    assert said(here.ask("again"))["code"] == "home_unreachable"
    state = here.json("home", "status")["homes"][0]
    assert not state["available"] and "Nobody answers" in state["reason"]


def test_killed_home_comes_back_with_its_devices(there: Place, here: Place) -> None:
    with serving(there, *double(there)) as process:
        enrol(there, here)
        url = here.json("home", "status")["homes"][0]["url"]
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)
    there.settings["ONDOL_HOME_PORT"] = url.rpartition(":")[2]
    with serving(there, *double(there)):
        assert here.ask("hello").stdout == "first last\n"


def test_slow_home_is_given_up(
    there: Place, here: Place, running: subprocess.Popen[str], tmp_path: Path
) -> None:
    (tmp_path / "double" / "hold").touch()
    here.settings["ONDOL_HOME_TIMEOUT"] = "1"
    done = here.ask("hello")
    assert done.stdout.startswith("first ")
    assert said(done)["code"] == "home_timeout"


def test_revoked_device_is_refused_by_the_running_home(
    there: Place, here: Place, running: subprocess.Popen[str]
) -> None:
    assert here.ask("hello").stdout == "first last\n"
    assert there.json("home", "revoke", "laptop")["name"] == "laptop"
    error = said(here.ask("hello"))
    assert error["code"] == "device_refused" and "revoked" in error["message"]
    kinds = [entry["kind"] for entry in there.entries("")]
    assert kinds == ["enrolment", "served", "revoked"]


def test_home_with_another_certificate_gets_nothing(
    there: Place, here: Place, running: subprocess.Popen[str], tmp_path: Path
) -> None:
    url = here.json("home", "status")["homes"][0]["url"]
    running.terminate()
    running.wait(PATIENCE_SECONDS)
    liar = Place(tmp_path / "liar", {**there.settings, "ONDOL_HOME_PORT": url.rpartition(":")[2]})
    with serving(liar, *double(liar)):
        error = said(here.ask(MARKER))
        assert error["code"] == "egress_refused" and "certificate" in error["message"]
        assert "certificate" in here.json("home", "status")["homes"][0]["reason"]
    assert liar.entries("") == []
    refused = here.entries("refused")
    assert refused and {tuple(entry["reasons"]) for entry in refused} == {("certificate",)}


WRONG_CLOCK = """
import time, types
import ondol.homes.client
ondol.homes.client.time = types.SimpleNamespace(time=lambda: time.time() - 7200)
"""


def test_wrong_clock_of_a_device_is_made_up_for_and_told(
    there: Place, here: Place, running: subprocess.Popen[str]
) -> None:
    assert here.ask("hello", first=WRONG_CLOCK).stdout == "first last\n"
    assert there.entries("served")[0]["completion_tokens"] == 2
    with closing(database.connect(here.folder / "data" / "ondol.db")) as connection:
        (offset,) = connection.execute("SELECT clock_offset_seconds FROM homes").fetchone()
    assert offset == pytest.approx(7200, abs=30)
    # With the right clock again, what was learned is unlearned.
    assert here.ask("hello").stdout == "first last\n"
    assert abs(here.json("home", "status")["homes"][0]["clock_offset_seconds"]) < 30


def test_invite_opens_once_and_no_more(
    there: Place, here: Place, running: subprocess.Popen[str], tmp_path: Path
) -> None:
    code = there.json("home", "invite")["code"]
    other = Place(tmp_path / "other")
    assert other.run("home", "join", code).returncode == 0
    again = Place(tmp_path / "again").run("home", "join", code)
    assert again.returncode == 6 and "used before" in again.stderr
    assert len(there.json("home", "devices")["devices"]) == 2


def test_invite_expires(there: Place, here: Place, running: subprocess.Popen[str]) -> None:
    code = there.json("home", "invite")["code"]
    with closing(database.connect(there.folder / "data" / "ondol.db")) as connection:
        connection.execute("UPDATE home_invites SET expires_at = ?", (time.time() - 1,))
    late = here.run("home", "join", code)
    assert late.returncode == 6 and "expired" in late.stderr


def test_private_text_is_refused_and_written_down(
    there: Place, here: Place, running: subprocess.Popen[str]
) -> None:
    error = said(here.ask(MARKER, "PRIVATE"))
    assert error["code"] == "egress_refused"
    assert there.entries("served") == []
    assert [entry["purpose"] for entry in here.entries("refused")] == ["home"]
    assert here.holding(MARKER) == [] and there.holding(MARKER) == []


def test_ledger_that_was_set_back_is_found_at_home(
    there: Place, here: Place, running: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert here.ask("hello").stdout == "first last\n"
    shutil.copytree(here.folder, tmp_path / "before")
    assert here.ask("hello").stdout == "first last\n"
    # All of the device is as it was before: no file on it knows better.
    shutil.rmtree(here.folder)
    shutil.copytree(tmp_path / "before", here.folder)
    assert here.run("ledger", "verify").returncode == 0
    assert here.run("ledger", "verify", "--home").returncode == 7


def test_one_home_runs_in_a_place(there: Place, running: subprocess.Popen[str]) -> None:
    second = there.run("home")
    assert second.returncode == 2 and "running here already" in second.stderr


def test_home_that_ends_leaves_no_address(there: Place) -> None:
    with serving(there, *double(there)) as process:
        address = there.folder / "state" / "home.json"
        assert json.loads(address.read_text())["pid"] == process.pid
        assert address.stat().st_mode & 0o777 == 0o600
    assert process.returncode == 0 and not address.exists()
    mine = there.folder / "data" / certificate.FILE_NAME
    assert mine.stat().st_mode & 0o777 == 0o600
