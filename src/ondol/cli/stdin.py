"""What somebody piped in. Nothing when stdin is a terminal or is not there."""

from __future__ import annotations

import os
import stat
import sys

from ondol.errors import DocumentError
from ondol.i18n import t

NAME = "stdin"


def read_piped(max_bytes: int) -> str:
    """The text on stdin, or "". Raises ``DocumentError`` when it is too much, or not text."""
    if not _is_piped():
        return ""
    raw = sys.stdin.buffer.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise DocumentError(
            t("cli.stdin_too_large", megabytes=max_bytes >> 20), t("cli.stdin_too_large_hint")
        )
    text = _decode(raw)
    if "\0" in text:
        raise DocumentError(t("cli.stdin_not_text"), t("cli.stdin_not_text_hint"))
    return text.strip()


def is_terminal() -> bool:
    """Whether a person types."""
    return sys.stdin is not None and sys.stdin.isatty()


def _is_piped() -> bool:
    if sys.stdin is None or sys.stdin.closed:
        return False
    mode = os.fstat(sys.stdin.fileno()).st_mode
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _decode(raw: bytes) -> str:
    # CP949 is what Korean Windows programs write.
    for encoding in ("utf-8-sig", "cp949"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DocumentError(t("cli.stdin_not_text"), t("cli.stdin_not_text_hint"))
