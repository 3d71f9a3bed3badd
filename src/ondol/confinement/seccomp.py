"""Linux's seccomp: from here on the kernel refuses this process sockets, and more that no parser
needs: other processes, mounts, kernel modules, keys, and the rings through which sockets come too.

``deny`` raises ``OSError`` where that cannot be had. What is not named stays allowed: a list of all
that Python and tesseract call would break with the next version of either.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD_WORD, _JUMP_IF_EQUAL, _JUMP_IF_GREATER_EQUAL, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EACCES, 0x80000000
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4
# Calls of the x32 kind on x86-64 have numbers of their own.
_X32 = 0x40000000

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CALLS = {
    "x86_64": {
        "socket": 41, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311,
        "pivot_root": 155, "chroot": 161, "mount": 165, "umount2": 166, "unshare": 272,
        "setns": 308, "init_module": 175, "finit_module": 313, "delete_module": 176,
        "kexec_load": 246, "kexec_file_load": 320, "add_key": 248, "request_key": 249,
        "keyctl": 250, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
        "open_by_handle_at": 304, "shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240,
        "setpriority": 141,
    },
    "aarch64": {
        "socket": 198, "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271,
        "pivot_root": 41, "chroot": 51, "mount": 40, "umount2": 39, "unshare": 97,
        "setns": 268, "init_module": 105, "finit_module": 273, "delete_module": 106,
        "kexec_load": 104, "kexec_file_load": 294, "add_key": 217, "request_key": 218,
        "keyctl": 219, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
        "open_by_handle_at": 265, "shmget": 194, "semget": 190, "msgget": 186, "mq_open": 180,
        "setpriority": 140,
    },
}  # fmt: skip
_CALLS_EVERYWHERE = {
    "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsmount": 432,
    "pidfd_open": 434, "pidfd_getfd": 438,
}  # fmt: skip


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def deny() -> None:
    """Refuse the calls above, with "permission denied", to this process and all it starts."""
    machine = platform.machine()
    if machine not in _CALLS:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    steps = _steps(_ARCHITECTURES[machine], sorted({*_CALLS[machine].values(), *_EVERYWHERE}))
    program = _Program(len(steps), b"".join(steps))
    libc = ctypes.CDLL(None, use_errno=True)
    words = (ctypes.c_ulong(_MODE_FILTER), ctypes.byref(program))
    if libc.prctl(_PR_SET_SECCOMP, *words, ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _steps(architecture: int, numbers: list[int]) -> list[bytes]:
    """The filter: a call of another architecture ends the process, a named one is refused."""
    # Jumps count the steps that follow them; the last two are "allow" and "refuse".
    refusals = [
        _step(_JUMP_IF_EQUAL, number, len(numbers) - place) for place, number in enumerate(numbers)
    ]
    return [
        _step(_LOAD_WORD, _ARCHITECTURE_AT),
        _step(_JUMP_IF_EQUAL, architecture, 1),
        _step(_RETURN, _KILL),
        _step(_LOAD_WORD, _NUMBER_AT),
        _step(_JUMP_IF_GREATER_EQUAL, _X32, len(numbers) + 1),
        *refusals,
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _REFUSE),
    ]


def _step(code: int, value: int, jump: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump, 0, value)


_EVERYWHERE = frozenset(_CALLS_EVERYWHERE.values())
