"""What a client makes a mirror fetch: pinned, checked, scanned, and served to nobody before it is
approved."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mirrored import BROUGHT as ALL_BROUGHT
from mirrored import FEW as FILES
from mirrored import HURRIED, LEFT_OUT, REPOSITORY, Operator, Scanner, add_upstream
from pull_servers import COMMIT, Mood, Server, serving, tiny_gguf

from ondol.egress import Egress
from ondol.errors import (
    DownloadError,
    HubError,
    HubNotFoundError,
    HubUnreachableError,
    InvalidModelError,
    NotApprovedError,
    OndolError,
    ScanRefusedError,
)
from ondol.hub.mirror.bringing import Bringer
from ondol.hub.mirror.front import Source
from ondol.hub.mirror.front import bringer as bringer_of
from ondol.hub.mirror.missing import MissingError
from ondol.hub.mirror.origin import ORIGIN, Origin
from ondol.hub.mirror.pulling import PullThrough
from ondol.hub.mirror.quarantine import Quarantine
from ondol.hub.mirror.shelf import Shelf
from ondol.hub.mirror.upstream import Upstream
from ondol.models.blobs import digest_of
from ondol.models.patience import Watch

PATIENCE_SECONDS = 20
BROUGHT = ALL_BROUGHT - set(LEFT_OUT)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def quarantine(tmp_path: Path) -> Quarantine:
    return Quarantine(tmp_path / "hub")


def bringer(server: Server, quarantine: Quarantine, *bad: str, **more: object) -> Bringer:
    upstream = Upstream(server.url, Egress(), patience=HURRIED)
    return Bringer(upstream, quarantine, scan=Scanner(*bad), **more)  # type: ignore[arg-type]


def bring(one: Bringer, *asked: str) -> object:
    return one.bring(one.upstream.pin(REPOSITORY), asked)


def test_what_is_brought_waits_whole_and_verified(server: Server, quarantine: Quarantine) -> None:
    add_upstream(server, REPOSITORY, FILES)
    bring(bringer(server, quarantine))
    [held] = quarantine.list()
    assert held.name == f"some-lab--tiny.model-{COMMIT[:12]}"
    assert {one.path for one in held.origin.files} == BROUGHT
    for one in held.origin.files:
        assert held.files[one.name].read_bytes() == FILES[one.path]
        assert digest_of(held.files[one.name]) == one.digest
    assert set(held.files) == set(held.card.files)
    assert Origin.of(held.files[ORIGIN].read_bytes()) == held.origin
    assert held.card.source == f"hf:{REPOSITORY}@{COMMIT}" and held.card.licence == "apache-2.0"
    assert held.card.architecture == "llama" and held.card.context_length == 64
    assert set(held.left_out) == {"pytorch_model.bin", "modeling_tiny.py"}


def test_what_may_hold_code_is_not_even_fetched(server: Server, quarantine: Quarantine) -> None:
    add_upstream(server, REPOSITORY, FILES)
    with pytest.raises(HubError):
        bring(bringer(server, quarantine, most_bytes=10))
    bring(bringer(server, quarantine), "pytorch_model.bin", "modeling_tiny.py")
    asked = {request.path for request in server.requests}
    assert not [path for path in asked if path.endswith((".bin", ".py", ".gitattributes"))]


def test_every_file_is_of_the_pinned_commit(server: Server, quarantine: Quarantine) -> None:
    add_upstream(server, REPOSITORY, FILES)
    bring(bringer(server, quarantine))
    resolved = [r.path for r in server.requests if "/resolve/" in r.path]
    assert resolved and all(f"/resolve/{COMMIT}/" in path for path in resolved)


@pytest.mark.parametrize("path", ["model.safetensors", "config.json"])
def test_what_is_not_what_was_announced_is_not_kept(
    server: Server, quarantine: Quarantine, path: str
) -> None:
    routes = add_upstream(server, REPOSITORY, FILES)
    routes[path].content = routes[path].content[:-1] + b"!"
    with pytest.raises(InvalidModelError):
        bring(bringer(server, quarantine))
    assert quarantine.list() == []
    kept = [file.read_bytes() for file in quarantine.folder.rglob("*") if file.is_file()]
    assert routes[path].content not in kept


def test_a_connection_that_is_cut_goes_on_where_it_was(
    server: Server, quarantine: Quarantine
) -> None:
    routes = add_upstream(server, REPOSITORY, FILES)
    routes["model.safetensors"].moods = [Mood(stop_after=1000), Mood(stop_after=2000)]
    bring(bringer(server, quarantine))
    assert len(quarantine.list()) == 1
    assert server.starts("/cdn/")[:3] != [0, 0, 0] and max(server.starts("/cdn/")) > 0


def test_another_file_of_a_repository_may_be_asked_for(
    server: Server, quarantine: Quarantine
) -> None:
    add_upstream(server, REPOSITORY, FILES)
    bring(bringer(server, quarantine))
    assert "onnx/model.onnx" in quarantine.list()[0].origin.others
    bring(bringer(server, quarantine), "onnx/model.onnx", "model.safetensors")
    [held] = quarantine.list()
    assert {one.path for one in held.origin.files} == {*BROUGHT, "onnx/model.onnx"}
    assert held.card.files["model.safetensors"] == "weights"
    assert held.card.files["onnx--model.onnx"] == "other-graph"


def test_of_many_quantisations_one_is_brought(server: Server, quarantine: Quarantine) -> None:
    files = {f"tiny-{tag}.gguf": tiny_gguf(seed=n) for n, tag in enumerate(("Q4_K_M", "Q8_0"))}
    add_upstream(server, REPOSITORY, files)
    bring(bringer(server, quarantine))
    [held] = quarantine.list()
    assert [one.path for one in held.origin.files] == ["tiny-Q4_K_M.gguf"]
    bring(bringer(server, quarantine), "tiny-Q8_0.gguf")
    [held] = quarantine.list()
    assert {one.path for one in held.origin.files} == set(files)
    assert held.card.files["tiny-Q4_K_M.gguf"] == "weights"
    assert held.card.files["tiny-Q8_0.gguf"] == "other-weights"


def test_a_release_with_one_more_file_takes_nothing_away(server: Server, tmp_path: Path) -> None:
    files = {f"tiny-{tag}.gguf": tiny_gguf(seed=n) for n, tag in enumerate(("Q4_K_M", "Q8_0"))}
    add_upstream(server, REPOSITORY, files)
    operator = Operator(tmp_path / "hub")
    one = replace(bringer_of(operator.folder, Egress(), Source(server.url)), scan=Scanner())
    for version, asked in (("1", "tiny-Q4_K_M.gguf"), ("2", "tiny-Q8_0.gguf")):
        server.requests.clear()
        operator.approve(one.bring(one.upstream.pin(REPOSITORY), [asked]), version)
        one.quarantine.remove(one.quarantine.list()[0].name)
    assert not [r for r in server.requests if r.path.endswith("tiny-Q4_K_M.gguf")]
    shelved = Shelf(operator.folder).find(REPOSITORY)
    assert shelved is not None and set(shelved.main.files) == set(files)
    assert shelved.main.release.version.numbers[0] == 2


def test_what_was_called_off_goes_on_where_it_was(server: Server, quarantine: Quarantine) -> None:
    large = tiny_gguf(400_000)
    routes = add_upstream(server, REPOSITORY, {"tiny.gguf": large})
    server.pause_seconds = 0.002
    watch = Watch(lambda done, total: watch.cancel.set() if done > 100_000 else None)
    one = bringer(server, quarantine)
    with pytest.raises(DownloadError):
        one.bring(one.upstream.pin(REPOSITORY), watch=watch)
    assert quarantine.list() == []
    bring(one)
    assert quarantine.list()[0].files["tiny.gguf"].read_bytes() == large
    assert max(server.starts("/cdn/")) >= 100_000 and len(routes) == 1


def test_what_the_hub_has_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    add_upstream(server, REPOSITORY, FILES)
    first = Quarantine(tmp_path / "one")
    bring(bringer(server, first))
    large = next(one for one in first.list()[0].origin.files if one.path == "model.safetensors")
    server.requests.clear()
    blobs = {large.digest: first.list()[0].files[large.name]}
    bring(bringer(server, Quarantine(tmp_path / "two"), have=blobs.get))
    assert not [one for one in server.requests if one.path.endswith("model.safetensors")]


def test_refused_weights_are_gone_and_remembered(server: Server, quarantine: Quarantine) -> None:
    add_upstream(server, REPOSITORY, FILES)
    with pytest.raises(ScanRefusedError, match=r"model.safetensors is not what it says"):
        bring(bringer(server, quarantine, "model.safetensors"))
    assert quarantine.list() == []
    name = f"some-lab--tiny.model-{COMMIT[:12]}"
    assert "model.safetensors" in quarantine.refusal(name)
    assert FILES["model.safetensors"] not in [
        file.read_bytes() for file in quarantine.folder.rglob("*") if file.is_file()
    ]


def test_a_refused_text_is_left_out_and_the_rest_scanned_again(
    server: Server, quarantine: Quarantine
) -> None:
    add_upstream(server, REPOSITORY, FILES)
    bring(bringer(server, quarantine, "sub--extra.json"))
    [held] = quarantine.list()
    assert "sub--extra.json" not in held.files and held.report["ok"]
    assert held.left_out["sub/extra.json"] == "sub--extra.json is not what it says."


def test_more_than_the_operator_allows_is_not_begun(server: Server, quarantine: Quarantine) -> None:
    add_upstream(server, REPOSITORY, FILES)
    with pytest.raises(HubError, match=r"needs 4\.\d kB"):
        bring(bringer(server, quarantine, most_bytes=1000))
    assert not [one for one in server.requests if "/resolve/" in one.path]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>sign in</html>",
        b"[" * 100_000,
        b"{}",
        b'{"sha": "main", "siblings": []}',
        b'{"sha": 7, "siblings": []}',
        b'{"sha": "' + COMMIT.encode() + b'", "siblings": [{"rfilename": "a", "size": -1}]}',
        b'{"sha": "' + COMMIT.encode() + b'", "siblings": {"rfilename": 1}}',
    ],
)
def test_an_upstream_that_is_none_is_named(
    server: Server, quarantine: Quarantine, answer: bytes
) -> None:
    server.add(f"/api/models/{REPOSITORY}/revision/main", answer)
    with pytest.raises(HubUnreachableError, match="does not answer as a hub does"):
        bring(bringer(server, quarantine))


def test_a_repository_that_has_moved_keeps_the_name_it_was_asked_by(
    server: Server, quarantine: Quarantine
) -> None:
    add_upstream(server, REPOSITORY, FILES)
    # As the real hub does for old names: the answer is about another repository.
    server.routes["/api/models/old/revision/v1"] = server.routes[f"/api/models/{REPOSITORY}"]
    for path in [path for path in server.routes if path.startswith(f"/{REPOSITORY}/")]:
        server.routes[path.replace(REPOSITORY, "old")] = server.routes[path]
    one = bringer(server, quarantine)
    held = one.bring(one.upstream.pin("old", "v1"))
    assert held.origin.repository == "old" and held.origin.revision == "v1"
    held = one.bring(one.upstream.pin(REPOSITORY, "main"))
    assert held.origin.repository == REPOSITORY


def test_what_was_approved_is_found_by_the_revision_it_was_asked_by(
    server: Server, tmp_path: Path
) -> None:
    add_upstream(server, REPOSITORY, FILES)
    info = server.routes[f"/api/models/{REPOSITORY}"]
    server.routes[f"/api/models/{REPOSITORY}/revision/v1"] = info
    operator = Operator(tmp_path / "hub")
    one = bringer(server, Quarantine(operator.folder))
    operator.approve(one.bring(one.upstream.pin(REPOSITORY, "v1")))
    shelved = Shelf(operator.folder).find(REPOSITORY)
    assert shelved is not None and set(shelved.revisions) >= {"main", "v1", COMMIT}


def test_paths_that_lead_elsewhere_are_no_files(server: Server, quarantine: Quarantine) -> None:
    hostile = {"../../evil.json": b"{}", "/etc/x.json": b"{}", "a/../b.json": b"{}"}
    add_upstream(server, REPOSITORY, {**hostile, "config.json": b"{}"})
    bring(bringer(server, quarantine))
    assert [one.path for one in quarantine.list()[0].origin.files] == ["config.json"]


def test_what_no_upstream_has_is_missing(server: Server, quarantine: Quarantine) -> None:
    with pytest.raises(MissingError) as caught:
        bring(bringer(server, quarantine))
    assert caught.value.what == "repository"


def test_nothing_leaves_when_the_door_is_shut(server: Server, quarantine: Quarantine) -> None:
    upstream = Upstream("https://hub.example", Egress(offline=True), patience=HURRIED)
    with pytest.raises(OndolError, match="offline"):
        upstream.pin(REPOSITORY)
    assert server.requests == []


def asked_until(pull: PullThrough, kind: type[OndolError], words: str, path: str = "") -> None:
    """Ask as an impatient client does, until the answer is of ``kind`` and has ``words``."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = pull.ask(REPOSITORY, "main", path)
        if isinstance(answer, kind) and words in answer.message:
            return
        assert time.monotonic() < deadline, answer
        time.sleep(0.02)


