"""Chat templates: programs in Jinja's language that come with a model, and run on every question.

First read, in all branches: nothing in it may name Python's insides, load other templates, or look
up an attribute by a name that is made while it runs (CVE-2024-34359, CVE-2026-5760). Then run, on
small conversations, in Jinja's sandbox with bounds on time, memory and length. What waits for a
word in a question to misbehave is not found this way; the engine ends what never ends
(``engine.template_watch``). Never raises for what a template is.
"""

from __future__ import annotations

import copy
import datetime
import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from ondol.hub.scan.refused import Refused
from ondol.models.gguf_reader import shown
from ondol.models.inspection import LONGEST_TEMPLATE_BYTES

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

MAX_BYTES = LONGEST_TEMPLATE_BYTES
SECONDS = 2
MAX_TEXT = 1_000_000
"""Characters that a template may make of a conversation of a few dozen."""
MAX_POWER = 64

# Leads from any object to Python's modules; with ``getattr`` by parts, or in one word.
_INSIDES = re.compile(
    r"__(?:class|mro|base|bases|subclasses|globals|builtins|import|init|dict|code|closure|func"
    r"|self|module|loader|spec|call|new|getattribute|getattr|setattr|reduce|reduce_ex|getitem)__"
)
# Of Jinja's globals the two that lead there, and what attacks on web frameworks try.
_NAMES = frozenset(
    "self lipsum url_for get_flashed_messages os sys subprocess eval exec getattr setattr "
    "globals locals builtins".split()
)
_FILTERS = frozenset(("attr",))
# Directions of writing, the invisible letters "tags", control characters, and what is no character:
# what a reader of a template cannot see, and what ends its text for a program in C.
_UNSEEN = re.compile(
    "[\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f\x00-\x08\x0b-\x0c\x0e-\x1f\x7f\ufffd]"
)

_TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a town.",
        "parameters": {
            "type": "object",
            "properties": {"town": {"type": "string", "description": "Its name."}},
            "required": ["town"],
        },
    },
}
_ASKED = {"role": "user", "content": "How are you?"}
_CALL = {"id": "call00001", "type": "function"} | {
    "function": {"name": "weather", "arguments": {"town": "Seoul"}}
}
_BESIDE = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
_CONVERSATIONS: tuple[dict[str, Any], ...] = (
    {"messages": [_ASKED]},
    {"messages": [{"role": "system", "content": "Be brief."}, _ASKED]},
    {
        "messages": [
            _ASKED,
            {"role": "assistant", "content": "Well.", "reasoning_content": "A greeting."},
            {"role": "user", "content": "And now?"},
        ]
    },
    {
        "messages": [
            _ASKED,
            {"role": "assistant", "content": "", "tool_calls": [_CALL]},
            {"role": "tool", "content": "rain", "tool_call_id": "call00001", "name": "weather"},
        ],
        "tools": [_TOOL],
    },
)


class _TooSlow(Exception):
    pass


class _Declined(Exception):
    """What a template says by ``raise_exception``: it does not take such a conversation."""


