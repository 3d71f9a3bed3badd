"""``ondol run``: one prompt, a conversation at the keyboard, and being interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from terminal import COMMAND, Terminal

from ondol.cli import repl
from ondol.cli.chat import Conversation, show_reply
from ondol.cli.output import Output
from ondol.types import (
    Answer,
    Confidence,
    GenerateOptions,
    Message,
    Route,
    Seconds,
    Token,
    Usage,
    Wanted,
)

LONG = "Write a very long story about a ship. Do not stop."


@pytest.mark.model
def test_prompt_is_answered_on_stdout_alone(ondol, config) -> None:
    asked = ("run", "smollm2:135m", "Say hello.", "--max-tokens", 8, "--temperature", 0)
    result, quiet = ondol(*asked), ondol(*asked, "--quiet")
    assert result.code == 0 and result.stdout.strip() and "ondol why" not in result.stdout
    assert result.stderr.count("\n") == 1 and "answered here · ondol why " in result.stderr
    assert quiet.stdout == result.stdout and quiet.stderr == ""


@pytest.mark.model
def test_prompt_without_a_model_goes_to_the_default(ondol, config) -> None:
    result = ondol("run", "Say hello.", "--max-tokens", 8, "--json")
    assert result.code == 0 and result.json["model"] == "smollm2:135m"


@pytest.mark.model
def test_seed_makes_the_answer_repeatable(ondol, config) -> None:
    answers = {
        ondol("run", "Tell a story.", "--seed", 7, "--max-tokens", 12, "--temperature", 1).stdout
        for _ in range(2)
    }
    assert len(answers) == 1


@pytest.mark.model
def test_stdin_joins_the_prompt(ondol, config) -> None:
    alone = ondol("run", "Say hello.", "--max-tokens", 1, "--json")
    joined = ondol("run", "Say hello.", "--max-tokens", 1, "--json", stdin="And a lot more text.")
    only = ondol("run", "--max-tokens", 1, "--json", stdin="Say hello.")
    tokens = [r.json["usage"]["prompt_tokens"] for r in (alone, joined, only)]
    assert tokens[1] > tokens[0] == tokens[2]


@pytest.mark.model
def test_json_is_one_object(ondol, config) -> None:
    answer = ondol("run", "Say hello.", "--max-tokens", 3, "--json").json
    names = {"answer", "model", "finish_reason", "usage", "seconds"}
    assert set(answer) == names | {
        "confidence", "route", "reasons", "sensitivity", "cost", "ledger_id",
    }  # fmt: skip
    assert answer["finish_reason"] == "length" and answer["usage"]["completion_tokens"] == 3


@pytest.mark.model
def test_verbose_adds_timings_on_stderr(ondol, config) -> None:
    result = ondol("run", "Say hello.", "--max-tokens", 3, "--verbose")
    assert "tokens/s" in result.stderr and "tokens/s" not in result.stdout


def test_nothing_to_say_is_a_usage_error(ondol) -> None:
    result = ondol("run", stdin="")
    assert result.code == 2 and "hint: " in result.stderr


def test_unknown_model_is_named(ondol) -> None:
    result = ondol("run", "nosuch", "hello")
    assert result.code == 3 and "nosuch" in result.stderr


@pytest.mark.model
def test_embedding_model_cannot_chat(ondol, config) -> None:
    result = ondol("run", "all-minilm:l6-v2", "hello")
    assert result.code == 2 and "all-minilm:l6-v2" in result.stderr


def test_model_that_is_not_here_is_fetched_first(ondol) -> None:
    result = ondol("run", "smollm2:135m", "hello", ONDOL_OFFLINE="1")
    assert result.code == 6 and "ondol config set offline false" in result.stderr


@pytest.mark.model
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_in_the_middle_of_an_answer_leaves_no_process(
    config, home: Path, number: signal.Signals
) -> None:
    command = [*COMMAND, "run", "smollm2:135m", LONG, "--max-tokens", "4000"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.read(20)  # it is talking
    family = psutil.Process(process.pid).children(recursive=True)
    assert family  # the engine
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert b"Traceback" not in stderr
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


@pytest.mark.model
def test_reader_that_goes_away_stops_the_engine(config) -> None:
    command = [*COMMAND, "run", "smollm2:135m", LONG, "--max-tokens", "4000"]
    read, write = os.pipe()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert os.read(read, 20)
    family = psutil.Process(process.pid).children(recursive=True)
    os.close(read)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 141 and stderr == b""
    assert not psutil.wait_procs(family, timeout=10)[1]


@pytest.mark.model
def test_conversation_at_the_keyboard(config) -> None:
    with Terminal("run", "--max-tokens", "12", "--temperature", "0") as person:
        person.wait_for(r"/bye to leave")
        person.wait_for(r">>> ")
        person.type("Say hello.\n")
        assert len(person.wait_for(r"\n>>> ").split("Say hello.")[-1].strip(" >\r\n")) > 2
        person.type('"""One line\nand another."""\n')
        person.wait_for(r"\.\.\. ")
        person.wait_for(r"\n>>> ")
        person.type("/nonsense\n")
        person.wait_for(r"no command /nonsense")
        person.type("/?\n")
        person.wait_for(r"/clear")
        person.type("/clear\n")
        person.wait_for(r"Forgotten")
        person.type("/bye\n")
        assert person.wait() == 0


@pytest.mark.model
def test_ctrl_c_stops_the_answer_and_not_the_conversation(config) -> None:
    with Terminal("run", "--max-tokens", "4000", "--temperature", "0") as person:
        person.wait_for(r">>> ")
        person.type(LONG + "\n")
        person.wait_for(r"stop\.\r\n[^>]{20}")
        person.type("\x03")
        person.wait_for(r"\(stopped\)")
        person.wait_for(r">>> ")
        person.insist("\x03", r"Leave with /bye")
        person.wait_for(r">>> ")
        person.type("\x04")
        assert person.wait() == 0


def talk(messages: list[Message], options: GenerateOptions, wanted: Wanted):
    yield Token(f"{len(messages)} ")
    yield Token("thinking", reasoning=True)
    yield Token("said", finish_reason="stop", usage=Usage())


def test_conversation_remembers_what_was_said() -> None:
    talking = Conversation("m", talk, GenerateOptions(), [Message("system", "Be brief.")])
    list(talking.reply("one"))
    list(talking.reply("two"))
    assert [(m.role, m.content) for m in talking.messages] == [
        ("system", "Be brief."),
        ("user", "one"),
        ("assistant", "2 said"),
        ("user", "two"),
        ("assistant", "4 said"),
    ]
    talking.clear()
    assert talking.messages == [Message("system", "Be brief.")]


def test_a_conversation_about_what_is_pinned_stays_here(capsys) -> None:
    talking = Conversation("m", talk, GenerateOptions(), stays=True)
    assert repl._obey("/home", talking, Output())
    assert talking.wanted == "here" and "this device" in capsys.readouterr().err


def test_conversation_keeps_what_was_said_before_it_was_stopped() -> None:
    talking = Conversation("m", talk, GenerateOptions())
    reply = talking.reply("one")
    next(reply)
    reply.close()
    assert [m.content for m in talking.messages] == ["one", "1 "]


def test_conversation_forgets_a_turn_that_failed() -> None:
    def fail(messages: list[Message], options: GenerateOptions, wanted: Wanted):
        raise RuntimeError
        yield Token("")

    talking = Conversation("m", fail, GenerateOptions())
    with pytest.raises(RuntimeError):
        list(talking.reply("one"))
    assert talking.messages == []


def test_a_reply_says_how_sure_it_is_and_who_gave_it(capsys: pytest.CaptureFixture[str]) -> None:
    sure = Answer(
        "", (), (), Confidence(0.49, {}), Route.LOCAL, (), Usage(), Seconds(0, None, 0), "m",
        ledger_id="abcd1234ef",
    )  # fmt: skip

    def judged(messages: list[Message], options: GenerateOptions, wanted: Wanted):
        yield from talk(messages, options, wanted)
        return sure

    show_reply(Conversation("m", judged, GenerateOptions()), "one", Output())
    told = capsys.readouterr().err
    assert "may be right (49 %)" in told and "answered here" in told and "why abcd1234" in told