@pytest.fixture
def pull(server: Server, quarantine: Quarantine) -> Iterator[PullThrough]:
    add_upstream(server, REPOSITORY, FILES)
    pull = PullThrough(bringer(server, quarantine))
    yield pull
    pull.close()


def test_a_client_hears_how_far_it_is_and_then_that_it_waits(
    pull: PullThrough, quarantine: Quarantine
) -> None:
    first = pull.ask(REPOSITORY, "main")
    assert isinstance(first, NotApprovedError) and "being fetched" in first.message
    asked_until(pull, NotApprovedError, "waits for the operator")
    answer = pull.ask(REPOSITORY, COMMIT)
    assert f"ondol hub approve {quarantine.list()[0].name}" in answer.hint


def test_many_clients_make_it_fetch_once(pull: PullThrough, server: Server) -> None:
    for _ in range(20):
        pull.ask(REPOSITORY, "main", "config.json")
    asked_until(pull, NotApprovedError, "waits for the operator", "config.json")
    fetched = [one.path for one in server.requests if "/resolve/" in one.path]
    assert len(fetched) == len(set(fetched))
    assert len([one for one in server.requests if "/api/" in one.path]) == 1


def test_a_file_that_is_asked_for_later_comes_too(
    pull: PullThrough, quarantine: Quarantine
) -> None:
    asked_until(pull, NotApprovedError, "waits for the operator")
    asked_until(pull, NotApprovedError, "waits for the operator", "onnx/model.onnx")
    assert {one.path for one in quarantine.list()[0].origin.files} == {*BROUGHT, "onnx/model.onnx"}


