"""Regular expressions that strangers bring: run on all that is asked, they must end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ondol.hub.scan import scan
from ondol.hub.scan.texts import repeats_a_repeat

GPT_4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA_3 = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+| ?[^\s\p{L}\p{N}]++[\r\n]*|\s+(?!\S)"


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(?:a*)*b", "((a|b)+c?)+", "(?:[^x]+){2,}", r"(\s*\w+)*", "((a+))*", "(a{3,})+"],
)
def test_a_repeat_in_a_repeat_is_seen(pattern: str) -> None:
    assert repeats_a_repeat(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        GPT_4,
        LLAMA_3,
        "(a+)?b+",
        "[(+)]+",
        r"\(a+\)+",
        "(?:\\r?\\n)+",
        r"[\]+)]+",
        "(ab)+",
        "a)+(",
        "",
    ],
)
def test_what_is_published_and_what_only_looks_like_one_is_not(pattern: str) -> None:
    assert not repeats_a_repeat(pattern)


def test_a_tokenizer_that_may_never_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    for pattern, is_taken in ((GPT_4, True), ("(a+)+$", False)):
        splits = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
        model = {"type": "BPE", "vocab": {"a": 0}, "merges": []}
        file.write_text(json.dumps({"model": model, "pre_tokenizer": splits}))
        assert scan({"tokenizer.json": file}).ok is is_taken
