"""The child that looks at files: ``python -P -m ondol.hub.scan.child``.

Its standard input is a socket to the parent (``confinement.child``). It loads what it needs, gives
up everything else, and then looks at one open file after the other. To each request it answers with
any number of findings and, last, with what it knows of the file.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

from ondol.confinement import child, frames, landlock, privileges, seccomp
from ondol.egress import guard
from ondol.errors import InvalidModelError
from ondol.hub.scan import adapters, gguf, graphs, kinds, numbers, safetensors, templates, texts
from ondol.hub.scan.refused import Refused
from ondol.i18n import LANGUAGES, t, use_language
from ondol.models.gguf import GgufHeader

MAX_FINDINGS = 20
"""Of one file: who made it learns from the first, and a list of thousands helps nobody."""

# Templates that render, fail, are refused and are none: Jinja and Python load more for each.
_EVERY_WAY = (
    "{{ 'a\\n' | trim }}{{ messages | tojson }}{{ strftime_now('%Y') }}",
    "{{ messages[0].content.nothing.at_all }}",
    "{{ messages.__class__ }}",
    "{{ 'a' ** 'b' }}{{ raise_exception('') }}",
    "{% if",
)

_PICKLE = b"(S'a'\nVb\nI1\nF1.0\nL1L\n."

Facts = dict[str, Any]


def main() -> None:
    """Serve until the parent goes away."""
    guard.install()
    parent = child.claim_stdin()
    settings = frames.Incoming(parent, frames.MAX_FRAME_BYTES).frame()
    _load()
    held = _confine(int(settings["parent_pid"]), int(settings["memory_bytes"]))
    frames.send(parent, {"protections": held})
    bases: list[GgufHeader] = []
    while taken := child.take_request(parent):
        request, descriptor = taken
        with use_language(str(request["language"])):
            _answer(parent, request, descriptor, bases)


def _load() -> None:
    """Everything that a look needs, for afterwards no file can be opened any more."""
    import jinja2.debug  # noqa: F401 - Jinja loads it when a template fails

    for code in LANGUAGES:
        with use_language(code):
            t("hub_scan.empty")
            t("gguf.at_start")
            t("adapters.unfit_hint")
    numbers.is_known("F32")
    kinds.is_pickle(_PICKLE)
    for source in _EVERY_WAY:
        templates.look(source)


def _confine(parent_pid: int, memory_bytes: int) -> list[str]:
    """Give up what a look does not need; which of these protections hold now."""
    steps: dict[str, Callable[[], None]] = {"limits": lambda: privileges.limit(memory_bytes)}
    if sys.platform == "linux":
        steps["user"] = privileges.become_nobody
        steps["privileges"] = privileges.give_up
        steps["files"] = lambda: landlock.restrict((), ())
        steps["network"] = seccomp.deny
    steps["processes"] = privileges.start_nothing
    held = []
    for name, take in steps.items():
        with contextlib.suppress(OSError, ValueError, AttributeError):
            take()
            held.append(name)
    privileges.die_with_parent(parent_pid)
    return held


def _answer(
    parent: socket.socket, request: dict[str, Any], descriptor: int, bases: list[GgufHeader]
) -> None:
    name = str(request["name"])
    facts: Facts = {}
    privileges.renew_cpu(int(request["seconds"]))
    try:
        for count, refused in enumerate(_look(request, name, descriptor, bases, facts)):
            if count < MAX_FINDINGS:
                _tell(parent, refused, name)
    except Refused as refused:
        _tell(parent, refused, name)
    except InvalidModelError as error:
        frames.send(parent, {"kind": "finding", "code": "malformed", "message": error.message})
    except MemoryError:
        _tell(parent, Refused("too_much_memory"), name)
    except Exception as error:  # what nobody foresaw is no reason to let a file through
        _tell(parent, Refused("unreadable", reason=type(error).__name__), name)
    finally:
        os.close(descriptor)
    frames.send(parent, {"kind": "done", "facts": facts})


def _look(
    request: dict[str, Any],
    name: str,
    descriptor: int,
    bases: list[GgufHeader],
    facts: Facts,
) -> Iterator[Refused]:
    """All that is wrong with one file; what is known of it is put into ``facts``."""
    if not os.fstat(descriptor).st_size:
        raise Refused("empty")
    kind = facts["kind"] = kinds.of(name, descriptor)
    match kind:
        case "gguf":
            yield from _gguf(request, name, descriptor, bases, facts)
        case "safetensors":
            tensors = safetensors.header(descriptor)
            yield from safetensors.look(tensors, descriptor)
            facts |= adapters.of_safetensors(tensors)
        case "onnx":
            graphs.look_onnx(descriptor)
        case "sentencepiece":
            graphs.look_sentencepiece(descriptor)
        case _:
            facts |= texts.look(kind, name, descriptor)


def _gguf(
    request: dict[str, Any],
    name: str,
    descriptor: int,
    bases: list[GgufHeader],
    facts: Facts,
) -> Iterator[Refused]:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        header, reader = gguf.header(file, name)
        if request["is_base"]:
            bases.append(header)
            return
        facts |= {
            "architecture": header.architecture,
            "purpose": header.kind,
            "parameters": header.parameters,
            "part": header.part,
            "parts": header.num_parts,
        }
        yield from gguf.look(header, reader, descriptor)
        if header.kind == "adapter":
            facts |= adapters.of_gguf(header, bases, name)


def _tell(parent: socket.socket, refused: Refused, name: str) -> None:
    said = {"code": refused.code, "message": refused.sentence(name)}
    frames.send(parent, {"kind": "finding", **said})


if __name__ == "__main__":
    main()
