"""``ondol ask``: evidence first, then the model; from the library, named files, or stdin."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from terminal import COMMAND, Terminal

pytestmark = pytest.mark.model

QUESTION = "When does the warranty of the washing machine end?"
KEYS = {
    *{"answer", "quotes", "citations", "confidence", "route", "reasons", "model", "usage"},
    *{"seconds", "sensitivity", "support", "draft", "cost", "ledger_id"},
}


def test_folder_never_seen_before_is_asked_and_not_kept(ondol, config, home, papers) -> None:
    result = ondol("ask", QUESTION, papers, "--max-tokens", 16)
    assert result.code == 0
    quote, place, *rest = result.stdout.splitlines()
    assert quote.startswith("[1] ") and "3 May 2027" in quote
    assert place.strip().endswith("washer.md")
    assert any(line.strip() for line in rest)
    assert "ondol add" in result.stderr
    assert ondol("list", "--documents", "--json").json["documents"] == []
    kept = [file for file in home.rglob("*") if file.is_file() and "models" not in file.parts]
    assert not [file for file in kept if b"3 May 2027" in file.read_bytes()]


def test_library_is_asked_when_no_path_is_given(ondol, config, papers) -> None:
    ondol("add", papers)
    answer = ondol("ask", QUESTION, "--json", "--max-tokens", 16)
    assert answer.code == 0 and answer.stderr == ""
    assert set(answer.json) == KEYS and answer.json["route"] == "local"
    (first, *_) = answer.json["quotes"]
    text = (papers / "washer.md").read_text("utf-8")
    assert text[first["start"] : first["end"]] == first["text"] and "3 May 2027" in first["text"]
    assert answer.json["model"].startswith("smollm2:135m")
    assert answer.json["usage"]["completion_tokens"] <= 16


def test_question_with_bytes_that_are_no_text_is_answered(ondol, config, papers) -> None:
    answer = ondol("ask", QUESTION + " \udcff", papers, "--json", "--max-tokens", 4)
    assert answer.code == 0 and "3 May 2027" in answer.json["quotes"][0]["text"]


def test_empty_library_says_so_and_asks_no_model(ondol, config) -> None:
    result = ondol("ask", QUESTION)
    assert result.code == 0 and "found nothing" in result.stdout and "ondol add" in result.stderr
    assert ondol("ask", QUESTION, "--json").json["route"] == "abstain"
    assert "찾지 못" in ondol("ask", QUESTION, ONDOL_LANGUAGE="ko").stdout


def test_stdin_is_a_document_beside_the_paths(ondol, config, papers) -> None:
    piped = ondol(
        "ask", "What colour is the bicycle?", papers, "--json", "--max-tokens", 4,
        stdin="The bicycle of Jun is bright green.",
    )  # fmt: skip
    assert piped.json["quotes"][0]["source"] == "stdin"
    alone = ondol(
        "ask", "What colour is the bicycle?", "--max-tokens", 4,
        stdin="The bicycle of Jun is bright green.",
    )  # fmt: skip
    assert alone.code == 0 and "bright green" in alone.stdout and "stdin" in alone.stdout


def test_stdin_is_the_question_when_there_is_none(ondol, config, papers) -> None:
    ondol("add", papers)
    result = ondol("ask", "--max-tokens", 4, stdin=QUESTION)
    assert result.code == 0 and "3 May 2027" in result.stdout


@pytest.mark.parametrize("stdin", [None, "", "  \n"])
def test_no_question_at_all_is_a_usage_error(ondol, stdin: str | None) -> None:
    result = ondol("ask", stdin=stdin)
    assert result.code == 2 and "ondol ask" in result.stderr


@pytest.mark.parametrize("stdin", [b"\x00\x01\x02", b"\xff\xfe\xff\xff\x81"])
def test_stdin_that_is_no_text_is_exit_code_5(ondol, stdin: bytes) -> None:
    assert ondol("ask", "What?", stdin=stdin).code == 5


def test_stdin_that_is_too_large_is_exit_code_5(ondol) -> None:
    result = ondol("ask", "What?", stdin=b"x" * (1 << 20) + b"x", ONDOL_MAX_FILE_MB="1")
    assert result.code == 5 and "1 MB" in result.stderr


def test_korean_stdin_in_cp949_is_read(ondol, config) -> None:
    text = "세탁기 보증 기간은 2027년 5월 3일에 끝납니다."
    result = ondol("ask", "세탁기 보증 기간은 언제 끝나나요?", "--json", stdin=text.encode("cp949"))
    assert result.json["quotes"][0]["text"] == text


def test_paths_that_cannot_be_read_are_exit_code_5(ondol, config, tmp_path: Path) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing")
    assert ondol("ask", QUESTION, tmp_path / "broken.pdf").code == 5
    missing = ondol("ask", QUESTION, tmp_path / "nosuch")
    assert missing.code == 5 and "nosuch" in missing.stderr


def test_unknown_model_is_exit_code_3(ondol, config, papers) -> None:
    result = ondol("ask", QUESTION, papers, "--model", "nosuch")
    assert result.code == 3 and result.stdout == ""


def test_offline_machine_with_a_read_only_home_still_answers(ondol, config, papers) -> None:
    # No user, root included, can make a folder there.
    readonly = {"ONDOL_HOME": "/sys/ondol", "ONDOL_OFFLINE": "1"}
    result = ondol("ask", QUESTION, papers, "--max-tokens", 4, **readonly)
    assert result.code == 0 and "3 May 2027" in result.stdout
    kept = ondol("add", papers, **readonly)
    assert kept.code == 2 and "/sys/ondol" in kept.stderr and "ONDOL_HOME" in kept.stderr


def test_verbose_adds_timings_on_stderr(ondol, config, papers) -> None:
    result = ondol("ask", QUESTION, papers, "--max-tokens", 4, "--verbose")
    assert "evidence" in result.stderr and "tokens" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_in_the_middle_of_an_answer_leaves_no_process(
    config, papers, number: signal.Signals
) -> None:
    command = [*COMMAND, "ask", QUESTION, str(papers), "--max-tokens", "4000"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    # The evidence is there before the engine is.
    assert process.stdout.readline().startswith(b"[1] ")
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 128 + number, stderr
    assert b"Traceback" not in stderr
    assert not psutil.wait_procs(family, timeout=10)[1]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("percent", [5, 25, 45, 65, 85])
def test_ctrl_c_at_any_point_before_the_answer_is_quiet(config, papers, percent: int) -> None:
    command = [*COMMAND, "ask", QUESTION, str(papers), "--max-tokens", "4000"]
    settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = time.monotonic()
    with subprocess.Popen(command, **settings) as process:
        process.stdout.read(1)
        seconds = time.monotonic() - started
        process.kill()
    process = subprocess.Popen(command, **settings)
    # Not before the handlers are there: until then it is the interpreter's to answer.
    while not int(_signals_caught(process.pid), 16) >> (signal.SIGTERM - 1) & 1:
        pass
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(seconds * percent / 100 * 0.8)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130 and stderr.strip() == b""
    assert not psutil.wait_procs(family, timeout=10)[1]


def _signals_caught(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    return status.partition("SigCgt:")[2].split()[0]


def test_document_cannot_drive_the_terminal(ondol, config, tmp_path: Path) -> None:
    (tmp_path / "evil.txt").write_text("The password of the door is \x9b2Jopen.\n", "utf-8")
    result = ondol("ask", "What is the password of the door?", tmp_path, "--max-tokens", 4)
    assert result.code == 0 and "2Jopen" in result.stdout and "\x9b" not in result.stdout


def test_answer_on_a_terminal_has_a_bar_while_reading(config, papers) -> None:
    with Terminal("ask", QUESTION, str(papers), "--max-tokens", "4") as person:
        assert "Reading" in person.wait_for(r"3 May 2027")
        assert person.wait() == 0