def look(source: str, *, is_main: bool = True) -> Refused | None:
    """Why the template ``source`` is refused; of one that is not the ``is_main`` one, it is enough
    that it does no harm."""
    from jinja2 import TemplateError

    try:
        if len(source.encode(errors="replace")) > MAX_BYTES:
            raise Refused("long_template", kilobytes=MAX_BYTES // 1024)
        if _UNSEEN.search(source):
            raise Refused("template_unseen")
        with _limited():
            environment = _environment()
            _read(environment.parse(source))
            _run(environment.from_string(source), is_main=is_main)
    except Refused as refused:
        return refused
    except (TemplateError, _TooSlow, MemoryError, RecursionError) as error:
        return _why(error)
    return None


def _why(error: Exception) -> Refused:
    from jinja2.exceptions import SecurityError

    match error:
        case SecurityError():
            return Refused("template_unsafe", what=shown(str(error)))
        case _TooSlow():
            return Refused("template_slow", seconds=SECONDS)
        case MemoryError():
            return Refused("template_large")
        case RecursionError():
            return Refused("template_deep")
        case _:
            return Refused("template_invalid", reason=shown(str(error)))


def _read(tree: nodes.Template) -> None:
    """Refuse what no template of a conversation needs, in whatever branch."""
    from jinja2 import nodes

    for node in _all(tree):
        match node:
            case nodes.Include() | nodes.Import() | nodes.FromImport() | nodes.Extends():
                raise Refused("template_unsafe", what=type(node).__name__.lower())
            case nodes.Getattr(attr=str(name)) if name.startswith("_"):
                raise Refused("template_unsafe", what=shown(name))
            case nodes.Name(name=str(name)) if name in _NAMES or name.startswith("__"):
                raise Refused("template_unsafe", what=shown(name))
            case nodes.Filter(name=str(name)) if name in _FILTERS:
                raise Refused("template_unsafe", what=shown(name))
            case nodes.Const(value=str(text)) if _INSIDES.search(text):
                raise Refused("template_unsafe", what=shown(text))
            case _:
                pass


def _all(tree: nodes.Node) -> Iterator[nodes.Node]:
    """Every node, without recursion: a template may be nested deeper than Python can go."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.iter_child_nodes()


def _run(template: Any, *, is_main: bool) -> None:
    """Render all conversations; the main template has to take one of them at least."""
    failures: list[str] = []
    rendered = 0
    for conversation in _CONVERSATIONS:
        for asks in (True, False):
            failure = _render(template, {**conversation, "add_generation_prompt": asks})
            rendered += not failure
            failures += [failure] * bool(failure)
    if is_main and not rendered:
        raise Refused("template_fails", reason=failures[0])


def _render(template: Any, words: dict[str, Any]) -> str:
    """Why the template cannot render that; "" where it can, or says that it does not take it."""
    from jinja2.exceptions import SecurityError, TemplateError

    length = 0
    try:
        for part in template.generate(**_BESIDE, **copy.deepcopy(words)):
            length += len(part)
            if length > MAX_TEXT:
                raise Refused("template_large")
    except SecurityError:
        raise
    except _Declined:
        return ""
    except (TemplateError, TypeError, ValueError, LookupError) as error:
        return shown(f"{type(error).__name__}: {error}")
    except (ArithmeticError, AttributeError) as error:
        return shown(f"{type(error).__name__}: {error}")
    return ""


def _environment() -> Environment:
    """As transformers and llama.cpp render, in the sandbox."""
    from jinja2.exceptions import SecurityError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import SandboxedEnvironment

    class Sandbox(SandboxedEnvironment):
        intercepted_binops = frozenset(("*", "**", "%", "+"))

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            """Some of Python's operators take minutes or gigabytes in one step."""
            if not _is_small(operator, left, right):
                raise SecurityError(operator)
            return super().call_binop(context, operator, left, right)

        def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
            """Jinja's own gives an empty text; who reaches for such a thing meant something."""
            raise SecurityError(attribute)

    class Generation(Extension):
        """``{% generation %}``: marks what an assistant said, for training (transformers)."""

        tags = {"generation"}  # noqa: RUF012 - as the class above it has it

        def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment = Sandbox(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )

    def tojson(value: Any, indent: int | None = None, **_: Any) -> str:
        return json.dumps(value, ensure_ascii=False, indent=min(indent or 0, 16) or None)

    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = _decline
    environment.globals["strftime_now"] = _today
    del environment.globals["lipsum"]
    return environment


def _is_small(operator: str, left: Any, right: Any) -> bool:
    """Whether what ``operator`` makes of these has a size that a conversation gives reason to."""
    sizes = [len(one) if hasattr(one, "__len__") else 0 for one in (left, right)]
    match operator:
        case "%":
            return not isinstance(left, str | bytes)
        case "**":
            powers = isinstance(right, int | float) and abs(right) <= MAX_POWER
            return powers and abs(left) < 2**64
        case "*" if any(sizes):
            times = left if sizes[1] else right
            return not isinstance(times, int) or times * max(sizes) <= MAX_TEXT
        case _:
            return sum(sizes) <= MAX_TEXT


def _decline(message: object = "") -> None:
    raise _Declined


def _today(form: str) -> str:
    if len(form) > 100:
        raise _Declined
    return datetime.datetime(2026, 1, 2).strftime(form)


@contextmanager
def _limited() -> Iterator[None]:
    """``_TooSlow`` after ``SECONDS`` of processor time. What does not come back to Python in that
    time, the parent of this process ends."""

    def end(number: int, frame: FrameType | None) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
