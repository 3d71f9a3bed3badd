"""The store: nothing half-listed, blobs freed exactly when unreferenced."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pull_servers import sha256, tiny_gguf

from ondol.errors import InvalidModelError, ModelNotFoundError, StorageError, UsageError
from ondol.models import manifest
from ondol.models.blobs import digest_of
from ondol.models.locks import hold
from ondol.models.store import About, BlobVanishedError, Model, ModelStore, StagedFile


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def add(store: ModelStore, name: str, content: bytes, file: str = "m.gguf") -> Model:
    path = store.directory.parent / "original.gguf"
    path.write_bytes(content)
    return store.add(name, [store.stage(path, "weights", file)], About(licence="MIT"))


def blobs_of(store: ModelStore) -> set[str]:
    return {p.name.replace("-", ":", 1) for p in store.blobs.directory.glob("sha256-*")}


def test_added_model_is_listed_with_what_its_header_says(store: ModelStore) -> None:
    content = tiny_gguf()
    model = add(store, "tiny", content)
    assert store.list() == [model] and store.get("Tiny") == model
    assert (model.name, model.kind, model.format) == ("tiny:latest", "chat", "gguf")
    assert (model.family, model.context_length, model.embedding_length) == ("llama", 512, 64)
    assert (model.quantization, model.licence) == ("F32", "MIT")
    assert model.capabilities == ("completion",)
    assert model.files[0].digest == f"sha256:{sha256(content)}"
    assert store.path(model).read_bytes() == content
    assert model.modified_at.tzinfo is not None


def test_list_is_newest_first_and_empty_without_a_folder(store: ModelStore) -> None:
    assert store.list() == [] and not store.directory.exists()
    add(store, "a", tiny_gguf(seed=1))
    add(store, "b", tiny_gguf(seed=2))
    assert [m.name for m in store.list()] == ["b:latest", "a:latest"]


def test_malformed_gguf_is_never_listed(store: ModelStore) -> None:
    with pytest.raises(InvalidModelError):
        add(store, "bad", tiny_gguf()[:-1])
    assert store.list() == []


@pytest.mark.parametrize("kind", ["adapter", "mmproj"])
def test_adapter_or_projector_is_not_a_model(store: ModelStore, kind: str) -> None:
    with pytest.raises(InvalidModelError, match="not a model by itself"):
        add(store, "bad", tiny_gguf(metadata={"general.type": kind}))
    assert store.list() == []


def test_content_that_does_not_match_its_digest_is_refused(
    store: ModelStore, tmp_path: Path
) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(tiny_gguf())
    with pytest.raises(InvalidModelError, match="does not match its hash"):
        store.stage(file, "weights", "m.gguf", digest=f"sha256:{'0' * 64}")
    assert not list(store.blobs.directory.iterdir()) and file.exists()


def test_model_without_weights_is_refused(store: ModelStore, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("{}")
    with pytest.raises(InvalidModelError, match="nothing in this that can be run"):
        store.add("empty", [store.stage(file, "config", "config.json")])


def test_copy_shares_blobs_and_digest(store: ModelStore) -> None:
    model = add(store, "a", tiny_gguf())
    twin = store.copy("a", "B:Two")
    assert twin.name == "b:two" and twin.digest == model.digest and len(blobs_of(store)) == 1
    assert store.remove("a") == 0
    assert store.remove("b:two") == model.size_bytes
    assert blobs_of(store) == set()


def test_copy_to_a_reference_is_refused(store: ModelStore) -> None:
    add(store, "a", tiny_gguf())
    with pytest.raises(UsageError):
        store.copy("a", "hf:owner/repo")


def test_adding_under_the_same_name_frees_the_old_content(store: ModelStore) -> None:
    add(store, "a", tiny_gguf(seed=1))
    model = add(store, "a", tiny_gguf(seed=2))
    assert blobs_of(store) == {model.files[0].digest}


def test_unknown_model_is_an_error_that_names_the_nearest(store: ModelStore) -> None:
    add(store, "qwen3:4b", tiny_gguf())
    for call in (store.get, store.remove):
        with pytest.raises(ModelNotFoundError) as caught:
            call("qwen3")
        assert "qwen3:4b" in caught.value.message and "ondol pull qwen3" in caught.value.hint
    with pytest.raises(ModelNotFoundError):
        store.copy("nothing", "else")


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"null", b"\xff\xfe", b'{"version": 1, "files": [{}]}', b"[" * 5000]
)
def test_corrupt_manifest_is_skipped_reported_and_removable(
    store: ModelStore, damage: bytes
) -> None:
    add(store, "good", tiny_gguf(seed=1))
    add(store, "bad", tiny_gguf(seed=2))
    path = store.directory / "manifests" / "bad" / "latest.json"
    path.write_bytes(damage)
    assert [m.name for m in store.list()] == ["good:latest"]
    assert store.damaged() == [path]
    with pytest.raises(InvalidModelError, match="damaged"):
        store.get("bad")
    assert store.remove("bad") > 0
    assert store.damaged() == []


def test_blobs_a_damaged_manifest_still_names_are_kept(store: ModelStore) -> None:
    model = add(store, "bad", tiny_gguf(seed=2))
    path = store.directory / "manifests" / "bad" / "latest.json"
    path.write_bytes(path.read_bytes()[:-5])
    add(store, "other", tiny_gguf(seed=1))
    store.remove("other")
    assert model.files[0].digest in blobs_of(store)


def test_model_whose_blob_is_gone_is_not_listed(store: ModelStore) -> None:
    model = add(store, "a", tiny_gguf())
    store.path(model).unlink()
    assert store.list() == [] and len(store.damaged()) == 1
    with pytest.raises(InvalidModelError, match="damaged"):
        store.get("a")


def test_manifest_cannot_lead_out_of_its_folder(store: ModelStore) -> None:
    model = add(store, "a", tiny_gguf())
    text = manifest.to_json(model).replace(b'"m.gguf"', b'"../../../m.gguf"')
    with pytest.raises(ValueError, match="file name"):
        manifest.from_json(text)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_model_or_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError):
        manifest.from_json(raw)


def test_directory_holds_the_files_under_their_own_names(store: ModelStore, tmp_path: Path) -> None:
    parts = []
    for number in (1, 2):
        file = tmp_path / f"part{number}"
        file.write_bytes(tiny_gguf(seed=number))
        parts.append(store.stage(file, "weights", f"Q4/m-0000{number}-of-00002.gguf"))
    model = store.add("split", parts)
    folder = store.directory_of(model)
    assert store.directory_of(model) == folder
    assert store.path(model) == folder / "Q4" / "m-00001-of-00002.gguf"
    assert (folder / "Q4" / "m-00002-of-00002.gguf").read_bytes() == tiny_gguf(seed=2)
    assert model.parameters == 2 * 1024
    store.remove("split")
    assert not folder.exists() and blobs_of(store) == set()


def test_path_of_a_role_the_model_lacks_is_an_error(store: ModelStore) -> None:
    with pytest.raises(InvalidModelError, match="no file of the kind graph"):
        store.path(add(store, "a", tiny_gguf()), "graph")


def test_add_notices_content_that_another_process_removed(store: ModelStore) -> None:
    model = add(store, "a", tiny_gguf())
    file = model.files[0]
    staged = StagedFile(file, store.blobs.path(file.digest))
    copy = store.directory.parent / "copy.gguf"
    copy.write_bytes(store.path(model).read_bytes())
    store.remove("a")
    with pytest.raises((BlobVanishedError, InvalidModelError)):
        store.add("b", [staged])
    assert store.list() == []


def test_store_in_the_place_of_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("not a folder")
    with pytest.raises(StorageError, match="cannot be written"):
        add(ModelStore(tmp_path / "models"), "a", tiny_gguf())


def test_more_than_the_disk_holds_is_a_storage_error_with_sizes(store: ModelStore) -> None:
    with pytest.raises(StorageError, match=r"1000000\.0 TB are needed and .* are free"):
        store.blobs.check_space(10**18)


def test_lock_is_held_by_one_at_a_time_and_leaves_nothing(tmp_path: Path) -> None:
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with hold(tmp_path / "lock"):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and not (tmp_path / "lock").exists()


def test_adds_from_several_threads_all_arrive(store: ModelStore, tmp_path: Path) -> None:
    def work(number: int) -> None:
        file = tmp_path / f"{number}.gguf"
        file.write_bytes(tiny_gguf(seed=number % 3))
        store.add(f"m{number}", [store.stage(file, "weights", "m.gguf")])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.list()) == 9 and len(blobs_of(store)) == 3


def test_stale_partials_are_forgotten_and_fresh_ones_kept(store: ModelStore) -> None:
    import os

    store.blobs.prepare()
    old, new = store.blobs.partial("old"), store.blobs.partial("new")
    for file in (old, new):
        file.write_bytes(b"12345")
    os.utime(old, (0, 0))
    assert store.forget_stale_partials() == 5
    assert new.exists() and not old.exists()


NAMES = st.sampled_from(["a", "b", "c:1", "c:2"])


class StoreMachine(RuleBasedStateMachine):
    """Any sequence of adding, copying and removing: blobs on disk are those referred to."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.store = ModelStore(Path(self.folder.name) / "models")
        self.expected: dict[str, int] = {}

    @rule(name=NAMES, seed=st.integers(0, 3))
    def add(self, name: str, seed: int) -> None:
        model = add(self.store, name, tiny_gguf(256, seed=seed))
        self.expected[model.name] = seed

    @rule(source=NAMES, destination=NAMES)
    def copy(self, source: str, destination: str) -> None:
        try:
            model = self.store.copy(source, destination)
        except ModelNotFoundError:
            assert full(source) not in self.expected
        else:
            self.expected[model.name] = self.expected[full(source)]

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        try:
            freed = self.store.remove(name)
        except ModelNotFoundError:
            assert full(name) not in self.expected
        else:
            seed = self.expected.pop(full(name))
            assert (freed > 0) == (seed not in self.expected.values())

    @precondition(lambda self: self.expected)
    @rule()
    def link(self) -> None:
        self.store.directory_of(self.store.list()[0])

    @invariant()
    def blobs_are_those_referred_to(self) -> None:
        models = self.store.list()
        assert {m.name for m in models} == set(self.expected)
        assert blobs_of(self.store) == {f.digest for m in models for f in m.files}
        for digest in blobs_of(self.store):
            assert digest_of(self.store.blobs.path(digest)) == digest
        kept = {m.digest.replace(":", "-") for m in models}
        assert {p.name for p in (self.store.directory / "links").glob("*")} <= kept

    def teardown(self) -> None:
        self.folder.cleanup()


def full(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


StoreMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestStoreMachine = StoreMachine.TestCase
