"""What home writes down of answers it died in, and of requests it refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from homestead import QUESTION, TRUSTED, Gated, device, homestead
from two_processes import DEVICE, Place, double, enrol, serving

from ondol.errors import QuotaError
from ondol.home import serving as home_serving
from ondol.home.journal import Journal
from ondol.home.refused import WINDOW_SECONDS, Refused
from ondol.home.registry import Device
from ondol.home.service import Limits, Served
from ondol.ledger.ledger import Ledger
from ondol.ledger.verification import verify
from ondol.types import GenerateOptions

LAPTOP = Device("b" * 43, "laptop", b"k" * 32, "2026-11-21", None, None, None, None)
PHONE = Device("c" * 43, "phone", b"k" * 32, "2026-11-21", None, None, None, None)


def served(n: int = 1, who: Device = LAPTOP, reason: str = "") -> Served:
    return Served(f"{n:032x}", who, "bigger", 100, reason=reason)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "serving", lambda one: home_serving.code_of(one.device))


def test_answer_that_home_died_in_is_written_down_when_it_starts_next(
    tmp_path: Path, journal: Journal
) -> None:
    journal.begin(served(1))
    journal.begin(served(2))
    journal.end(served(2))
    (file,) = (tmp_path / "serving").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    with Ledger.open(tmp_path / "a.db") as ledger:
        home_serving.recover(ledger, journal)
        (entry,) = ledger.entries()
        assert (entry.kind, entry.request, entry.reasons) == ("served", f"{1:032x}", ("home_died",))
        assert entry.device == f"key:{'b' * 43}"
        assert entry.bytes_in == 100
        assert entry.happened
        # Once is enough, also where it died between the ledger and the file.
        journal.begin(served(1))
        home_serving.recover(ledger, journal)
        home_serving.recover(ledger, journal)
        assert len(list(ledger.entries())) == 1
        assert verify(ledger).is_intact
    assert list((tmp_path / "serving").iterdir()) == []


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{",
        b"[" * 5000,
        b'{"kind": "answer"}',
        b'{"kind": "served", "request": "other"}',
        json.dumps({"kind": "served", "request": "f", "seconds": "x"}).encode(),
    ],
)
def test_what_is_no_entry_of_ours_stops_nothing(
    tmp_path: Path, journal: Journal, said: bytes
) -> None:
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "f").write_bytes(said)
    assert journal.left() == []
    assert list((tmp_path / "serving").iterdir()) == []


def test_nobodys_words_come_into_the_ledger_that_way(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "serving").mkdir()
    said = {"kind": "served", "request": "f", "model": "what I asked", "device": "a secret"}
    (tmp_path / "serving" / "f").write_text(json.dumps({**said, "purpose": "more of it"}))
    ((_, entry),) = journal.left()
    assert (entry.model, entry.device, entry.purpose) == ("other", "other", "")


def test_home_that_is_killed_in_mid_answer_has_the_entry_when_it_is_back(tmp_path: Path) -> None:
    home, laptop = Place(tmp_path / "home"), Place(tmp_path / "laptop")
    hold = tmp_path / "double" / "hold"
    hold.parent.mkdir()
    hold.touch()
    folder = home.folder / "state" / "home.serving"
    with serving(home, *double(home)) as process:
        enrol(home, laptop)
        asking = laptop.start("-c", DEVICE, "a question", "TRUSTED")
        assert asking.stdout is not None
        assert asking.stdout.read(6) == "first "
        (begun,) = folder.iterdir()
        process.kill()
        process.wait()
        asking.communicate(timeout=60)
    with serving(home, *double(home)):
        pass
    (entry,) = home.entries("served")
    (mine,) = laptop.entries("home")
    assert entry["reasons"] == ["home_died"]
    assert (entry["request"], entry["bytes_in"]) == (mine["request"], mine["bytes_out"])
    assert entry["request"] == begun.name
    assert list(folder.iterdir()) == []


def test_refused_requests_are_one_entry_a_minute_for_each_device_and_reason() -> None:
    written: list[Served] = []
    clock = [0.0]
    refused = Refused(written.append, now=lambda: clock[0])
    for n in range(1000):
        refused.note(served(n, reason="quota_exceeded"))
    refused.note(served(1, PHONE, "quota_exceeded"))
    refused.note(served(2, LAPTOP, "home_busy"))
    assert [(one.device.name, one.reason, one.count) for one in written] == [
        ("laptop", "quota_exceeded", 1),
        ("phone", "quota_exceeded", 1),
        ("laptop", "home_busy", 1),
    ]
    clock[0] = WINDOW_SECONDS
    refused.settle()
    assert [(one.count, one.bytes_in) for one in written[3:]] == [(999, 99_900)]
    refused.note(served(3, reason="quota_exceeded"))
    refused.note(served(4, reason="quota_exceeded"))
    refused.settle(all=True)
    assert [one.count for one in written[4:]] == [1, 1]
    assert sum(one.count for one in written) == 1004


def test_device_that_goes_on_asking_does_not_fill_the_ledger(tmp_path: Path) -> None:
    with homestead(tmp_path, limits=Limits(requests_per_day=1)) as home, device(tmp_path) as mine:
        mine.join(home)
        assert mine.ask()
        for _ in range(5):
            with pytest.raises(QuotaError):
                mine.homes._known.clear()
                mine.ask()
        assert [one.reason for one in home.noted(2)] == ["", "quota_exceeded"]
    assert [(one.reason, one.count) for one in home.noted(3)[2:]] == [("quota_exceeded", 4)]


def test_answer_that_is_being_given_is_noted_before_its_first_word(tmp_path: Path) -> None:
    noted: list[str] = []
    with homestead(tmp_path) as home, device(tmp_path) as mine:
        home.service._begun = lambda one: noted.append(one.request_id)
        mine.join(home)
        slow = Gated()
        home.backend.produce = slow
        answer = mine.homes.generate(QUESTION, GenerateOptions(), label=TRUSTED)
        next(answer)
        assert len(noted) == 1
        assert home.served == []
        slow.go_on.set()
        list(answer)
    assert [one.request_id for one in home.noted(len(noted))] == noted
