"""A device and its homes over real TLS: what comes back, and what is said when it does not."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
from homestead import (
    PRIVATE,
    QUESTION,
    REPLY,
    TRUSTED,
    Clock,
    Device,
    Gated,
    Homestead,
    device,
    homestead,
)

from ondol.egress import Egress
from ondol.errors import (
    ClockError,
    ContextLengthError,
    DeviceRefusedError,
    EgressError,
    HomeBusyError,
    HomeError,
    HomeInterruptedError,
    HomeRefusedError,
    HomeTimeoutError,
    HomeUnreachableError,
    InviteError,
    QuotaError,
    UsageError,
)
from ondol.home import certificate
from ondol.home.service import Limits
from ondol.homes import client, enrolment, homes
from ondol.homes.client import Exchange, HomeClient
from ondol.types import GenerateOptions, Label, Sensitivity


@pytest.fixture
def nest(tmp_path: Path) -> Iterator[Homestead]:
    with homestead(tmp_path / "nest") as running:
        yield running


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Device]:
    with device(tmp_path / "laptop") as made:
        yield made


@pytest.fixture
def enrolled(nest: Homestead, laptop: Device) -> Device:
    laptop.join(nest)
    return laptop


def test_device_without_a_home_says_so(laptop: Device) -> None:
    assert laptop.homes.state() is None
    with pytest.raises(HomeUnreachableError, match="enrolled with no home"):
        laptop.ask()


def test_home_answers_and_both_count_the_same(nest: Homestead, enrolled: Device) -> None:
    tokens = list(enrolled.homes.generate(QUESTION, GenerateOptions(), label=TRUSTED))
    assert "".join(token.text for token in tokens) == REPLY
    assert tokens[-1].finish_reason == "stop" and tokens[-1].usage is not None
    assert [m.content for m in nest.backend.asked[0]] == [QUESTION[0].content]
    (here,), (there,) = enrolled.exchanges, nest.noted(1)
    assert here.finished and here.request_id == there.request_id
    assert (here.bytes_out, here.bytes_in) == (there.bytes_in, there.bytes_out)
    assert here.bytes_out > 0 and here.bytes_in > len(REPLY)
    assert (here.prompt_tokens, here.completion_tokens) == (
        there.prompt_tokens,
        there.completion_tokens,
    )
    assert there.device.name == "laptop" and there.reason == ""


def test_options_reach_the_model(nest: Homestead, enrolled: Device) -> None:
    options = GenerateOptions(max_tokens=3, stop=("floor",), logprobs=2)
    tokens = list(enrolled.homes.generate(QUESTION, options, label=TRUSTED))
    assert "".join(token.text for token in tokens) == "The stove under"
    assert tokens[-1].finish_reason == "length"
    assert all(t.logprob is not None and len(t.top) == 2 for t in tokens[:-1])


def test_state_tells_model_and_load(nest: Homestead, enrolled: Device) -> None:
    state = enrolled.homes.state()
    assert state is not None and state.available
    assert (state.name, state.model, state.num_ctx) == ("nest", "bigger", 8192)
    assert state.wait_seconds == 0.0 and state.answer_seconds is None


def test_private_text_is_not_sent_and_the_refusal_is_told(
    nest: Homestead, enrolled: Device
) -> None:
    told = []
    enrolled.homes.egress.record = told.append
    with pytest.raises(EgressError, match="private"):
        enrolled.ask(PRIVATE)
    assert nest.backend.asked == [] and nest.served == []
    assert [(p.purpose, p.allowed) for p in told] == [("home", False)]


def test_text_that_the_door_keeps_says_nothing_against_home(
    nest: Homestead, enrolled: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert enrolled.homes.state() is not None
    with monkeypatch.context() as patched:
        patched.setattr(enrolled.homes.egress, "inspector", lambda request: Sensitivity.PRIVATE)
        with pytest.raises(EgressError):
            enrolled.ask()
    state = enrolled.homes.state()
    assert state is not None and state.available and enrolled.ask() == REPLY


def test_private_text_is_not_sent_where_the_door_stands_open(
    nest: Homestead, enrolled: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Egress, "check", lambda *a, **k: None)
    with pytest.raises(EgressError, match="private"):
        enrolled.ask(PRIVATE)
    home = enrolled.homes.enrolments.all()[0]
    there = HomeClient(home, enrolled.homes.identity, enrolled.homes.egress)
    exchange = Exchange("0" * 32, "nest", nest.url)
    with pytest.raises(EgressError, match="private"):
        with there.stream(
            "/v1/chat/completions",
            b"{}",
            exchange,
            sensitivity=Sensitivity.PRIVATE,
            timeout_seconds=5,
        ):
            pass
    assert nest.backend.asked == [] and nest.served == []


def test_closing_an_answer_stops_the_model(nest: Homestead, enrolled: Device) -> None:
    gated = nest.backend.produce = Gated()
    answer = enrolled.homes.generate(QUESTION, GenerateOptions(), label=TRUSTED)
    assert next(answer).text == "first "
    answer.close()  # type: ignore[attr-defined]
    assert gated.was_cancelled.wait(30)
    assert enrolled.exchanges[0].reason == "cancelled"


def test_invite_opens_once(nest: Homestead, laptop: Device, tmp_path: Path) -> None:
    invite = nest.registry.invite(nest.url, nest.mine.fingerprint, "study")
    home, name = enrolment.join(laptop.homes, invite, "laptop")
    assert (home.name, name) == ("nest", "study")
    with device(tmp_path / "other") as other, pytest.raises(InviteError, match="used before"):
        enrolment.join(other.homes, invite, "other")
    assert [one.name for one in nest.registry.devices()] == ["study"]


def test_invite_expires(nest: Homestead, laptop: Device) -> None:
    clock = Clock(time.time)
    clock.ahead_seconds = -(15 * 60 + 1)
    nest.registry._now = clock
    invite = nest.registry.invite(nest.url, nest.mine.fingerprint)
    clock.ahead_seconds = 0.0
    with pytest.raises(InviteError, match="expired"):
        enrolment.join(laptop.homes, invite, "laptop")
    assert nest.registry.devices() == [] and laptop.homes.enrolments.all() == []


def test_revoked_device_is_told_so(nest: Homestead, enrolled: Device) -> None:
    assert enrolled.ask() == REPLY
    nest.registry.revoke("laptop")
    with pytest.raises(DeviceRefusedError, match="revoked"):
        enrolled.ask()
    state = enrolled.homes.state()
    assert state is not None and not state.available and "revoked" in state.reason


def test_device_revoked_in_mid_answer_hears_no_more(
    nest: Homestead, enrolled: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ondol.home.service.LOOK_SECONDS", 0.0)
    gated = nest.backend.produce = Gated()
    answer = enrolled.homes.generate(QUESTION, GenerateOptions(), label=TRUSTED)
    assert next(answer).text == "first "
    nest.registry.revoke("laptop")
    gated.go_on.set()
    with pytest.raises(DeviceRefusedError):
        list(answer)


def test_device_that_was_never_enrolled_is_refused(nest: Homestead, laptop: Device) -> None:
    laptop.homes.enrolments.add("nest", nest.url, nest.mine.fingerprint)
    with pytest.raises(DeviceRefusedError, match="never enrolled"):
        laptop.ask()


def test_revoked_device_comes_back_with_a_new_invite(nest: Homestead, enrolled: Device) -> None:
    nest.registry.revoke("laptop")
    enrolled.join(nest)
    assert enrolled.ask() == REPLY
    assert len(enrolled.homes.enrolments.all()) == 1


def test_lying_certificate_gets_no_byte(tmp_path: Path, enrolled: Device, nest: Homestead) -> None:
    # Another server at the address that this device knows home by.
    with homestead(tmp_path / "liar") as liar:
        home = enrolled.homes.enrolments.all()[0]
        enrolled.homes.enrolments.add(home.name, liar.url, home.fingerprint)
        with pytest.raises(EgressError, match="certificate"):
            enrolled.ask()
        state = enrolled.homes.state()
        assert state is not None and not state.available and "certificate" in state.reason
        assert liar.backend.asked == [] and liar.registry.devices() == []


def test_lying_certificate_hears_no_request(tmp_path: Path, laptop: Device) -> None:
    """What the other side got was a handshake and nothing of HTTP."""
    mine, other = certificate.ensure(tmp_path / "a"), certificate.ensure(tmp_path / "b")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(other.file)
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def listen_in() -> None:
        connection, _ = listener.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as tls:
                heard.append(tls.recv(1000))
        except OSError:
            heard.append(b"")

    thread = threading.Thread(target=listen_in)
    thread.start()
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    home = laptop.homes.enrolments.add("nest", url, mine.fingerprint)
    there = HomeClient(home, laptop.homes.identity, laptop.homes.egress)
    with pytest.raises(EgressError, match="certificate"):
        there.get("/home/v1/state", timeout_seconds=10)
    thread.join(30)
    listener.close()
    assert heard == [b""]


def test_enrolment_at_a_liar_is_refused(tmp_path: Path, nest: Homestead, laptop: Device) -> None:
    invite = nest.registry.invite(nest.url, hashlib.sha256(b"another").digest())
    with pytest.raises(EgressError, match="certificate"):
        enrolment.join(laptop.homes, invite, "laptop")
    assert laptop.homes.enrolments.all() == [] and nest.registry.devices() == []


@pytest.mark.parametrize("ahead_seconds", [3600.0, -86_400.0])
def test_wrong_clock_is_made_up_for_and_remembered(
    nest: Homestead, laptop: Device, ahead_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(time.time)
    clock.ahead_seconds = ahead_seconds
    monkeypatch.setattr(client, "time", SimpleNamespace(time=clock))
    laptop.join(nest)
    assert laptop.ask() == REPLY
    (home,) = laptop.homes.enrolments.all()
    assert home.clock_offset_seconds == pytest.approx(-ahead_seconds, abs=5)
    # From now on the first try is good.
    learned: list[str] = []
    monkeypatch.setattr(HomeClient, "learn_clock", lambda *a: learned.append("again"))
    assert laptop.ask() == REPLY
    assert learned == []


def test_clock_that_cannot_be_made_up_for_is_said(
    nest: Homestead, enrolled: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HomeClient, "learn_clock", lambda self, response: True)
    monkeypatch.setattr(client, "time", SimpleNamespace(time=lambda: 1_000_000.0))
    with pytest.raises(ClockError, match="clocks"):
        enrolled.ask()
    assert nest.backend.asked == []


def test_full_queue_says_when_to_come_again(tmp_path: Path, laptop: Device) -> None:
    with homestead(tmp_path / "nest", slots=1, max_waiting=1) as nest:
        laptop.join(nest)
        gated = nest.backend.produce = Gated()
        first = laptop.homes.generate(QUESTION, GenerateOptions(), label=TRUSTED)
        assert next(first).text == "first "
        results: list[str] = []
        waiting = threading.Thread(target=lambda: results.append(laptop.ask()))
        waiting.start()
        while nest.service.load(nest.registry.devices()[0]).waiting == 0:
            time.sleep(0.01)
        with pytest.raises(HomeBusyError) as refused:
            laptop.ask()
        assert refused.value.retry_after_seconds >= 1
        assert "too much to do" in refused.value.message
        gated.go_on.set()
        list(first)
        waiting.join(30)
        assert results == ["first last"]


def test_who_hangs_up_in_the_queue_gives_up_its_place(tmp_path: Path, laptop: Device) -> None:
    with homestead(tmp_path / "nest", slots=1) as nest:
        laptop.join(nest)
        gated = nest.backend.produce = Gated()
        first = laptop.homes.generate(QUESTION, GenerateOptions(), label=TRUSTED)
        assert next(first).text == "first "
        (known,) = nest.registry.devices()
        with device(tmp_path / "hasty", home_timeout_seconds=1) as hasty:
            hasty.join(nest, "hasty")
            with pytest.raises(HomeTimeoutError):
                hasty.ask()
        while nest.service.load(known).waiting:
            time.sleep(0.01)
        gated.go_on.set()
        assert "".join(token.text for token in first) == "last"
        assert len(nest.backend.asked) == 1


def test_home_with_nobody_behind_it_says_so(nest: Homestead, enrolled: Device) -> None:
    nest.backend.is_well = False
    state = enrolled.homes.state()
    assert state is not None and not state.available and "behind it" in state.reason


def test_quota_ends_the_day(tmp_path: Path, laptop: Device) -> None:
    with homestead(tmp_path / "nest", limits=Limits(requests_per_day=2)) as nest:
        laptop.join(nest)
        assert [laptop.ask(), laptop.ask()] == [REPLY, REPLY]
        with pytest.raises(QuotaError, match="share") as refused:
            laptop.ask()
        assert 0 < refused.value.retry_after_seconds <= 86_400
        assert len(nest.backend.asked) == 2


def test_quota_counts_what_is_being_answered(tmp_path: Path, laptop: Device) -> None:
    with homestead(tmp_path / "nest", limits=Limits(requests_per_day=1)) as nest:
        laptop.join(nest)
        gated = nest.backend.produce = Gated()
        first = laptop.homes.generate(QUESTION, GenerateOptions(), label=TRUSTED)
        assert next(first).text == "first "
        with pytest.raises(QuotaError):
            laptop.ask()
        gated.go_on.set()
        assert "".join(token.text for token in first) == "last"


def test_quota_of_tokens_counts_what_is_read_and_written(tmp_path: Path, laptop: Device) -> None:
    with homestead(tmp_path / "nest", limits=Limits(tokens_per_day=5)) as nest:
        laptop.join(nest)
        assert laptop.ask() == REPLY
        with pytest.raises(QuotaError):
            laptop.ask()


def test_quota_is_new_tomorrow(tmp_path: Path, laptop: Device) -> None:
    clock = Clock(lambda: 1_800_000_000.0)
    with homestead(tmp_path / "nest", now=clock) as nest:
        made = nest.registry.enrol(
            nest.registry.invite(nest.url, nest.mine.fingerprint), b"k" * 32, "laptop"
        )
        nest.registry.count(made, requests=3, tokens=7)
        assert nest.registry.share(made).requests == 3
        clock.ahead_seconds = nest.registry.seconds_to_tomorrow()
        assert nest.registry.share(made).requests == 0


def test_slow_home_is_given_up(tmp_path: Path, nest: Homestead) -> None:
    nest.backend.produce = Gated()
    with device(tmp_path / "hasty", home_timeout_seconds=1) as hasty:
        hasty.join(nest)
        answer = hasty.homes.generate(QUESTION, GenerateOptions(), label=TRUSTED)
        assert next(answer).text == "first "
        with pytest.raises(HomeTimeoutError, match="for 1 seconds"):
            next(answer)
        assert hasty.exchanges[0].reason == "home_timeout"


def test_nobody_there_is_said_and_not_asked_again_at_once(
    tmp_path: Path, laptop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    with homestead(tmp_path / "nest") as nest:
        laptop.join(nest)
    with pytest.raises(HomeUnreachableError, match="Nobody answers at nest"):
        laptop.ask()
    calls: list[str] = []
    monkeypatch.setattr(HomeClient, "get", lambda self, *a, **k: calls.append("get"))
    state = laptop.homes.state()
    assert state is not None and not state.available and "Nobody answers" in state.reason
    assert calls == []


def test_home_that_is_back_is_asked_again(
    tmp_path: Path, laptop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes, "FIRST_PAUSE_SECONDS", 0.0)
    with homestead(tmp_path / "nest") as nest:
        laptop.join(nest)
        port = int(nest.url.rpartition(":")[2])
    state = laptop.homes.state()
    assert state is not None and not state.available
    with homestead(tmp_path / "nest", port=port):
        state = laptop.homes.state()
        assert state is not None and state.available
        assert laptop.ask() == REPLY


def test_second_home_answers_where_the_first_is_gone(tmp_path: Path, laptop: Device) -> None:
    with homestead(tmp_path / "two") as two:
        with homestead(tmp_path / "one") as one:
            laptop.join(one)
        laptop.join(two)
        assert [home.name for home in laptop.homes.enrolments.all()] == ["nest", "nest-2"]
        assert laptop.ask() == REPLY
        state = laptop.homes.state()
        assert state is not None and state.name == "nest-2"
        assert len(two.noted(1)) == 1


def test_less_busy_home_is_asked(tmp_path: Path, laptop: Device) -> None:
    with homestead(tmp_path / "one", slots=1) as one, homestead(tmp_path / "two") as two:
        laptop.join(one)
        laptop.join(two)
        gated = one.backend.produce = Gated()
        with device(tmp_path / "other") as other:
            other.join(one, "other")
            theirs = other.homes.generate(QUESTION, GenerateOptions(), label=TRUSTED)
            assert next(theirs).text == "first "
            assert laptop.ask() == REPLY
            assert (len(one.backend.asked), len(two.backend.asked)) == (1, 1)
            gated.go_on.set()
            list(theirs)


def test_what_home_cannot_answer_is_its_own_words(nest: Homestead, enrolled: Device) -> None:
    nest.backend.error = ContextLengthError("The prompt has 9000 tokens, 8192 fit.")
    with pytest.raises(HomeRefusedError, match="9000 tokens"):
        enrolled.ask()


def test_failure_behind_home_is_said(nest: Homestead, enrolled: Device) -> None:
    nest.backend.error = RuntimeError("secret inside")  # type: ignore[assignment]
    with pytest.raises(HomeError) as failed:
        enrolled.ask()
    assert "secret" not in failed.value.message and "failed" in failed.value.message


def test_failure_in_mid_answer_is_said_after_what_there_was(
    nest: Homestead, enrolled: Device, caplog: pytest.LogCaptureFixture
) -> None:
    def produce(cancellation: object) -> Iterator[object]:
        from ondol.types import Token

        yield Token("first ")
        raise RuntimeError("secret inside")

    nest.backend.produce = produce  # type: ignore[assignment]
    answer = enrolled.homes.generate(QUESTION, GenerateOptions(), label=TRUSTED)
    assert next(answer).text == "first "
    with pytest.raises(HomeError) as failed:
        list(answer)
    assert "secret" not in failed.value.message
    assert nest.noted(1)[0].reason == "internal_error"
    assert "unexpected RuntimeError" in caplog.text
    assert "secret" not in caplog.text and "zebra" not in caplog.text


def test_answer_that_breaks_off_is_no_answer(laptop: Device, tmp_path: Path) -> None:
    mine = certificate.ensure(tmp_path / "nest")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    event = b'data: {"choices":[{"delta":{"content":"first "},"finish_reason":null}]}\n\n'
    with raw_server(mine, head + event) as url:
        laptop.homes.enrolments.add("nest", url, mine.fingerprint)
        answer = laptop.homes.generate(QUESTION, GenerateOptions(), label=TRUSTED)
        assert next(answer).text == "first "
        with pytest.raises(HomeInterruptedError, match="in the middle"):
            next(answer)
    assert not laptop.exchanges[0].finished


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b'{"model": 1, "wait_seconds": "x"}', b'{"no": "model"}'],
)
def test_state_that_is_none_is_said(laptop: Device, tmp_path: Path, body: bytes) -> None:
    mine = certificate.ensure(tmp_path / "nest")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    with raw_server(mine, head + body) as url:
        laptop.homes.enrolments.add("nest", url, mine.fingerprint)
        state = laptop.homes.state()
    assert state is not None and not state.available and "no home says" in state.reason


def test_home_that_sends_us_elsewhere_is_not_followed(laptop: Device, tmp_path: Path) -> None:
    mine = certificate.ensure(tmp_path / "nest")
    reply = b"HTTP/1.1 307 Go\r\nLocation: https://127.0.0.1:9/x\r\nContent-Length: 0\r\n\r\n"
    with raw_server(mine, reply) as url:
        laptop.homes.enrolments.add("nest", url, mine.fingerprint)
        with pytest.raises(HomeError, match="307"):
            laptop.ask()


def test_leaving_forgets_on_both_sides(nest: Homestead, enrolled: Device) -> None:
    home = enrolled.homes.enrolments.get("")
    assert enrolment.leave(enrolled.homes, home)
    assert enrolled.homes.enrolments.all() == [] and nest.registry.devices() == []


def test_leaving_a_home_that_is_gone_forgets_here(tmp_path: Path, laptop: Device) -> None:
    with homestead(tmp_path / "nest") as nest:
        laptop.join(nest)
    assert not enrolment.leave(laptop.homes, laptop.homes.enrolments.get("nest"))
    assert laptop.homes.enrolments.all() == []
    with pytest.raises(UsageError, match="enrolled with no home"):
        laptop.homes.enrolments.get("nest")


def test_home_that_is_not_named_clearly_is_an_error(laptop: Device) -> None:
    laptop.homes.enrolments.add("one", "https://127.0.0.1:1", b"1" * 32)
    laptop.homes.enrolments.add("two", "https://127.0.0.1:2", b"2" * 32)
    with pytest.raises(UsageError, match="more than one"):
        laptop.homes.enrolments.get("")
    with pytest.raises(UsageError, match="no home called three"):
        laptop.homes.enrolments.get("three")
    assert laptop.homes.enrolments.get("two").url == "https://127.0.0.1:2"


def test_home_keeps_how_far_the_ledger_came_and_takes_no_step_back(
    nest: Homestead, enrolled: Device
) -> None:
    for head in (f"7:{'a' * 64}", f"3:{'b' * 64}"):
        enrolled.homes.head = lambda head=head: head
        assert enrolled.ask() == REPLY
    (known,) = nest.registry.devices()
    assert (known.ledger_size, known.ledger_head) == (7, "a" * 64)
    assert enrolled.homes.heads_at_home() == {"nest": f"7:{'a' * 64}"}


def test_everything_else_at_home_is_shut(nest: Homestead) -> None:
    with httpx2.Client(verify=False, trust_env=False) as stranger:
        assert stranger.get(f"{nest.url}/home/v1/health").json()["name"] == "ondol-home"
        for method, path in (
            ("GET", "/home/v1/state"),
            ("GET", "/"),
            ("GET", "/openapi.json"),
            ("POST", "/v1/chat/completions"),
            ("POST", "/home/v1/leave"),
        ):
            response = stranger.request(method, nest.url + path, content=b"{}")
            assert response.status_code == 401, path
            assert response.json()["error"]["code"] == "signature_refused"
        assert stranger.post(f"{nest.url}/home/v1/enrol", content=b"x" * 20_000).status_code == 413
        assert stranger.post(f"{nest.url}/home/v1/enrol", content=b"{}").status_code == 422


def test_label_that_is_public_may_go_home_too(nest: Homestead, enrolled: Device) -> None:
    assert enrolled.ask(Label(Sensitivity.PUBLIC)) == REPLY


class raw_server:
    """Answers each connection with the same bytes and hangs up."""

    def __init__(self, mine: certificate.Certificate, reply: bytes) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(mine.file)
        self._reply = reply
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> str:
        self._thread.start()
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(connection, server_side=True) as tls:
                    tls.recv(65536)
                    tls.sendall(self._reply)
                    tls.unwrap()
            except OSError:
                pass