@pytest.mark.parametrize(
    ("path", "words"),
    [("nothing.json", "has no file"), ("pytorch_model.bin", "is mirrored without")],
)
def test_what_is_not_brought_is_missing(pull: PullThrough, path: str, words: str) -> None:
    answer = pull.ask(REPOSITORY, "main", path)
    assert isinstance(answer, MissingError) and answer.what == "file"
    assert words in answer.message


def test_what_was_refused_is_not_fetched_again(server: Server, quarantine: Quarantine) -> None:
    add_upstream(server, REPOSITORY, FILES)
    pull = PullThrough(bringer(server, quarantine, "model.safetensors"))
    asked_until(pull, NotApprovedError, "is refused here")
    before = len(server.requests)
    asked_until(pull, NotApprovedError, "is refused here")
    pull.close()
    assert len(server.requests) == before


def test_what_failed_is_tried_again_after_a_while(server: Server, quarantine: Quarantine) -> None:
    routes = add_upstream(server, REPOSITORY, FILES)
    routes["config.json"].content = b"another"
    clock = [0.0]
    pull = PullThrough(bringer(server, quarantine), now=lambda: clock[0])
    asked_until(pull, InvalidModelError, "config.json")
    routes["config.json"].content = FILES["config.json"]
    assert isinstance(pull.ask(REPOSITORY, "main"), InvalidModelError)
    clock[0] += 3600
    asked_until(pull, NotApprovedError, "waits for the operator")
    pull.close()


