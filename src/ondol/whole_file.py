"""Small files that are there whole or not at all, for their owner alone from their first byte.

Raises ``StorageError``.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ondol import paths


def write(file: Path, content: str | bytes, *, keeps_first: bool = False) -> None:
    """Put ``content`` into ``file`` in place of what is there; with ``keeps_first`` what another
    process put there meanwhile stays."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content.encode() if isinstance(content, str) else content)
                stream.flush()
                os.fsync(stream.fileno())
            if keeps_first:
                os.link(temporary, file)
            else:
                temporary.replace(file)
        except FileExistsError:
            pass
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise paths.storage_error(error, file) from error
