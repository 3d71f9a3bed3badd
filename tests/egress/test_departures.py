"""The ledger is told before the first byte leaves: a kill leaves no byte unsaid, and what cannot be
written down stays here.
"""

from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from listener import OK, certificate, listening

from ondol import database, encryption, keys, paths
from ondol.egress import Egress, Passage
from ondol.errors import EgressError, StorageError
from ondol.home.backend import Upstreams
from ondol.ledger.cost import Pricing
from ondol.ledger.entries import Entry, now
from ondol.ledger.explanation import explain, passages_of
from ondol.ledger.ledger import Ledger
from ondol.ledger.report import month_of, report
from ondol.ledger.verification import verify
from ondol.types import GenerateOptions, Message, Sensitivity

TRUSTED = Sensitivity.TRUSTED
PATIENCE_SECONDS = 60
# More than any buffer between two sockets takes.
LARGE_BYTES = 48 << 20


@pytest.mark.parametrize("with_tls", [False, True])
def test_what_leaves_is_told_before_the_server_hears_of_it(tmp_path: Path, with_tls: bool) -> None:
    told: list[Passage] = []
    known: list[list[Passage]] = []

    def answer(request: bytes) -> bytes:
        known.append([*told])
        return OK.replace(b"Connection: close\r\n", b"")

    tls, pinned = certificate(tmp_path) if with_tls else (None, None)
    with listening(answer, tls=tls) as server:
        url = server.url.replace("http:", "https:") if with_tls else server.url
        egress = Egress(record=told.append)
        with egress.client(url, "home", sensitivity=TRUSTED, pinned=pinned) as client:
            for text in (b"one", b"another"):
                assert client.post(url, content=text).text == "ok"
        sizes = [len(received) for received in server.received]
    assert [len(so_far) for so_far in known] == [1, 2]
    *out, back = told
    assert sum(p.bytes_out for p in out) == sum(sizes)
    assert (back.bytes_out, back.count) == (0, 2)


def test_many_answers_of_a_server_are_one_passage_that_names_the_first() -> None:
    told: list[Passage] = []

    def record(passage: Passage) -> str:
        told.append(passage)
        return f"id{len(told)}"

    with listening() as server:
        with Egress(record=record).client(server.url, "home", sensitivity=TRUSTED) as client:
            for _ in range(50):
                client.get(server.url)
    assert len(told) == 51
    back = told[-1]
    assert (back.about, back.count, back.bytes_in) == ("id1", 50, 50 * len(OK))


CHILD = """
import sys
from ondol.config import load
from ondol.parts import Parts
from ondol.types import Sensitivity

with Parts(load()) as parts:
    parts.egress.inspector = None  # so much text takes it long
    url, size = sys.argv[1], int(sys.argv[2])
    with parts.egress.client(url, "home", sensitivity=Sensitivity.TRUSTED) as client:
        client.post(url, content=b"x" * size)
"""


@pytest.mark.parametrize(("moment", "size"), [("upload", LARGE_BYTES), ("answer", 1000)])
def test_process_killed_in_mid_exchange_has_said_what_left(moment: str, size: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        server.settimeout(PATIENCE_SECONDS)
        with subprocess.Popen([sys.executable, "-c", CHILD, url, str(size)]) as child:
            try:
                connection, _ = server.accept()
                with connection:
                    connection.settimeout(PATIENCE_SECONDS)
                    came = b""
                    while len(came) < size and b"xxx" not in came:
                        came += connection.recv(1000)
                    if moment == "answer":
                        connection.sendall(OK[:-1])
                    child.send_signal(signal.SIGKILL)
                    child.wait(PATIENCE_SECONDS)
                    while part := received(connection):
                        came += part
            finally:
                child.kill()
    assert child.returncode == -signal.SIGKILL
    with Ledger.open() as ledger:
        (entry,) = ledger.entries()
    assert (entry.kind, entry.purpose, entry.destination) == ("egress", "home", url[7:-1])
    assert entry.bytes_out == size + came.index(b"\r\n\r\n") + 4
    assert 0 < len(came) <= entry.bytes_out


def received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 20)
    except OSError:
        return b""


def read_only(ledger: Ledger) -> Iterator[None]:
    with ledger.reading() as connection:
        connection.execute("PRAGMA query_only = 1")
    yield


