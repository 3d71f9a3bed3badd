"""What a mirrored release remembers of where it came from, and how paths become plain names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.errors import HubError
from ondol.hub.mirror.origin import Origin, OriginFile, is_path, item_of, names_of
from ondol.hub.targets import FILE_NAME, name

DIGEST = f"sha256:{'a' * 64}"
ORIGIN = Origin(
    "Some-Lab/Tiny.Model",
    "0" * 40,
    (OriginFile("onnx/model.onnx", "onnx--model.onnx", DIGEST, 7, "b" * 40),),
    "v1.0",
    ("pytorch_model.bin",),
    {"tags": ["license:mit"]},
)


def test_an_origin_is_read_as_it_was_written() -> None:
    assert Origin.of(ORIGIN.content()) == ORIGIN


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("repository", "../etc"),
        ("repository", "a/b/c"),
        ("repository", 7),
        ("commit", "main"),
        ("commit", "A" * 40),
        ("files", [{"path": "../x", "name": "x", "digest": DIGEST, "size_bytes": 1}]),
        ("files", [{"path": "/x", "name": "x", "digest": DIGEST, "size_bytes": 1}]),
        ("files", [{"path": "x", "name": "../x", "digest": DIGEST, "size_bytes": 1}]),
        ("files", [{"path": "x", "name": "x", "digest": "sha256:no", "size_bytes": 1}]),
        ("files", [{"path": "x", "name": "x", "digest": DIGEST, "size_bytes": "1"}]),
        ("files", [{"path": "x", "name": "x", "digest": DIGEST, "size_bytes": 1, "more": 1}]),
        ("files", [{"path": "x", "name": "x", "digest": DIGEST, "size_bytes": 1}] * 2),
        ("files", None),
        ("revision", ""),
        ("revision", 1),
        ("others", ["a/../b"]),
        ("others", ["x"] * 5000),
        ("about", []),
    ],
)
def test_an_origin_that_is_none_is_refused(field: str, value: Any) -> None:
    fields = json.loads(ORIGIN.content()) | {field: value}
    with pytest.raises(HubError):
        Origin.of(json.dumps(fields).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b"[" * 100_000, b"\xff", b" " * (1 << 21)])
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(HubError):
        Origin.of(content)


def test_paths_become_names_that_people_recognise() -> None:
    assert names_of(["config.json", "onnx/model.onnx"]) == {
        "config.json": "config.json",
        "onnx/model.onnx": "onnx--model.onnx",
    }


@given(st.lists(st.text(min_size=1, max_size=40).filter(is_path), unique=True, max_size=12))
def test_any_paths_become_names_of_a_release_each_its_own(paths: list[str]) -> None:
    names = names_of(paths)
    assert all(FILE_NAME.fullmatch(one) for one in names.values())
    assert len({one.lower() for one in names.values()}) == len(paths)


@given(st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}\Z"))
def test_any_repository_becomes_an_item(repository: str) -> None:
    assert name(item_of(repository))
