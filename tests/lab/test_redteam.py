"""``ondol redteam`` sees what gets through, says what could not be tried, and touches nothing."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ondol import config, paths
from ondol.cli import redteam as command
from ondol.cli.main import run
from ondol.lab.redteam import orders, running
from ondol.lab.redteam.documents import trial as documents
from ondol.lab.redteam.documents.hostile import files
from ondol.lab.redteam.documents.secret import Secret
from ondol.lab.redteam.egress.trial import CORPUS, fill
from ondol.lab.redteam.egress.trial import outcome as of_egress
from ondol.lab.redteam.egress.world import Corpus
from ondol.lab.redteam.releases import trial as releases
from ondol.lab.redteam.releases.makers import Case
from ondol.lab.redteam.report import Breach, Outcome, Part, Report, markdown, verdict
from ondol.lab.redteam.requests import doors
from ondol.lab.redteam.requests.target import Target, operations
from ondol.parts import Parts
from ondol.routing.sensitivity import PromptLabeller
from ondol.types import Document, Label, Sensitivity

OPEN_TO_ALL = (
    b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n"
    b'{"documents": [], "told": "root:x:0:0:root"}'
)


@contextmanager
def careless_server() -> Iterator[int]:
    """Answers whatever it is sent with everything it has, to everybody."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        connection.settimeout(1)
                        connection.recv(1 << 20)
                        connection.sendall(OPEN_TO_ALL)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_every_rule_of_the_door_sees_a_server_without_one() -> None:
    with careless_server() as port:
        one = [("GET", "/v1/models")]
        for rule in (
            doors.foreign_names,
            lambda target: doors.foreign_pages(target, one),
            lambda target: doors.without_a_key(target, one),
            lambda target: doors.with_a_programs_key(target, "key", [("GET", "/ondol/v1/ledger")]),
            doors.page,
            doors.framing,
            doors.ways_out,
            lambda target: doors.fetched(target, iter(range(1000)).__next__),
        ):
            target = Target(port, key="k")
            rule(target)
            assert target.breaches, rule


def test_a_large_body_that_is_taken_is_seen() -> None:
    with careless_server() as port:
        target = Target(port, max_body_bytes=1000)
        doors.sizes(target)
    assert {"a large body", "a body said to be huge"} <= {one.attack for one in target.breaches}


def test_a_server_that_is_gone_holds_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    target = Target(port)
    assert operations(target) == []
    doors.foreign_names(target)
    assert len(target.breaches) == target.tried


class BadReader:
    """A reader that does what none may."""

    protections = ()

    def __init__(self, **limits: Any) -> None: ...

    def __enter__(self) -> BadReader:
        return self

    def __exit__(self, *_: object) -> None: ...

    def load(self, path: Path, *, max_bytes: int) -> Document:
        if path.name.endswith("laughs.docx"):
            raise RecursionError("too deep")
        stolen = documents.WORDS if path.name.endswith("file.docx") else "x"
        if path.name.endswith("climbing.zip"):
            (path.parent.parent / "climbed.txt").write_text("x")
        return Document(source=str(path), text=stolen, media_type="text/plain")


def test_a_reader_that_gives_in_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("laughs.docx", "file.docx", "climbing.zip", "fetching.html")
    some = [(name, b"") for name in names]
    heard = iter([0, 0, 0, 0, 0, 0, 0, 1])
    monkeypatch.setattr(documents, "files", lambda secret: iter(some))
    monkeypatch.setattr(documents, "Reader", BadReader)
    found = documents.documents(tmp_path, "http://x", heard.__next__, lambda done, total: None)
    assert found.attacks == 4
    assert {one.attack for one in found.breaches} == set(names)


def test_hostile_files_are_many_and_small_enough_to_be_made_anywhere() -> None:
    made = {
        name: len(data) for name, data in files(Secret("/nowhere/canary", "http://127.0.0.1:1"))
    }
    assert len(made) >= 100
    assert len({name.rpartition(".")[2] for name in made}) >= 15
    assert max(made.values()) < 10 << 20


def test_a_release_that_passes_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ondol.lab.redteam.releases.makers import gguf

    cases = [Case("bad", {"model.gguf": b"no"}), Case("good", {"model.gguf": gguf()})]
    monkeypatch.setattr(releases, "all_cases", lambda: iter(cases))
    found = releases.releases(tmp_path / "x", lambda done, total: None)
    assert [(one.attack, one.told) for one in found.breaches] == [("good", "it passed")]


