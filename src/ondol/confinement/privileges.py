"""What a confined child takes from itself: time, memory, rights, and its life after its parent's.

Each function raises ``OSError`` (or ``ValueError``) where the system does not have it.
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

MAX_DESCRIPTORS = 64

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAPABILITY_VERSION = 0x20080522
_NOBODY = 65534


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


def limit(memory_bytes: int, most_bytes: int | None = None) -> None:
    """Nothing is written but pipes and sockets, and no more than ``memory_bytes`` are addressed; a
    program that is started from here may ask for up to ``most_bytes``."""
    for what, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_NOFILE, MAX_DESCRIPTORS, MAX_DESCRIPTORS),
        (resource.RLIMIT_AS, memory_bytes, max(memory_bytes, most_bytes or 0)),
    ):
        allowed = resource.getrlimit(what)[1]
        if allowed != resource.RLIM_INFINITY:
            soft, hard = min(soft, allowed), min(hard, allowed)  # noqa: PLW2901
        resource.setrlimit(what, (soft, hard))


def give_up() -> None:
    """No program started from here is more than this process, and this one is nobody special, not
    even when it is root's."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)
    header, none = struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24)
    if ctypes.CDLL(None, use_errno=True).capset(header, none) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def start_nothing() -> None:
    """No further process and no further thread."""
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def become_nobody() -> None:
    """A process of root's goes on as nobody, who owns no file. Before ``give_up``, which takes the
    right to. Raises ``OSError`` for everybody else."""
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    rest = (ctypes.c_ulong(0),) * 3
    if libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), *rest) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
