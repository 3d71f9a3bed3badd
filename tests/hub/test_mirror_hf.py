"""A hub through huggingface_hub itself: what it downloads, lists and says when there is nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import huggingface_hub
import pytest
from mirrored import BROUGHT, FILES, HURRIED, REPOSITORY, Operator, Scanner, add_upstream, tokenizer
from pull_servers import COMMIT, serving, tiny_gguf
from served import served
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ondol.egress import Egress
from ondol.hub.card import Card
from ondol.hub.mirror import hf
from ondol.hub.mirror.bringing import Bringer
from ondol.hub.mirror.origin import ORIGIN, Origin, OriginFile
from ondol.hub.mirror.quarantine import Quarantine
from ondol.hub.mirror.shelf import Shelf
from ondol.hub.mirror.upstream import Upstream
from ondol.hub.serving import create_app
from ondol.models.blobs import digest_of
from ondol.models.pull import pull
from ondol.models.store import ModelStore

OURS = "acme/tiny"
GGUF = tiny_gguf(20_000)


@dataclass(frozen=True)
class Scene:
    url: str
    operator: Operator


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A hub with a release of its own in three versions, and a mirrored one."""
    folder = tmp_path_factory.mktemp("mirror")
    operator = Operator(folder / "hub")
    for version, channel in (("1", "stable"), ("1.1", "stable"), ("2", "beta")):
        files = {"tiny.gguf": folder / "tiny.gguf", "tokenizer.json": folder / "tokenizer.json"}
        files["tiny.gguf"].write_bytes(GGUF if version == "1" else GGUF + bytes(32))
        files["tokenizer.json"].write_bytes(tokenizer())
        roles = {"tiny.gguf": "weights", "tokenizer.json": "tokenizer"}
        card = Card("model", "tiny:1b", roles, channel, licence="mit", languages=("ko",))  # type: ignore[arg-type]
        operator.publish("acme", "tiny", version, card, files)
    with serving() as server:
        add_upstream(server, REPOSITORY, FILES)
        upstream = Upstream(server.url, Egress(), patience=HURRIED)
        bringer = Bringer(upstream, Quarantine(operator.folder), scan=Scanner())
        held = bringer.bring(upstream.pin(REPOSITORY))
        operator.approve(held)
    app = create_app(operator.folder, hf.routes(Shelf(operator.folder)))
    with served(app) as url:
        yield Scene(url, operator)


@pytest.fixture
def client(scene: Scene) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=scene.url, trust_env=False) as client:
        yield client


