'''The conversation at the keyboard: a line, an answer, until /bye or Ctrl-D.

Knows nothing of engines; ``take`` makes of a message what is asked. Ctrl-C stops the answer that is
being given and nothing else; an error ends the turn and not the conversation. Lines between
``"""`` are one message.
'''

from __future__ import annotations

from collections.abc import Callable

from ondol.cli import failures
from ondol.cli.chat import Conversation, show_reply
from ondol.cli.output import Output
from ondol.errors import OndolError
from ondol.i18n import t

PROMPT, MORE = ">>> ", "... "
FENCE = '"""'
LEAVE = ("/bye", "/exit", "/quit")


def converse(
    talking: Conversation,
    output: Output,
    take: Callable[[str], str] = lambda text: text,
    *,
    verbose: bool = False,
) -> None:
    """Talk until the person leaves."""
    _edit_lines()
    output.note(t("cli.repl_greeting", model=talking.model))
    while (text := _next_message(output)) is not None:
        if text.startswith("/"):
            if not _obey(text, talking, output):
                return
        elif text:
            _take_turn(talking, text, output, take, verbose)


def _take_turn(
    talking: Conversation, text: str, output: Output, take: Callable[[str], str], verbose: bool
) -> None:
    try:
        if asked := take(text):
            show_reply(talking, asked, output, verbose=verbose)
    except KeyboardInterrupt:
        failures.go_on()
        output.note(t("cli.repl_stopped"))
    except OndolError as error:
        failures.say(error, output)


def _next_message(output: Output) -> str | None:
    """What the person says next; None when they leave."""
    while True:
        try:
            return _read()
        except KeyboardInterrupt:
            failures.go_on()
            output.line()
            output.note(t("cli.repl_leave_hint"))
        except EOFError:
            output.line()
            return None


def _read() -> str:
    line = input(PROMPT)
    if not line.lstrip().startswith(FENCE):
        return line.strip()
    lines = [line.lstrip().removeprefix(FENCE)]
    while FENCE not in lines[-1]:
        lines.append(input(MORE))
    lines[-1] = lines[-1].partition(FENCE)[0]
    return "\n".join(lines).strip()


def _obey(text: str, talking: Conversation, output: Output) -> bool:
    """Carry out a command; False means goodbye."""
    word = text.split(maxsplit=1)[0].lower()
    if word in LEAVE:
        return False
    if word == "/clear":
        talking.clear()
        output.note(t("cli.repl_cleared"))
    elif word == "/home" and talking.stays:
        output.note(t("pins.only_here"))
    elif word in ("/home", "/here"):
        talking.wanted = "home" if word == "/home" else "here"
        output.note(t(f"trust.pinned_{talking.wanted}"))
    elif word in ("/?", "/help"):
        output.note(t("cli.repl_help"))
    else:
        output.note(t("cli.repl_unknown", word=word))
    return True


def _edit_lines() -> None:
    """Arrow keys and a history of what was typed, in memory only."""
    try:
        import readline
    except ImportError:
        return
    readline.set_auto_history(True)
