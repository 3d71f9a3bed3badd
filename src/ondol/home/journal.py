"""Answers that have begun, until they are in the ledger: what home would forget if it died.

One small file for each, in the state folder, for its owner alone: device, request, model, bytes and
time, and nothing that was said. It is there before the model is asked and goes when the ledger has
the entry; the next home finds what was left and writes it down. Raises ``StorageError``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ondol import paths
from ondol.ledger import entries
from ondol.ledger.entries import Entry

if TYPE_CHECKING:
    from ondol.home.service import Served

FOLDER = "home.serving"
DIED = "home_died"
_LONGEST = 4096


class Journal:
    """The files in ``folder``. ``code_of`` is what the ledger calls a device."""

    def __init__(self, folder: Path, code_of: Callable[[Served], str]) -> None:
        self._folder = folder
        self._code_of = code_of

    def begin(self, served: Served) -> None:
        """Note that a model is asked now."""
        entry = Entry(
            "served",
            device=self._code_of(served),
            request=served.request_id,
            reasons=(DIED,),
            model=served.model,
            bytes_in=served.bytes_in,
            happened=entries.now(),
        )
        file = self._file(served)
        try:
            paths.ensure(self._folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            with os.fdopen(os.open(file, flags, 0o600), "wb") as stream:
                stream.write(entries.canonical(entry.cleaned().json()).encode())
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise paths.storage_error(error, file) from error

    def end(self, served: Served) -> None:
        """The ledger has it."""
        self._file(served).unlink(missing_ok=True)

    def left(self) -> list[tuple[Path, Entry]]:
        """What a home that died had begun, the first one first, and the file of each. What is no
        entry of ours is thrown away."""
        found: list[tuple[Path, Entry]] = []
        for file in self._folder.glob("*") if self._folder.is_dir() else ():
            entry = _read(file)
            if entry is None:
                file.unlink(missing_ok=True)
            else:
                found.append((file, entry))
        return sorted(found, key=lambda one: one[1].happened)

    def _file(self, served: Served) -> Path:
        return self._folder / served.request_id


def _read(file: Path) -> Entry | None:
    """A file that a power cut left empty says nothing; one of somebody else's says only codes."""
    try:
        with file.open("rb") as stream:
            entry = entries.read(json.dumps(json.loads(stream.read(_LONGEST))))
    except (OSError, ValueError, RecursionError):
        return None
    if entry.kind != "served" or entry.request != file.name:
        return None
    happened = entry.happened if entries.is_time(entry.happened) else entries.now()
    said = Entry(
        "served",
        device=entry.device,
        request=entry.request,
        reasons=(DIED,),
        model=entry.model,
        bytes_in=entry.bytes_in,
        happened=happened,
    )
    return said.cleaned()
