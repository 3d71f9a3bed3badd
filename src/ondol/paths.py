"""Where Ondol keeps things on this machine: the platform's own directories, or ONDOL_HOME.

Every function returns a path; ``ensure`` makes it, private to the owner (mode 0700), and raises
``StorageError`` when it cannot be written.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import platformdirs

from ondol.errors import StorageError
from ondol.i18n import t


def config_file() -> Path:
    """config.toml, which need not exist."""
    return _root("config", platformdirs.user_config_path) / "config.toml"


def data_dir() -> Path:
    """Holds ondol.db and, unless ``models.directory`` says otherwise, the models."""
    return _root("data", platformdirs.user_data_path)


def database_file() -> Path:
    return data_dir() / "ondol.db"


def attachments_dir() -> Path:
    """The files that were dropped into conversations, in a folder for each conversation."""
    return data_dir() / "attachments"


def models_dir() -> Path:
    return data_dir() / "models"


def state_dir() -> Path:
    """Holds the running server's address file and the logs."""
    return _root("state", platformdirs.user_state_path)


def ensure(directory: Path) -> Path:
    """Create ``directory`` if need be and return it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, directory) from error
    return directory


def storage_error(error: OSError, path: Path) -> StorageError:
    """The sentence for a write that failed: disk full, read-only, or forbidden."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(t("core.disk_full", path=path), t("core.disk_full_hint"))
    return StorageError(
        t("core.not_writable", path=path, reason=error.strerror or str(error)),
        t("core.not_writable_hint"),
    )


def _root(kind: str, platform_path: object) -> Path:
    home = os.environ.get("ONDOL_HOME")
    if home:
        return Path(home).expanduser().absolute() / kind
    return Path(platform_path("ondol", appauthor=False))  # type: ignore[operator]
