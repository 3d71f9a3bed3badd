"""Whatever may carry code, under its own name and under others; configurations, tokenizers, graphs
and texts that are not what they should be; names that lead out of a folder."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Iterator
from typing import Any

from ondol.lab.redteam.releases.makers import (
    Case,
    gguf,
    initializer,
    one,
    onnx,
    pieces,
    safetensors,
    sized,
    varint,
    whole,
)

PICKLE = "CVE-2025-32434 and the like: unpickling runs what a file says"
TRAVERSAL = "CVE-2024-37032: a name that leads out of the folder"
ELSEWHERE = "CVE-2022-25882, CVE-2024-27318: weights of a graph in any file of the machine"
REMOTE = "trust_remote_code: a configuration that names code"


class Harm:
    """Calls something when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return print, ("harm",)


def cases() -> Iterator[Case]:
    yield from code()
    yield from names()
    yield from configurations()
    yield from tokenizers()
    yield from graphs()
    yield from texts()


def zipped(name: str = "data.pkl", data: bytes = b"x") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def code() -> Iterator[Case]:
    for protocol in range(6):
        data = pickle.dumps(Harm(), protocol)
        for name in ("model.pkl", "pytorch_model.bin", "notes.txt", "model.gguf", "x.safetensors"):
            yield one(f"pickle-{protocol}-{name}", name, data, shape=PICKLE)
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as packed:
        packed.addfile(tarfile.TarInfo("../../etc/passwd"))
    archives = {
        "zip": zipped(),
        "zip-in-zip": zipped("inner.zip", zipped()),
        "zip-after-text": b"hello\n" * 100 + zipped(),
        "tar": tar.getvalue(),
        "gz": gzip.compress(b"x", mtime=0),
        "tgz": gzip.compress(tar.getvalue(), mtime=0),
        "bz2": bz2.compress(b"x"),
        "xz": lzma.compress(b"x"),
        "7z": b"7z\xbc\xaf\x27\x1c" + bytes(26),
        "rar": b"Rar!\x1a\x07\x01\x00" + bytes(20),
        "zst": b"\x28\xb5\x2f\xfd" + bytes(20),
    }
    for kind, data in archives.items():
        for name in ("model.gguf", "model.safetensors", "tokenizer.json", "README.md"):
            yield one(f"{kind}-as-{name}", name, data)
    programs = {
        "elf": b"\x7fELF\x02\x01\x01" + bytes(60),
        "exe": b"MZ\x90\x00" + bytes(60),
        "macho": b"\xcf\xfa\xed\xfe" + bytes(60),
        "wasm": b"\x00asm\x01\0\0\0",
        "class": b"\xca\xfe\xba\xbe" + bytes(20),
        "script": b"#!/bin/sh\nid\n",
        "npy": b"\x93NUMPY\x01\x00" + bytes(20),
        "h5": b"\x89HDF\r\n\x1a\n" + bytes(20),
    }
    for kind, data in programs.items():
        for name in ("model.gguf", "config.json", "notes.txt"):
            yield one(f"{kind}-as-{name}", name, data)
    good = gguf()
    for suffix in (
        *(".py", ".PY", ".pyc", ".so", ".dll", ".sh", ".js", ".ipynb", ".html", ".exe", ".jar"),
        *(".pkl", ".pt", ".pth", ".bin", ".ckpt", ".npz", ".h5", ".keras", ".joblib", ".msgpack"),
        *(".zip", ".tar", ".tar.gz", ".7z", ".whl", ".xz", ".gguf.zip", ".gguf.py"),
        *(".yaml", ".png", ".unheard", ""),
    ):
        yield one(f"name-{suffix.replace('.', '-')}", f"model{suffix}", good)
    yield one("gguf-as-text", "model.txt", good)
    yield one("gguf-as-safetensors", "model.safetensors", good, "kind_other")
    yield one("safetensors-as-gguf", "model.gguf", safetensors(), "malformed")
    yield one("nothing", "model.gguf", b"", "empty")
    yield one("nothing-json", "config.json", b"", "empty")


def names() -> Iterator[Case]:
    good = gguf()
    for number, name in enumerate(
        (
            "../model.gguf",
            "a/../../model.gguf",
            "/etc/model.gguf",
            "a//model.gguf",
            "./model.gguf",
            "a\\..\\model.gguf",
            "C:\\model.gguf",
            "C:model.gguf",
            "model.gguf\n",
            "model\x1b[2J.gguf",
            "\u202effug.model.gguf",
            "model.gguf.",
            "model.gguf ",
            "-rf.gguf",
            "a" * 300 + ".gguf",
            "a/" * 20 + "model.gguf",
            "m\0.gguf",
        )
    ):
        yield Case(f"path-{number}", {name: good}, TRAVERSAL, frozenset(("bad_name",)))


