"""The header of a GGUF file (v2, v3): what the model is, read before any engine sees it.

Knows what the numbers mean; ``gguf_reader`` knows how they are stored and refuses what is
malformed. Raises ``InvalidModelError`` with one sentence, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from ondol.i18n import t
from ondol.models.gguf_reader import Elided, Reader, TensorInfo, Value, open_reader, shown

MAX_METADATA = 4096
MAX_TENSORS = 32_768
MAX_ALIGNMENT = 2**20
MAX_LAYERS = 4096

Kind = Literal["chat", "embedding", "reranker", "adapter", "projector"]

# llama.cpp's general.file_type: what people call the quantisation of a whole file.
_FILE_TYPES = dict(
    pair
    for start, names in (
        (0, "F32 F16 Q4_0 Q4_1"),
        (7, "Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K"),
        (19, "IQ2_XXS IQ2_XS Q2_K_S IQ3_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M"),
        (30, "IQ4_XS IQ1_M BF16"),
        (36, "TQ1_0 TQ2_0 MXFP4 NVFP4 Q1_0 Q2_0"),
    )
    for pair in enumerate(names.split(), start)
)

_BIG_ENDIAN = (2 << 24, 3 << 24)
_POOLED, _RANKED = (1, 2, 3), 4


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """A well-formed header. A number that is absent, or makes no sense, is None.

    Of a model split into several files, the first describes the model and may hold no tensors;
    the others hold tensors and say nothing, not even their architecture ("").
    """

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    file_size_bytes: int
    fim_words: frozenset[str] = frozenset()
    """Which of the tokens for filling in ("fim_pre", "fim_suf", "fim_mid") a long vocabulary has,
    by their texts."""

    def number(self, name: str) -> int | None:
        """The integer at ``<architecture>.<name>``."""
        value = self.metadata.get(f"{self.architecture}.{name}")
        sane = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40
        return value if sane else None  # type: ignore[return-value]

    def per_layer(self, name: str) -> tuple[int, ...] | None:
        """``<architecture>.<name>`` for each layer, whether the file says it once or per layer."""
        value = self.metadata.get(f"{self.architecture}.{name}")
        layers = self.block_count or 0
        if isinstance(value, tuple):
            numbers = tuple(int(v) for v in value if isinstance(v, int) and 0 <= v < 2**40)
            return numbers[:layers] if layers and len(value) == len(numbers) >= layers else None
        once = self.number(name)
        return None if once is None or not layers else (once,) * layers

    def text(self, key: str) -> str | None:
        """The string at ``key``, unless it is absent or too long to keep."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    @property
    def part(self) -> int:
        """Which file of a split model this is, from 0."""
        return _whole_number(self.metadata, "split.no")

    @property
    def num_parts(self) -> int:
        return max(1, _whole_number(self.metadata, "split.count"))

    @property
    def context_length(self) -> int | None:
        """Tokens the model was trained to attend to."""
        return self.number("context_length")

    @property
    def embedding_length(self) -> int | None:
        return self.number("embedding_length")

    @property
    def block_count(self) -> int | None:
        """Layers."""
        count = self.number("block_count")
        return count if count is not None and count <= MAX_LAYERS else None

    @property
    def head_count(self) -> int | None:
        """Attention heads; the widest layer's where layers differ."""
        return max(self.per_layer("attention.head_count") or (), default=None)

    @property
    def head_count_kv(self) -> int | None:
        """Key and value heads; the widest layer's where layers differ."""
        return max(self.per_layer("attention.head_count_kv") or (), default=self.head_count)

    @property
    def key_length(self) -> int | None:
        """Width of one head's key."""
        given = self.number("attention.key_length")
        if given is None and self.embedding_length and self.head_count:
            return self.embedding_length // self.head_count
        return given

    @property
    def value_length(self) -> int | None:
        """Width of one head's value."""
        given = self.number("attention.value_length")
        return self.key_length if given is None else given

    @property
    def head_dim(self) -> int | None:
        return self.key_length

    @property
    def vocabulary_size(self) -> int | None:
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        if isinstance(tokens, Elided):
            return tokens.count
        return len(tokens) if isinstance(tokens, tuple) else self.number("vocab_size")

    @property
    def parameters(self) -> int:
        """Weights in this file."""
        return sum(prod(tensor.shape) for tensor in self.tensors)

    @property
    def quantization(self) -> str:
        """``Q4_K_M`` and the like; the type most bytes have where the file does not say."""
        file_type = self.metadata.get("general.file_type")
        if isinstance(file_type, int) and file_type in _FILE_TYPES:
            return _FILE_TYPES[file_type]
        sizes: Counter[str] = Counter()
        for tensor in self.tensors:
            sizes[tensor.type] += tensor.size_bytes
        return sizes.most_common(1)[0][0] if sizes else ""

    @property
    def chat_template(self) -> str | None:
        """Jinja source."""
        return self.text("tokenizer.chat_template")

    @property
    def is_embedding(self) -> bool:
        return self.kind == "embedding"

    @property
    def kind(self) -> Kind:
        """What the file is for: most are for chat, and only the others say so."""
        general = self.text("general.type")
        if general == "adapter":
            return "adapter"
        if general == "mmproj" or self.architecture == "clip":
            return "projector"
        pooling = self.number("pooling_type")
        if pooling == _RANKED or any(x.name.startswith("cls.") for x in self.tensors):
            return "reranker"
        encoder = "bert" in self.architecture or self.architecture.endswith(
            ("encoder", "embedding")
        )
        return "embedding" if encoder or pooling in _POOLED else "chat"


