"""What the log of a model's process says of why it ended: the line that tells, and of what.

Pure; reads lines of llama.cpp and of what it is started by.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Sequence

from ondol.i18n import t

_REASON = re.compile(r"^[\d.]+ E |error|fail|invalid|cannot|unable|unknown|unsupported", re.I)
_GENERIC = re.compile(
    r"failed to load model,? *('|$)|exiting due to|Failed to init server|^Traceback|^  File", re.I
)
_PREFIX = re.compile(r"^([\d.]+ [A-Z] +)?((\w+ +)?[\w.]+: +|error loading model: )*")
_MODEL = re.compile(r"load(ing)? model|gguf|tensor|architecture", re.I)
_MEMORY = re.compile(
    r"(failed|unable) to allocate|out of memory|insufficient memory|cannot allocate|bad_alloc", re.I
)
# Whatever else is said besides, this ends a process.
_FATAL_MEMORY = re.compile(r"bad_alloc|insufficient memory", re.I)


def complaints(log: Iterable[str]) -> list[str]:
    """The lines that speak of a fault."""
    return [line for line in log if _REASON.search(line)]


def useful_line(log: Sequence[str], names: Iterable[tuple[str, str]]) -> str:
    """The line that says why a model did not load, or "". ``names`` are those of files, with the
    paths in whose place they stand."""
    told = [line for line in complaints(log) if not _GENERIC.search(line)]
    told = told or [line for line in log if line.strip()][-1:]
    if not told:
        return ""
    line = told[0]
    for name, path in names:
        line = line.replace(path, name)
    return _PREFIX.sub("", line).strip().rstrip(".")[:300]


def is_of_memory(reason: str, log: Iterable[str]) -> bool:
    """Whether there was too little memory: ``reason`` is the line that tells."""
    return bool(_MEMORY.search(reason)) or any(map(_FATAL_MEMORY.search, log))


def is_of_model(log: Iterable[str]) -> bool:
    """Whether it is the model's file that cannot be served."""
    return any(map(_MODEL.search, complaints(log)))


def ending(code: int | None) -> str:
    """How a process ended, in words."""
    if code is None:
        return t("engine.ended_connection")
    if code < 0:
        try:
            return t("engine.ended_by_signal", signal=signal.Signals(-code).name)
        except ValueError:
            return t("engine.ended_by_signal", signal=-code)
    return t("engine.ended_with_code", code=code)