def configurations() -> Iterator[Case]:
    for name, content in {
        "auto-map": {"auto_map": {"AutoModel": "modeling_evil.Evil"}},
        "nested": {"text_config": {"auto_map": {"AutoModel": "x--y.Z"}}},
        "pipelines": {"custom_pipelines": {"x": {"impl": "evil.Run"}}},
        "trust": {"trust_remote_code": True},
    }.items():
        yield one(f"config-{name}", "config.json", json.dumps(content).encode(), shape=REMOTE)
    for field, value in (
        ("hidden_size", 0),
        ("hidden_size", -1),
        ("hidden_size", 2**40),
        ("hidden_size", "64"),
        ("hidden_size", 64.5),
        ("num_attention_heads", 0),
        ("num_hidden_layers", 10**9),
        ("vocab_size", 2**31),
        ("max_position_embeddings", 2**63),
        ("num_key_value_heads", True),
    ):
        raw = json.dumps({field: value}).encode()
        yield one(f"config-{field}-{value}", "config.json", raw, "bad_number")
    for name, raw in {
        "cut": b'{"a": ',
        "twice": b'{"a": 1, "a": 2}',
        "deep": b"[" * 200_000,
        "list": b"[]",
        "bytes": b'{"a": "\xff"}',
        "zero": b'{"a": "b"}\0',
        "digits": b'{"a": ' + b"9" * 100_000 + b"}",
        "text": b"hello",
    }.items():
        yield one(f"json-{name}", "config.json", raw)
    for name, found in {
        "up": {"w": "../../../etc/passwd.safetensors"},
        "absolute": {"w": "/etc/x.safetensors"},
        "pickle": {"w": "pytorch_model.bin"},
        "number": {"w": 1},
        "empty": {},
        "not-there": {"w": "model-00001-of-00002.safetensors"},
    }.items():
        raw = json.dumps({"weight_map": found}).encode()
        yield one(f"index-{name}", "model.safetensors.index.json", raw, shape=TRAVERSAL)


def tokenizers() -> Iterator[Case]:
    model = {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}
    for name, content in {
        "no-model": {"version": "1.0"},
        "no-vocabulary": {"model": {"type": "BPE"}},
        "twice": {"model": model | {"vocab": {"a": 0, "b": 0}}},
        "negative": {"model": model | {"vocab": {"a": -1}}},
        "huge": {"model": model | {"vocab": {"a": 2**40}}},
        "text": {"model": model | {"vocab": {"a": "0"}}},
        "scores": {"model": {"type": "Unigram", "vocab": [["a", "b"]]}},
        "nan": {"model": {"type": "Unigram", "vocab": [["a", float("nan")]]}},
        "added": {"model": model, "added_tokens": [{"id": -1, "content": "x"}]},
        "added-twice": {"model": model, "added_tokens": [{"id": 5}, {"id": 5}]},
        "added-text": {"model": model, "added_tokens": "x"},
        "pattern": {"model": model, "pre_tokenizer": {"pattern": {"Regex": "(a+)+" * 3000}}},
        "list": [],
    }.items():
        yield one(f"tokenizer-{name}", "tokenizer.json", json.dumps(content).encode())
    for name, raw in {
        "nan": pieces(b"\0\0\xc0\x7f"),
        "empty-piece": pieces(piece=b""),
        "not-text": pieces(piece=b"\xff"),
        "none": sized(2, b"x"),
        "cut": pieces()[:-2],
        "long": varint(1 << 3 | 2) + varint(2**62),
        "endless-number": b"\xff" * 40,
        "group": b"\x0b\x0b\x0b",
        "score-is-a-number": sized(1, sized(1, b"a") + whole(2, 1)),
    }.items():
        yield one(f"pieces-{name}", "tokenizer.model", raw)


def graphs() -> Iterator[Case]:
    def outside(path: bytes) -> bytes:
        pair = sized(13, sized(1, b"location") + sized(2, path))
        return onnx(sized(5, initializer(more=pair + whole(14, 1))))

    for number, path in enumerate((b"../../etc/passwd", b"/etc/shadow", b"weights.bin")):
        yield one(f"onnx-elsewhere-{number}", "m.onnx", outside(path), shape=ELSEWHERE)
    node = sized(1, sized(4, b"Evil") + sized(7, b"evil.ops"))
    nested = sized(1, sized(4, b"If") + sized(5, sized(6, node)))
    deep = sized(1, sized(4, b"Relu"))
    for _ in range(40):
        deep = sized(1, sized(4, b"If") + sized(5, sized(6, deep)))
    for name, raw in {
        "operator": onnx(node),
        "operator-inside": onnx(nested),
        "operators-imported": onnx(domain=b"evil.ops"),
        "deep": onnx(deep),
        "functions": onnx(more=sized(25, b"")),
        "training": onnx(more=sized(20, b"")),
        "no-graph": whole(1, 8),
        "two-graphs": onnx(more=sized(7, b"")),
        "nan": onnx(sized(5, initializer(raw=b"\0\0\xc0\x7f" * 4))),
        "short": onnx(sized(5, initializer(raw=bytes(12)))),
        "negative": onnx(sized(5, initializer(dims=(-4,)))),
        "overflow": onnx(sized(5, initializer(dims=(2**32, 2**32)))),
        "dimensions": onnx(sized(5, initializer(dims=(1,) * 17))),
        "cut": onnx()[:-3],
        "long": varint(7 << 3 | 2) + varint(2**63),
        "text": b"hello, world",
        "zero-field": b"\x00\x00",
    }.items():
        yield one(f"onnx-{name}", "m.onnx", raw)


def texts() -> Iterator[Case]:
    for name, file, raw in (
        ("escape", "README.md", b"hello \x1b]0;owned\x07"),
        ("zero", "notes.txt", b"a\0b"),
        ("utf16", "notes.txt", "hello".encode("utf-16")),
        ("latin", "LICENSE", b"caf\xe9"),
        ("toml", "pack.toml", b"a = = 1"),
        ("toml-twice", "pack.toml", b"a = 1\na = 2\n"),
        ("toml-deep", "pack.toml", b"a = " + b"[" * 100_000),
        ("jsonl", "evaluation.jsonl", b'{"a": 1}\n{"a": \n'),
        ("jsonl-twice", "glossary.jsonl", b'{"a": 1, "a": 2}\n'),
        ("jsonl-deep", "glossary.jsonl", b"[" * 100_000 + b"\n"),
    ):
        yield one(f"text-{name}", file, raw)
