"""Where parent and child meet: a socket file in a folder that only the owner can enter.

A socket file works where there is no network at all, not even loopback, and no other user of the
machine can reach it. Folders that a killed parent left behind are removed by the next one.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

NAME = "engine.sock"
# What the kernel takes, less its closing zero: 108 on Linux, 104 on macOS.
MAX_PATH_BYTES = 100


def make() -> Path | None:
    """A path for a socket, in a folder of its own; None where there cannot be one."""
    if sys.platform == "win32":
        return None
    for base in (tempfile.gettempdir(), "/tmp"):
        _sweep(Path(base))
        try:
            folder = Path(tempfile.mkdtemp(prefix=f"ondol-{os.getpid()}-", dir=base))
        except OSError:
            continue
        if len(os.fsencode(folder / NAME)) <= MAX_PATH_BYTES:
            return folder / NAME
        remove(folder / NAME)
    return None


def remove(path: Path | None) -> None:
    """Remove a socket with its folder; what is gone already is fine."""
    if path is not None:
        shutil.rmtree(path.parent, ignore_errors=True)


def _sweep(base: Path) -> None:
    for folder in base.glob("ondol-*-*"):
        number = folder.name.split("-")[1]
        if number.isdigit() and not _is_alive(int(number)) and _is_ours(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _is_ours(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return status.st_uid == os.getuid() and folder.is_dir() and not folder.is_symlink()