def full(ledger: Ledger) -> Iterator[None]:
    """As on a full disk: no file of this process may grow any more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def full_while_locked(ledger: Ledger) -> Iterator[None]:
    ledger.close()
    encryption.lock(paths.database_file(), "korrekt Pferd Batterie")
    keys.forget_all()
    keys.ask_with(None)
    (paths.state_dir() / "ledger.pending").symlink_to("/dev/full")
    yield
    keys.forget_all()


@pytest.mark.parametrize("broken", [read_only, full, full_while_locked])
def test_what_cannot_be_written_down_does_not_leave(
    broken: Callable[[Ledger], Iterator[None]],
) -> None:
    with listening() as server, Ledger.open() as ledger:
        egress = Egress(record=ledger.record)
        with egress.client(server.url, "home", sensitivity=TRUSTED) as client:
            assert client.post(server.url, content=b"one").text == "ok"
            with contextmanager(broken)(ledger):
                with pytest.raises(EgressError, match="written into the ledger first") as caught:
                    client.post(server.url, content=b"another")
                with pytest.raises(StorageError) as why:
                    ledger.record(Passage("home", "", TRUSTED, 1, 0, True))
                assert why.value.message in caught.value.hint
                with pytest.raises(EgressError, match="written into the ledger first"):
                    egress.let_out("https://mirror.example/simple", "download", "pip")
        assert b"one" in server.received[0]
        assert b"".join(server.received[1:]) == b""


def test_answer_is_not_lost_because_the_disk_was_full_when_it_ended() -> None:
    def record(passage: Passage) -> None:
        if passage.about is not None:
            raise StorageError("full")

    with listening() as server:
        with Egress(record=record).client(server.url, "home", sensitivity=TRUSTED) as client:
            assert client.get(server.url).text == "ok"


def test_exchange_that_broke_is_told_of_what_left() -> None:
    told: list[Passage] = []
    with listening(b"nonsense") as server:
        egress = Egress(record=lambda passage: told.append(passage) or "first")  # type: ignore[func-returns-value]
        with egress.client(server.url, "home", sensitivity=TRUSTED) as client:
            with pytest.raises(httpx2.RemoteProtocolError):
                client.post(server.url, content=b"question")
        (received,) = server.received
    out, end = told
    assert (out.bytes_out, out.reason, out.about) == (len(received), "", None)
    assert (end.bytes_out, end.reason, end.about) == (0, "failed", "first")


def test_what_is_sent_while_the_database_is_kept_waits_for_nobody() -> None:
    with Ledger.open() as ledger:
        ledger.head()
        egress = Egress(record=ledger.record)
        connection = database.connect(paths.database_file())
        with (
            listening() as server,
            egress.client(server.url, "home", sensitivity=TRUSTED) as client,
        ):
            with database.transaction(connection):
                # Through another connection it would wait for this one, until it gave up.
                client.get(server.url)
            client.get(server.url)
        connection.close()
        found = [(one.kind, one.count, bool(one.happened)) for one in ledger.entries()][::-1]
    assert found == [("egress", None, True), ("egress", None, False), ("received", 2, False)]


def test_requests_of_a_home_to_its_servers_are_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Passage] = []
    real = socket.getaddrinfo
    answer = b'{"data": [{"id": "big"}]}'
    answer = OK.replace(b"Length: 2", b"Length: %d" % len(answer)).replace(b"ok", answer)

    def resolve(host: str, port: int, *more: object, **named: object) -> object:
        return real("127.0.0.1" if host == "models.example" else host, port, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with listening(answer) as server:
        egress = Egress(record=told.append)
        upstreams = Upstreams(egress, [f"http://models.example:{server.port}/v1"])
        assert upstreams.describe()[0] == "big"
        (asked,) = server.received
        assert [(p.purpose, p.bytes_out, p.bytes_in) for p in told] == [
            ("remote-model", len(asked), 0),
            ("remote-model", 0, len(answer)),
        ]

        def fail(passage: Passage) -> None:
            raise StorageError("full")

        egress.record = fail
        with pytest.raises(EgressError, match="written into the ledger first"):
            list(upstreams.generate([Message("user", "hello")], GenerateOptions()))
        assert b"".join(server.received[1:]) == b""


def test_report_and_why_count_what_left_once() -> None:
    with listening() as server, Ledger.open() as ledger:
        egress = Egress(record=ledger.record)
        with egress.client(server.url, "home", sensitivity=TRUSTED) as client:
            client.post(server.url, content=b"one")
            client.post(server.url, content=b"another")
        sizes = [len(one) for one in server.received]
        back, second, first = ledger.entries()
        assert [first.bytes_out, second.bytes_out] == sizes
        assert (back.kind, back.about, back.bytes_out) == ("received", first.id, None)
        made = report(ledger, Pricing(), *month_of(datetime.now(UTC)))
        assert made.bytes_out == {"home": sum(sizes)}
        answer = Entry("answer", 9, now(), route="home", seconds=60.0)
        assert passages_of(ledger, answer) == [first, second]
        assert f"{2 * len(OK)} bytes came back from 127.0.0.1" in explain(back)
        assert verify(ledger).is_intact
