"""Hugging Face, with the real huggingface_hub against an endpoint on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pull_servers import Mood, Server, add_repository, serving, split_gguf, tiny_gguf

from ondol.egress import Egress
from ondol.errors import DownloadError, EgressError, InvalidModelError
from ondol.models.patience import Patience
from ondol.models.pull import pull
from ondol.models.sources.huggingface import choose, choose_projector
from ondol.models.store import Model, ModelStore

HURRIED = Patience(read_timeout_seconds=2, attempts=3, backoff_seconds=0.01, longest_wait_seconds=1)
REPOSITORY = "owner/Tiny-GGUF"
Q4, Q8 = tiny_gguf(200_000, seed=4), tiny_gguf(300_000, seed=8)
FILES = {
    "README.md": b"# tiny",
    "Tiny-Q4_K_M.gguf": Q4,
    "Tiny-Q8_0.gguf": Q8,
    "mmproj-Tiny-Q8_0.gguf": tiny_gguf(5000, seed=3, metadata={"general.type": "mmproj"}),
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", "hf_token_of_the_test")
        yield server


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def fetch(store: ModelStore, name: str, egress: Egress | None = None) -> Model:
    return pull(name, store, egress or Egress(), patience=HURRIED)


def test_quantisation_is_picked_and_everything_recorded(hub: Server, store: ModelStore) -> None:
    add_repository(hub, REPOSITORY, FILES)
    model = fetch(store, f"hf:{REPOSITORY}:q8_0")
    assert model.name == f"hf:{REPOSITORY}:Q8_0" and model.source == model.name
    assert store.path(model).read_bytes() == Q8
    assert model.licence == "apache-2.0"
    assert store.get(f"hf.co/{REPOSITORY}:Q8_0") == model


def test_without_a_quantisation_the_usual_one_is_taken(hub: Server, store: ModelStore) -> None:
    add_repository(hub, REPOSITORY, FILES)
    model = fetch(store, f"hf:{REPOSITORY}")
    assert model.name == f"hf:{REPOSITORY}:latest"
    assert store.path(model).read_bytes() == Q4


def test_model_that_sees_brings_its_projector(hub: Server, store: ModelStore) -> None:
    add_repository(hub, REPOSITORY, FILES)
    model = fetch(store, f"hf:{REPOSITORY}:Q8_0")
    assert "vision" in model.capabilities
    assert store.path(model, "projector").read_bytes() == FILES["mmproj-Tiny-Q8_0.gguf"]


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["a-Q4_0.gguf"], None),
        (["a.gguf", "mmproj-a-Q8_0.gguf", "mmproj-a-F16.gguf"], "mmproj-a-F16.gguf"),
        (["a.gguf", "sub/mmproj-model-f32.gguf"], "sub/mmproj-model-f32.gguf"),
        (["a.gguf", "mmproj.gguf"], "mmproj.gguf"),
    ],
)
def test_the_most_exact_projector_of_ordinary_size_is_taken(
    files: list[str], chosen: str | None
) -> None:
    assert choose_projector(files) == chosen


def test_token_goes_to_the_hub_and_no_further(hub: Server, store: ModelStore) -> None:
    routes = add_repository(hub, REPOSITORY, FILES)
    with serving() as elsewhere:
        away = elsewhere.add("/blob", Q4)
        place = next(p for p in hub.routes if p.endswith("Q4_K_M.gguf"))
        redirect = Mood(status=302, headers={"Location": f"{elsewhere.url}/blob"})
        hub.routes[place].moods[:] = [redirect]
        fetch(store, f"hf:{REPOSITORY}:Q4_K_M")
        assert away.content == Q4 and routes
        assert "authorization" not in elsewhere.requests[0].headers
    asked = [r for r in hub.requests if r.path.startswith(("/api", "/owner"))]
    assert all(r.headers["authorization"] == "Bearer hf_token_of_the_test" for r in asked)
    assert not any("telemetry" in r.path or "harness" in r.path for r in hub.requests)


def test_interrupted_pull_goes_on_where_it_was(hub: Server, store: ModelStore) -> None:
    routes = add_repository(hub, REPOSITORY, FILES)
    routes["Tiny-Q8_0.gguf"].moods[:] = [Mood(stop_after=100_000)]
    model = fetch(store, f"hf:{REPOSITORY}:Q8_0")
    assert store.path(model).read_bytes() == Q8
    starts = hub.starts("/cdn")
    assert starts[0] == 0 and 0 < starts[1] <= 100_000


def test_content_unlike_the_announced_hash_is_refused(hub: Server, store: ModelStore) -> None:
    routes = add_repository(hub, REPOSITORY, FILES)
    routes["Tiny-Q8_0.gguf"].content = tiny_gguf(300_000, seed=9)
    with pytest.raises(InvalidModelError, match="does not match its hash"):
        fetch(store, f"hf:{REPOSITORY}:Q8_0")
    assert store.list() == [] and not list(store.blobs.directory.glob("sha256-*"))


@pytest.mark.parametrize("is_first_empty", [False, True])
def test_split_model_is_fetched_whole_and_stands_together(
    hub: Server, store: ModelStore, is_first_empty: bool
) -> None:
    contents = split_gguf(3, is_first_empty=is_first_empty, size=20_000)
    parts = {
        f"Q4_K_M/Big-Q4_K_M-0000{n}-of-00003.gguf": content
        for n, content in enumerate(contents, start=1)
    }
    add_repository(hub, REPOSITORY, {**parts, "Big-Q8_0.gguf": Q8})
    model = fetch(store, f"hf:{REPOSITORY}:Q4_K_M")
    first = store.path(model)
    assert first.name == "Big-Q4_K_M-00001-of-00003.gguf"
    assert sorted(p.name for p in first.parent.iterdir()) == sorted(
        p.removeprefix("Q4_K_M/") for p in parts
    )
    assert (model.family, model.context_length) == ("llama", 512)
    assert model.parameters == 4992 * (2 if is_first_empty else 3)


def test_split_model_with_a_part_missing_is_refused(hub: Server, store: ModelStore) -> None:
    add_repository(hub, REPOSITORY, {"Big-Q4_K_M-00001-of-00002.gguf": Q4})
    with pytest.raises(DownloadError, match=r"does not hold Big-Q4_K_M-00002-of-00002\.gguf"):
        fetch(store, f"hf:{REPOSITORY}:Q4_K_M")


def test_missing_quantisation_is_an_error_that_lists_what_there_is(
    hub: Server, store: ModelStore
) -> None:
    add_repository(hub, REPOSITORY, FILES)
    with pytest.raises(DownloadError) as caught:
        fetch(store, f"hf:{REPOSITORY}:Q2_K")
    assert "Q4_K_M, Q8_0" in caught.value.hint


def test_repository_without_gguf_is_an_error(hub: Server, store: ModelStore) -> None:
    add_repository(hub, REPOSITORY, {"model.safetensors": b"x" * 2000})
    with pytest.raises(DownloadError) as caught:
        fetch(store, f"hf:{REPOSITORY}")
    assert "-GGUF" in caught.value.hint


def test_unknown_repository_is_an_error(hub: Server, store: ModelStore) -> None:
    not_there = Mood(status=401, headers={"X-Error-Code": "RepoNotFound"})
    hub.add(f"/api/models/{REPOSITORY}", b"", not_there)
    with pytest.raises(DownloadError, match="no repository hf:owner/Tiny-GGUF"):
        fetch(store, f"hf:{REPOSITORY}")


def test_gated_repository_says_what_to_do(hub: Server, store: ModelStore) -> None:
    gated = Mood(status=403, headers={"X-Error-Code": "GatedRepo"})
    hub.add(f"/api/models/{REPOSITORY}", b"", gated)
    with pytest.raises(DownloadError, match="accepted its terms") as caught:
        fetch(store, f"hf:{REPOSITORY}")
    assert "HF_TOKEN" in caught.value.hint


def test_passing_trouble_while_resolving_is_tried_again(hub: Server, store: ModelStore) -> None:
    add_repository(hub, REPOSITORY, FILES)
    busy = Mood(status=429, headers={"Retry-After": "0"})
    hub.routes[f"/api/models/{REPOSITORY}"].moods = [busy, Mood(status=500)]
    assert fetch(store, f"hf:{REPOSITORY}").parameters


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}"])
def test_server_that_is_no_hub_is_an_error(hub: Server, store: ModelStore, body: bytes) -> None:
    hub.add(f"/api/models/{REPOSITORY}", body)
    with pytest.raises(DownloadError) as caught:
        fetch(store, f"hf:{REPOSITORY}")
    assert caught.value.hint


def test_no_server_is_an_error(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch(store, f"hf:{REPOSITORY}")


def test_offline_refuses(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    with pytest.raises(EgressError):
        fetch(store, f"hf:{REPOSITORY}", Egress(offline=True))


@pytest.mark.parametrize(
    ("files", "tag", "expected"),
    [
        (["a-Q4_K_M.gguf", "a-Q8_0.gguf"], "Q8_0", "a-Q8_0.gguf"),
        (["a.q4_k_m.gguf"], "Q4_K_M", "a.q4_k_m.gguf"),
        (["a-Q4_K_M.gguf", "a-UD-Q4_K_M.gguf"], "Q4_K_M", "a-Q4_K_M.gguf"),
        (["a-UD-Q4_K_M.gguf"], "Q4_K_M", "a-UD-Q4_K_M.gguf"),
        (["a-mxfp4-00001-of-00002.gguf", "a-mxfp4-00002-of-00002.gguf"], "MXFP4", None),
        (["a-Q4_K_M.gguf", "b-Q4_K_M.gguf"], "Q4_K_M", None),
        (["a-Q4_K_M.gguf", "mmproj-a-Q4_K_M.gguf"], "Q4_K_M", "a-Q4_K_M.gguf"),
        (["a-Q8_0.gguf", "a-Q5_K_M.gguf"], "latest", "a-Q5_K_M.gguf"),
        (["odd.gguf"], "latest", "odd.gguf"),
        (["odd.gguf", "add.gguf"], "latest", None),
        (["x/odd.gguf"], "odd.gguf", "x/odd.gguf"),
        ([], "latest", None),
        (["google_gemma-3-1b-Q4_0.gguf"], "Q4_0", "google_gemma-3-1b-Q4_0.gguf"),
    ],
)
def test_choice_among_files(files: list[str], tag: str, expected: str | None) -> None:
    if tag == "MXFP4":
        expected = files[0]
    assert choose(files, tag) == expected
