"""A new file that the owner named: opened, or why it cannot be, with what helps.

Raises ``UsageError`` for a name that will not do, ``StorageError`` where the disk will not.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ondol import paths
from ondol.errors import StorageError, UsageError
from ondol.i18n import t

_NO_FOLDER = (errno.ENOENT, errno.ENOTDIR)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def new_file(file: Path) -> Iterator[IO[str]]:
    """``file``, which must not exist yet, as text in UTF-8 with line ends as they are written."""
    if file.is_dir():
        raise UsageError(t("cli.path_is_folder", name=f"'{file}'"), t("cli.name_a_file"))
    try:
        with file.open("x", encoding="utf-8", newline="") as target:
            yield target
    except FileExistsError as error:
        raise UsageError(t("ledger.file_exists", file=file)) from error
    except OSError as error:
        if error.errno in _NO_FOLDER:
            told = t("cli.no_such_folder", folder=file.parent)
            raise UsageError(told, t("cli.no_such_folder_hint")) from error
        if error.errno in _FORBIDDEN:
            told = t("cli.folder_not_writable", folder=file.parent)
            raise StorageError(told, t("cli.folder_not_writable_hint")) from error
        raise paths.storage_error(error, file) from error
