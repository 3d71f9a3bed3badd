"""What does it cost to know whether a text was copied from a private document?

Synthetic libraries of chunks, in a new process for every cold figure. Medians.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

from ondol import __version__, database
from ondol.retrieval import marks
from ondol.retrieval.private_text import PrivateText
from ondol.routing.inspection import Inspector
from ondol.routing.sensitivity import PromptLabeller
from ondol.routing.taint import Spoken
from ondol.types import Chunk, Evidence, Hit, Quote, Sensitivity

HERE = Path(__file__).parent
SIZES = (10_000, 100_000)
CHUNKS_A_DOCUMENT = 20
QUESTION = "When did the assembly decide that the harbour should be dredged again, and who paid?"
HANGUL = range(0xAC00, 0xD7A4)


def words(chooser: random.Random) -> list[str]:
    latin = ["".join(chooser.choices("abcdefghijklmnoprstuvwyz", k=k % 8 + 2)) for k in range(6000)]
    syllables = [chr(code) for code in chooser.sample(HANGUL, 900)]
    return latin + ["".join(chooser.choices(syllables, k=k % 3 + 2)) for k in range(2000)]


def texts(count: int) -> list[str]:
    """Chunks of some 800 characters, three in four words of them Latin, the others Korean."""
    chooser = random.Random(count)
    known = words(chooser)
    return [" ".join(chooser.choices(known, k=135)) for _ in range(count)]


def write(file: Path, count: int) -> dict[str, float]:
    """A library of ``count`` chunks, and what their fingerprints cost."""
    made = texts(count)
    with closing(database.connect(file)) as connection:
        secret = marks.key(connection)
        started, packed = time.process_time(), []
        for at in range(0, count, CHUNKS_A_DOCUMENT):
            packed += marks.pack(made[at : at + CHUNKS_A_DOCUMENT], secret)
        seconds = time.process_time() - started
        with database.transaction(connection):
            for number in range(-(-count // CHUNKS_A_DOCUMENT)):
                connection.execute(
                    "INSERT INTO documents (source, content_hash, size_bytes, modified_ns, title, "
                    "media_type, collection, sensitivity, num_chunks, embedding_model, added_at) "
                    "VALUES (?, ?, 0, 0, '', '', 'default', 2, ?, '', '')",
                    (f"/{number}", f"{number}", CHUNKS_A_DOCUMENT),
                )
            connection.executemany(
                'INSERT INTO chunks (document_id, start, "end", heading, text) '
                "VALUES (?, ?, ?, '', ?)",
                [
                    (i // CHUNKS_A_DOCUMENT + 1, i % CHUNKS_A_DOCUMENT * 1000, 0, text)
                    for i, text in enumerate(made)
                ],
            )
        started = time.process_time()
        with database.transaction(connection):
            connection.executemany(
                "INSERT INTO chunk_marks VALUES (?, ?)", list(enumerate(packed, 1))
            )
        written = time.process_time() - started
    return {
        "megabytes_of_text": sum(len(text.encode()) for text in made) / 1e6,
        "megabytes_of_fingerprints": sum(map(len, packed)) / 1e6,
        "making_ms_per_chunk": 1e3 * seconds / count,
        "writing_ms_per_chunk": 1e3 * written / count,
    }


def empty(file: Path) -> None:
    """As a library is that is older than the table."""
    with closing(database.connect(file)) as connection:
        connection.execute("DELETE FROM chunk_marks")


def cold(file: Path) -> dict[str, float]:
    """In a process of its own."""
    script = [sys.executable, __file__, "--cold", str(file)]
    done = subprocess.run(script, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def first_find(file: Path) -> dict[str, float]:
    import numpy as np

    with closing(database.connect(file)) as connection:
        private = PrivateText(connection, threading.RLock())
        # What every process that embeds a question has done before.
        np.unique(np.zeros(2, dtype=np.uint32))
        cpu, started = time.process_time(), time.perf_counter()
        if private.find(QUESTION):
            raise AssertionError("found what is not there")
        seconds = time.perf_counter() - started
        return {"cold_ms": 1e3 * seconds, "cold_cpu_ms": 1e3 * (time.process_time() - cpu)}


def median_ms(call: Callable[[], object], runs: int) -> float:
    """Of CPU time: the machine may have other things to do."""
    taken = []
    for _ in range(runs):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return 1e3 * statistics.median(taken)


def warm(file: Path, count: int, runs: int) -> dict[str, float]:
    chooser = random.Random(0)
    strange = " ".join(chooser.choices(words(random.Random(-1)), k=640))[:4000]
    pasted = f"{strange[:2000]} {texts(count)[count // 2][100:200]} {strange[2100:]}"
    body = json.dumps({"messages": [{"role": "user", "content": strange}]}, ensure_ascii=False)
    request = f"POST /api/chat HTTP/1.1\r\nHost: home\r\n\r\n{body}".encode()
    with closing(database.connect(file)) as connection:
        lock = threading.RLock()
        private = PrivateText(connection, lock)
        labeller = PromptLabeller(Spoken(connection, lock), private.find)
        inspector = Inspector(labeller.holds_private)
        private.find(QUESTION)
        first = median_ms(lambda: private.find(QUESTION), 9)
        # From here on the fingerprints are sorted.
        for _ in range(9):
            private.find(QUESTION)
        if private.find(strange) or not private.find(pasted):
            raise AssertionError("not what it should find")
        if inspector(request) is not Sensitivity.PUBLIC:
            raise AssertionError("nothing was to be found")
        free, strict = evidence(Sensitivity.TRUSTED), evidence(Sensitivity.PRIVATE)
        if labeller.label(QUESTION, free).sensitivity is not Sensitivity.TRUSTED:
            raise AssertionError("nothing was to be found")
        return {
            "question_before_sorting_ms": first,
            "question_ms": median_ms(lambda: private.find(QUESTION), runs),
            "4_kb_ms": median_ms(lambda: private.find(strange), runs),
            "4_kb_with_a_passage_ms": median_ms(lambda: private.find(pasted), runs),
            "inspector_4_kb_ms": median_ms(lambda: inspector(request), runs),
            "inspector_without_library_ms": median_ms(
                lambda: Inspector(lambda text: False)(request), runs
            ),
            "label_private_ms": median_ms(lambda: labeller.label(QUESTION, strict), runs),
            "label_trusted_ms": median_ms(lambda: labeller.label(QUESTION, free), runs),
        }


def evidence(sensitivity: Sensitivity) -> Evidence:
    """Twelve quotes of ten chunks that are in no library."""
    chooser = random.Random(7)
    known = words(chooser)
    quotes = [
        Quote(n, " ".join(chooser.choices(known, k=20)), "a", 0, 100, 1.0, sensitivity=sensitivity)
        for n in range(1, 13)
    ]
    hits = [
        Hit(Chunk(" ".join(chooser.choices(known, k=135)), 0, 800, sensitivity=sensitivity), 1.0, n)
        for n in range(1, 11)
    ]
    return Evidence(quotes=tuple(quotes), hits=tuple(hits))


def measure(folder: Path, count: int, runs: int) -> dict[str, Any]:
    file = folder / f"{count}.db"
    found: dict[str, Any] = {"chunks": count, **write(file, count)}
    colds = [cold(file) for _ in range(runs)]
    found |= {name: statistics.median(one[name] for one in colds) for name in colds[0]}
    found |= warm(file, count, 4 * runs)
    empty(file)
    found["filling_an_older_library_ms"] = cold(file)["cold_cpu_ms"]
    file.unlink()
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--cold", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help="keep results.json")
    given = parser.parse_args()
    if given.cold:
        print(json.dumps(first_find(given.cold)))
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        results = [measure(Path(folder), count, given.runs) for count in given.sizes]
    report = {
        "version": __version__,
        "date": date.today().isoformat(),
        "load_at_start": round(load, 1),
        "results": results,
    }
    print(json.dumps(report, indent=2))
    if given.write:
        (HERE / "results.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
