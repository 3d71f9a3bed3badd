"""Headers: what a good file says, and one sentence for every bad one."""

from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ondol.errors import InvalidModelError
from ondol.i18n import LANGUAGES, use_language
from ondol.models.gguf import GgufHeader, read_header
from ondol.models.gguf_reader import KEPT_BYTES, TENSOR_TYPES, Elided

U8, U16, U32, F32, BOOL, STRING, ARRAY, U64 = 0, 2, 4, 6, 7, 8, 9, 10
LETTERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
LETTERS[12] = "d"


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def bare(code: int, value: object) -> bytes:
    if code == STRING:
        return text(value)  # type: ignore[arg-type]
    return struct.pack(f"<{LETTERS[code]}", value)


def entry(key: str | bytes, code: int, value: object) -> bytes:
    """One metadata entry; an array is given as ``(item code, items)``."""
    head = text(key) + struct.pack("<I", code)
    if code == ARRAY:
        item_code, items = value  # type: ignore[misc]
        body = b"".join(bare(item_code, item) for item in items)
        return head + struct.pack("<IQ", item_code, len(items)) + body
    return head + bare(code, value)


def tensor(name: str | bytes, shape: tuple[int, ...], code: int = 0, offset: int = 0) -> bytes:
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + dimensions + struct.pack("<IQ", code, offset)


LLAMA = (
    entry("general.architecture", STRING, "llama"),
    entry("llama.block_count", U32, 2),
    entry("llama.context_length", U32, 512),
    entry("llama.embedding_length", U32, 64),
    entry("llama.attention.head_count", U32, 4),
    entry("llama.attention.head_count_kv", U32, 2),
    entry("tokenizer.chat_template", STRING, "{{ messages }}"),
)
ONE = (tensor("token_embd.weight", (64,)),)


def gguf(
    entries: tuple[bytes, ...] = LLAMA,
    tensors: tuple[bytes, ...] = ONE,
    *,
    version: int = 3,
    num_tensors: int | None = None,
    num_entries: int | None = None,
    data: int = 256,
    alignment: int = 32,
) -> bytes:
    """A GGUF file; the counts can be made to lie."""
    head = b"GGUF" + struct.pack(
        "<IQQ",
        version,
        len(tensors) if num_tensors is None else num_tensors,
        len(entries) if num_entries is None else num_entries,
    )
    head += b"".join(entries) + b"".join(tensors)
    return head + bytes(-len(head) % alignment) + bytes(data)


@pytest.fixture
def read(tmp_path: Path):
    def read(content: bytes) -> GgufHeader:
        file = tmp_path / "model.gguf"
        file.write_bytes(content)
        return read_header(file)

    return read


def test_a_header_says_what_the_model_is(read) -> None:
    header = read(gguf())
    assert (header.version, header.architecture, header.kind) == (3, "llama", "chat")
    assert (header.context_length, header.embedding_length, header.block_count) == (512, 64, 2)
    assert (header.head_count, header.head_count_kv) == (4, 2)
    assert (header.key_length, header.value_length, header.head_dim) == (16, 16, 16)
    assert (header.parameters, header.quantization) == (64, "F32")
    assert header.chat_template == "{{ messages }}"
    assert header.tensors[0].size_bytes == 256
    assert header.data_offset + 256 == header.file_size_bytes


def test_version_2_is_read(read) -> None:
    assert read(gguf(version=2)).version == 2


@pytest.mark.parametrize("code", LETTERS)
def test_every_scalar_type_is_read(read, code: int) -> None:
    header = read(gguf((*LLAMA, entry("x.one", code, 1), entry("x.many", ARRAY, (code, (1, 0))))))
    assert header.metadata["x.one"] == 1
    assert header.metadata["x.many"] == (1, 0)


@pytest.mark.parametrize("code", TENSOR_TYPES)
def test_every_tensor_type_has_its_size(read, code: int) -> None:
    name, block, block_bytes = TENSOR_TYPES[code]
    header = read(gguf(tensors=(tensor("w", (block * 2, 3), code),), data=6 * block_bytes))
    assert (header.tensors[0].type, header.tensors[0].size_bytes) == (name, 6 * block_bytes)
    assert header.quantization == name


