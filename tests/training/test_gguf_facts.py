"""A GGUF's facts without its vocabulary are the same facts."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from ondol.training.gguf_facts import MOST_VALUES, facts_of

TOKENS = [f"token {number}" for number in range(MOST_VALUES + 1)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([0.5] * len(TOKENS))
    writer.add_array("llama.short", [1, 2, 3])
    writer.add_head_count(9)
    writer.add_tensor("blk.0.attn_q.weight", np.arange(64, dtype=np.float32).reshape(8, 8))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path / "a.gguf"


def test_what_is_not_passed_over_is_as_gguf_reads_it(file: Path) -> None:
    whole, facts = gguf.GGUFReader(file), facts_of(file)
    assert list(facts.fields) == list(whole.fields)
    for name in ("general.architecture", "llama.attention.head_count", "llama.short"):
        assert facts.fields[name].contents() == whole.fields[name].contents()
    (tensor,), (wanted,) = facts.tensors, whole.tensors
    assert tensor.name == wanted.name and np.array_equal(tensor.data, wanted.data)
    assert not facts.fields["tokenizer.ggml.tokens"].data


def test_file_that_ends_in_its_vocabulary_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:9000])
    with pytest.raises(ValueError, match="cut off"):
        facts_of(file)
