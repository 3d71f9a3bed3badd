"""What every command line has in common: help, options, mistakes, languages, completion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from ondol import __version__, i18n
from ondol.cli import main as cli

COMMANDS = [name for part in cli.SECTIONS.values() for name in part]
EXPECTED = (
    "up down serve run ask add search forget pull list ps show cp rm adapters stop recommend "
    "doctor config completion train lock unlock backup restore collection sensitivity sync library "
    "airgap calibrate home ledger memory report thumb why create key mcp feedback "
    "persona remember join federation hub pack update redteam "
    "pin unpin pins tune engine bench perplexity eval explore"
).split()


def test_every_promised_command_is_there() -> None:
    assert sorted(COMMANDS) == sorted(EXPECTED)


def test_bare_command_shows_what_to_do_first(ondol) -> None:
    result = ondol()
    assert result.code == 0 and result.stderr == ""
    assert all(f"ondol {word}" in result.stdout for word in ("ask", "add", "run"))
    assert len(result.stdout.splitlines()) < 10


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("language", ["en", "ko"])
def test_help_of_a_command_shows_its_sentence(name: str, language: str) -> None:
    with i18n.use_language(language):
        group = cli.make_group()
        context = click.Context(group, info_name="ondol")
        assert f"  {name} " in group.get_help(context)
        command = group.get_command(context, name)
        assert command is not None
        assert command.get_help(click.Context(command, context, name))


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("ask", "-h")])
def test_asking_about_the_command_itself_writes_nothing(ondol, home: Path, arguments) -> None:
    result = ondol(*arguments)
    assert result.code == 0 and result.stdout and result.stderr == ""
    assert not home.exists()


def test_version_is_the_package_s(ondol) -> None:
    assert ondol("--version").stdout == f"ondol {__version__}\n"


def test_help_loads_nothing_that_answering_needs() -> None:
    heavy = (
        "fastapi uvicorn httpx2 numpy onnxruntime xllamacpp sqlcipher3 tqdm psutil tokenizers "
        "ondol.parts ondol.models ondol.engine ondol.retrieval ondol.server"
    ).split()
    script = (
        "import sys; sys.argv = ['ondol', '--help']\n"
        "from ondol.cli.main import run\n"
        "run(['--help'])\n"
        f"print(*(set({heavy!r}) & set(sys.modules)), file=sys.stderr)\n"
        "from ondol import i18n\n"
        "print(i18n._catalogue.cache_info().currsize, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr.split("\n")[0] == ""
    assert done.stderr.split("\n")[1] == "1"  # the catalogue of this room alone


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["lst"], "There is no command lst.", "ondol list"),
        (["qqq"], "There is no command qqq.", "ondol --help"),
        (["config", "lst"], "There is no command lst.", "ondol config list"),
        (["ask", "--modle", "x", "y"], "There is no option --modle.", "--model"),
        (["show"], "NAME is missing.", "ondol show --help"),
        (["hub", "add", "https://x.org"], "--fingerprint is missing.", "ondol hub add --help"),
        (["list", "surplus"], "surplus", "ondol list --help"),
        (["search", "x", "--limit", "many"], "'many' is no whole number", "ondol search"),
        (["completion", "tcsh"], "tcsh", "ondol completion --help"),
    ],
)
def test_mistake_on_the_command_line_is_two_lines_and_exit_code_2(
    ondol, arguments, message: str, hint: str
) -> None:
    result = ondol(*arguments)
    assert result.code == 2 and result.stdout == ""
    error, next_step = result.stderr.splitlines()
    assert error.startswith("error: ") and message in error
    assert next_step.startswith("hint: ") and hint in next_step


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "show", "nothing"],
        ["show", "--json", "nothing"],
        ["show", "nothing", "--json"],
    ],
)
def test_global_option_is_understood_anywhere(ondol, arguments) -> None:
    result = ondol(*arguments)
    assert result.code == 3
    assert result.json["error"]["code"] == "model_not_found"
    assert set(result.json["error"]) == {"code", "message", "hint"}
    assert result.stderr.startswith("error: ")


def test_json_after_a_mistake_still_gives_a_json_error(ondol) -> None:
    result = ondol("ask", "--wrong", "--json")
    assert result.code == 2 and result.json["error"]["code"] == "invalid_request"


def test_text_after_two_dashes_is_no_option(ondol) -> None:
    result = ondol("show", "--", "--json")
    assert result.code == 2 and result.stdout == "" and "--json" in result.stderr


def test_messages_are_korean_when_asked_for(ondol) -> None:
    assert "사용법:" in ondol("ask", "--help", ONDOL_LANGUAGE="ko").stdout
    error, hint = ondol("lst", ONDOL_LANGUAGE="ko").stderr.splitlines()
    assert error == "오류: lst(이)라는 명령은 없습니다."
    assert hint == "힌트: 혹시 ondol list인가요?"


def test_language_setting_is_followed_where_the_environment_is_silent(
    ondol, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ondol("config", "set", "language", "ko").code == 0
    assert "usage" in ondol("--help").stdout.lower()
    monkeypatch.delenv("ONDOL_LANGUAGE")
    assert "사용법:" in ondol("--help").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_for_that_shell(ondol, shell: str) -> None:
    result = ondol("completion", shell)
    assert result.code == 0 and "_ONDOL_COMPLETE" in result.stdout
    assert shell in result.stderr


def test_completion_script_is_valid_bash(ondol) -> None:
    script = ondol("completion", "bash").stdout
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("words", "index", "expected"),
    [("ondol se", 1, "search"), ("ondol config get eng", 3, "engine.num_ctx")],
)
def test_completion_offers_commands_and_settings(words: str, index: int, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ondol"],
        env={
            **os.environ,
            "_ONDOL_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(index),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"plain,{expected}" in done.stdout.split()


@pytest.mark.parametrize(
    ("environ", "arguments", "is_coloured"),
    [({}, [], True), ({"NO_COLOR": "1"}, [], False), ({}, ["--no-color"], False)],
)
def test_colour_goes_to_a_terminal_unless_refused(
    environ: dict[str, str], arguments: list[str], is_coloured: bool
) -> None:
    import pty

    parent, child = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "ondol", "config", "list", *arguments],
        stdout=child,
        check=False,
        env={k: v for k, v in {**os.environ, **environ}.items() if k != "NO_COLOR" or v == "1"},
    )
    os.close(child)
    text = os.read(parent, 100_000)
    os.close(parent)
    assert done.returncode == 0
    assert (b"\x1b[" in text) == is_coloured


def test_help_of_a_group_keeps_its_examples_and_whole_sentences() -> None:
    group = cli.make_group()
    context = click.Context(group, info_name="ondol")

    def shown(name: str) -> str:
        command = group.get_command(context, name)
        assert command is not None
        return command.get_help(click.Context(command, context, name))

    assert "--collection work\n" in shown("collection")
    assert "..." not in shown("library")


def test_a_group_alone_shows_its_help(ondol) -> None:
    result = ondol("collection")
    assert result.code == 0 and "rename" in result.stdout and result.stderr == ""
    as_json = ondol("--json", "collection")
    assert as_json.code == 2 and "COMMAND" in as_json.json["error"]["message"]


@pytest.mark.parametrize("command", ["add", "sync", "forget", "sensitivity"])
def test_an_empty_path_is_not_the_folder_we_are_in(ondol, command: str) -> None:
    result = ondol(command, "")
    assert result.code == 2 and "empty" in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
@pytest.mark.parametrize("flag", ["--json", "--quiet"])
def test_stdout_that_takes_nothing_is_a_sentence(home: Path, flag: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ondol", "config", "list", flag],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode != 0 and "disk is full" in done.stderr
    assert "Traceback" not in done.stderr
