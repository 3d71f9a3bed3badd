"""Adapters that learned from their owner lie in the owner's database: encrypted when it is, erased
when they go, and given to who reads them as a file without a name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lora_gguf import random_adapter
from test_adapters import install, weights

from ondol import database, encryption, keys, paths
from ondol.errors import AdapterNotFoundError, InvalidModelError
from ondol.models.adapters import AdapterStore
from ondol.models.private_adapters import PrivateAdapters
from ondol.models.store import ModelStore
from ondol.place import Place

LEARNED = {"task": "style", "num_examples": 120}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A house of its own, whose library is plain."""
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path / "home"))
    for name in keys.SECRET_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    keys.forget_all()
    database.connect(paths.database_file()).close()
    yield tmp_path
    keys.forget_all()


@pytest.fixture
def store(home: Path) -> ModelStore:
    store = ModelStore(home / "models")
    install(store, "tiny:1m")
    return store


@pytest.fixture
def private(home: Path) -> Iterator[PrivateAdapters]:
    with PrivateAdapters(Place.in_file(paths.database_file())) as private:
        yield private


@pytest.fixture
def adapters(store: ModelStore, private: PrivateAdapters) -> AdapterStore:
    return AdapterStore(store, None, lambda: private)


@pytest.fixture
def lora(store: ModelStore, home: Path) -> Path:
    return random_adapter(weights(store), home / "lora.gguf", r=2)


def holding(home: Path, content: bytes, *besides: Path) -> list[Path]:
    """The files that hold some 64 bytes out of the middle of ``content``."""
    middle = len(content) // 2
    piece = content[middle : middle + 64]
    files = (file for file in home.rglob("*") if file.is_file() and file not in besides)
    return [file for file in files if piece in file.read_bytes()]


def test_an_adapter_of_ones_own_is_no_file_and_is_read_like_one(adapters, store, lora, home):
    content = lora.read_bytes()
    made = adapters.add(lora, name="style", model="tiny:1m", trained_on=LEARNED)
    assert made.private and adapters.list() == [made]
    assert not store.blobs.has(made.digest)
    assert {file.name.partition("-")[0] for file in holding(home, content, lora)} <= {"ondol.db"}
    path = adapters.path(made)
    assert path.read_bytes() == content and path.stat().st_size == made.size_bytes
    assert [(one.name, file) for one, file in adapters.served(store.get("tiny:1m"))] == [
        ("style", path)
    ]
    # A child, as the engine's, opens it; who closes the house takes it away.
    script = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())"
    child = subprocess.run([sys.executable, "-c", script, path], capture_output=True, check=True)
    assert child.stdout == content


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it has a name")
def test_the_file_in_memory_is_gone_with_the_house(adapters, private, lora):
    path = adapters.path(adapters.add(lora, name="style", model="tiny:1m", trained_on=LEARNED))
    assert str(path).startswith("/proc/")
    private.close()
    assert not path.exists()


def test_an_adapter_of_other_data_is_a_blob_as_ever(adapters, store, lora):
    for about in ({"task": "grounding"}, {}, None):
        made = adapters.add(lora, name="style", model="tiny:1m", trained_on=about)
        assert not made.private and store.blobs.has(made.digest)


def test_locked_no_byte_of_it_is_to_be_read_and_unlocked_it_is_the_same(
    adapters, private, lora, home
):
    content = lora.read_bytes()
    made = adapters.add(lora, name="style", model="tiny:1m", trained_on=LEARNED)
    lora.unlink()
    for passphrase in ("one passphrase", "another passphrase"):  # the second is a new key
        private.close()
        encryption.lock(paths.database_file(), passphrase)
        assert holding(home, content) == []
        assert adapters.path(made).read_bytes() == content
        assert holding(home, content) == [], "nor while it is read"
    private.close()
    encryption.unlock(paths.database_file())
    assert adapters.path(made).read_bytes() == content


def test_removed_no_byte_of_it_is_left(adapters, private, store, lora, home):
    content = lora.read_bytes()
    adapters.add(lora, name="style", model="tiny:1m", trained_on=LEARNED)
    lora.unlink()
    assert holding(home, content)
    assert adapters.remove("tiny:1m", "style") == len(content)
    private.close()
    assert adapters.list() == [] and holding(home, content) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the path is gone")
def test_a_path_that_somebody_still_has_never_leads_to_another_adapter(private):
    first = private.path(private.put(b"GGUF of the first"))
    private.remove([private.put(b"GGUF of the first")])
    second = private.path(private.put(b"GGUF of the second"))
    assert second != first
    assert first.read_bytes() == b""
    assert second.read_bytes() == b"GGUF of the second"


def test_replaced_under_its_name_the_old_one_is_erased(adapters, private, store, lora, home):
    old = adapters.add(lora, name="style", model="tiny:1m", trained_on=LEARNED)
    file = random_adapter(weights(store), home / "new.gguf", seed=9)
    new = adapters.add(file, name="style", model="tiny:1m", trained_on=LEARNED)
    assert private.path(old.digest) is None and private.path(new.digest) is not None
    # The same file under a second name stays as long as one of them is there.
    adapters.add(adapters.path(new), name="again", model="tiny:1m", trained_on=LEARNED)
    adapters.remove("tiny:1m", "style")
    assert private.path(new.digest) is not None
    adapters.add(file, name="again", model="tiny:1m")  # and now it is a blob
    assert private.path(new.digest) is None


def test_removing_the_model_removes_what_its_adapters_learned(adapters, private, store, lora):
    made = adapters.add(lora, name="style", model="tiny:1m", trained_on=LEARNED)
    adapters.forget_private("tiny:1m")
    store.remove("tiny:1m")
    assert private.path(made.digest) is None


def test_one_whose_file_is_gone_is_not_served_and_is_said_when_it_is_named(
    adapters, private, store, lora
):
    made = adapters.add(lora, name="style", model="tiny:1m", trained_on=LEARNED)
    private.remove([made.digest])  # as after another library was put in place
    assert adapters.served(store.get("tiny:1m")) == []
    with pytest.raises(AdapterNotFoundError):
        adapters.path(made)
    assert adapters.remove("tiny:1m", "style") == 0


def test_what_does_not_fit_is_not_kept(adapters, private, home):
    wrong = home / "wrong.gguf"
    wrong.write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidModelError):
        adapters.add(wrong, name="style", model="tiny:1m", trained_on=LEARNED)
    with private.place.reading() as connection:
        assert connection.execute("SELECT count(*) FROM private_adapters").fetchone() == (0,)


def test_listing_opens_no_library(adapters, store, lora, private):
    made = adapters.add(lora, name="style", model="tiny:1m", trained_on=LEARNED)
    opened: list[Callable[[], None]] = []
    fresh = AdapterStore(store, None, lambda: opened.append(print) or private)  # type: ignore[func-returns-value,arg-type]
    assert fresh.list() == [made] and fresh.resolve("tiny:1m:style")[1] == made
    assert opened == []
