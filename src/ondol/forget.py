"""Forgetting everywhere: the library, and what else on this machine may hold what was in it.

That is models in memory (their caches hold the sentences that they were given), folders of
trainings with examples from the documents, adapters that learned from these, logs that name the
files, and copies of the database that a killed command left. What cannot be reached is said.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ondol import backup, leftovers, paths
from ondol.errors import OndolError, TrainingError
from ondol.parts import Parts
from ondol.retrieval.filters import Filter
from ondol.retrieval.forgetting import Receipt

# What is always beyond reach: backups, and what a disk or its file system keeps for itself.
BEYOND = ("backups", "disk")
# Names shorter than this may be part of other words.
NAME_BYTES = 8
_QUOTE = re.compile(r"^\[\d+\]\s*(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FullReceipt:
    """The library's receipt and what was done elsewhere. ``engines`` are the models that were taken
    out of memory, ``logs`` how many places in logs were overwritten, ``trainings`` the folders of
    examples that are gone, ``adapters`` what had learned from them and is not served any more.
    ``not_reached`` are words: backups, disk, reader, vectors, engine, training, replaced."""

    library: Receipt
    engines: tuple[str, ...] = ()
    logs: int = 0
    trainings: int = 0
    adapters: tuple[str, ...] = ()
    not_reached: tuple[str, ...] = BEYOND

    def json(self) -> dict[str, Any]:
        """As an API gives it, in one level."""
        own = {name: value for name, value in asdict(self).items() if name != "library"}
        return {**asdict(self.library), **own}


def forget(
    parts: Parts,
    files: Sequence[Path] = (),
    *,
    where: Filter | None = None,
    matching: str = "",
    unload: Callable[[], Iterable[str]] | None = None,
) -> FullReceipt:
    """Forget documents as ``Library.forget`` does, and everywhere else. ``unload`` takes the models
    out of memory that may have read them, those of ``parts`` without it; returns their names."""
    library, missed = parts.library, list(BEYOND)
    chosen = library.chosen(files, where=where, matching=matching)
    sentences = library.sentences(chosen) if _trainings() else set()
    if chosen.documents and len(chosen.documents) == len(library.documents()):
        # All that was said of documents was said of these. Before them, so that the bytes go too.
        parts.oversight.labeller.forget()
    receipt = library.forget(files, where=where, matching=matching)
    missed += [] if receipt.is_erased else ["reader"]
    missed += [] if receipt.is_place_reached else ["vectors"]
    engines: tuple[str, ...] = ()
    try:
        engines = tuple((unload or (lambda: _unload(parts)))())
    except OndolError:
        missed.append("engine")
    trainings = 0
    adapters: list[str] = []
    for folder in _trainings():
        if not _holds(folder, sentences):
            continue
        try:
            adapters += _drop(folder, parts)
            trainings += 1
        except TrainingError:
            missed.append("training")
    backup.sweep(paths.database_file())
    if list(paths.data_dir().glob(f"*{backup.ASIDE}-*")):
        missed.append("replaced")
    logs = _redact([*chosen.documents.values(), *chosen.paths])
    return FullReceipt(
        receipt, engines, logs, trainings, tuple(sorted(adapters)), tuple(dict.fromkeys(missed))
    )


def _unload(parts: Parts) -> list[str]:
    return [model.name for model in parts.pool.loaded() if parts.pool.stop(model.name)]


def _trainings() -> list[Path]:
    root = paths.data_dir() / "training"
    return sorted(folder for folder in root.glob("*") if folder.is_dir())


def _holds(folder: Path, sentences: set[str]) -> bool:
    """Whether a training quotes any of the ``sentences``."""
    return bool(sentences) and any(
        " ".join(quote.split()) in sentences for quote in _quotes(folder)
    )


def _quotes(folder: Path) -> Iterator[str]:
    for file in folder.glob("*.jsonl"):
        with suppress(OSError), file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                with suppress(ValueError, KeyError, TypeError):
                    for message in json.loads(line)["messages"]:
                        yield from _QUOTE.findall(message["content"])


def _drop(folder: Path, parts: Parts) -> Sequence[str]:
    """Erase a training; the adapters that it made, which are not served from here on."""
    from ondol import trainable

    adapters: Sequence[str] = ()
    with trainable.alone(folder.name):
        made = folder / "adapter.gguf"
        if made.exists():
            with made.open("rb") as file:
                digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            adapters = parts.adapters.outdate(digest)
        try:
            for path in sorted(folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else leftovers.erase(path)
            folder.rmdir()
        except OSError as error:
            raise paths.storage_error(error, folder) from error
    return adapters


def _redact(sources: Iterable[str]) -> int:
    """Overwrite the names of files in the logs, in place: a server may be writing to them."""
    names = {os.fsencode(source) for source in sources}
    names |= {name for source in names if len(name := os.path.basename(source)) >= NAME_BYTES}
    count = 0
    for log in sorted(paths.state_dir().glob("*.log*")) if names else ():
        with suppress(OSError), log.open("r+b") as file:
            text = file.read()
            for name in sorted(names, key=len, reverse=True):
                begin = text.find(name)
                while begin >= 0:
                    blank = b"*" * len(name)
                    file.seek(begin)
                    file.write(blank)
                    text = text[:begin] + blank + text[begin + len(name) :]
                    count += 1
                    begin = text.find(name, begin + len(name))
    return count