def read_header(path: Path, name: str = "") -> GgufHeader:
    """The checked header of the GGUF file at ``path``; InvalidModelError says what is wrong.

    Reads header bytes only, never weights, in bounded memory and time. ``name`` is what errors
    call the file, where that is not its own name.
    """
    with open_reader(path, name) as reader:
        return header_of(reader)


def header_of(reader: Reader) -> GgufHeader:
    """The checked header of the file that ``reader`` is at the front of; see ``read_header``."""
    version, num_tensors, num_metadata = _preamble(reader)
    metadata = _metadata(reader, num_metadata)
    if not num_tensors and _whole_number(metadata, "split.count") < 2:
        raise reader.invalid("bad_tensor_count", count=0, most=MAX_TENSORS)
    tensors, data_offset = reader.tensors(num_tensors, _alignment(reader, metadata))
    words = frozenset(reader.fim_words)
    return GgufHeader(version, metadata, tensors, data_offset, reader.size_bytes, words)


def tensors_position(reader: Reader) -> int:
    """Where the list of tensors begins in the file that ``reader`` is at the front of."""
    _, _, num_metadata = _preamble(reader)
    _metadata(reader, num_metadata)
    return reader.position


def _preamble(reader: Reader) -> tuple[int, int, int]:
    """Version, number of tensors, number of metadata entries."""
    start = t("gguf.at_start")
    if reader.take(min(4, reader.size_bytes), start) != b"GGUF":
        raise reader.invalid("not_gguf")
    version = reader.u32(start)
    if version not in (2, 3):
        why = "big_endian" if version in _BIG_ENDIAN else "bad_version"
        raise reader.invalid(why, version=version)
    num_tensors, num_metadata = reader.u64(start), reader.u64(start)
    if num_tensors > MAX_TENSORS:
        raise reader.invalid("bad_tensor_count", count=num_tensors, most=MAX_TENSORS)
    if num_metadata > MAX_METADATA:
        raise reader.invalid("bad_metadata_count", count=num_metadata, most=MAX_METADATA)
    return version, num_tensors, num_metadata


def _metadata(reader: Reader, count: int) -> Mapping[str, Value]:
    """``count`` entries; every one has its own key, and the architecture is among them, except
    in the later files of a split model."""
    entries: dict[str, Value] = {}
    for index in range(count):
        key = reader.name(t("gguf.at_entry", number=index + 1))
        where = shown(key)
        if key in entries:
            raise reader.invalid("duplicate_key", entry=where)
        entries[key] = reader.value(reader.u32(where), where)
        reader.keep(len(key), where)
    architecture = entries.get("general.architecture")
    is_later = architecture is None and _whole_number(entries, "split.no") > 0
    if not is_later and (not isinstance(architecture, str) or not architecture):
        raise reader.invalid("no_architecture")
    return MappingProxyType(entries)


def _alignment(reader: Reader, metadata: Mapping[str, Value]) -> int:
    """What tensor offsets are multiples of."""
    value = metadata.get("general.alignment", 32)
    power = isinstance(value, int) and 0 < value <= MAX_ALIGNMENT and value & (value - 1) == 0
    if not isinstance(value, int) or isinstance(value, bool) or not power:
        raise reader.invalid("bad_alignment", value=shown(str(value)))
    return value


def _whole_number(metadata: Mapping[str, Value], key: str) -> int:
    """The number at ``key``; 0 where there is none."""
    value = metadata.get(key)
    sane = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**16
    return value if sane else 0  # type: ignore[return-value]
