"""A model at an address, and one on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from pull_servers import Mood, serving, sha256, split_gguf, tiny_gguf

from ondol.egress import Egress
from ondol.errors import DownloadError, EgressError, InvalidModelError, UsageError
from ondol.models.patience import Patience
from ondol.models.pull import pull
from ondol.models.store import Model, ModelStore

HURRIED = Patience(read_timeout_seconds=1, attempts=3, backoff_seconds=0.01)
CONTENT = tiny_gguf(150_000)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def fetch(store: ModelStore, name: str, **options: str) -> Model:
    return pull(name, store, Egress(), patience=HURRIED, **options)  # type: ignore[arg-type]


def test_model_at_an_address_is_named_after_its_file(store: ModelStore) -> None:
    with serving() as server:
        server.add("/d/My-Model-Q8_0.gguf", CONTENT)
        address = f"{server.url}/d/My-Model-Q8_0.gguf?token=secret"
        model = fetch(store, address)
        assert model.name == "my-model:q8_0" and store.get(address) == model
        assert "secret" not in model.source
        assert fetch(store, address, save_as="mine").name == "mine:latest"


def test_digest_in_the_address_is_verified(store: ModelStore) -> None:
    with serving() as server:
        server.add("/m.gguf", CONTENT)
        good = f"{server.url}/m.gguf#sha256={sha256(CONTENT)}"
        assert fetch(store, good).files[0].digest == f"sha256:{sha256(CONTENT)}"
        with pytest.raises(InvalidModelError, match="does not match its hash"):
            fetch(store, f"{server.url}/m.gguf#sha256={'0' * 64}", save_as="other")
        served = server.served
        assert fetch(store, good).name == "m:latest"
        assert server.served == served


@pytest.mark.parametrize("tail", ["#sha256=12", "#md5=00", "#x"])
def test_digest_that_is_none_is_refused(store: ModelStore, tail: str) -> None:
    with pytest.raises(UsageError, match="not a sha256"):
        fetch(store, f"http://127.0.0.1:1/m.gguf{tail}")


def test_address_of_something_else_is_refused(store: ModelStore) -> None:
    with pytest.raises(UsageError, match=r"does not end in \.gguf"):
        fetch(store, "http://127.0.0.1:1/m.safetensors")


def test_spliced_content_is_noticed_and_fetched_again(store: ModelStore) -> None:
    with serving() as server:
        server.add("/m.gguf", CONTENT)
        partial = store.blobs.partial(sha256(CONTENT))
        store.blobs.prepare()
        partial.write_bytes(tiny_gguf(150_000, seed=9)[:60_000])
        model = fetch(store, f"{server.url}/m.gguf#sha256={sha256(CONTENT)}")
        assert store.path(model).read_bytes() == CONTENT
        assert server.starts() == [60_000, 0]


def test_malformed_model_is_refused_and_nothing_of_it_is_kept(store: ModelStore) -> None:
    with serving() as server:
        server.add("/m.gguf", CONTENT[:-100])
        with pytest.raises(InvalidModelError):
            fetch(store, f"{server.url}/m.gguf")
    assert store.list() == [] and not list(store.blobs.directory.iterdir())


def test_server_that_says_no_is_an_error(store: ModelStore) -> None:
    with serving() as server:
        server.add("/m.gguf", CONTENT, Mood(status=403))
        with pytest.raises(DownloadError, match="needs permission"):
            fetch(store, f"{server.url}/m.gguf")


def test_offline_refuses_an_address(store: ModelStore) -> None:
    with pytest.raises(EgressError):
        pull("https://example.org/m.gguf", store, Egress(offline=True))


@pytest.mark.parametrize("prefix", ["", "file:", "file://"])
def test_file_is_copied_in_and_left_alone(store: ModelStore, tmp_path: Path, prefix: str) -> None:
    original = tmp_path / "some model.gguf"
    original.write_bytes(CONTENT)
    model = pull(f"{prefix}{original}", store, Egress(offline=True))
    assert model.name == "some-model:latest"
    assert original.read_bytes() == CONTENT
    original.write_bytes(b"changed afterwards")
    assert store.path(model).read_bytes() == CONTENT


def test_split_file_brings_its_other_parts(store: ModelStore, tmp_path: Path) -> None:
    for number, content in enumerate(split_gguf(2), start=1):
        (tmp_path / f"m-0000{number}-of-00002.gguf").write_bytes(content)
    model = fetch(store, str(tmp_path / "m-00001-of-00002.gguf"), save_as="m")
    assert len(model.files) == 2
    (tmp_path / "m-00002-of-00002.gguf").unlink()
    with pytest.raises(DownloadError, match="no readable file"):
        fetch(store, str(tmp_path / "m-00001-of-00002.gguf"), save_as="n")


def test_split_model_at_an_address_brings_its_other_parts(store: ModelStore) -> None:
    first, second = split_gguf(2)
    with serving() as server:
        server.add("/a b/m-00001-of-00002.gguf", first)
        server.add("/a b/m-00002-of-00002.gguf", second)
        address = f"{server.url}/a%20b/m-00001-of-00002.gguf#sha256={sha256(first)}"
        model = fetch(store, address, save_as="m")
    assert [f.digest for f in model.files] == [f"sha256:{sha256(c)}" for c in (first, second)]


@pytest.mark.parametrize("number", [0, 1])
def test_one_part_of_a_split_model_under_another_name_is_refused(
    store: ModelStore, tmp_path: Path, number: int
) -> None:
    (tmp_path / "alone.gguf").write_bytes(split_gguf(2)[number])
    with pytest.raises(InvalidModelError, match=r"alone\.gguf is one part of a model in 2 files"):
        fetch(store, str(tmp_path / "alone.gguf"))
    assert store.list() == []


def test_file_that_is_missing_or_no_model_is_an_error(store: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="no readable file"):
        fetch(store, str(tmp_path / "none.gguf"))
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(InvalidModelError, match=r"^text\.gguf is not a usable GGUF"):
        fetch(store, str(tmp_path / "text.gguf"))
    assert store.list() == []
