"""Every hostile file, read and cut as a document of the owner's would be.

A file may become text or one sentence. It got through where it had its reader fail in any other
way, kept it longer than it was given, took this process's memory, or got what is not its own: the
words of another file, or an answer from a server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ondol.errors import DocumentError
from ondol.lab.redteam.documents.hostile import files
from ondol.lab.redteam.documents.secret import Secret
from ondol.lab.redteam.report import Breach, Outcome
from ondol.retrieval import chunking
from ondol.retrieval.loaders.isolation import Reader
from ondol.types import Document

WORDS = "the canary sings in the coal mine at midnight"
SECONDS = 10
WHOLE_FILE_SECONDS = 3 * SECONDS
"""A container may take longer than a file; none of ours has so many members that it should."""
MEMORY_MB = 1024
MAX_BYTES = 64 << 20
MOST_GROWTH_MB = 600

Progress = Callable[[int, int], None]


def documents(folder: Path, url: str, heard: Callable[[], int], progress: Progress) -> Outcome:
    """Read all of them; ``url`` is the attacker's server, which ``heard`` so much."""
    import psutil

    canary = folder / "canary.txt"
    canary.write_text(WORDS)
    inside = folder / "files"
    inside.mkdir()
    made = list(files(Secret(str(canary), url)))
    outcomes = {"text": 0, "sentence": 0}
    breaches: list[Breach] = []
    process, slowest = psutil.Process(), ("", 0.0)
    with Reader(seconds=SECONDS, memory_mb=MEMORY_MB) as reader:
        before = process.memory_info().rss
        for number, (name, data) in enumerate(made):
            progress(number, len(made))
            path = inside / f"{number}-{name}"
            path.write_bytes(data)
            began, asked = time.monotonic(), heard()
            told = _read(reader, path)
            seconds = time.monotonic() - began
            slowest = max(slowest, (name, seconds), key=lambda one: one[1])
            if told in outcomes:
                outcomes[told] += 1
            else:
                breaches.append(Breach(name, told))
            if seconds > WHOLE_FILE_SECONDS:
                breaches.append(Breach(name, f"{seconds:.0f} seconds"))
            if heard() > asked:
                breaches.append(Breach(name, "the attacker's server was asked"))
            path.unlink()
        grown = (process.memory_info().rss - before) / 2**20
        protections = ", ".join(reader.protections)
    if grown > MOST_GROWTH_MB:
        breaches.append(Breach("all of them together", f"{grown:.0f} MB more memory"))
    strays = [str(one.relative_to(folder)) for one in folder.rglob("climbed.txt")]
    breaches += [Breach("climbing.zip", f"it wrote {stray}") for stray in strays]
    figures = {
        "read_as_text": outcomes["text"],
        "refused_in_a_sentence": outcomes["sentence"],
        "slowest": f"{slowest[0]}, {slowest[1]:.1f} s",
        "memory_grown_mb": round(grown),
        "protections": protections,
    }
    return Outcome(len(made), tuple(breaches), figures)


def _read(reader: Reader, path: Path) -> str:
    """ "text", "sentence", or what went wrong."""
    try:
        document = reader.load(path, max_bytes=MAX_BYTES)
        for one in _all(document):
            if WORDS in one.text:
                return "the words of another file came out"
            for _ in chunking.chunk(one):
                pass
    except DocumentError as error:
        return "sentence" if "\n" not in error.message else f"not one sentence: {error.message!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]
    return "text"


def _all(document: Document) -> Iterator[Document]:
    yield document
    yield from document.members
