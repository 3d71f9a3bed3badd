"""The files that are tried: made once, gone afterwards, and by llama-quantize where only it can."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest
import small_gguf

from ondol.errors import EngineError, StorageError
from ondol.lab.tuning.files import TrialFiles
from ondol.models import blobs
from ondol.models.gguf import GgufHeader, read_header
from ondol.models.store import ModelStore

QUANTISER = """\
#!{python}
import sys
from pathlib import Path
_, source, target, format = sys.argv[1:]
raw = Path(source).read_bytes()
place = raw.index(b"general.file_type") + 21
number = {{"Q6_K": 18, "Q4_K_M": 3}}[format]
Path(target).write_bytes(raw[:place] + bytes([number]) + raw[place + 1 :])
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return small_gguf.write(tmp_path / "small.gguf")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture
def quantiser(tmp_path: Path) -> Path:
    """A llama-quantize that makes Q6_K, and something else when it is asked for Q4_K_M."""
    program = tmp_path / "llama-quantize"
    program.write_text(QUANTISER.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_files_are_made_once_and_go_with_the_trial(store: ModelStore, source: Path) -> None:
    with TrialFiles(store, source) as files:
        path = files.make("F16")
        assert files.make("F16") == path and path.stat().st_size == files.size("F16")
        assert read_header(path).quantization == "F16"
    assert not path.exists()


def test_own_format_and_those_that_nobody_can_make_are_not_tried(
    store: ModelStore, source: Path, quantiser: Path
) -> None:
    assert TrialFiles(store, source).tried() == ("F16", "BF16", "Q8_0", "Q4_0")
    # Rows of 64 hold no block of 256: llama-quantize would make something else of them.
    assert "Q6_K" not in TrialFiles(store, source, quantiser).known()


def test_llama_quantize_makes_what_gguf_cannot(
    store: ModelStore, source: Path, quantiser: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrialFiles, "_has_long_rows", lambda self: True)
    with TrialFiles(store, source, quantiser) as files:
        assert set(files.tried()) >= {"F16", "Q6_K", "Q4_K_M"}
        assert read_header(files.make("Q6_K")).quantization == "Q6_K"
        with pytest.raises(EngineError, match="Q4_K_M"):
            files.make("Q4_K_M")
    assert not list(store.blobs.directory.glob("partial-*"))


def test_no_room_on_the_disk_is_told_before_anything_is_written(
    store: ModelStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "MARGIN_BYTES", 1 << 60)
    with TrialFiles(store, source) as files, pytest.raises(StorageError):
        files.make("F16")
    assert not list(store.blobs.directory.glob("partial-*"))


def test_long_rows_allow_k_quants(store: ModelStore, source: Path) -> None:
    files = TrialFiles(store, source)
    tensors = tuple(
        type(one)(one.name, (256, *one.shape[1:]), one.type, one.offset, one.size_bytes)
        for one in files.header.tensors
    )
    found = files.header
    files.header = GgufHeader(
        found.version, found.metadata, tensors, found.data_offset, found.file_size_bytes
    )
    assert files._has_long_rows()