@pytest.fixture
def corpus(monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """A little of it, in the library of this test."""
    whole = Corpus.read(CORPUS)
    some = Corpus(whole.private[:3], whole.injections[:1], whole.harmless)
    fill(some)
    monkeypatch.setattr(orders, "DISGUISES", dict(list(orders.DISGUISES.items())[:2]))
    return some


def ordered(corpus: Corpus) -> Outcome:
    with Parts(config.load()) as parts:
        return orders.orders(parts, corpus, lambda done, total: None)


def test_nothing_comes_of_an_order_in_a_document(corpus: Corpus) -> None:
    found = ordered(corpus)
    assert found.breaches == ()
    assert found.attacks > 10 * len(corpus.injections)


def test_a_label_that_is_too_free_is_seen(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    free = Label(Sensitivity.PUBLIC)
    monkeypatch.setattr(PromptLabeller, "label", lambda *_, **__: free)
    told = {one.told for one in ordered(corpus).breaches}
    assert "home was asked with the private document" in told
    assert "the answer was not private" in told
    assert "home was asked with the answer before" in told


def test_a_document_that_takes_a_turn_is_seen(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ondol.prompt.harmless", lambda text: text)
    assert any("marks of a template" in one.told for one in ordered(corpus).breaches)


HELD = Part("doors", "held", 1.0, 10)


@pytest.mark.parametrize(
    ("parts", "ok"),
    [
        ([HELD], True),
        ([HELD, Part("egress", "not_run", reason="no")], True),
        ([Part("egress", "not_run", reason="no")], False),
        ([HELD, Part("egress", "broken", reason="no")], False),
        ([HELD, Part("egress", "got_through", 1.0, 5, 1, (Breach("a", "b"),))], False),
    ],
)
def test_a_report_is_well_only_when_nothing_got_through_and_all_came_to_their_end(
    parts: Sequence[Part], ok: bool
) -> None:
    report = Report({"command": "ondol redteam"}, parts)
    assert report.ok is ok
    assert json.loads(json.dumps(report.json()))["ok"] is ok
    left_out = any(part.status in ("not_run", "broken") for part in parts)
    assert ("Not said of" in verdict(report)) is left_out


def test_what_attacked_does_not_attack_who_reads_the_report() -> None:
    breach = Breach("![x](http://evil/)<script>", "| a | [b](c) `d` *e*")
    page = markdown(Report({"command": "x"}, [Part("doors", "got_through", 1, 1, 1, (breach,))]))
    line = next(line for line in page.splitlines() if line.startswith("- **"))
    assert not set("![]<>|`_").intersection(line)


def test_a_leak_is_a_breach_and_so_is_a_wall() -> None:
    found: dict[str, Any] = {
        "attacks": 9, "leaks": 1, "families": {}, "ledger_intact": False,
        "leaked": [{"number": 3, "family": "DNS", "variant": "egress", "where": "the network"}],
        "harmless": {"sent": 2, "arrived": 1},
        "without_the_door": {"attacks": 3, "arrived": 0},
    }  # fmt: skip
    assert len(of_egress(found).breaches) == 4


def child(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import json, os, sys, time\n{script}")


OUTCOME = {"attacks": 7, "got_through": 0, "breaches": [], "figures": {}}


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (f"print(json.dumps({{'outcome': {OUTCOME!r}}}))", "held"),
        ("print(json.dumps({'unavailable': 'not permitted'}))", "not_run"),
        ("print('{\"progress\": [1, 2]}'); sys.exit('it broke')", "broken"),
        ("os.abort()", "broken"),
        ("print('nonsense')", "broken"),
        ("time.sleep(60)", "broken"),
    ],
)
def test_what_becomes_of_a_part(script: str, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SECONDS", 2)
    report = running.run(child(script), config.load(), ("orders",))
    assert [part.status for part in report.parts] == [status]
    assert bool(report.parts[0].reason) is (status != "held")


def test_a_part_is_told_nothing_of_the_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ONDOL_API_KEY", "ONDOL_PASSPHRASE", "HF_TOKEN", "MY_SECRET", "https_proxy"):
        monkeypatch.setenv(name, "the-owners")
    monkeypatch.setenv("ONDOL_HOSTS", "box.example")
    environ = running.environ(tmp_path, config.load())
    assert "the-owners" not in environ.values()
    assert environ["ONDOL_HOSTS"] == "box.example"
    assert str(paths.data_dir()) not in " ".join(environ.values())
    assert Path(environ["ONDOL_HOME"]).is_relative_to(tmp_path)


def test_command_shows_writes_and_ends_as_the_report_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    through = OUTCOME | {"got_through": 1, "breaches": [{"attack": "a", "told": "b"}]}
    before = sorted(p for p in tmp_path.rglob("*"))
    for outcome, code in ((OUTCOME, 0), (through, 1)):
        script = f"print(json.dumps({{'outcome': {outcome!r}}}))"
        monkeypatch.setattr(command, "CHILD", child(script))
        assert run(["redteam", "--only", "doors", "--report", str(tmp_path / "r.md")]) == code
        assert "the door" in capsys.readouterr().out
        assert "ondol redteam --only doors" in (tmp_path / "r.md").read_text()
        assert run(["redteam", "--only", "doors", "--json"]) == code
        assert json.loads(capsys.readouterr().out)["got_through"] == code
    assert run(["redteam", "--only", "windows"]) == 2
    assert "windows" in capsys.readouterr().err
    made = {p.name for p in tmp_path.rglob("*") if p not in before}
    assert made == {"r.md"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nothing_gets_through() -> None:
    """The real parts, with fewer of those attacks that could go on for ever."""
    report = running.run(command.CHILD, config.load(), quick=True)
    assert [(one.attack, one.told) for part in report.parts for one in part.breaches] == []
    assert {part.status for part in report.parts} <= {"held", "not_run"}
    assert report.attacks > 5000
