"""The folders of this machine, for a person at this machine who picks one.

Hidden folders are neither shown nor opened. Reads names and nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.server.errors import ForbiddenError

# Where people keep things, by the names that systems give these folders.
PLACES = ("Desktop", "Documents", "Downloads", "바탕화면", "문서", "다운로드")
MOST_FOLDERS = 2000


def browse(text: str) -> dict[str, Any]:
    """The folders in the folder ``text`` (the owner's own by default), by name; how many files are
    in it, the folder around it, and places to begin at."""
    home = Path.home()
    path = Path(os.path.normpath(Path(text).expanduser())) if text and "\0" not in text else home
    if not path.is_absolute():
        raise _refused(path)
    if any(part.startswith(".") for part in path.parts):
        raise ForbiddenError(t("uploads.hidden_folder", path=path), t("uploads.hidden_folder_hint"))
    try:
        with os.scandir(path) as entries:
            shown = [entry for entry in entries if not entry.name.startswith(".")]
        folders = sorted(
            (entry.name for entry in shown if entry.is_dir() and _is_text(entry.name)),
            key=str.casefold,
        )
    except OSError as error:
        raise _refused(path) from error
    return {
        "path": str(path),
        "parent": str(path.parent) if path != path.parent else None,
        "folders": [{"name": name, "path": str(path / name)} for name in folders[:MOST_FOLDERS]],
        "files": len(shown) - len(folders),
        "places": [str(place) for place in _places(home)],
    }


def _places(home: Path) -> list[Path]:
    found = [home, *(home / name for name in PLACES)]
    return [place for place in found if place.is_dir()]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(path: Path) -> DocumentError:
    return DocumentError(t("uploads.not_a_folder", path=path), t("uploads.not_a_folder_hint"))