def test_the_file_type_names_the_quantization(read) -> None:
    assert read(gguf((*LLAMA, entry("general.file_type", U32, 15)))).quantization == "Q4_K_M"
    assert read(gguf((*LLAMA, entry("general.file_type", U32, 999)))).quantization == "F32"


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        ((entry("general.architecture", STRING, "bert"),), "embedding"),
        ((entry("general.architecture", STRING, "nomic-bert-moe"),), "embedding"),
        ((entry("general.architecture", STRING, "gemma-embedding"),), "embedding"),
        ((*LLAMA, entry("llama.pooling_type", U32, 3)), "embedding"),
        ((*LLAMA, entry("llama.pooling_type", U32, 0)), "chat"),
        ((*LLAMA, entry("llama.pooling_type", U32, 4)), "reranker"),
        ((*LLAMA, entry("general.type", STRING, "adapter")), "adapter"),
        ((entry("general.architecture", STRING, "clip"),), "projector"),
    ],
)
def test_the_kind_is_known_from_the_header(read, entries, kind: str) -> None:
    header = read(gguf(entries))
    assert header.kind == kind
    assert header.is_embedding == (kind == "embedding")


def test_layers_may_differ_in_heads(read) -> None:
    heads = entry("llama.attention.head_count_kv", ARRAY, (U32, (2, 0)))
    header = read(gguf((*LLAMA[:5], heads)))
    assert header.per_layer("attention.head_count_kv") == (2, 0)
    assert header.head_count_kv == 2


@pytest.mark.parametrize(
    "value", [(STRING, "many"), (U64, 2**63), (BOOL, True), (F32, 2.0), (ARRAY, (U32, (1,)))]
)
def test_a_number_that_makes_no_sense_is_none(read, value: tuple[int, object]) -> None:
    header = read(gguf((LLAMA[0], entry("llama.block_count", *value))))
    assert header.block_count is None
    assert header.per_layer("block_count") is None
    assert header.head_count_kv is None and header.key_length is None


def test_long_values_are_counted_not_kept(read) -> None:
    words = entry("tokenizer.ggml.tokens", ARRAY, (STRING, ("word",) * 10_000))
    scores = entry("tokenizer.ggml.scores", ARRAY, (F32, (0.0,) * 10_000))
    note = entry("general.description", STRING, "x" * 2_000_000)
    header = read(gguf((*LLAMA, words, scores, note)))
    assert header.metadata["tokenizer.ggml.tokens"] == Elided(10_000)
    assert header.metadata["tokenizer.ggml.scores"] == Elided(10_000)
    assert header.metadata["general.description"] == Elided(2_000_000)
    assert header.vocabulary_size == 10_000


def test_the_first_file_of_a_split_model_may_hold_no_tensors(read) -> None:
    header = read(gguf((*LLAMA, entry("split.count", U16, 3)), tensors=()))
    assert (header.part, header.num_parts, header.parameters) == (0, 3, 0)
    assert header.quantization == ""


def test_a_later_file_of_a_split_model_need_not_say_what_it_is(read) -> None:
    header = read(gguf((entry("split.no", U16, 2), entry("split.count", U16, 3))))
    assert (header.part, header.num_parts, header.architecture) == (2, 3, "")
    assert header.parameters == 64 and header.context_length is None


