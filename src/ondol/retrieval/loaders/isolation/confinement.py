"""What the child takes from itself before it opens the first file.

Each protection is had or not, by system; ``confine`` says which. Only time and memory are limited
everywhere; the rest is Linux's.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ondol.retrieval.loaders import ocr
from ondol.retrieval.loaders.isolation import landlock, seccomp

MAX_DESCRIPTORS = 64

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAPABILITY_VERSION = 0x20080522
# Programs, their libraries, and where the loader looks them up.
_SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/nix/store")
_DEVICES = ("/dev/null", "/dev/urandom")


def confine(parent_pid: int, memory_bytes: int, home: str) -> tuple[str, ...]:
    """Give up what parsing does not need; returns those of ``reader.PROTECTIONS`` that hold now.
    ``home`` is the folder that is never readable, whatever Python's path says."""
    readable = _readable(home)
    steps: dict[str, Callable[[], None]] = {"limits": lambda: _limit(memory_bytes)}
    if sys.platform == "linux":
        steps["privileges"] = _give_up_privileges
        steps["files"] = lambda: landlock.restrict(readable, _DEVICES)
        steps["network"] = seccomp.deny
    held = []
    for name, take in steps.items():
        with contextlib.suppress(OSError, ValueError, AttributeError):
            take()
            held.append(name)
    die_with_parent(parent_pid)
    return tuple(held)


def die_with_parent(parent_pid: int) -> None:
    """Let the kernel end this process with its parent (Linux; elsewhere its socket's end does)."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)


def renew_cpu(seconds: int) -> None:
    """From now on ``seconds`` of processor time are left; then the process ends."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    with contextlib.suppress(OSError, ValueError):
        until = int(time.process_time()) + seconds + 1
        resource.setrlimit(resource.RLIMIT_CPU, (until, hard))


def _limit(memory_bytes: int) -> None:
    """Nothing is written but pipes and sockets; tesseract has a limit of its own for memory."""
    program = ocr.find_program()
    most_bytes = max(memory_bytes, ocr.MEMORY_KILOBYTES << 10) if program else memory_bytes
    for limit, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_NOFILE, MAX_DESCRIPTORS, MAX_DESCRIPTORS),
        (resource.RLIMIT_AS, memory_bytes, most_bytes),
    ):
        allowed = resource.getrlimit(limit)[1]
        if allowed != resource.RLIM_INFINITY:
            soft, hard = min(soft, allowed), min(hard, allowed)  # noqa: PLW2901
        resource.setrlimit(limit, (soft, hard))


def _give_up_privileges() -> None:
    """No program started from here is more than this process, and this one is nobody special, not
    even when it is root's."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)
    header, none = struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24)
    if ctypes.CDLL(None, use_errno=True).capset(header, none) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _readable(home: str) -> list[str]:
    """Where Python, its packages and tesseract are; never a folder that holds the home folder."""
    paths = [sys.prefix, sys.base_prefix, *sys.path, str(Path(__file__).parents[3])]
    program = ocr.find_program()
    if program:
        paths += [str(Path(program).resolve().parents[1]), os.environ.get("TESSDATA_PREFIX", "")]
    owner = Path(home).resolve()
    kept = {str(Path(p).resolve()) for p in paths if p}
    return [*_SYSTEM, *sorted(path for path in kept if not owner.is_relative_to(path))]


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    rest = (ctypes.c_ulong(0),) * 3
    if libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), *rest) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
