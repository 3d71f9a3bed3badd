"""Forgetting everywhere: the library, and what else on this machine may hold what was in it.

That is models in memory (their caches hold the sentences that they were given), folders of
trainings with examples from the documents, adapters that learned from these, answers in kept
conversations that quote them and the samples that such answers made, logs that name the files, and
copies of the database that a killed command left. What cannot be reached is said.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ondol import backup, paths, uploads
from ondol.engine.states import folder as saved_states
from ondol.errors import OndolError, TrainingError
from ondol.parts import Parts
from ondol.personal import collecting, forgetting
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
    examples that are gone, ``adapters`` what had learned from them and is not served any more,
    ``uploads`` how many files that had come by a browser were erased, ``quotes`` how many sentences
    were taken out of the answers that conversations keep, ``responses`` how many answers that were
    kept for programs and quoted them are gone, ``samples`` how many of what may be learned from,
    ``states`` how many saved states of models that had read them, or may have.
    ``not_reached`` are words: backups, disk, reader, vectors, engine, training, replaced."""

    library: Receipt
    engines: tuple[str, ...] = ()
    logs: int = 0
    trainings: int = 0
    adapters: tuple[str, ...] = ()
    not_reached: tuple[str, ...] = BEYOND
    uploads: int = 0
    quotes: int = 0
    responses: int = 0
    samples: int = 0
    states: int = 0

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
    sentences = library.sentences(chosen) if forgetting.trainings() else set()
    if chosen.documents and len(chosen.documents) == len(library.documents()):
        # All that was said of documents was said of these. Before them, so that the bytes go too.
        parts.oversight.labeller.forget()
    copies = [s for s in (*chosen.documents.values(), *chosen.paths) if uploads.is_upload(s)]
    for source in set(copies) - set(chosen.paths):
        # The file will be gone: nobody need look for it again.
        with suppress(OndolError):
            library.inventory.let_go(Path(source))
    # Before the documents too; what was learned from their quotes before the quotes are gone.
    learned = collecting.documents_gone(parts, chosen.documents.values())
    quotes = parts.kept.conversations.quoting.forget(chosen.documents.values())
    responses = parts.kept.responses.forget(chosen.documents.values())
    library.pins.forget(chosen.documents.values(), chosen.collections)
    touched = library.pins.holding(chosen.documents.values(), chosen.collections)
    receipt = library.forget(files, where=where, matching=matching)
    erased = uploads.erase(copies)
    missed += [] if receipt.is_erased else ["reader"]
    missed += [] if receipt.is_place_reached else ["vectors"]
    engines: tuple[str, ...] = ()
    try:
        engines = tuple((unload or (lambda: _unload(parts)))())
    except OndolError:
        missed.append("engine")
    # A collection may have held them when it was read.
    kept = {pin.name for pin in library.pins.all() if pin.source} - {pin.name for pin in touched}
    # After the models are gone: none of them can save anything more.
    states = saved_states.erase_all_but(kept)
    # Samples with such an answer before their question are not what was said any more.
    later = collecting.collect(parts, dependents="stale").gone
    missed += [*learned.not_reached, *later.not_reached]
    trainings = learned.trainings + later.trainings
    adapters = [*learned.stale, *later.stale]
    for folder in forgetting.trainings():
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
        receipt,
        engines,
        logs,
        trainings,
        tuple(sorted(set(adapters))),
        tuple(dict.fromkeys(missed)),
        uploads=erased,
        quotes=quotes,
        responses=responses,
        samples=learned.samples + later.samples,
        states=states,
    )


def _unload(parts: Parts) -> list[str]:
    return [model.name for model in parts.pool.loaded() if parts.pool.stop(model.name)]


def _holds(folder: Path, sentences: set[str]) -> bool:
    """Whether a training quotes any of the ``sentences``."""
    return bool(sentences) and any(
        " ".join(quote.split()) in sentences for quote in _quotes(folder)
    )


def _quotes(folder: Path) -> Iterator[str]:
    for line in forgetting.lines_of(folder):
        with suppress(KeyError, TypeError):
            for message in line["messages"]:
                yield from _QUOTE.findall(message["content"])


def _drop(folder: Path, parts: Parts) -> Sequence[str]:
    """Erase a training; the adapters that it made, which are not served from here on."""
    adapters: list[str] = []

    def outdate() -> None:
        for digest in forgetting.made_in(folder):
            adapters.extend(parts.adapters.outdate(digest))

    forgetting.destroy(folder, outdate)
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
