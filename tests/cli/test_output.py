"""Results for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.cli.output import Output, clean, one_line, place, width


@given(st.text())
def test_cleaned_text_cannot_drive_a_terminal(text: str) -> None:
    cleaned = clean(text)
    assert all(ord(c) >= 32 or c in "\t\n" for c in cleaned)
    assert not any(0x7F <= ord(c) <= 0x9F for c in cleaned)
    assert "\n" not in one_line(text)


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_json_is_one_object_whatever_is_in_it(rows) -> None:
    import contextlib
    import io

    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        Output(json=True).emit({"rows": [list(row) for row in rows]})
    text = stream.getvalue()
    assert text.count("\n") == 1 and "\x9b" not in text
    assert json.loads(text) == {"rows": [list(row) for row in rows]}


def test_table_is_aligned_with_korean_text(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table(["이름", "SIZE"], [("보증서.pdf", "1 kB"), ("a", "22 MB")])
    lines = capsys.readouterr().out.splitlines()
    cells = ("SIZE", "1 kB", "22 MB")
    starts = {width(line[: line.index(cell)]) for line, cell in zip(lines, cells, strict=True)}
    assert starts == {width("보증서.pdf") + 3}


def test_place_is_relative_only_below_here(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place(str(tmp_path / "a" / "b.pdf"), 3) == "a/b.pdf:3"
    assert place("/elsewhere/b.pdf") == "/elsewhere/b.pdf"
    assert place("stdin") == "stdin"


def test_name_of_a_file_is_one_line(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place(str(tmp_path / "a\nerror: b.txt")) == "a\\nerror: b.txt"


@pytest.mark.parametrize("settings", [{"json": True}, {"quiet": True}])
def test_notes_are_silent_when_asked(settings, capsys: pytest.CaptureFixture[str]) -> None:
    Output(**settings).note("hint")
    assert capsys.readouterr().err == ""


def test_warning_is_heard_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    Output(quiet=True).warn("skipped x")
    assert capsys.readouterr().err == "skipped x\n"


@pytest.mark.parametrize("letter", ["\n", "\t", "\r", "\x1b", "\u202e", "\u2067", "\u2028"])
def test_bare_name_is_one_line_that_turns_nothing_around(
    letter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Output(quiet=True).table(["NAME"], [(f"a{letter}b.txt",), ("c",)])
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert letter not in one_line(f"a{letter}b") and letter not in place(f"a{letter}b.txt")
    Output(json=True).emit({"name": letter})
    assert json.loads(out := capsys.readouterr().out) == {"name": letter}
    assert letter == "\n" or letter not in out