HUGE = 2**62
BAD = {
    "empty": (b"", "begin with the letters GGUF"),
    "too short": (b"GG", "begin with the letters GGUF"),
    "another format": (b"PK\3\4" + bytes(100), "begin with the letters GGUF"),
    "cut after the magic": (b"GGUF", "ends in the middle of the start"),
    "version 1": (gguf(version=1), "version is 1"),
    "version 9": (gguf(version=9), "version is 9"),
    "big-endian": (gguf(version=3 << 24), "big-endian"),
    "no tensors": (gguf(tensors=()), "claims 0 tensors"),
    "no tensors in the only part": (
        gguf((*LLAMA, entry("split.count", U16, 1)), tensors=()),
        "claims 0 tensors",
    ),
    "a first part without architecture": (
        gguf((entry("split.no", U16, 0), entry("split.count", U16, 2))),
        "does not say its architecture",
    ),
    "many tensors": (gguf(num_tensors=HUGE), "tensors, and 1 to"),
    "more tensors than there are": (gguf(num_tensors=2), "tensor 2"),
    "many entries": (gguf(num_entries=HUGE), "metadata entries"),
    "no architecture": (gguf(LLAMA[1:]), "architecture"),
    "architecture is a number": (
        gguf((entry("general.architecture", U32, 1),)),
        "architecture",
    ),
    "duplicate key": (gguf((*LLAMA, LLAMA[1])), "llama.block_count twice"),
    "empty key": (gguf((*LLAMA, entry("", U8, 1))), "metadata entry 8 is 0 bytes long"),
    "long key": (gguf((*LLAMA, entry("k" * 600, U8, 1))), "metadata entry 8 is 600 bytes"),
    "key not text": (gguf((*LLAMA, entry(b"\xff\xfe", U8, 1))), "not UTF-8"),
    "unknown type": (gguf((*LLAMA, text("k") + struct.pack("<I", 77))), "unknown type 77"),
    "nested array": (
        gguf((*LLAMA, text("k") + struct.pack("<IIQ", ARRAY, ARRAY, 1))),
        "at k is of the unknown type 9",
    ),
    "long array": (
        gguf((*LLAMA, text("k") + struct.pack("<IIQ", ARRAY, U8, HUGE))),
        "at k claims",
    ),
    "array past the end": (
        gguf((*LLAMA, text("k") + struct.pack("<IIQ", ARRAY, F32, 2**20))),
        "middle of k",
    ),
    "strings past the end": (
        gguf((*LLAMA, text("k") + struct.pack("<IIQ", ARRAY, STRING, 2**20)), data=0),
        "k",
    ),
    "long string": (
        gguf((*LLAMA, text("k") + struct.pack("<IQ", STRING, HUGE))),
        "text at k claims",
    ),
    "string past the end": (
        gguf((*LLAMA, text("k") + struct.pack("<IQ", STRING, 100_000))),
        "middle of k",
    ),
    "alignment 0": (gguf((*LLAMA, entry("general.alignment", U32, 0))), "alignment is 0"),
    "alignment 48": (gguf((*LLAMA, entry("general.alignment", U32, 48))), "alignment is 48"),
    "alignment huge": (gguf((*LLAMA, entry("general.alignment", U32, 2**31))), "alignment"),
    "alignment text": (gguf((*LLAMA, entry("general.alignment", STRING, "a"))), "alignment is a"),
    "duplicate tensor": (
        gguf(tensors=(tensor("w", (8,)), tensor("w", (8,), 0, 32))),
        "names the tensor w twice",
    ),
    "five dimensions": (gguf(tensors=(tensor("w", (1,) * 5),)), "w has 5 dimensions"),
    "dimension 0": (gguf(tensors=(tensor("w", (8, 0)),)), "shape [8, 0]"),
    "product too large": (gguf(tensors=(tensor("w", (2**63, 2**63, 2**63)),)), "cannot have"),
    "half a block": (gguf(tensors=(tensor("w", (33,), 2),)), "shape [33] in Q4_0"),
    "removed type": (gguf(tensors=(tensor("w", (32,), 4),)), "unknown type 4"),
    "unaligned": (gguf(tensors=(tensor("w", (8,), 0, 4),)), "multiple of 32"),
    "past the end": (gguf(data=255), "past the end"),
    "overlapping": (
        gguf(tensors=(tensor("a", (16,)), tensor("b", (16,), 0, 32))),
        "b does not lie at byte 64",
    ),
    "offset huge": (gguf(tensors=(tensor("w", (8,), 0, 2**63),)), "past the end"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_file_gets_one_clear_sentence(read, name: str) -> None:
    content, expected = BAD[name]
    for language in LANGUAGES:
        with use_language(language), pytest.raises(InvalidModelError) as caught:
            read(content)
        assert "model.gguf" in caught.value.message and "\n" not in caught.value.message
        assert language != "en" or expected in caught.value.message
        assert caught.value.hint


def test_control_characters_in_a_name_do_not_reach_the_terminal(read) -> None:
    with pytest.raises(InvalidModelError) as caught:
        read(gguf(tensors=(tensor("\x1b[2J" + "w" * 400, (33,), 2),)))
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 250


def test_what_is_not_a_file_is_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, tmp_path / "absent", Path("/dev/zero"), tmp_path / "a\0b"):
        with pytest.raises(InvalidModelError):
            read_header(path)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(gguf())
    file.chmod(0)
    if os.access(file, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(InvalidModelError, match="cannot be read"):
        read_header(file)


def test_metadata_that_would_fill_memory_is_refused(read) -> None:
    entries = tuple(entry(f"x.{i}", STRING, "x" * 2**20) for i in range(20))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidModelError, match="bytes of memory"):
            read(gguf((*LLAMA, *entries)))
    finally:
        tracemalloc.stop()


def peak_bytes_of_reading(file: Path) -> int:
    """Reads ``file``; the test fails unless that gives a header or our own error."""
    tracemalloc.start()
    try:
        header = read_header(file)
        for name in ("parameters", "quantization", "kind", "head_count_kv", "value_length"):
            getattr(header, name)
        assert header.vocabulary_size is None or header.vocabulary_size >= 0
        assert header.chat_template is None or isinstance(header.chat_template, str)
    except InvalidModelError as error:
        assert error.message and error.hint
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


fuzz = settings(
    max_examples=int(os.environ.get("ONDOL_FUZZ_EXAMPLES", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
SMALL = gguf((*LLAMA, entry("llama.list", ARRAY, (STRING, ("a", "b", "c")))))
edits = st.lists(
    st.tuples(
        st.integers(0, len(SMALL) - 1),
        st.integers(0, 8),
        st.one_of(
            st.binary(max_size=9),
            st.sampled_from([b"\xff" * 8, b"\x7f" * 4, struct.pack("<Q", 2**31)]),
        ),
    ),
    min_size=1,
    max_size=6,
)


@fuzz
@given(edits)
def test_any_mutation_gives_a_header_or_our_error(tmp_path: Path, changes) -> None:
    content = bytearray(SMALL)
    for at, removed, inserted in changes:
        content[at : at + removed] = inserted
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    assert peak_bytes_of_reading(file) < 2 * 2**20


@fuzz
@given(st.binary(max_size=400))
def test_any_bytes_give_a_header_or_our_error(tmp_path: Path, tail: bytes) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF\3\0\0\0" + tail)
    assert peak_bytes_of_reading(file) < 2 * 2**20


@given(st.integers(0, len(SMALL) - 1))
@fuzz
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, at: int) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(SMALL[:at])
    with pytest.raises(InvalidModelError):
        read_header(file)


scalars = st.sampled_from(sorted(LETTERS)).flatmap(
    lambda code: st.tuples(
        st.just(code),
        st.booleans() if code == BOOL else st.integers(0, 127),
    )
)
values = st.one_of(
    scalars,
    st.tuples(st.just(STRING), st.text(max_size=30)),
    st.tuples(st.just(ARRAY), st.tuples(st.just(STRING), st.lists(st.text(max_size=5)))),
    st.tuples(st.just(ARRAY), st.tuples(st.just(U32), st.lists(st.integers(0, 2**32 - 1)))),
)
keys = st.text(min_size=1, max_size=40).filter(lambda k: not k.startswith("general."))
shapes = st.lists(st.integers(1, 5), min_size=0, max_size=3)
weights = st.lists(st.tuples(st.sampled_from(sorted(TENSOR_TYPES)), shapes), min_size=1, max_size=6)


@fuzz
@given(st.dictionaries(keys, values, max_size=8), weights, st.sampled_from([8, 32, 64, 4096]))
def test_every_well_formed_file_is_read_back(tmp_path: Path, metadata, tensors, alignment) -> None:
    entries = [
        entry("general.architecture", STRING, "test"),
        entry("general.alignment", U32, alignment),
        *(entry(key, code, value) for key, (code, value) in metadata.items()),
    ]
    infos, offset, elements = [], 0, 0
    for index, (code, rest) in enumerate(tensors):
        _, block, block_bytes = TENSOR_TYPES[code]
        count = 1
        for size in rest:
            count *= size
        infos.append(tensor(f"blk.{index}", (block, *rest), code, offset))
        elements += block * count
        offset += -(-count * block_bytes // alignment) * alignment
    file = tmp_path / "model.gguf"
    file.write_bytes(gguf(tuple(entries), tuple(infos), data=offset, alignment=alignment))
    header = read_header(file)
    assert header.parameters == elements
    assert header.data_offset % alignment == 0
    for key, (code, value) in metadata.items():
        expected = tuple(value[1]) if code == ARRAY else value
        assert header.metadata[key] == expected


def test_a_hostile_vocabulary_stays_within_memory(tmp_path: Path) -> None:
    strings = text("k") + struct.pack("<IIQ", ARRAY, STRING, 10**6) + bytes(8 * 10**6)
    file = tmp_path / "model.gguf"
    file.write_bytes(gguf((*LLAMA, strings)))
    assert peak_bytes_of_reading(file) < 2 * 2**20
    many = tuple(tensor(f"{i:0500}", (1,), 0, 32 * i) for i in range(5000))
    file.write_bytes(gguf(tensors=many, data=32 * 5000))
    assert peak_bytes_of_reading(file) < KEPT_BYTES


@pytest.mark.model
def test_the_default_model_is_what_it_says(chat_model_file: Path) -> None:
    header = read_header(chat_model_file)
    assert (header.architecture, header.quantization, header.kind) == ("llama", "Q4_1", "chat")
    assert (header.block_count, header.head_count_kv, header.head_dim) == (30, 3, 64)
    assert header.parameters == 134_515_008
    assert header.vocabulary_size == 49_152
    assert header.chat_template and "<|im_start|>" in header.chat_template
