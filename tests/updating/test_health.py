"""A new version is watched for some days, and left where it fails or its answers get worse."""

from __future__ import annotations

import os
import signal
import threading
from itertools import count

import pytest
from hub_scene import Scene
from hypothesis import given
from hypothesis import strategies as st

from ondol.conversations.store import Conversations
from ondol.engine import failing
from ondol.engine.failing import Failure
from ondol.errors import EngineCrashedError
from ondol.parts import Parts
from ondol.types import GenerateOptions, Message
from ondol.updating import health, installed, rolling_back, updater
from ondol.updating.attending import Attending
from ondol.updating.bringing import Outcome
from ondol.updating.watching import watching


def bring(hub: Scene, parts: Parts, item: str, *versions: str) -> str:
    """Install these versions one after the other; what it is called."""
    for seed, version in enumerate(versions, start=1):
        hub.model(version, seed, item, name=f"{item}:1m")
        updater.install(parts, f"clinic/{item}@{version}")
    return f"{item}:1m"


def crash(model: str, *adapters: str) -> None:
    failing.tell(Failure(model, adapters, EngineCrashedError("It fell over.")))


@pytest.mark.usefixtures("quick")
def test_an_engine_that_crashes_again_and_again_takes_the_version_back(
    hub: Scene, parts: Parts
) -> None:
    name = bring(hub, parts, "falls", "1.0", "1.1")
    told: list[Outcome] = []
    engine = parts.engine(name, num_ctx=256)
    with watching(parts, told.append):
        for _ in range(health.MOST_FAILURES):
            engine.load()
            (loaded,) = parts.pool.loaded()
            os.kill(loaded.pid, signal.SIGSTOP)  # so that the answer is under way when it falls
            killer = threading.Timer(0.2, os.kill, [loaded.pid, signal.SIGKILL])
            killer.start()
            # Before its first word the pool begins an answer anew, and nobody else hears of it.
            assert list(engine.generate([Message("user", "the")], GenerateOptions(max_tokens=4)))
            killer.join()
    assert [one.version for one in told] == ["1"]
    assert installed.one(parts, name).version == "1"
    (back, *_) = rolling_back.history(parts, name)
    assert back.deed == "rolled_back" and "failed more than once" in back.reason
    # The next question is the old version's.
    engine.load()
    assert updater.update(parts, name).what == "unchanged"


@pytest.mark.usefixtures("quick")
def test_one_crash_is_noted_and_no_reason(hub: Scene, parts: Parts) -> None:
    name = bring(hub, parts, "once", "1.0", "1.1")
    with watching(parts):
        crash(name)
    assert installed.one(parts, name).version == "1.1"
    assert rolling_back.history(parts, name)[0].deed == "crashed"


@pytest.mark.usefixtures("quick")
def test_a_crash_that_two_hear_of_is_one(hub: Scene, parts: Parts) -> None:
    name = bring(hub, parts, "heard", "1.0", "1.1")
    with watching(parts), watching(parts):
        crash(name)
    assert [one.deed for one in rolling_back.history(parts, name)].count("crashed") == 1
    with watching(parts):
        crash(name)
    assert installed.one(parts, name).version == "1"


@pytest.mark.usefixtures("quick")
def test_what_is_left_is_only_the_version_that_failed(hub: Scene, parts: Parts) -> None:
    name = bring(hub, parts, "late", "1.0", "1.1", "1.2")
    assert rolling_back.rollback(parts, name, reason="It fell.", leaving="1.1").what == "unchanged"
    assert installed.one(parts, name).version == "1.2"


@pytest.mark.usefixtures("quick")
def test_what_nothing_stands_behind_or_did_not_come_from_a_hub_is_left_alone(
    hub: Scene, parts: Parts
) -> None:
    name = bring(hub, parts, "alone", "1.0")
    with watching(parts):
        for _ in range(3):
            crash(name)
            crash("smollm2:135m", "style")
    assert [one.deed for one in rolling_back.history(parts, name)] == ["installed"]
    crash(name)  # nobody listens any more
    assert len(rolling_back.history(parts, name)) == 1


