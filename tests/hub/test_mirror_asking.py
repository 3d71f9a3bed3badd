"""What a request makes a mirror ask its upstream for, and how it is told that there is nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mirrored import FILES, HURRIED, REPOSITORY, Operator, Scanner, add_upstream
from pull_servers import COMMIT, serving
from starlette.testclient import TestClient

from ondol import i18n
from ondol.egress import Egress
from ondol.errors import (
    HubUnreachableError,
    InvalidModelError,
    NotApprovedError,
    OndolError,
    ScanRefusedError,
)
from ondol.hub.card import Card
from ondol.hub.mirror import hf
from ondol.hub.mirror.asked import Asked, repository_at
from ondol.hub.mirror.bringing import Bringer
from ondol.hub.mirror.missing import MissingError
from ondol.hub.mirror.origin import Origin, is_path, is_repository
from ondol.hub.mirror.pulling import PullThrough
from ondol.hub.mirror.quarantine import Quarantine
from ondol.hub.mirror.shelf import Shelf, shelved
from ondol.hub.mirror.upstream import Upstream
from ondol.hub.release import Release, ReleaseFile
from ondol.hub.serving import create_app
from ondol.hub.targets import Version


@dataclass
class Asking:
    """A pull-through that writes down what it is asked for."""

    answer: OndolError = field(default_factory=lambda: NotApprovedError("It waits.", "Later."))
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def commit_of(self, repository: str, revision: str) -> str:
        return {"same": COMMIT}.get(revision, "f" * 40)

    def ask(self, repository: str, revision: str, path: str = "") -> OndolError:
        self.asked.append((repository, revision, path))
        return self.answer


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """A hub with a mirrored release and one of its own."""
    folder = tmp_path_factory.mktemp("asking")
    operator = Operator(folder / "hub")
    own = folder / "a.json"
    own.write_bytes(b"{}")
    operator.publish("acme", "own", "1", Card("model", "own", {"a.json": "file"}), {"a.json": own})
    with serving() as server:
        add_upstream(server, REPOSITORY, FILES)
        upstream = Upstream(server.url, Egress(), patience=HURRIED)
        bringer = Bringer(upstream, Quarantine(operator.folder), scan=Scanner())
        operator.approve(bringer.bring(upstream.pin(REPOSITORY)))
    return operator


@pytest.fixture
def pull() -> Asking:
    return Asking()


@pytest.fixture
def client(operator: Operator, pull: Asking) -> Iterator[TestClient]:
    app = create_app(operator.folder, hf.routes(Shelf(operator.folder), pull))
    with TestClient(app, base_url="http://hub.lan") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/api/models/new/one", ("new/one", "main", "")),
        ("/api/models/new/one/revision/v1.0", ("new/one", "v1.0", "")),
        ("/api/models/new/one/revision/refs%2Fpr%2F1", ("new/one", "refs/pr/1", "")),
        ("/new/one/resolve/main/config.json", ("new/one", "main", "config.json")),
        ("/new/one/resolve/main/a/b%20c.json", ("new/one", "main", "a/b c.json")),
        ("/old/resolve/main/config.json", ("old", "main", "config.json")),
        ("/api/models/old", ("old", "main", "")),
        (f"/{REPOSITORY}/resolve/v2/config.json", (REPOSITORY, "v2", "config.json")),
        (f"/{REPOSITORY}/resolve/main/onnx/model.onnx", (REPOSITORY, COMMIT, "onnx/model.onnx")),
    ],
)
def test_what_is_not_here_is_asked_for(
    client: TestClient, pull: Asking, path: str, asked: tuple[str, str, str]
) -> None:
    assert client.get(path).status_code == 403
    assert pull.asked == [asked]


@pytest.mark.parametrize(
    "path",
    [
        f"/{REPOSITORY}/resolve/main/config.json",
        f"/{REPOSITORY}/resolve/{COMMIT}/config.json",
        # Another name of the commit that is here.
        f"/{REPOSITORY}/resolve/same/config.json",
        f"/api/models/{REPOSITORY}",
        # Not at this commit upstream either; or left out for good.
        f"/{REPOSITORY}/resolve/main/adapter_config.json",
        f"/{REPOSITORY}/resolve/main/pytorch_model.bin",
        # Published here: the name is its publisher's, whatever another hub calls so.
        "/acme/own/resolve/v2/a.json",
        "/acme/own/resolve/main/b.json",
        "/api/models?search=anything",
        "/api/models/acme/own/tree/main/nothing",
        "/a/b/c/resolve/main/x.json",
        "/api/models/a--b/c",
        "/new/one/resolve/main/..%2F..%2Fx",
    ],
)
def test_what_is_known_needs_nobody(client: TestClient, pull: Asking, path: str) -> None:
    client.get(path)
    client.head(path)
    assert pull.asked == []


@pytest.mark.parametrize("header", ["Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode"])
def test_a_page_in_a_browser_makes_a_hub_fetch_nothing(
    client: TestClient, pull: Asking, header: str
) -> None:
    answer = client.get("/new/one/resolve/main/x.json", headers={header: "cross-site"})
    assert answer.status_code == 404 and pull.asked == []


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotApprovedError("It waits.", "Later."), 403, "GatedRepo"),
        (ScanRefusedError("It is refused."), 403, "GatedRepo"),
        (MissingError("repository", "None."), 404, "RepoNotFound"),
        (MissingError("revision", "None."), 404, "RevisionNotFound"),
        (MissingError("file", "None."), 404, "EntryNotFound"),
        (HubUnreachableError("Nobody answers."), 424, None),
        (InvalidModelError("Not what it was."), 424, None),
    ],
)
def test_an_answer_is_in_the_words_of_its_client(
    client: TestClient, pull: Asking, error: OndolError, status: int, code: str | None
) -> None:
    pull.answer = error
    for method in ("GET", "HEAD"):
        answer = client.request(method, "/new/one/resolve/main/x.json")
        assert answer.status_code == status
        assert answer.headers.get("X-Error-Code") == code
        assert answer.headers["X-Error-Message"].startswith(error.message)
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_header_is_ascii_whatever_is_in_it(client: TestClient, pull: Asking) -> None:
    pull.answer = HubUnreachableError("한국어\r\nX-Evil: 1")
    answer = client.get("/new/one/resolve/main/x.json")
    assert "X-Evil" not in answer.headers and answer.headers["X-Error-Message"].isascii()
    assert answer.json()["error"] == "한국어\r\nX-Evil: 1"


def test_a_hub_that_speaks_korean_answers_programs_in_english(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONDOL_LANGUAGE", "ko")
    assert i18n.language() == "ko"
    with TestClient(create_app(operator.folder, hf.routes(Shelf(operator.folder)))) as client:
        answer = client.head("/new/one/resolve/main/x.json")
    assert answer.headers["X-Error-Message"] == "The hub has no new/one."


def test_an_upstream_that_is_away_is_said(operator: Operator, tmp_path: Path) -> None:
    with serving() as server:
        gone = server.url
    bringer = Bringer(Upstream(gone, Egress()), Quarantine(tmp_path), scan=Scanner())
    pull = PullThrough(bringer)
    app = create_app(operator.folder, hf.routes(Shelf(operator.folder), pull))
    with TestClient(app) as client:
        answer = client.get("/new/one/resolve/main/x.json")
        here = client.get(f"/{REPOSITORY}/resolve/main/config.json")
    pull.close()
    assert answer.status_code == 424 and "127.0.0.1" in answer.json()["error"]
    assert here.content == FILES["config.json"]


def test_a_mirror_does_not_take_a_publishers_name() -> None:
    def release(publisher: str, version: str) -> Release:
        files = (ReleaseFile("a.json", "file", f"sha256:{'0' * 64}", 2),)
        card = Card("model", "own", {"a.json": "file"})
        return Release(publisher, "own", Version.of(version), card, files)

    origin = Origin("acme/own", COMMIT, ())
    both = [release("mirror", "9"), release("acme", "1")]
    found = shelved(both, lambda one: origin if one.publisher == "mirror" else None)
    assert found["acme/own"].main.release.publisher == "acme"
    assert COMMIT not in found["acme/own"].revisions


@given(st.text(max_size=60), st.text(max_size=40), st.text(max_size=60))
def test_an_address_is_taken_apart_as_it_was_put_together(
    repository: str, revision: str, path: str
) -> None:
    raw = f"{quote(repository)}/resolve/{quote(revision, safe='')}/{quote(path)}"
    found = repository_at(raw, "resolve")
    if is_repository(repository) and revision and is_path(path) and "\0" not in revision:
        assert found == Asked(repository, revision, path)
    elif found is not None:
        assert is_repository(found.repository) and (not found.path or is_path(found.path))


@given(st.text(alphabet="/.%2eE\\a-_ r", max_size=80), st.sampled_from(["resolve", "tree", ""]))
def test_no_address_leads_out_of_a_repository(raw: str, word: str) -> None:
    for rest in (raw, f"a/b/{word}/main/{raw}", f"{raw}/{word}/main/x"):
        found = repository_at(rest, word)
        if found is not None:
            assert ".." not in found.repository
            assert ".." not in found.path.split("/") and not found.path.startswith("/")
