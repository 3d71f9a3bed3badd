"""A hub as a registry of Ollama's: manifests and layers, as its client asks for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from lora_gguf import base_bytes, random_adapter
from mirrored import CHATML, HURRIED, REPOSITORY, Operator, Scanner, add_upstream
from pull_servers import serving, split_gguf, tiny_gguf
from served import served

from ondol.egress import Egress
from ondol.hub.card import Card
from ondol.hub.mirror import hf, registry
from ondol.hub.mirror.bringing import Bringer
from ondol.hub.mirror.quarantine import Quarantine
from ondol.hub.mirror.shelf import Shelf
from ondol.hub.mirror.upstream import Upstream
from ondol.hub.serving import create_app

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
KIND = "application/vnd.ollama.image."
BASE = base_bytes(CHATML)
LICENCE = b"Do as you like.\n"


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Scene:
    client: httpx2.Client
    adapter: bytes
    folder: Path

    def manifest(self, name: str, tag: str = "latest") -> dict[str, Any]:
        headers = {"Accept": MANIFEST}
        answer = self.client.get(f"/v2/{name}/manifests/{tag}", headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == MANIFEST
        assert answer.headers["Docker-Content-Digest"] == sha256(answer.content)
        return answer.json()

    def layers(self, name: str, tag: str = "latest") -> dict[str, bytes]:
        """Every layer by kind, fetched and compared with its digest."""
        found = self.manifest(name, tag)
        content = {}
        for layer in [*found["layers"], found["config"]]:
            blob = self.client.get(f"/v2/{name}/blobs/{layer['digest']}").content
            assert sha256(blob) == layer["digest"] and len(blob) == layer["size"]
            content[layer["mediaType"].removeprefix(KIND)] = blob
        return content


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("registry")
    operator = Operator(folder / "hub")
    weights = folder / "tiny.gguf"
    adapter = folder / "adapter.gguf"
    licence = folder / "LICENSE"
    licence.write_bytes(LICENCE)
    roles = {"tiny.gguf": "weights", "LICENSE": "licence"}
    for version, channel in (("1", "stable"), ("1.1", "stable"), ("2", "beta")):
        weights.write_bytes(BASE if version == "1.1" else base_bytes(f"{CHATML}{version}"))
        card = Card("model", "tiny", roles, channel)  # type: ignore[arg-type]
        operator.publish("acme", "tiny", version, card, {"tiny.gguf": weights, "LICENSE": licence})
    weights.write_bytes(BASE)
    random_adapter(weights, adapter, modules=("attn_q",))
    for item, digest in (("formal", sha256(BASE)), ("orphan", sha256(b"elsewhere"))):
        card = Card("adapter", item, {"a.gguf": "adapter"}, base_digest=digest, licence="mit")
        operator.publish("acme", item, "1", card, {"a.gguf": adapter})
    parts = {}
    for number, content in enumerate(split_gguf(2), 1):
        name = f"m-{number:05d}-of-00002.gguf"
        (folder / name).write_bytes(content)
        parts[name] = folder / name
    split = Card("model", "split", dict.fromkeys(parts, "weights"))
    operator.publish("acme", "split", "1", split, parts)
    words = Card("model", "words", {"LICENSE": "licence"})
    operator.publish("acme", "words", "1", words, {"LICENSE": licence})
    with serving() as server:
        files = {
            "Tiny-Q4_K_M.gguf": tiny_gguf(seed=4),
            "Tiny-Q8_0.gguf": tiny_gguf(seed=8),
            "mmproj-Tiny-F16.gguf": tiny_gguf(seed=3, metadata={"general.type": "mmproj"}),
        }
        add_upstream(server, REPOSITORY, files)
        upstream = Upstream(server.url, Egress(), patience=HURRIED)
        bringer = Bringer(upstream, Quarantine(operator.folder), scan=Scanner())
        operator.approve(bringer.bring(upstream.pin(REPOSITORY), list(files)))
    shelf = Shelf(operator.folder)
    app = create_app(operator.folder, [*registry.routes(shelf), *hf.routes(shelf)])
    with served(app) as url, httpx2.Client(base_url=url, trust_env=False) as client:
        yield Scene(client, adapter.read_bytes(), operator.folder)


def test_a_model_is_a_manifest_of_layers_that_are_what_they_say(scene: Scene) -> None:
    layers = scene.layers("acme/tiny")
    assert layers["model"] == BASE and layers["license"] == LICENCE
    assert json.loads(layers["params"]) == {"stop": ["<|im_end|>"]}
    assert "<|im_start|>user" in layers["template"].decode()
    config = json.loads(layers["application/vnd.docker.container.image.v1+json"])
    assert config["model_format"] == "gguf" and config["model_family"] == "llama"
    assert config["model_type"] == "4.1K" and config["file_type"] == "F32"


def test_versions_and_channels_are_tags(scene: Scene) -> None:
    def weights(tag: str) -> bytes:
        return scene.layers("acme/tiny", tag)["model"]

    assert weights("1.1") == weights("latest") == BASE
    assert weights("1") == base_bytes(f"{CHATML}1")
    assert weights("2") == weights("beta") == base_bytes(f"{CHATML}2")
    tags = scene.client.get("/v2/acme/tiny/tags/list").json()["tags"]
    assert tags == ["1", "1.1", "2", "beta", "latest"]


def test_a_mirrored_repository_has_its_quantisations_as_tags(scene: Scene) -> None:
    assert scene.layers(REPOSITORY)["model"] == tiny_gguf(seed=4)
    assert scene.layers(REPOSITORY, "q8_0")["model"] == tiny_gguf(seed=8)
    assert scene.layers(REPOSITORY, "Q8_0")["projector"].startswith(b"GGUF")
    assert scene.client.get(f"/v2/{REPOSITORY}/manifests/Q2_K").status_code == 404


def test_an_adapter_comes_with_the_base_that_it_is_for(scene: Scene) -> None:
    layers = scene.layers("acme/formal")
    assert layers["model"] == BASE and layers["adapter"] == scene.adapter
    assert layers["license"] == b"mit"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("acme/orphan", "base model is not on this hub"),
        ("acme/split", "in several files"),
        ("acme/words", "no GGUF file"),
        ("acme/nothing", "has no acme/nothing"),
    ],
)
def test_what_ollama_could_not_run_is_not_there(scene: Scene, name: str, words: str) -> None:
    answer = scene.client.get(f"/v2/{name}/manifests/latest")
    assert answer.status_code == 404 and words in answer.json()["errors"][0]["message"]


def test_a_manifest_is_found_by_its_digest_too(scene: Scene) -> None:
    tagged = scene.client.get("/v2/acme/tiny/manifests/1")
    digest = tagged.headers["Docker-Content-Digest"]
    assert scene.client.get(f"/v2/acme/tiny/manifests/{digest}").content == tagged.content
    assert scene.client.head(f"/v2/acme/tiny/manifests/{digest}").status_code == 200
    wrong = scene.client.get(f"/v2/acme/tiny/manifests/sha256:{'0' * 64}")
    assert wrong.status_code == 404


def test_a_blob_says_where_it_is_and_comes_in_parts(scene: Scene) -> None:
    """What Ollama's downloader does: HEAD for the size, GET for the address, ranges from there."""
    found = scene.manifest("acme/tiny")
    for layer in [*found["layers"], found["config"]]:
        path = f"/v2/acme/tiny/blobs/{layer['digest']}"
        head = scene.client.head(path)
        assert head.headers["Content-Length"] == str(layer["size"])
        address = scene.client.get(path).headers["Location"]
        whole = b""
        for start in range(0, layer["size"], max(layer["size"] // 3, 1)):
            end = min(start + max(layer["size"] // 3, 1), layer["size"]) - 1
            part = scene.client.get(address, headers={"Range": f"bytes={start}-{end}"})
            assert part.status_code == 206
            assert part.headers["Content-Range"] == f"bytes {start}-{end}/{layer['size']}"
            whole += part.content
        assert sha256(whole) == layer["digest"]
        beyond = scene.client.get(path, headers={"Range": f"bytes={layer['size']}-"})
        assert beyond.status_code == 416


@pytest.mark.parametrize(
    "path",
    [
        f"/v2/acme/tiny/blobs/sha256:{'0' * 64}",
        "/v2/acme/tiny/blobs/sha256:short",
        "/v2/acme/tiny/blobs/..%2f..%2fstate",
        "/v2/acme/nothing/tags/list",
        "/v2/../state/manifests/latest",
        "/v2/acme/tiny/manifests/main",
        "/v2/acme/tiny/manifests/" + "a" * 5000,
        "/v2/_catalog",
    ],
)
def test_nothing_else_is_there(scene: Scene, path: str) -> None:
    assert scene.client.get(path).status_code == 404


def test_a_layer_belongs_to_a_repository(scene: Scene) -> None:
    """A blob is served where a release of that repository, or the base of one, has it."""
    [adapter] = [
        layer["digest"]
        for layer in scene.manifest("acme/formal")["layers"]
        if layer["mediaType"] == f"{KIND}adapter"
    ]
    assert scene.client.get(f"/v2/acme/formal/blobs/{adapter}").content == scene.adapter
    assert scene.client.get(f"/v2/acme/formal/blobs/{sha256(BASE)}").content == BASE
    assert scene.client.get(f"/v2/acme/tiny/blobs/{adapter}").status_code == 404


def test_layers_are_there_for_who_got_the_manifest_elsewhere(scene: Scene) -> None:
    """Another process of the same hub makes the same small layers."""
    digests = [one["digest"] for one in scene.manifest("acme/tiny", "1")["layers"]]
    digests.append(scene.manifest("acme/tiny", "1")["config"]["digest"])
    shelf = Shelf(scene.folder)
    app = create_app(scene.folder, registry.routes(shelf))
    with served(app) as url, httpx2.Client(base_url=url, trust_env=False) as other:
        for digest in digests:
            assert sha256(other.get(f"/v2/acme/tiny/blobs/{digest}").content) == digest


def test_nothing_can_be_pushed(scene: Scene) -> None:
    assert scene.client.post("/v2/acme/tiny/blobs/uploads/").status_code in (404, 405)
    assert scene.client.put("/v2/acme/tiny/manifests/9", content=b"{}").status_code == 405


def test_a_registry_says_that_it_is_one(scene: Scene) -> None:
    answer = scene.client.get("/v2/")
    assert answer.status_code == 200
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