@pytest.mark.usefixtures("quick")
def test_after_a_week_a_version_is_not_watched_any_more(
    hub: Scene, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    name = bring(hub, parts, "old", "1.0", "1.1")
    monkeypatch.setattr(health, "WATCHED", timedelta(seconds=-1))
    with watching(parts):
        crash(name)
        crash(name)
    assert installed.one(parts, name).version == "1.1"


_numbers = count()


def rate(conversations: Conversations, model: str, right: bool, at: str) -> None:
    """An answer of ``model``, said ``at``, and what its owner thinks of it."""
    id = f"{next(_numbers):016x}"
    with conversations.place.writing() as connection:
        connection.execute(
            "INSERT OR IGNORE INTO conversations (id, title, created_at, updated_at) "
            "VALUES ('c', '', '', '')"
        )
        connection.execute(
            "INSERT INTO messages (id, conversation, role, content, created_at, status, answer) "
            "VALUES (?, 'c', 'assistant', 'x', ?, 'done', json_object('model', ?))",
            [id, at, model],
        )
    conversations.opinions.give(id, right)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("wrong_after", "goes_back"), [(1, False), (5, True)], ids=["chance", "beyond"]
)
def test_thumbs_that_fall_take_a_version_back(
    hub: Scene, parts: Parts, wrong_after: int, goes_back: bool
) -> None:
    name = bring(hub, parts, f"rated{wrong_after}", "1.0", "1.1")
    conversations = parts.kept.conversations
    before, after = "2026-01-01T00:00:00.000000+00:00", "2999-01-01T00:00:00.000000+00:00"
    for number in range(6):
        rate(conversations, name, True, before)
        rate(conversations, f"{name}:style", number >= wrong_after, after)
        rate(conversations, "another:1b", False, after)
    told: list[Outcome] = []
    health.look(parts, told.append)
    assert bool(told) is goes_back
    assert installed.one(parts, name).version == ("1" if goes_back else "1.1")
    if goes_back:
        assert "5 of 6 answers were wrong" in rolling_back.history(parts, name)[0].reason


@given(*[st.integers(0, 12)] * 4)
def test_chance_is_a_probability_and_falls_with_what_is_wrong(
    a: int, b: int, c: int, d: int
) -> None:
    if c + d == 0 or a + b == 0:
        return
    found = health.chance(a, b, c, d)
    assert 0 < found <= 1 + 1e-9
    if d:
        assert health.chance(a, b, c + 1, d - 1) <= found + 1e-9


def test_chance_is_fishers() -> None:
    # A tea taster who is right four times of four (Fisher 1935): 1 in 70.
    assert health.chance(0, 4, 4, 0) == pytest.approx(1 / 70)


@pytest.mark.usefixtures("quick")
def test_a_server_asks_once_a_day_where_its_owner_wants_that(hub: Scene, parts: Parts) -> None:
    from ondol.hub.client.rows import Hubs

    bring(hub, parts, "daily", "1.0")
    with Hubs.open() as hubs:
        with hubs.place.writing() as connection:
            connection.execute("UPDATE hubs SET refreshed_at = '2026-01-01T00:00:00+00:00'")
        old = hubs.get("test").refreshed_at
        Attending(parts).look()
        assert hubs.get("test").refreshed_at == old
        parts.config.take(parts.config.with_flags({"update.check": True}), ["update.check"])
        Attending(parts).look()
        new = hubs.get("test").refreshed_at
        assert new is not None and new > "2026-01-02"
        Attending(parts).look()
        assert hubs.get("test").refreshed_at == new
    assert installed.one(parts, "daily:1m").version == "1"


def test_who_attends_ends_at_once(parts: Parts) -> None:
    attending = Attending(parts, look_seconds=0.01)
    attending.start()
    attending.close()
