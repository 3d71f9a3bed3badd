"""The new versions of a real model that the benchmark makes deltas to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
from gguf.scripts.gguf_new_metadata import MetadataDetails, copy_with_new_metadata

SEED = 10
ADAPTER = Path("src/ondol/models/shipped/smollm2-135m-grounding.gguf")


def scattered(old: Path, new: Path, share: float = 0.01) -> None:
    """A hundredth of the bytes, anywhere: the worst shape that a small change can have."""
    content = np.fromfile(old, np.uint8)
    random = np.random.default_rng(SEED)
    places = random.choice(len(content), int(len(content) * share), replace=False)
    content[places] = random.integers(0, 256, len(places), dtype=np.uint8)
    content.tofile(new)


def one_block(old: Path, new: Path) -> None:
    """A hundredth of the bytes, in one piece."""
    content = np.fromfile(old, np.uint8)
    length = len(content) // 100
    start = len(content) // 2
    content[start : start + length] = _noise(length)
    content.tofile(new)


def tensors(old: Path, new: Path) -> None:
    """Tensors of a hundredth of the bytes, spread over the layers, hold other numbers."""
    content = np.fromfile(old, np.uint8)
    found = [t for t in gguf.GGUFReader(old).tensors if "attn_k" in t.name]
    other = _noise(len(content) // 100)
    for tensor in found:
        length = min(int(tensor.n_bytes), len(other))
        content[tensor.data_offset : tensor.data_offset + length] = other[:length]
        other = other[length:]
    content.tofile(new)


def metadata(old: Path, new: Path) -> None:
    """Its name, licence and description; the tensors move by what the header grew."""
    _with(old, new, {f"general.{key}": key * 40 for key in ("name", "license", "description")})


def template(old: Path, new: Path) -> None:
    """Another chat template."""
    _with(old, new, {"tokenizer.chat_template": "{{ messages[0]['content'] }}\n" * 90})


def reordered(old: Path, new: Path) -> None:
    """The same tensors in another order, as another converter writes them."""
    _write(old, new, lambda tensor: (tensor.data, tensor.tensor_type), reverse=True)


def fine_tuned(old: Path, new: Path) -> None:
    """A real LoRA adapter merged in; every layer quantised again as it was."""
    adapter = gguf.GGUFReader(ADAPTER)
    found = {t.name: np.array(t.data, np.float32) for t in adapter.tensors}
    rank = min(next(iter(found.values())).shape)
    scale = adapter.fields["adapter.lora.alpha"].contents() / rank

    def merged(tensor: gguf.ReaderTensor) -> tuple[np.ndarray, gguf.GGMLQuantizationType]:
        a, b = (found.get(f"{tensor.name}.lora_{part}") for part in "ab")
        if a is None or b is None:
            return tensor.data, tensor.tensor_type
        whole = gguf.dequantize(tensor.data, tensor.tensor_type) + scale * (b @ a)
        return gguf.quantize(whole.astype(np.float32), tensor.tensor_type), tensor.tensor_type

    _write(old, new, merged)


def requantised(old: Path, new: Path) -> None:
    """Every layer quantised otherwise (Q4_1 to Q8_0)."""
    to = gguf.GGMLQuantizationType.Q8_0

    def other(tensor: gguf.ReaderTensor) -> tuple[np.ndarray, gguf.GGMLQuantizationType]:
        if tensor.tensor_type != gguf.GGMLQuantizationType.Q4_1:
            return tensor.data, tensor.tensor_type
        return gguf.quantize(gguf.dequantize(tensor.data, tensor.tensor_type), to), to

    _write(old, new, other)


def random(old: Path, new: Path) -> None:
    """Nothing in common."""
    _noise(old.stat().st_size).tofile(new)


CASES: dict[str, Callable[[Path, Path], None]] = {
    case.__name__: case
    for case in (
        one_block,
        tensors,
        metadata,
        template,
        scattered,
        reordered,
        fine_tuned,
        requantised,
        random,
    )
}


def _noise(length: int) -> np.ndarray:
    return np.random.default_rng(SEED).integers(0, 256, length, dtype=np.uint8)


def _with(old: Path, new: Path, texts: dict[str, str]) -> None:
    reader = gguf.GGUFReader(old)
    writer = gguf.GGUFWriter(new, arch=reader.fields["general.architecture"].contents())
    details = {key: MetadataDetails(gguf.GGUFValueType.STRING, text) for key, text in texts.items()}
    copy_with_new_metadata(reader, writer, details, [])


def _write(
    old: Path,
    new: Path,
    change: Callable[[gguf.ReaderTensor], tuple[np.ndarray, gguf.GGMLQuantizationType]],
    reverse: bool = False,
) -> None:
    """A GGUF with the metadata of ``old`` and its tensors as ``change`` gives them."""
    reader = gguf.GGUFReader(old)
    writer = gguf.GGUFWriter(new, arch=reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
    for tensor in sorted(reader.tensors, key=lambda t: t.data_offset, reverse=reverse):
        data, kind = change(tensor)
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
