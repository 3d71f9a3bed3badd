"""Weights in another format: what changes in the file, and what may not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import small_gguf
from gguf import GGUFReader
from gguf.quants import dequantize

from ondol.models import formats
from ondol.models.gguf import read_header


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_gguf.write(tmp_path_factory.mktemp("weights") / "small.gguf")


def values_of(path: Path) -> dict[str, np.ndarray]:
    return {t.name: dequantize(t.data, t.tensor_type) for t in GGUFReader(str(path)).tensors}


def test_same_format_is_the_same_file(weights: Path, tmp_path: Path) -> None:
    formats.requantise(weights, tmp_path / "again.gguf", "Q4_1")
    assert (tmp_path / "again.gguf").read_bytes() == weights.read_bytes()


@pytest.mark.parametrize("format", formats.FORMATS)
def test_metadata_stays_byte_for_byte_but_for_the_formats_number(
    weights: Path, tmp_path: Path, format: str
) -> None:
    target = tmp_path / "other.gguf"
    seen: list[int] = []
    formats.requantise(weights, target, format, seen.append)
    header = read_header(weights)
    assert target.stat().st_size == formats.size_in(header, format) == seen[-1]
    found = read_header(target)
    assert found.quantization == format
    assert {**found.metadata, "general.file_type": 3} == dict(header.metadata)
    front, old = target.read_bytes(), weights.read_bytes()
    start = old.index(b"token_embd.weight") - 8
    differing = [i for i in range(start) if front[i] != old[i]]
    assert len(differing) <= 1


@pytest.mark.parametrize(("format", "most"), [("F16", 2e-3), ("BF16", 2e-2), ("Q8_0", 2e-2)])
def test_wider_formats_hold_the_shipped_weights(
    weights: Path, tmp_path: Path, format: str, most: float
) -> None:
    formats.requantise(weights, tmp_path / "wide.gguf", format)
    before, after = values_of(weights), values_of(tmp_path / "wide.gguf")
    assert before.keys() == after.keys()
    for name in before:
        assert before[name].shape == after[name].shape
        assert np.abs(before[name] - after[name]).max() < most, name
    assert np.array_equal(before["token_embd.weight"], after["token_embd.weight"])


def test_what_a_little_noise_would_spoil_is_left_alone(weights: Path) -> None:
    types = {t.name: t.type for t in formats.planned(read_header(weights), "Q4_0")}
    assert types == {
        "token_embd.weight": "Q8_0",
        "blk.0.attn_q.weight": "Q4_0",
        "blk.0.ffn_up_exps.weight": "Q4_0",
        "blk.0.ffn_gate_inp.weight": "F32",
        "blk.0.odd.weight": "F32",
        "blk.0.attn_norm.weight": "F32",
    }


def test_rows_are_converted_in_pieces_that_fit_in_memory(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    formats.requantise(weights, tmp_path / "whole.gguf", "Q5_1")
    monkeypatch.setattr(formats, "CHUNK_WEIGHTS", 100)
    formats.requantise(weights, tmp_path / "pieces.gguf", "Q5_1")
    assert (tmp_path / "whole.gguf").read_bytes() == (tmp_path / "pieces.gguf").read_bytes()


def test_unknown_format_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Q9_9"):
        formats.requantise(weights, tmp_path / "x.gguf", "Q9_9")
    assert not (tmp_path / "x.gguf").exists()