@pytest.fixture
def hub(scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[object]:
    """huggingface_hub, with a cache of its own."""
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    api = huggingface_hub.HfApi(endpoint=scene.url, token=False)
    yield api
    huggingface_hub.close_session()


WHAT_A_STRANGER_DOES = """
import json, sys
from huggingface_hub import hf_hub_download, snapshot_download, model_info, list_models
from transformers import AutoConfig, AutoTokenizer
name, files = sys.argv[1], {}
file = hf_hub_download(name, "model.safetensors")
folder = snapshot_download(name)
tokens = AutoTokenizer.from_pretrained(name)("warm on dol")["input_ids"]
print(json.dumps({
    "size": len(open(file, "rb").read()), "folder": folder, "tokens": tokens,
    "sha": model_info(name).sha, "found": [one.id for one in list_models(search="tiny")],
    "architecture": AutoConfig.from_pretrained(name).model_type,
}))
"""


def test_programs_that_know_nothing_of_us_read_from_the_hub(scene: Scene, tmp_path: Path) -> None:
    """Nothing but HF_ENDPOINT: hf_hub_download, snapshot_download, model_info, list_models and
    transformers."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environ = {**kept, "HF_ENDPOINT": scene.url, "HF_HOME": str(tmp_path), "NO_PROXY": "*"}
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WHAT_A_STRANGER_DOES, REPOSITORY],
        env=environ,
        check=False,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr[-2000:]
    found = json.loads(told.stdout.splitlines()[-1])
    assert found["size"] == len(FILES["model.safetensors"])
    assert found["sha"] == COMMIT and found["folder"].endswith(COMMIT)
    assert found["tokens"] == [3, 1, 2]
    assert found["found"] == [OURS, REPOSITORY] and found["architecture"] == "llama"
    folder = Path(found["folder"])
    here = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert here == BROUGHT
    assert all((folder / path).read_bytes() == FILES[path] for path in here)


def test_a_repository_is_read_whatever_its_capitals(hub, scene: Scene) -> None:
    assert hub.model_info(REPOSITORY.upper()).id == REPOSITORY
    assert hub.model_info(REPOSITORY.lower()).sha == COMMIT


def test_versions_are_revisions_and_main_is_the_newest_stable_one(hub, tmp_path: Path) -> None:
    first = hub.hf_hub_download(OURS, "tiny.gguf", revision="1", cache_dir=tmp_path)
    newest = hub.hf_hub_download(OURS, "tiny.gguf", cache_dir=tmp_path)
    assert Path(first).read_bytes() == GGUF and Path(newest).read_bytes() == GGUF + bytes(32)
    shas = {
        one: hub.model_info(OURS, revision=one).sha for one in ("main", "1", "1.1", "2", "beta")
    }
    assert shas["main"] == shas["1.1"] and shas["beta"] == shas["2"]
    assert len(set(shas.values())) == 3
    assert hub.model_info(OURS, revision=shas["1"]).sha == shas["1"]


def test_what_is_said_of_a_model(hub) -> None:
    info = hub.model_info(OURS, files_metadata=True)
    assert info.card_data.license == "mit" and "language" in info.card_data
    assert "ko" in info.tags and "gguf" in info.tags and not info.private and not info.gated
    large = next(one for one in info.siblings if one.rfilename == "tiny.gguf")
    assert large.size == len(GGUF) + 32 and large.lfs.size == large.size
    assert info.ondol["release"] == "acme/tiny@1.1"


def test_the_tree_of_a_repository(hub) -> None:
    whole = {one.path: one for one in hub.list_repo_tree(REPOSITORY, recursive=True)}
    assert {path for path, one in whole.items() if hasattr(one, "size")} == BROUGHT
    top = {one.path for one in hub.list_repo_tree(REPOSITORY)}
    assert top == {path for path in BROUGHT if "/" not in path} | {"sub"}
    assert [one.path for one in hub.list_repo_tree(REPOSITORY, "sub")] == ["sub/extra.json"]


def test_lists_are_searched(hub) -> None:
    def found(**query: object) -> list[str]:
        return [one.id for one in hub.list_models(**query)]

    assert found() == [OURS, REPOSITORY]
    assert found(search="TINY.mod") == [REPOSITORY] and found(author="acme") == [OURS]
    assert found(filter=["gguf", "license:mit"]) == [OURS] and found(limit=1) == [OURS]
    assert found(search="nothing") == []


class Cutting:
    """Hangs up in the middle of the first body of ``path``, and writes down what is asked for."""

    def __init__(self, app: ASGIApp, path: str, after: int) -> None:
        self.ranges: list[str] = []
        self._app, self._path, self._after = app, path, after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (scope["path"], scope["method"]) != (self._path, "GET"):
            return await self._app(scope, receive, send)
        self.ranges.append(dict(scope["headers"]).get(b"range", b"").decode())

        async def cut(message: Message) -> None:
            if len(self.ranges) == 1 and message["type"] == "http.response.body":
                await send({**message, "body": message["body"][: self._after], "more_body": True})
                raise ConnectionAbortedError
            await send(message)

        await self._app(scope, receive, cut)


def test_an_interrupted_download_goes_on(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It goes on from whole blocks, which have ten megabytes.
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    app = create_app(scene.operator.folder, hf.routes(Shelf(scene.operator.folder)))
    cutting = Cutting(app, f"/{OURS}/resolve/main/tiny.gguf", after=10_000)
    with served(cutting) as url:
        api = huggingface_hub.HfApi(endpoint=url, token=False)
        path = api.hf_hub_download(OURS, "tiny.gguf", cache_dir=tmp_path)
    assert Path(path).read_bytes() == GGUF + bytes(32)
    assert cutting.ranges == ["", "bytes=10000-"]


@pytest.mark.parametrize("end", ["0-0", "100-199", "10000-", "-7"])
def test_parts_of_files_are_served(client: httpx2.Client, end: str) -> None:
    whole = GGUF + bytes(32)
    answer = client.get(f"/{OURS}/resolve/main/tiny.gguf", headers={"Range": f"bytes={end}"})
    first, _, last = end.partition("-")
    part = whole[int(first) : int(last) + 1 if last else None] if first else whole[-int(last) :]
    assert (answer.status_code, answer.content) == (206, part)


def test_what_is_not_there_is_told_as_its_client_expects(hub, tmp_path: Path) -> None:
    from huggingface_hub.errors import (
        EntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    with pytest.raises(EntryNotFoundError):
        hub.hf_hub_download(OURS, "nothing.json", cache_dir=tmp_path)
    with pytest.raises(RevisionNotFoundError):
        hub.hf_hub_download(OURS, "tiny.gguf", revision="9", cache_dir=tmp_path)
    with pytest.raises(RepositoryNotFoundError):
        hub.hf_hub_download("acme/nothing", "tiny.gguf", cache_dir=tmp_path)
    with pytest.raises(RepositoryNotFoundError):
        hub.model_info("nothing")
    assert hub.file_exists(OURS, "tiny.gguf") and not hub.file_exists(OURS, "x.bin")
    assert not hub.repo_exists("acme/nothing")
    # huggingface_hub remembers which files a commit does not have.
    assert list(tmp_path.glob("models--acme--tiny/.no_exist/*/nothing.json"))


@pytest.mark.parametrize(
    "path",
    [
        "/acme/tiny/resolve/main/../../../state/keys",
        "/acme/tiny/resolve/main/%2e%2e/%2e%2e/state",
        "/acme/tiny/resolve/main//tiny.gguf",
        "/acme/tiny/resolve/main/",
        "/acme/tiny/resolve/main",
        "/acme/tiny/resolve//tiny.gguf",
        "/acme/tiny/resolve/main/tiny.gguf%00",
        "/a/b/c/d/resolve/main/x",
        "/api/models/acme/tiny/tree",
        "/api/models/acme/tiny/tree/main/nothing",
        "/api/models/acme/tiny/commits/main",
        "/api/models/..%2f..%2fstate",
        "/api/datasets/acme/tiny",
        "/state/keys/x/y",
        "/" + "a/" * 2000,
    ],
)
def test_other_addresses_are_nothing(client: httpx2.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404 and "error" in answer.json()


def test_nothing_can_be_uploaded(hub) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    with pytest.raises(HfHubHTTPError):
        hub.create_repo("acme/new")
    with pytest.raises(HfHubHTTPError):
        hub.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=OURS)


def test_another_publisher_cannot_pass_for_the_mirrored_one(
    scene: Scene, tmp_path: Path, client: httpx2.Client
) -> None:
    """An origin counts in the mirror's own releases only."""
    fake = tmp_path / "config.json"
    fake.write_bytes(b'{"evil": 1}')
    origin = tmp_path / ORIGIN
    file = OriginFile("config.json", "config.json", digest_of(fake), fake.stat().st_size)
    origin.write_bytes(Origin(REPOSITORY, "f" * 40, (file,)).content())
    roles = {"config.json": "config", ORIGIN: "origin"}
    files = {"config.json": fake, ORIGIN: origin}
    scene.operator.publish("acme", "false", "99", Card("model", "x", roles), files)
    assert client.get(f"/api/models/{REPOSITORY}").json()["sha"] == COMMIT
    assert client.get(f"/{REPOSITORY}/resolve/main/config.json").content == FILES["config.json"]
    assert client.get("/api/models/acme/false").status_code == 200


def test_what_was_withdrawn_is_offered_no_more(scene: Scene, tmp_path: Path, hub) -> None:
    card = Card("model", "gone", {"a.json": "file"})
    file = tmp_path / "a.json"
    for version in ("1", "2"):
        file.write_text(f'{{"version": {version}}}')
        scene.operator.publish("acme", "gone", version, card, {"a.json": file})
    repository, key = scene.operator.repository, scene.operator.keys["acme"]
    newest = hub.model_info("acme/gone").sha
    repository.yank("acme", "gone", "2", "broken", key)
    assert hub.model_info("acme/gone").sha != newest
    assert not hub.revision_exists("acme/gone", "2")
    repository.yank("acme", "gone", "1", "broken", key)
    assert not hub.repo_exists("acme/gone")


def test_ondol_itself_pulls_from_the_hub_as_from_hugging_face(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", scene.url)
    store = ModelStore(tmp_path / "models")
    model = pull(f"hf:{OURS}:tiny.gguf", store, Egress(), patience=HURRIED)
    assert store.path(model).read_bytes() == GGUF + bytes(32) and model.licence == "mit"


def test_a_mirror_may_be_the_upstream_of_another(scene: Scene, tmp_path: Path) -> None:
    upstream = Upstream(scene.url, Egress(), patience=HURRIED)
    quarantine = Quarantine(tmp_path / "second")
    held = Bringer(upstream, quarantine, scan=Scanner()).bring(upstream.pin(REPOSITORY))
    assert held.origin.commit == COMMIT and {one.path for one in held.origin.files} == BROUGHT
    second = Operator(tmp_path / "second")
    second.approve(held)
    with served(create_app(second.folder, hf.routes(Shelf(second.folder)))) as url:
        found = httpx2.get(f"{url}/{REPOSITORY}/resolve/main/config.json", trust_env=False)
    assert found.content == FILES["config.json"] and found.headers["X-Repo-Commit"] == COMMIT
