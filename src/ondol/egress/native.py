"""No internet for native code: Linux's seccomp refuses this process, and all it starts, sockets of
every family but socket files and the kernel's own.

For a process that serves over a socket file, as the engine's does: llama.cpp opens its sockets
without Python, and no audit hook sees that.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EACCES, 0x80000000
_NUMBER_AT, _ARCHITECTURE_AT, _FAMILY_AT = 0, 4, 16
# Calls of the x32 kind on x86-64 have numbers of their own.
_X32 = 0x40000000
# Architecture, and its number of "socket"; rings of io_uring make sockets too, on both.
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_IO_URING_SETUP = 425
_AF_UNIX, _AF_NETLINK = 1, 16


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def deny_internet() -> bool:
    """Have the kernel refuse every new internet socket from here on; whether it does. Where it
    cannot (another system, an old kernel) nothing changes. Call it before other threads start."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return False
    steps = _steps(*_MACHINES[platform.machine()])
    program = _Program(len(steps), b"".join(steps))
    libc = ctypes.CDLL(None, use_errno=True)
    none = ctypes.c_ulong(0)
    one = ctypes.c_ulong(1)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, one, none, none, none) != 0:
        return False
    mode = ctypes.c_ulong(_MODE_FILTER)
    done: int = libc.prctl(_PR_SET_SECCOMP, mode, ctypes.byref(program), none, none)
    return done == 0


def _steps(architecture: int, socket: int) -> list[bytes]:
    """The filter. A jump counts the steps that follow it: if the comparison holds the first number
    of them, else the second."""
    return [
        _step(_LOAD, _ARCHITECTURE_AT),
        _step(_JUMP_IF_EQUAL, architecture, 1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER_AT),
        _step(_JUMP_IF_AT_LEAST, _X32, 6),
        _step(_JUMP_IF_EQUAL, _IO_URING_SETUP, 5),
        _step(_JUMP_IF_EQUAL, socket, 0, 3),
        _step(_LOAD, _FAMILY_AT),
        _step(_JUMP_IF_EQUAL, _AF_UNIX, 1),
        _step(_JUMP_IF_EQUAL, _AF_NETLINK, 0, 1),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _REFUSE),
    ]


def _step(code: int, value: int, jump: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump, otherwise, value)
