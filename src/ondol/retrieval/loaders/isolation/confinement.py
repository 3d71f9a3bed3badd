"""What the child takes from itself before it opens the first file.

Each protection is had or not, by system; ``confine`` says which. Only time and memory are limited
everywhere; the rest is Linux's.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from ondol.confinement import landlock, privileges, seccomp
from ondol.retrieval.loaders import ocr

# Programs, their libraries, and where the loader looks them up.
_SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/nix/store")
_DEVICES = ("/dev/null", "/dev/urandom")


def confine(parent_pid: int, memory_bytes: int, home: str) -> tuple[str, ...]:
    """Give up what parsing does not need; returns those of ``reader.PROTECTIONS`` that hold now.
    ``home`` is the folder that is never readable, whatever Python's path says."""
    readable = _readable(home)
    steps: dict[str, Callable[[], None]] = {"limits": lambda: _limit(memory_bytes)}
    if sys.platform == "linux":
        steps["privileges"] = privileges.give_up
        steps["files"] = lambda: landlock.restrict(readable, _DEVICES)
        steps["network"] = seccomp.deny
    held = []
    for name, take in steps.items():
        with contextlib.suppress(OSError, ValueError, AttributeError):
            take()
            held.append(name)
    privileges.die_with_parent(parent_pid)
    return tuple(held)


def _limit(memory_bytes: int) -> None:
    """tesseract has a limit of its own for memory."""
    privileges.limit(memory_bytes, ocr.MEMORY_KILOBYTES << 10 if ocr.find_program() else None)


def _readable(home: str) -> list[str]:
    """Where Python, its packages and tesseract are; never a folder that holds the home folder."""
    paths = [sys.prefix, sys.base_prefix, *sys.path, str(Path(__file__).parents[3])]
    program = ocr.find_program()
    if program:
        paths += [str(Path(program).resolve().parents[1]), os.environ.get("TESSDATA_PREFIX", "")]
    owner = Path(home).resolve()
    kept = {str(Path(p).resolve()) for p in paths if p}
    return [*_SYSTEM, *sorted(path for path in kept if not owner.is_relative_to(path))]
