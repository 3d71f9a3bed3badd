"""Where parent and child meet: a socket file in a folder that only the owner can enter.

A socket file works where there is no network at all, not even loopback, and no other user of the
machine can reach it. Folders that a killed parent left behind are removed by the next one; what
else lies beside them, such as what is kept in memory where that is the temporary folder, is not
theirs.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from ondol.engine import in_use

NAME = "engine.sock"
PREFIX = "ondol-engine-"
# What the kernel takes, less its closing zero: 108 on Linux, 104 on macOS.
MAX_PATH_BYTES = 100
# Who sweeps just when a folder is made may take it for one that was left.
ATTEMPTS = 3

_held: dict[Path, int] = {}


def make() -> Path | None:
    """A path for a socket, in a folder of its own; None where there cannot be one."""
    if sys.platform == "win32":
        return None
    for base in (tempfile.gettempdir(), "/tmp"):
        _sweep(Path(base))
        folder = _folder(base)
        if folder is None:
            continue
        if len(os.fsencode(folder / NAME)) <= MAX_PATH_BYTES:
            return folder / NAME
        remove(folder / NAME)
    return None


def remove(path: Path | None) -> None:
    """Remove a socket with its folder; what is gone already is fine."""
    if path is not None:
        shutil.rmtree(path.parent, ignore_errors=True)
        held = _held.pop(path.parent, None)
        if held is not None:
            os.close(held)


def _folder(base: str) -> Path | None:
    for _ in range(ATTEMPTS):
        try:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        except OSError:
            return None
        held = in_use.take(folder)
        if held is not None:
            _held[folder] = held
            return folder
    return None


def _sweep(base: Path) -> None:
    for folder in base.glob(f"{PREFIX}*"):
        if not _is_ours(folder):
            continue
        with in_use.alone(folder) as is_left:
            if is_left:
                shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return status.st_uid == os.getuid() and folder.is_dir() and not folder.is_symlink()
