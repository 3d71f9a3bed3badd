"""GGUF files that lie: about counts, lengths, types, offsets, tokens, weights, and templates."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

from ondol.lab.redteam.releases.makers import (
    ALIGNMENT,
    ARCHITECTURE,
    ARRAY,
    BOOL,
    DATA,
    F32,
    F64,
    I32,
    ONE,
    STRING,
    TOKENS,
    U8,
    U32,
    U64,
    Case,
    entries,
    entry,
    gguf,
    one,
    tensor,
    text,
)

HUGE = (2**64 - 1, 2**63, 2**62, 2**32, 2**31)
OVERFLOW = "CVE-2026-27940, CVE-2025-53630: sums and products of sizes that overflow"
PAST_THE_END = "CVE-2026-7482: a tensor beyond the end of its file"
TALOS = "CVE-2024-21825, -21836, -23496, -23605, CVE-2024-21802: lengths and counts believed"
TOKENIZER = "GHSA-7rxv-5jhh-j6xx: tables of a tokenizer that do not agree"


HEADS = (*ONE, tensor("blk.0.attn_q.weight", (8, 8), 0, len(DATA)))

ASSERTED = "GGML_ASSERT(id_to_token.size() == token_to_id.size()): llama.cpp ends itself"


def cases() -> Iterator[Case]:
    yield from counts()
    yield from lengths()
    yield from types()
    yield from shapes()
    yield from places()
    yield from names()
    yield from numbers()
    yield from tokens()
    yield from cut()


def g(name: str, data: bytes, *codes: str, shape: str = "") -> Case:
    return one(name, "model.gguf", data, *codes, shape=shape)


def counts() -> Iterator[Case]:
    for count in (0, 2, 32_769, *HUGE):
        yield g(f"tensors-{count}", gguf(num_tensors=count), shape=TALOS)
    for count in (0, 1, 4097, *HUGE):
        yield g(f"entries-{count}", gguf(num_entries=count), shape=TALOS)
    for version in (0, 1, 4, 2**24 * 3, 2**32 - 1):
        yield g(f"version-{version}", gguf(version=version), "malformed")
    for magic in (b"GGML", b"gguf", b"FUGG", b"\0\0\0\0", b"lmgg"):
        yield g(f"magic-{magic.hex()}", gguf(magic=magic))


def lengths() -> Iterator[Case]:
    for length in (*HUGE, 10_000):
        long = struct.pack("<Q", length) + b"general.name" + struct.pack("<I", STRING)
        yield g(f"key-{length}", gguf([*entries(), long]), "malformed", shape=TALOS)
        value = text("general.name") + struct.pack("<IQ", STRING, length) + b"x"
        yield g(f"string-{length}", gguf([*entries(), value]), "malformed", shape=TALOS)
        name = struct.pack("<Q", length) + b"w" + struct.pack("<IQIQ", 1, 8, 0, 0)
        yield g(f"tensor-name-{length}", gguf(tensors=[name]), "malformed", shape=TALOS)
    for code in (U8, U32, F32, BOOL, STRING, U64, F64):
        for count in (2**64 - 1, 2**61, 2**32, 2**23 + 1):
            array = text("x.array") + struct.pack("<IIQ", ARRAY, code, count)
            yield g(f"array-{code}-{count}", gguf([*entries(), array]), "malformed", shape=TALOS)
    yield g("empty-key", gguf([*entries(), entry("", U32, 1)]), "malformed")


def types() -> Iterator[Case]:
    for code in (13, 14, 255, 2**31, 2**32 - 1):
        value = text("x.value") + struct.pack("<IQ", code, 0)
        yield g(f"value-type-{code}", gguf([*entries(), value]), "malformed")
    for code in (ARRAY, 13, 255, 2**32 - 1):
        value = text("x.array") + struct.pack("<IIQ", ARRAY, code, 1) + bytes(16)
        yield g(f"item-type-{code}", gguf([*entries(), value]), "malformed")
    for code in (4, 5, 31, 36, 37, 99, 2**31, 2**32 - 1):
        bad = gguf(tensors=[tensor("token_embd.weight", (8, TOKENS), code)])
        yield g(f"tensor-type-{code}", bad, "malformed", shape=TALOS)
    yield g("no-architecture", gguf(entries(architecture=None)), "malformed")
    others: tuple[tuple[int, Any], ...] = ((U32, 1), (BOOL, True), (ARRAY, (STRING, ["llama"])))
    for code, other in others:
        changed = entry("general.architecture", code, other)
        yield g(f"architecture-{code}", gguf(entries(architecture=changed)), "malformed")


def shapes() -> Iterator[Case]:
    for sizes in (
        *((size, 1) for size in HUGE),
        (2**32, 2**32),
        (2**33, 2**31),
        (2**62, 4),
        (2**63, 2),
        (2**21, 2**21, 2**21, 2),
        (0,),
        (8, 0),
        (8, 5),
        (10_000,),
    ):
        name = "x".join(map(str, sizes))
        bad = gguf(tensors=[tensor("token_embd.weight", sizes)])
        yield g(f"shape-{name}", bad, "malformed", shape=OVERFLOW)
    for dimensions in (5, 6, 255, 2**31, 2**32 - 1):
        wide = text("w") + struct.pack("<I", dimensions) + struct.pack("<QIQ", 8, 0, 0)
        yield g(f"dimensions-{dimensions}", gguf(tensors=[wide]), "malformed", shape=TALOS)
    for code, block in ((2, 32), (8, 32), (12, 256), (14, 256), (41, 128)):
        rows = gguf(tensors=[tensor("w", (block - 1, 2), code)], data=bytes(4096))
        yield g(f"part-of-a-block-{code}", rows, "malformed", shape=OVERFLOW)


def places() -> Iterator[Case]:
    for offset in (1, 4, 31, 33):
        bad = gguf(tensors=[tensor("w", (8, TOKENS), 0, offset)], data=bytes(1024))
        yield g(f"unaligned-{offset}", bad, "malformed")
    for offset in (32, 4096, 2**31, 2**32, 2**62, 2**63, 2**64 - 32, 2**64 - 128):
        bad = gguf(tensors=[tensor("w", (8, TOKENS), 0, offset)])
        yield g(f"offset-{offset}", bad, "malformed", shape=PAST_THE_END)
    two = [tensor("a", (8,)), tensor("b", (8,), 0, 0)]
    yield g("overlap", gguf(tensors=two), "malformed")
    two = [tensor("a", (8,)), tensor("b", (8,), 0, 64)]
    yield g("hole", gguf(tensors=two), "malformed")
    two = [tensor("a", (8,), 0, 32), tensor("b", (8,), 0, 0)]
    yield g("backwards", gguf(tensors=two), "malformed")
    for alignment in (0, 3, 31, 33, 96, 2**21, 2**31):
        more = entry("general.alignment", U32, alignment)
        yield g(f"alignment-{alignment}", gguf(entries(more)), "malformed", shape=OVERFLOW)
    for code, value in ((U64, 32), (I32, 32), (U8, 32), (STRING, "32"), (F32, 32.0), (BOOL, True)):
        more = entry("general.alignment", code, value)
        yield g(f"alignment-type-{code}", gguf(entries(more)), "malformed", "bad_entry")
    whole = gguf()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("run.py", "import os")
    inside = bytes(128 - len(archive.getvalue()) % 128) + archive.getvalue()
    yield g("zip-behind", whole + archive.getvalue(), "kind_archive", shape="a polyglot")
    hidden = [*ONE, tensor("zip", (len(inside) // 4,), 26, len(DATA))]
    inside += bytes(len(inside) % 4)
    yield g("zip-in-a-tensor", gguf(tensors=hidden, data=DATA + inside), shape="a polyglot")
    for count in (1, 33, 4096):
        yield g(f"behind-{count}", whole + bytes(count + ALIGNMENT), "trailing")
    for number, part in ((0, 1), (9, 0)):
        split = [entry("split.count", U32, part), entry("split.no", U32, number)]
        yield g(f"split-{number}-{part}", gguf(entries(*split), [], b""), "malformed")


def names() -> Iterator[Case]:
    twice = [tensor("w", (8,)), tensor("w", (8,), 0, 32)]
    yield g("tensor-twice", gguf(tensors=twice), "malformed")
    yield g("key-twice", gguf([*entries(), ARCHITECTURE]), "malformed")
    for key in ("general.\x1b[2Jname", "a\0b", "x\u202ey", "y\r\n"):
        yield g(f"key-{key.encode().hex()}", gguf(entries(entry(key, U32, 1))), "bad_key")
    for name in (b"token\0embd", b"\x1b]0;x\x07", "w\u202e".encode(), b"w" * 64, b"w" * 512):
        bad = gguf(tensors=[tensor(name, (8, TOKENS))])
        yield g(f"tensor-{name.hex()[:20]}-{len(name)}", bad, "bad_tensor_name")
    for name in (b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80"):
        yield g(f"not-utf8-{name.hex()}", gguf(entries(entry(name, U32, 1))), "malformed")


def numbers() -> Iterator[Case]:
    """What llama.cpp divides by, loops over, or allocates."""
    for key, most in (
        ("block_count", 4096),
        ("context_length", 2**31 - 1),
        ("embedding_length", 2**20),
        ("attention.head_count", 2**14),
    ):
        for value in (0, most + 1, 2**32 - 1):
            changed = {key: entry(f"llama.{key}", U32, value)}
            bad = gguf(entries(**changed), HEADS, DATA + bytes(256))
            yield g(f"{key}-{value}", bad, "bad_number", shape=OVERFLOW)
        for code, wrong in ((STRING, "8"), (F32, 8.0), (I32, -1), (BOOL, True), (U64, 2**63)):
            changed = {key: entry(f"llama.{key}", code, wrong)}
            yield g(f"{key}-type-{code}", gguf(entries(**changed)), "bad_number")
    for key, value in (
        ("attention.key_length", 0),
        ("attention.value_length", 2**31),
        ("rope.dimension_count", 2**31),
        ("feed_forward_length", 2**31),
        ("expert_count", 2**20),
        ("vocab_size", 2**31),
    ):
        more = entry(f"llama.{key}", U32, value)
        without: dict[str, Any] = {key: None} if key == "feed_forward_length" else {}
        yield g(f"{key}-{value}", gguf(entries(more, **without)), "bad_number")
    experts = [entry("llama.expert_count", U32, 2), entry("llama.expert_used_count", U32, 3)]
    yield g("experts", gguf(entries(*experts)), "bad_number")
    for number in (float("nan"), float("inf"), float("-inf")):
        more = entry("llama.rope.freq_base", F32, number)
        yield g(f"number-{number}", gguf(entries(more)), "bad_entry")


def tokens() -> Iterator[Case]:
    for count in (0, 1, TOKENS - 1, TOKENS + 1, 500):
        scores = entry("tokenizer.ggml.scores", ARRAY, (F32, [0.0] * count))
        yield g(f"scores-{count}", gguf(entries(scores=scores)), "bad_tokens", shape=TOKENIZER)
        kinds = entry("tokenizer.ggml.token_type", ARRAY, (I32, [1] * count))
        yield g(f"types-{count}", gguf(entries(token_type=kinds)), "bad_tokens", shape=TOKENIZER)
    for kind in (7, -1, 2**31 - 1):
        kinds = entry("tokenizer.ggml.token_type", ARRAY, (I32, [1, 1, 1, kind]))
        yield g(f"type-{kind}", gguf(entries(token_type=kinds)), "bad_entry", shape=TOKENIZER)
    for value in (float("nan"), float("inf")):
        scores = entry("tokenizer.ggml.scores", ARRAY, (F32, [0, 0, 0, value]))
        yield g(f"score-{value}", gguf(entries(scores=scores)), "bad_entry")
    for name in ("bos", "eos", "unknown", "padding", "eot"):
        for token in (TOKENS, 2**31, 2**32 - 2):
            more = entry(f"tokenizer.ggml.{name}_token_id", U32, token)
            metadata = entries(more, eos=None)
            yield g(f"{name}-{token}", gguf(metadata), "bad_token_id", shape=TOKENIZER)
    twice = entry("tokenizer.ggml.tokens", ARRAY, (STRING, ["a", "b", "c", "b"]))
    yield g("token-twice", gguf(entries(tokens=twice)), "same_tokens", shape=ASSERTED)
    for text_of in ("", "<0x", "<0xZZ>", "a"):
        changed = {
            "tokens": entry("tokenizer.ggml.tokens", ARRAY, (STRING, ["x", "y", "z", text_of])),
            "token_type": entry("tokenizer.ggml.token_type", ARRAY, (I32, [1, 1, 1, 6])),
        }
        yield g(f"byte-{text_of.encode().hex()}", gguf(entries(**changed)), "bad_entry")
    for kind in (1024, 2**31, 2**32 - 1):
        more = entry("general.file_type", U32, kind)
        yield g(f"file-type-{kind}", gguf(entries(more)), "bad_number")
    wrong = entry("tokenizer.ggml.tokens", ARRAY, (U32, [1, 2, 3, 4]))
    yield g("tokens-are-numbers", gguf(entries(tokens=wrong)), "bad_entry", shape=TOKENIZER)
    few = gguf(tensors=[tensor("token_embd.weight", (8, TOKENS - 1))], data=DATA[: -8 * 4])
    yield g("few-embeddings", few, "few_embeddings", shape=TOKENIZER)
    for length in (4, 1000, 2**31, 2**32 - 4, 3):
        table = list(struct.pack("<I", length) + bytes(4))
        more = entry("tokenizer.ggml.precompiled_charsmap", ARRAY, (U8, table))
        yield g(f"characters-{length}", gguf(entries(more)), "bad_entry", shape=TOKENIZER)


def cut() -> Iterator[Case]:
    """Cut off at 40 places."""
    whole = gguf()
    for number in range(40):
        yield g(f"cut-{number}", whole[: 4 + number * (len(whole) - 5) // 40])
