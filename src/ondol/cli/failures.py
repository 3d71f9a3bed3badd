"""The one table from what went wrong to a sentence on stderr and an exit code.

``error: …`` and ``hint: …`` on stderr; with ``--json`` also ``{"error": {…}}`` on stdout. A
traceback is shown with ``--debug`` only. Exit codes: those of ``ondol.errors``, 2 for a wrong
command line, 130 and 143 for Ctrl-C and SIGTERM, 141 when the reader of stdout went away.
"""

from __future__ import annotations

import atexit
import errno
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

import click

from ondol.cli.mistakes import reason
from ondol.cli.output import Output, clean
from ondol.errors import OndolError, UsageError
from ondol.i18n import t

READER_GONE = 128 + signal.SIGPIPE

# How long a signal's exception may take to arrive where commands are closed. It can get lost:
# raised in a destructor it is ignored, and C code may turn it into an exception of its own.
ARRIVAL_SECONDS = 1.0

_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C. A class of its own, because CPython kills itself with SIGINT in the end when a plain
    KeyboardInterrupt has passed through a library's C code, caught afterwards or not."""


class _Signals:
    """The signal that ends, or should end, what is being done."""

    def __init__(self) -> None:
        self.received = 0

    def listen(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup and background jobs have been told not to listen.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.handle)
        signal.signal(signal.SIGALRM, self.handle)
        sys.unraisablehook = self.unraisable
        # The last thing before Python lets go of its handlers: then an alarm would kill.
        atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)

    def unraisable(self, lost: sys.UnraisableHookArgs) -> None:
        """A signal's exception that was raised in a destructor comes again; nothing to tell of."""
        if not (self.received and isinstance(lost.exc_value, Interrupted | SystemExit)):
            sys.__unraisablehook__(lost)

    def handle(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGALRM:
            self.received = number
        elif not self.received:
            return
        signal.setitimer(signal.ITIMER_REAL, ARRIVAL_SECONDS)
        if self.received == signal.SIGINT:
            raise Interrupted
        raise SystemExit(128 + self.received)

    def arrived(self) -> None:
        """Do not disturb any more: engines are being stopped."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self.received:
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)

    def forget(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.received = 0


_signals = _Signals()


def exit_on_signals() -> None:
    """Make SIGTERM and SIGHUP unwind like Ctrl-C does, so that every engine is stopped."""
    _signals.listen()


@contextmanager
def closing_time() -> Iterator[None]:
    """Around what a command does and inside what closes the house: a signal's exception that leaves
    the block has done its work."""
    try:
        yield
    except BaseException:
        _signals.arrived()
        raise


def exit_code() -> int:
    """How a command ends that came to its end: with 0, unless it was told to stop."""
    return 128 + _signals.received if _signals.received else 0


def go_on() -> None:
    """Ctrl-C has been dealt with; nothing that happens from now on is due to it."""
    _signals.forget()


def report(error: BaseException, output: Output) -> int:
    """Say what happened; returns the exit code."""
    _signals.arrived()
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, KeyboardInterrupt | click.Abort) or _signals.received:
        click.echo(err=True)
        return 128 + (_signals.received or signal.SIGINT)
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
        try:
            output.emit({"error": body})
        except OSError:
            pass  # stdout itself is what failed
    _line(t("cli.error", message=clean(error.message)), output, fg="red")
    if error.hint:
        _line(t("cli.hint", hint=clean(error.hint)), output)


def explain(error: BaseException) -> OndolError:
    """Anything that was raised, as an error with a sentence and an exit code."""
    if isinstance(error, OndolError):
        return error
    if isinstance(error, click.ClickException):
        return _usage(error)
    from ondol import database  # here: `ondol --help` needs none, and it is a fifth of its time

    if isinstance(damaged := database.damage(error), OndolError):
        return damaged
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
            hint = t("cli.did_you_mean", command=_nearest(error.option_name, error.possibilities))
        return UsageError(message, hint)
    if isinstance(error, click.MissingParameter) and error.param is not None:
        name = error.param.make_metavar(_need(context)).removesuffix("...")
        if isinstance(error.param, click.Option):
            name = max(error.param.opts, key=len)
        elif _is_choice(error.param):
            name = error.param.human_readable_name
        return UsageError(t("cli.missing", name=name), hint)
    return UsageError(t("cli.bad_usage", reason=reason(error)), hint)


def _nearest(name: str, known: Iterable[str]) -> str:
    """Click gives what resembles ``name`` in the order of the alphabet."""
    from difflib import SequenceMatcher

    return max(sorted(known), key=lambda one: SequenceMatcher(None, name, one).ratio())


def _is_choice(parameter: click.Parameter) -> bool:
    """Whether click would call an argument by the list of what it may be: {private|trusted}."""
    return isinstance(parameter, click.Argument) and isinstance(parameter.type, click.Choice)


def _need(context: click.Context | None) -> click.Context:
    return context or click.Context(click.Command("ondol"))


def _line(text: str, output: Output, fg: str | None = None) -> None:
    head, colon, rest = text.partition(":")
    styled = click.style(head, fg=fg, bold=True) + colon + rest
    try:
        click.echo(styled, err=True, color=output.color)
    except OSError:
        pass  # nobody reads stderr either


def _close_stdout() -> None:
    """Let the interpreter's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_traceback(error: BaseException) -> None:
    import traceback

    traceback.print_exception(error, file=sys.stderr)
