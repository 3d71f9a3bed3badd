"""The one table from what went wrong to a sentence on stderr and an exit code.

``error: …`` and ``hint: …`` on stderr; with ``--json`` also ``{"error": {…}}`` on stdout. A
traceback is shown with ``--debug`` only. Exit codes: those of ``ondol.errors``, 2 for a wrong
command line, 130 and 143 for Ctrl-C and SIGTERM, 141 when the reader of stdout went away.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from types import FrameType

import click

from ondol.cli.output import Output, clean
from ondol.errors import OndolError, UsageError
from ondol.i18n import t

INTERRUPTED = 128 + signal.SIGINT
READER_GONE = 128 + signal.SIGPIPE

_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C. A class of its own, because CPython kills itself with SIGINT in the end when a plain
    KeyboardInterrupt has passed through a library's C code, caught afterwards or not."""


def exit_on_signals() -> None:
    """Make SIGTERM and SIGHUP unwind like Ctrl-C does, so that every engine is stopped."""
    for number, handler in (
        (signal.SIGINT, _interrupt),
        (signal.SIGTERM, _exit),
        (signal.SIGHUP, _exit),
    ):
        # nohup and background jobs have been told not to listen.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def report(error: BaseException, output: Output) -> int:
    """Say what happened; returns the exit code."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        click.echo(err=True)
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        _close_stdout()
        return READER_GONE
    if output.debug:
        _show_traceback(error)
    known = explain(error)
    say(known, output)
    return known.exit_code


def say(error: OndolError, output: Output) -> None:
    """The sentence, and the next command."""
    if output.json:
        body = {"code": error.code, "message": error.message, "hint": error.hint}
        output.emit({"error": body})
    _line(t("cli.error", message=clean(error.message)), output, fg="red")
    if error.hint:
        _line(t("cli.hint", hint=clean(error.hint)), output)


def explain(error: BaseException) -> OndolError:
    """Anything that was raised, as an error with a sentence and an exit code."""
    if isinstance(error, OndolError):
        return error
    if isinstance(error, click.ClickException):
        return _usage(error)
    if isinstance(error, OSError) and error.errno in _STORAGE:
        from pathlib import Path

        from ondol.paths import storage_error

        return storage_error(error, Path(str(error.filename or "?")))
    return OndolError(t("cli.unexpected", kind=type(error).__name__), t("cli.unexpected_hint"))


def _usage(error: click.ClickException) -> UsageError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "ondol"
    hint = t("cli.see_help", command=path)
    if isinstance(error, click.NoSuchOption):
        message = t("cli.no_such_option", name=error.option_name)
        if error.possibilities:
            hint = t("cli.did_you_mean", command=sorted(error.possibilities)[0])
        return UsageError(message, hint)
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return UsageError(t("cli.missing", name=error.param.make_metavar(_need(context))), hint)
    return UsageError(t("cli.bad_usage", reason=error.format_message()), hint)


def _need(context: click.Context | None) -> click.Context:
    return context or click.Context(click.Command("ondol"))


def _line(text: str, output: Output, fg: str | None = None) -> None:
    head, colon, rest = text.partition(":")
    styled = click.style(head, fg=fg, bold=True) + colon + rest
    try:
        click.echo(styled, err=True, color=output.color)
    except OSError:
        pass  # nobody reads stderr either


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


def _exit(number: int, frame: FrameType | None) -> None:
    # Once is enough: what stops the engines must not be interrupted by a second one.
    for again in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(again, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _close_stdout() -> None:
    """Let the interpreter's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_traceback(error: BaseException) -> None:
    import traceback

    traceback.print_exception(error, file=sys.stderr)
