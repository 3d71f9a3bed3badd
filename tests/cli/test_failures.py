"""From what went wrong to a sentence and an exit code."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ondol import errors
from ondol.cli import failures, main
from ondol.cli.output import Output


def every_error(root: type[errors.OndolError] = errors.OndolError) -> list[type[errors.OndolError]]:
    below = [e for child in root.__subclasses__() for e in every_error(child)]
    return [e for e in (root, *below) if e.__module__.startswith("ondol.errors")]


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("is_json", [False, True])
def test_error_becomes_two_lines_and_its_exit_code(
    kind: type[errors.OndolError], is_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    code = failures.report(kind("It broke.", "Mend it."), Output(json=is_json))
    said = capsys.readouterr()
    assert code == kind.exit_code
    assert said.err == "error: It broke.\nhint: Mend it.\n"
    if is_json:
        body = {"code": kind.code, "message": "It broke.", "hint": "Mend it."}
        assert json.loads(said.out) == {"error": body}
    else:
        assert said.out == ""


def test_error_without_a_hint_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    failures.report(errors.EngineError("It broke."), Output())
    assert capsys.readouterr().err == "error: It broke.\n"


def test_error_text_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    failures.report(errors.DocumentError("\x1b]0;owned\x07bad\x9b2J.txt"), Output())
    assert capsys.readouterr().err == "error: ]0;ownedbad2J.txt\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (SystemExit(143), 143),
        (SystemExit(), 0),
        (click.exceptions.Exit(5), 5),
        (OSError(errno.ENOSPC, "No space left on device", "x"), 2),
        (OSError(errno.EROFS, "Read-only file system", "x"), 2),
        (OSError(errno.EIO, "Input/output error"), 1),
        (RuntimeError("the owner's secret question"), 1),
    ],
)
def test_anything_raised_has_an_exit_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failures.report(error, Output()) == code
    said = capsys.readouterr()
    assert said.out == "" and "Traceback" not in said.err and "secret" not in said.err


def test_unexpected_error_shows_a_traceback_only_with_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("broken inside")

    monkeypatch.setattr("ondol.config.load", break_down)
    monkeypatch.setattr(failures, "exit_on_signals", lambda: None)
    assert main.run(["list"]) == 1
    assert "--debug" in (said := capsys.readouterr().err) and "broken inside" not in said
    assert main.run(["list", "--debug"]) == 1
    assert "broken inside" in capsys.readouterr().err


def test_reader_that_goes_away_ends_the_command_quietly(home: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "ondol", "config", "list"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert done.returncode == 141 and done.stderr == b""


def test_home_that_cannot_be_written_is_named(ondol) -> None:
    # No user, root included, can make a folder there.
    result = ondol("config", "set", "offline", "true", ONDOL_HOME="/sys/ondol")
    assert result.code == 2 and "/sys/ondol" in result.stderr and "ONDOL_HOME" in result.stderr


def test_home_that_is_a_file_is_named(ondol, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    result = ondol("config", "set", "offline", "true", ONDOL_HOME=str(file))
    assert result.code == 2 and str(file) in result.stderr
    assert result.stderr.startswith("error: ") and "hint: " in result.stderr


def test_disk_that_is_full_changes_nothing(ondol, home: Path) -> None:
    assert ondol("config", "set", "offline", "true").code == 0
    before = (home / "config" / "config.toml").read_bytes()

    def fill_the_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8))

    done = subprocess.run(
        [sys.executable, "-B", "-m", "ondol", "config", "set", "server.port", "1234"],
        preexec_fn=fill_the_disk,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and done.stderr.startswith("error: ")
    assert (home / "config" / "config.toml").read_bytes() == before
    assert [p.name for p in (home / "config").iterdir()] == ["config.toml"]


def test_settings_file_that_cannot_be_read_is_named(ondol, home: Path) -> None:
    file = home / "config" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("this is not TOML")
    for command in (["list"], ["config", "list"], ["config", "set", "offline", "true"]):
        result = ondol(*command)
        assert result.code == 2 and "config.toml" in result.stderr
    assert ondol("--help").code == 0


def test_group_runs_under_click_s_own_runner() -> None:
    result = CliRunner().invoke(main.make_group(), ["recommend", "--ram", "8GB", "--json"])
    assert result.exit_code == 0 and json.loads(result.stdout)["models"]


def test_error_made_of_a_swallowed_ctrl_c_is_not_believed() -> None:
    script = (
        "import os, signal, sys\n"
        "from ondol import config\n"
        "from ondol.cli.main import run\n"
        "def swallow():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        for _ in range(1000): pass\n"
        "    except BaseException as error:\n"
        "        raise ImportError('initialization failed') from None\n"
        "config.load = swallow\n"
        "sys.exit(run(['list']))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 130 and done.stderr.strip() == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_lost_in_a_destructor_is_raised_again(number: signal.Signals) -> None:
    script = (
        "import os, sys\n"
        "from ondol import config\n"
        "from ondol.cli.main import run\n"
        "class Careless:\n"
        f"    def __del__(self): os.kill(os.getpid(), {number})\n"
        "def lose():\n"
        "    Careless()\n"
        "    while True: pass\n"
        "config.load = lose\n"
        "sys.exit(run(['list']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, check=False, timeout=60
    )
    assert done.returncode == 128 + number and done.stderr.strip() == b""


def test_ctrl_c_does_not_raise_inside_a_library_that_would_abort(tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text(
        "import os, signal\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "for _ in range(100_000): pass\n"
        "print('imported', flush=True)\n"
    )
    script = (
        "import pathlib, sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from ondol import config\n"
        "from ondol.cli.main import run\n"
        "from ondol.retrieval.onnx_session import open_session\n"
        "config.load = lambda: open_session(pathlib.Path('model.onnx'), 1)\n"
        "sys.exit(run(['list']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (130, b"imported\n")
    assert done.stderr.strip() == b""


def test_signals_that_nohup_ignores_stay_ignored() -> None:
    script = (
        "import signal; from ondol.cli import failures; failures.exit_on_signals(); "
        "print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    )
    done = subprocess.run(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n"