def test_only_what_the_operator_allows_is_asked_for(server: Server, quarantine: Quarantine) -> None:
    add_upstream(server, REPOSITORY, FILES)
    pull = PullThrough(bringer(server, quarantine), ["Other/*", "Exactly/This"])
    assert isinstance(pull.ask(REPOSITORY, "main"), MissingError)
    pull.close()
    assert server.requests == []


def test_what_waits_is_found_by_the_beginning_of_its_name(
    server: Server, quarantine: Quarantine
) -> None:
    add_upstream(server, REPOSITORY, FILES)
    bring(bringer(server, quarantine))
    assert quarantine.get("some-lab--tiny").name == quarantine.list()[0].name
    for wrong in ("other", "../x", "", "SOME"):
        with pytest.raises(HubNotFoundError, match="Nothing waits"):
            quarantine.get(wrong)


def test_what_waits_and_was_damaged_is_not_approved(server: Server, quarantine: Quarantine) -> None:
    add_upstream(server, REPOSITORY, FILES)
    bring(bringer(server, quarantine))
    name = quarantine.list()[0].name
    blob = next((quarantine.folder / name / "blobs").glob("sha256-*"))
    blob.write_bytes(blob.read_bytes() + b"!")
    with pytest.raises(HubError, match="damaged"):
        quarantine.get(name)
    assert quarantine.list() == []


def test_removing_leaves_nothing(server: Server, quarantine: Quarantine) -> None:
    add_upstream(server, REPOSITORY, FILES)
    bring(bringer(server, quarantine))
    quarantine.remove(quarantine.list()[0].name)
    assert quarantine.list() == [] and list(quarantine.folder.iterdir()) == []


def test_approving_makes_a_release_of_it(
    server: Server, quarantine: Quarantine, tmp_path: Path
) -> None:
    add_upstream(server, REPOSITORY, FILES)
    operator = Operator(tmp_path / "hub")
    bring(bringer(server, quarantine))
    operator.approve(quarantine.list()[0])
    [release] = operator.repository.releases()
    assert release.reference == "mirror/some-lab--tiny.model@1"
    assert {file.role for file in release.files} == {"weights", "file", "config", "origin"}
