"""safetensors files that lie: about their header, types, shapes and places."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

from ondol.lab.redteam.releases.makers import Case, described, one, safetensors

AUDIT = "safetensors' audit (Trail of Bits, 2023)"


def s(name: str, data: bytes, *codes: str, shape: str = AUDIT) -> Case:
    return one(name, "model.safetensors", data, *codes, shape=shape)


def cases() -> Iterator[Case]:
    for length in (0, 1, 10_000, 100_000_001, 2**31, 2**63, 2**64 - 1):
        yield s(f"length-{length}", safetensors(length=length), "bad_header_length")
    yield s("short", b"\x02\0\0", "bad_header_length")
    yield s("only-a-length", b"\x02\0\0\0\0\0\0\0", "bad_header_length")
    for name, header in {
        "list": "[]",
        "number": "12",
        "cut": '{"w": {"dtype": "F32"',
        "space-before": ' {"w": 1}',
        "garbage-behind": json.dumps({"w": described()}) + "x",
        "twice": '{"w": %s, "w": %s}' % ((json.dumps(described()),) * 2),
        "twice-inside": '{"w": {"dtype": "F32", "dtype": "F32", "shape": [4], '
        '"data_offsets": [0, 16]}}',
        "deep": '{"w": ' + "[" * 100_000 + "]" * 100_000 + "}",
        "deep-objects": '{"w": ' * 5000 + "1" + "}" * 5000,
        "digits": '{"w": ' + "9" * 10_000 + "}",
        "single-quotes": "{'w': 1}",
    }.items():
        yield s(f"header-{name}", safetensors(header))
    utf16 = json.dumps({"w": described()}).encode("utf-16")
    yield s("header-utf16", safetensors(utf16), "bad_header")
    yield s("header-latin", safetensors(b'{"\xff": {}}'), "bad_header")
    yield s("no-tensors", safetensors({}, b""), "bad_tensor_count")
    yield s("only-notes", safetensors({"__metadata__": {"a": "b"}}, b""), "bad_tensor_count")
    for name, notes in {
        "number": {"a": 1},
        "nested": {"a": {"b": "c"}},
        "list": ["a"],
        "many": {str(n): "" for n in range(5000)},
    }.items():
        yield s(f"notes-{name}", safetensors({"__metadata__": notes, "w": described()}))
    yield from _fields()
    yield from _places()


def _fields() -> Iterator[Case]:
    for dtype in ("F33", "f32", "", "FLOAT", None, 32, ["F32"], "object", "O"):
        bad = safetensors({"w": described(dtype)})
        yield s(f"dtype-{dtype}".replace("'", ""), bad, "bad_dtype")
    shapes: dict[str, Any] = {
        "negative": [-4],
        "float": [4.0],
        "text": ["4"],
        "bool": [True, 4],
        "huge": [2**63],
        "overflow": [2**32, 2**32],
        "wrap": [2**62, 4, 4],
        "many": [1] * 9 + [4],
        "none": None,
        "object": {"0": 4},
        "other": [5],
        "empty": [],
    }
    for name, shape in shapes.items():
        yield s(f"shape-{name}", safetensors({"w": described(shape=shape)}), "bad_shape")
    for name, said in {
        "no-dtype": {"shape": [4], "data_offsets": [0, 16]},
        "no-shape": {"dtype": "F32", "data_offsets": [0, 16]},
        "no-places": {"dtype": "F32", "shape": [4]},
        "more": described() | {"code": "import os"},
        "list": ["F32", [4], [0, 16]],
        "text": "F32",
        "null": None,
    }.items():
        yield s(f"tensor-{name}", safetensors({"w": said}), "bad_tensor")
    for name in ("", "\x1b[2J", "a\0b", "w" * 600, "\ud800"):
        bad = safetensors({name: described()})
        yield s(f"name-{len(name)}-{name[:1].encode(errors='replace').hex()}", bad)
    four = safetensors({"w": described("F4", [3], [0, 1])}, b"\0")
    yield s("half-a-byte", four, "bad_shape")


def _places() -> Iterator[Case]:
    for name, offsets in {
        "backwards": [16, 0],
        "negative": [-16, 0],
        "beyond": [16, 32],
        "far": [2**40, 2**40 + 16],
        "huge": [2**63, 2**63 + 16],
        "three": [0, 8, 16],
        "one": [16],
        "floats": [0.0, 16.0],
        "texts": ["0", "16"],
        "none": None,
        "gap-before": [4, 20],
    }.items():
        yield s(f"places-{name}", safetensors({"w": described(offsets=offsets)}))
    both = {"a": described(), "b": described()}
    yield s("overlap", safetensors(both), "misplaced")
    part = {"a": described(), "b": described(offsets=[8, 24])}
    yield s("overlap-in-part", safetensors(part, bytes(24)), "misplaced")
    hole = {"a": described(), "b": described(offsets=[20, 36])}
    yield s("hole", safetensors(hole, bytes(36)), "misplaced")
    yield s("behind", safetensors(data=bytes(17)), "bad_end")
    yield s("cut", safetensors(data=bytes(15)), "bad_end")
    yield s("no-data", safetensors(data=b""), "bad_end")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("__main__.py", "import os")
    polyglot = "safetensors and zip in one (Trail of Bits, 2023)"
    inside = archive.getvalue()
    said = {"w": described("U8", [len(inside)], [0, len(inside)])}
    yield s("zip-as-weights", safetensors(said, inside), "kind_archive", shape=polyglot)
    yield s("zip-behind", safetensors() + inside, "kind_archive", shape=polyglot)
