"""Clients and upstreams that mean no good: a mirror goes on answering, and by the right names."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from mirrored import HURRIED, REPOSITORY, Operator
from pull_servers import COMMIT, serving, tiny_gguf
from starlette.testclient import TestClient

from ondol.egress import Egress
from ondol.errors import HubError, HubUnreachableError, NotApprovedError, OndolError
from ondol.hub.card import Card
from ondol.hub.mirror import hf, manifests, pulling, registry
from ondol.hub.mirror.origin import Origin, OriginFile
from ondol.hub.mirror.pulling import PullThrough
from ondol.hub.mirror.shelf import MAIN, Shelf, Shelved, shelved
from ondol.hub.mirror.upstream import Pinned, Upstream, UpstreamFile
from ondol.hub.release import Release, ReleaseFile
from ondol.hub.serving import create_app
from ondol.hub.targets import Version
from ondol.models.gguf import read_header

WAIT_SECONDS = 5
FILE = ReleaseFile("config.json", "config", f"sha256:{'0' * 64}", 2)


def approved(*asked_for: tuple[str, str]) -> Shelved:
    """The repository of which these revisions, each at a commit, were approved one by one."""
    card = Card("model", "tiny", {FILE.name: FILE.role})
    origins: dict[Version, Origin] = {}
    releases = []
    for number, (revision, commit) in enumerate(asked_for, 1):
        version = Version.of(str(number))
        file = OriginFile(FILE.name, FILE.name, FILE.digest, FILE.size_bytes)
        origins[version] = Origin(REPOSITORY, commit, (file,), revision)
        releases.append(Release("mirror", "some-lab--tiny.model", version, card, (FILE,)))
    return shelved(releases, lambda one: origins[one.version])[REPOSITORY.lower()]


def test_a_strangers_proposal_does_not_become_main() -> None:
    good, proposed = "a" * 40, "b" * 40
    for asked_for in ("refs/pr/1", proposed):
        found = approved((MAIN, good), (asked_for, proposed))
        assert found.main.commit == good and found.at(MAIN) is found.main
        there = found.at(asked_for)
        assert there is not None and there.commit == proposed


def test_one_more_file_of_an_older_commit_does_not_take_main_back() -> None:
    old, new = "a" * 40, "b" * 40
    # A file that a client asks for later is asked for by the commit that it is of.
    assert approved((MAIN, old), (MAIN, new), (old, old)).main.commit == new
    more = approved((MAIN, old), (old, old)).main
    assert (more.commit, str(more.release.version)) == (old, "2")


def test_no_revision_is_called_as_another_commit() -> None:
    good, other = "a" * 40, "b" * 40
    found = approved((MAIN, good), (good, other)).at(good)
    assert found is not None and found.commit == good


def test_an_upstream_answers_for_the_commit_that_it_was_asked_for() -> None:
    with serving() as server:
        info = {"sha": COMMIT, "siblings": [], "id": REPOSITORY}
        for revision in (COMMIT, "f" * 40):
            path = f"/api/models/{REPOSITORY}/revision/{revision}"
            server.add(path, json.dumps(info).encode())
        upstream = Upstream(server.url, Egress(), patience=HURRIED)
        assert upstream.pin(REPOSITORY, COMMIT).commit == COMMIT
        with pytest.raises(HubUnreachableError):
            upstream.pin(REPOSITORY, "f" * 40)


@pytest.mark.parametrize("oid", ["a\r\nX-Evil: 1", "한", "g" * 40, None])
def test_what_becomes_a_header_is_hexadecimal(oid: object) -> None:
    file = OriginFile("a.json", "a.json", FILE.digest, 2, oid)  # type: ignore[arg-type]
    with pytest.raises(HubError):
        Origin.of(Origin(REPOSITORY, COMMIT, (file,)).content())


class Asked:
    """An upstream that answers when it is told to; ``files`` are those of every repository."""

    def __init__(self, files: int = 0) -> None:
        one = UpstreamFile("a.json", 2, "", "0" * 40)
        self.files = tuple(replace(one, path=f"{number}.json") for number in range(files))
        self.go_on = threading.Event()
        self.go_on.set()

    def pin(self, repository: str, revision: str) -> Pinned:
        self.go_on.wait()
        return Pinned(repository, COMMIT, revision, self.files, {})


@pytest.fixture
def upstream() -> Asked:
    return Asked()


@pytest.fixture
def pull(upstream: Asked) -> Iterator[PullThrough]:
    quarantine = SimpleNamespace(refusal=lambda name: "no")
    made = PullThrough(SimpleNamespace(upstream=upstream, quarantine=quarantine))  # type: ignore[arg-type]
    yield made
    upstream.go_on.set()
    made.close()


def test_clients_that_wait_for_an_upstream_leave_threads_to_the_others(
    pull: PullThrough, upstream: Asked
) -> None:
    upstream.go_on.clear()
    answers: list[OndolError] = []

    def ask(number: int) -> None:
        answers.append(pull.ask(f"a/b{number}", "main"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads[pulling.MOST_WAITING :]:
        thread.join(WAIT_SECONDS)
    assert sum(one.is_alive() for one in threads) <= pulling.MOST_WAITING
    assert {type(one) for one in answers} == {HubUnreachableError}
    upstream.go_on.set()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert isinstance(pull.ask("a/b0", "main"), NotApprovedError)


def test_what_is_remembered_of_an_upstream_is_bounded(
    pull: PullThrough, upstream: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "MOST_REMEMBERED_FILES", 500)
    upstream.files = Asked(100).files
    for number in range(50):
        pull.ask("a/b", f"v{number}")
        kept = [found for _, found in pull._pins.values()]
        assert sum(len(one.files) for one in kept if isinstance(one, Pinned)) <= 500


def test_a_search_for_very_many_is_a_search(tmp_path: Path) -> None:
    operator = Operator(tmp_path / "hub")
    app = create_app(operator.folder, hf.routes(Shelf(operator.folder)))
    with TestClient(app) as client:
        assert client.get(f"/api/models?limit={'9' * 5000}").json() == []


def test_a_picture_in_a_page_makes_a_hub_fetch_nothing(tmp_path: Path, pull: PullThrough) -> None:
    operator = Operator(tmp_path / "hub")
    app = create_app(operator.folder, hf.routes(Shelf(operator.folder), pull))
    with TestClient(app) as client:
        # All that a browser says of a picture from a plain address of the network.
        said = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0)", "Accept": "image/*"}
        assert client.get("/new/one/resolve/main/x.png", headers=said).status_code == 404
        assert pull._pins == {}
        assert client.get("/new/one/resolve/main/x.png").headers["X-Error-Message"]
        assert pull._pins


def test_a_digest_that_nobody_has_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def header(path: Path, name: str) -> object:
        read.append(path)
        return read_header(path, name)

    monkeypatch.setattr(manifests, "read_header", header)
    operator = Operator(tmp_path / "hub")
    part = "m-00001-of-00002.gguf"  # Ollama takes no model in parts
    (tmp_path / part).write_bytes(tiny_gguf())
    card = Card("model", "own", {part: "weights"})
    operator.publish("acme", "own", "1", card, {part: tmp_path / part})
    app = create_app(operator.folder, registry.routes(Shelf(operator.folder)))
    with TestClient(app) as client:
        for number in range(20):
            asked = f"/v2/acme/own/blobs/sha256:{number:064x}"
            assert client.get(asked).status_code == 404
    assert len(read) == 1
