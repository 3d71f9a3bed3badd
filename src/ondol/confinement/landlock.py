"""Linux's Landlock: from here on this process opens only the files that it was given leave for.

``restrict`` raises ``OSError`` where the kernel (before 5.13) or its configuration has no Landlock.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every processor
_ASK_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_READ = _EXECUTE | _READ_FILE
# How many rights to files each version of Landlock knows; a later one knows all of these.
_NUM_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_NUM_RIGHTS_NOW = 16
_NETWORK_SINCE, _BIND_AND_CONNECT = 4, 0b11
_SCOPES_SINCE, _SOCKETS_AND_SIGNALS = 6, 0b11


def restrict(readable: Iterable[str], writable: Iterable[str]) -> None:
    """Leave this process, and all it starts, ``readable`` (files, and folders with all in them; may
    be executed too) and the devices ``writable``; no TCP and no signals to others where the kernel
    can do that. Paths that do not exist are passed over."""
    version = _call(_CREATE_RULESET, None, 0, _ASK_VERSION)
    rights = (1 << _NUM_RIGHTS.get(version, _NUM_RIGHTS_NOW)) - 1
    network = _BIND_AND_CONNECT if version >= _NETWORK_SINCE else 0
    scopes = _SOCKETS_AND_SIGNALS if version >= _SCOPES_SINCE else 0
    attributes = struct.pack("=QQQ", rights, network, scopes)
    ruleset = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in readable:
            _allow(ruleset, path, _READ)
        for path in writable:
            _allow(ruleset, path, _READ_FILE | _WRITE_FILE)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if stat.S_ISDIR(os.fstat(place).st_mode):
            rights |= _READ_DIR
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _call(number: int, *arguments: object) -> int:
    """A system call; whole numbers are passed as the kernel's words."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *words))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
