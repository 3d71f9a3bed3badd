"""A command line that is wrong is told so in the reader's language, whoever found the mistake."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import Run

MISTAKES = [
    ("ledger --limit x", "정수가 아닙니다"),
    ("ledger --limit 0", "범위"),
    ("ledger --kind foo", "가운데 하나가 아닙니다"),
    ("ledger --since", "값이 필요합니다"),
    ("ledger --json=yes", "값을 받지 않습니다"),
    ("ledger verify extra", "남는 인수"),
    ("ask --temperature x", ""),
    ("ask --nope", "옵션은 없습니다"),
    ("askk", "명령은 없습니다"),
    ("search", "빠졌습니다"),
    ("config set", "빠졌습니다"),
    ("sensitivity purple here", "가운데 하나가 아닙니다"),
    ("run smollm2:135m --temperature x", "숫자가 아닙니다"),
]
# What is named is named as it is typed: options, placeholders, choices, what was given.
_TYPED = re.compile(
    r"'[^']*'|--[\w-]+|ondol( [a-z]+)*( --help)?|[A-Z]{2,}|"
    r"\b(askk|extra|foo|private|trusted|public)\b|x>=1|\b0\b"
)


@pytest.mark.parametrize(("line", "said"), MISTAKES)
def test_mistake_is_said_in_korean(ondol: Run, line: str, said: str) -> None:
    done = ondol(*line.split(), ONDOL_LANGUAGE="ko")
    assert done.code == 2
    assert said in done.stderr
    left = _TYPED.sub("", done.stderr)
    assert not re.search(r"[A-Za-z]{2,}", left), done.stderr


@pytest.mark.parametrize(("line", "said"), MISTAKES)
def test_mistake_is_said_in_english(ondol: Run, line: str, said: str) -> None:
    done = ondol(*line.split(), ONDOL_LANGUAGE="en")
    assert done.code == 2
    assert re.fullmatch(r"error: .+\nhint: .+\n", done.stderr)
    assert "Try '" not in done.stderr and "Usage" not in done.stderr


def test_file_that_cannot_be_written_says_what_helps(ondol: Run, tmp_path: Path) -> None:
    gone = tmp_path / "none" / "a.jsonl"
    done = ondol("ledger", "export", "--output", gone)
    assert done.code == 2
    assert f"no folder {gone.parent}" in done.stderr
    assert "ONDOL_HOME" not in done.stderr
    (tmp_path / "file").touch()
    assert ondol("ledger", "export", "--output", tmp_path / "file" / "a").code == 2
    done = ondol("ledger", "export", "--output", tmp_path)
    assert done.code == 2
    assert "is a folder" in done.stderr
    done = ondol("ledger", "export", "--output", tmp_path / "file")
    assert "already" in done.stderr
    done = ondol("ledger", "export", "--output", "/proc/a.jsonl")
    assert done.code == 2
    assert "ONDOL_HOME" not in done.stderr
    assert ondol("ledger", "export", "--output", tmp_path / "a.jsonl").code == 0
