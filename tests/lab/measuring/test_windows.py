"""Texts cut as llama.cpp's perplexity tool cuts them."""

from __future__ import annotations

from typing import Any

import pytest

from ondol.errors import UsageError
from ondol.lab.measuring import windows
from ondol.lab.measuring.bench import Workload


class Letters:
    """An engine whose tokens are letters, after a mark if it has one."""

    def __init__(self, mark: int | None) -> None:
        self._mark = mark

    def tokenize(self, text: str, *, is_whole: bool = False) -> list[int]:
        begun = [self._mark] if is_whole and self._mark is not None else []
        return begun + [ord(letter) for letter in text]


def cut(mark: int | None, text: str, most: int = 9) -> list[list[int]]:
    engine: Any = Letters(mark)
    return windows.cut(engine, text, 4, most)


def test_windows_follow_one_another_and_a_rest_is_left() -> None:
    assert cut(None, "abcdefghij") == [[97, 98, 99, 100], [101, 102, 103, 104]]
    assert cut(None, "abcdefghij", most=1) == [[97, 98, 99, 100]]


def test_every_window_begins_with_the_models_mark() -> None:
    assert cut(1, "abcdefg") == [[1, 97, 98, 99], [1, 101, 102, 103]]


def test_a_text_that_fills_no_window_is_refused() -> None:
    with pytest.raises(UsageError) as told:
        cut(1, "ab")
    assert "3" in told.value.message and "4" in told.value.message


def test_the_text_that_comes_with_it_is_plain() -> None:
    text = windows.plain_text()
    assert len(text) > 20_000 and text.count("\n\n") > 20
    assert not set(text) & set("#*`|<>[]")


@pytest.mark.parametrize(
    ("test", "name", "tokens"),
    [
        (Workload(512), "pp512", 512),
        (Workload(0, 128), "tg128", 128),
        (Workload(480, 64), "pp480+tg64", 544),
        (Workload(32, 0, 1024), "pp32 @ d1024", 32),
    ],
)
def test_tests_have_llama_benchs_names(test: Workload, name: str, tokens: int) -> None:
    assert test.name == name and test.tokens == tokens
