"""What the parts are told about each other."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from lora_gguf import random_adapter

from ondol import config
from ondol.errors import AdapterNotFoundError
from ondol.parts import Parts


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def _part(number: int, count: int, data_bytes: int) -> bytes:
    """One file of a model in ``count``, as llama.cpp writes them."""
    place = {"split.no": number, "split.count": count}
    entries = [_text(key) + struct.pack("<IH", 2, value) for key, value in place.items()]
    if number == 0:
        entries.append(_text("general.architecture") + struct.pack("<I", 8) + _text("llama"))
    tensor = _text(f"blk.{number}.weight") + struct.pack("<IQIQ", 1, data_bytes // 4, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(entries)) + b"".join(entries) + tensor
    return head + bytes(-len(head) % 32) + bytes([number]) * data_bytes


def test_memory_for_a_model_in_several_files_counts_all_of_them(tmp_path: Path) -> None:
    settings = config.load(environ={"ONDOL_MODELS": str(tmp_path / "models")})
    with Parts(settings) as parts:
        for count in (1, 3):
            files = []
            for number in range(count):
                file = tmp_path / f"{count}-{number}.gguf"
                file.write_bytes(_part(number, count, 1 << 20))
                files.append(parts.store.stage(file, "weights", file.name))
            parts.store.add(f"model:{count}", files)
        need = {n: parts._memory_need(parts._locate(f"model:{n}"), 4096) for n in (1, 3)}
    assert need[3] - need[1] >= 2 << 20


def test_memory_for_a_model_counts_its_adapters(tmp_path: Path) -> None:
    settings = config.load(environ={"ONDOL_MODELS": str(tmp_path / "models")})
    with Parts(settings) as parts:
        base = tmp_path / "base.gguf"
        base.write_bytes(_base())
        parts.store.add("model:1", [parts.store.stage(base, "weights", base.name)])
        without = parts._memory_need(parts._locate("model:1"), 4096)
        adapter = random_adapter(base, tmp_path / "lora.gguf", r=32)
        parts.adapters.add(adapter, name="style", model="model:1")
        spec = parts._locate("model:1")
        assert [a.name for a in spec.adapters] == ["style"]
        assert parts._memory_need(spec, 4096) - without == adapter.stat().st_size
        assert parts.engine("model:1:style").model == "model:1:style"
        with pytest.raises(AdapterNotFoundError):
            parts.engine("model:1:other")


def _base() -> bytes:
    """A model of one matrix."""
    entry = _text("general.architecture") + struct.pack("<I", 8) + _text("llama")
    tensor = _text("blk.0.attn_q.weight") + struct.pack("<IQQIQ", 2, 64, 64, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + entry + tensor
    return head + bytes(-len(head) % 32) + bytes(64 * 64 * 4)
