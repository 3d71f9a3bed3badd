"""Attempts on a home: to shut others out, to hear of them, to come in, or to bring it down."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from homestead import QUESTION, TRUSTED, Gated, device, homestead
from starlette.types import Message, Receive, Scope, Send

from ondol.engine.generation import Cancellation
from ondol.errors import HomeError, InviteError
from ondol.home import admission
from ondol.home.admission import AdmissionMiddleware, SeenNonces
from ondol.homes import enrolment
from ondol.homes.invite import Invite
from ondol.types import GenerateOptions, Token, Usage
from ondol.types import Message as TurnOf

NOW = 1_800_000_000
MINE = b"m" * 32


def test_one_device_cannot_use_up_what_others_are_remembered_by() -> None:
    """Replays are told by nonces; who sends very many may have to wait, and nobody else."""
    nonces = SeenNonces(now=lambda: NOW, size=3)
    assert [nonces.is_new("mallory", str(n), NOW) for n in range(4)] == [True, True, True, False]
    assert nonces.is_new("alice", "1", NOW)
    assert not nonces.is_new("alice", "1", NOW)


def test_strangers_leave_nothing_in_memory(tmp_path: Path) -> None:
    """Anybody can sign with a new key and make up an invite."""
    with homestead(tmp_path) as home:
        for number in range(3):
            with device(_folder(tmp_path, str(number))) as stranger:
                made_up = Invite(home.url, home.mine.fingerprint, bytes(16))
                with pytest.raises(InviteError):
                    enrolment.join(stranger.homes, made_up)
        assert len(home.gate.nonces) == 0


def test_nobody_learns_what_others_asked_from_what_was_cached(tmp_path: Path) -> None:
    """The engine keeps beginnings of prompts; how much of one was known tells who asked it."""

    def produce(cancellation: Cancellation) -> Iterator[Token]:
        yield Token("word")
        yield Token("", finish_reason="stop", usage=Usage(50, 1, cached_tokens=48))

    with homestead(tmp_path) as home, device(tmp_path) as mine:
        mine.join(home)
        home.backend.produce = produce
        heard: list[bytes] = []
        enrolled = mine.homes.enrolments.all()[0]
        client = mine.homes.client(enrolled)
        body = b'{"messages":[{"role":"user","content":"x"}],"stream":false}'
        for stream in (b"false", b'true,"stream_options":{"include_usage":true}'):
            exchange = mine_exchange()
            given = body.replace(b"false", stream)
            with client.stream(
                "/v1/chat/completions",
                given,
                exchange,
                sensitivity=TRUSTED.sensitivity,
                timeout_seconds=30,
            ) as pieces:
                heard.append(b"".join(pieces))
        assert all(b'"prompt_tokens":50' in one for one in heard)
        assert all(b'"cached_tokens":48' not in one for one in heard)


def mine_exchange() -> Any:
    import secrets

    from ondol.homes.client import Exchange

    return Exchange(secrets.token_hex(16), "nest", "https://nest")


def test_body_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "BODY_SECONDS", 0.05)
    said: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("came through")

    async def receive() -> Message:
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(message: Message) -> None:
        said.append(message)

    gate: Any = None
    scope = {"type": "http", "path": "/home/v1/enrol", "headers": []}
    asyncio.run(asyncio.wait_for(AdmissionMiddleware(app, gate)(scope, receive, send), 30))
    assert said[0]["status"] == 408


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    "said",
    [
        {"num_ctx": 1e400},
        {"num_ctx": -5},
        {"wait_seconds": float("nan")},
        {"answer_seconds": 1e400},
        {"joules_per_token": "x"},
        {"model": None, "wait_seconds": {}},
        {"wait_seconds": True, "ledger": 5},
    ],
)
def test_home_that_talks_nonsense_takes_no_answer_of_ours_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: dict[str, Any]
) -> None:
    from ondol.homes.client import HomeClient

    with device(tmp_path) as mine:
        mine.homes.enrolments.add("nest", "https://127.0.0.1:1", MINE)
        given = {"model": "m", **said}
        monkeypatch.setattr(HomeClient, "get", lambda *_, **__: given)
        state = mine.homes.state()
        assert state is not None
        assert not (state.wait_seconds != state.wait_seconds)


@pytest.mark.parametrize(
    "date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 -0000", "x"]
)
def test_home_with_an_impossible_clock_is_a_failure_and_no_crash(tmp_path: Path, date: str) -> None:
    from ondol.homes.client import HomeClient
    from ondol.homes.enrolled import Enrolment

    with device(tmp_path) as mine:
        home = Enrolment("nest", "https://127.0.0.1:1", MINE, "")
        client = HomeClient(home, mine.homes.identity, mine.homes.egress)
        client.learn_clock(httpx2.Response(401, headers={"Date": date}))
        request = httpx2.Request("GET", "https://127.0.0.1:1/x")
        client.sign(request, "0" * 32)
        assert "signature" in request.headers


def test_name_of_a_home_says_nothing_to_the_terminal(tmp_path: Path) -> None:
    """It is shown to the owner, wherever it comes from."""
    with homestead(tmp_path) as home, device(tmp_path) as mine:
        client = "ondol.homes.client.HomeClient.post"
        with pytest.MonkeyPatch.context() as patch:
            said = {"home": "\x1b]0;pwned\x07ne\u202est\n", "device": "\x1b[2Jme"}
            patch.setattr(client, lambda *_, **__: said)
            invite = home.registry.invite(home.url, home.mine.fingerprint)
            joined, name = enrolment.join(mine.homes, invite)
        assert joined.name.isprintable() and joined.name
        assert name.isprintable()


def _doubled(times: int) -> dict[str, Any]:
    """2 ** ``times`` ways to say the same, in a few lines."""
    known: dict[str, Any] = {"a0": {"type": "string"}}
    for n in range(times):
        known[f"a{n + 1}"] = {"anyOf": [{"$ref": f"#/$defs/a{n}"}] * 2}
    return {"$defs": known, "$ref": f"#/$defs/a{times}"}


@pytest.mark.parametrize(
    "schema",
    [
        # Measured with the default model: this one keeps llama.cpp busy for longer than a minute,
        # and whoever asks next waits for it.
        {"type": "string", "pattern": "^((a{0,100}){0,100}){0,100}$"},
        {"type": "object", "properties": {"pattern": {"items": {"pattern": "(a*)*"}}}},
        _doubled(25),
        {"enum": ["x" * 50 + str(n) for n in range(5000)]},
    ],
)
def test_no_schema_holds_the_model_up(tmp_path: Path, schema: dict[str, Any]) -> None:
    with homestead(tmp_path) as home, device(tmp_path) as mine:
        mine.join(home)
        with pytest.raises(HomeError):
            options = GenerateOptions(json_schema=schema)
            list(mine.homes.generate(QUESTION, options, label=TRUSTED))
        assert home.backend.asked == []


def test_schema_of_an_ordinary_answer_is_taken(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"pattern": {"type": "string", "enum": ["a", "b"]}, "n": {"minimum": 1}},
        "required": ["pattern"],
    }
    with homestead(tmp_path) as home, device(tmp_path) as mine:
        mine.join(home)
        list(mine.homes.generate(QUESTION, GenerateOptions(json_schema=schema), label=TRUSTED))
        assert len(home.backend.asked) == 1


def test_device_that_is_revoked_while_it_waits_gets_no_word(tmp_path: Path) -> None:
    slow = Gated()
    (tmp_path / "other").mkdir()
    with (
        homestead(tmp_path, slots=1) as home,
        device(tmp_path) as first,
        device(tmp_path / "other") as other,
    ):
        first.join(home)
        other.join(home, "lost")
        home.backend.produce = slow
        answers = first.homes.generate(QUESTION, GenerateOptions(), label=TRUSTED)
        next(answers)
        heard: list[object] = []

        def wait() -> None:
            try:
                heard.append(other.ask())
            except HomeError as error:
                heard.append(error.code)

        waiting = threading.Thread(target=wait)
        waiting.start()
        while not home.service.load(home.registry.devices()[0]).waiting:
            time.sleep(0.01)
        home.registry.revoke("lost")
        home.backend.produce = None
        slow.go_on.set()
        list(answers)
        waiting.join(30)
        assert heard == ["device_refused"]
        assert len(home.backend.asked) == 1


def test_hanging_up_before_the_end_does_not_make_a_prompt_free(tmp_path: Path) -> None:
    """How long a prompt was is said at the end only; a share of the day must count it all the
    same."""
    slow = Gated(prompt_tokens=4000)  # where it still gets to say so
    with homestead(tmp_path) as home, device(tmp_path) as mine:
        mine.join(home)
        home.backend.produce = slow
        long = [TurnOf("user", "word " * 4000)]
        answers = mine.homes.generate(long, GenerateOptions(), label=TRUSTED)
        next(answers)
        answers.close()  # type: ignore[attr-defined]
        assert slow.was_cancelled.wait(30)
        (known,) = home.registry.devices()
        until = time.monotonic() + 30
        while home.registry.share(known).tokens <= 2000 and time.monotonic() < until:
            time.sleep(0.01)
        assert home.registry.share(known).tokens > 2000
