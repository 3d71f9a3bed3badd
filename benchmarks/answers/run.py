"""Does the right file come first, do two quotes hold the answer, and does the model say it?

Writes passages as files, adds them with the real library, asks every question through the real
pipeline, and prints a table; --write keeps it as results.json. See README.md.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ondol import __version__, config
from ondol.ask import ask
from ondol.database import IN_MEMORY
from ondol.parts import Parts
from ondol.retrieval import korean as morphemes
from ondol.retrieval.library import Library
from ondol.types import Answer

HERE = Path(__file__).parent
XQUAD = HERE.parents[2] / "shared" / "data" / "xquad-en-dev"
SEARCHED = 50


@dataclass(frozen=True)
class Question:
    text: str
    answers: tuple[str, ...]
    file: str


def read_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]


def english(folder: Path, data: Path) -> list[Question]:
    """Each passage becomes a file named after its id."""
    for passage in read_lines(data / "passages.jsonl"):
        (folder / f"{passage['id']}.txt").write_text(passage["text"], "utf-8")
    return [
        Question(q["question"], tuple(q["answers"]), f"{q['passage']}.txt")
        for q in read_lines(data / "questions.jsonl")
    ]


def korean(folder: Path) -> list[Question]:
    for file in (HERE / "korean" / "documents").iterdir():
        (folder / file.name).write_text(file.read_text("utf-8"), "utf-8")
    return [
        Question(q["question"], tuple(q["answers"]), q["document"])
        for q in read_lines(HERE / "korean" / "questions.jsonl")
    ]


def holds(text: str, answers: Iterable[str]) -> bool:
    plain = normal(text)
    return any(normal(answer) in plain for answer in answers)


def normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def share(values: Iterable[bool]) -> float:
    counted = list(values)
    return round(sum(counted) / max(len(counted), 1), 4)


def files_in_order(library: Library, text: str) -> list[str]:
    """The distinct file names behind a search, best first."""
    hits = library.search(text, limit=SEARCHED)
    return list(dict.fromkeys(Path(hit.chunk.source).name for hit in hits))


def retrieval(library: Library, questions: list[Question]) -> dict[str, Any]:
    found = [(files_in_order(library, q.text), q) for q in questions]
    evidence = [library.evidence(q.text) for q in questions]
    pairs = list(zip(evidence, questions, strict=True))
    return {
        "questions": len(questions),
        "first": share(files[:1] == [q.file] for files, q in found),
        "first_five": share(q.file in files[:5] for files, q in found),
        "gold_in_two_quotes": share(
            any(holds(quote.text, q.answers) for quote in e.quotes[:2]) for e, q in pairs
        ),
        "gold_in_evidence": share(
            any(holds(quote.text, q.answers) for quote in e.quotes) for e, q in pairs
        ),
        "said_nothing_found": share(not e.quotes for e, _ in pairs),
    }


def answers(parts: Parts, questions: list[Question], count: int) -> dict[str, Any]:
    """The model's own words, on a fixed sample."""
    sample = random.Random(0).sample(questions, min(count, len(questions)))
    started = time.perf_counter()
    said = []
    for question in sample:
        *_, last = ask(question.text, parts)
        assert isinstance(last, Answer)
        said.append((last, question))
    seconds = (time.perf_counter() - started) / max(len(sample), 1)
    return {
        "sample": len(sample),
        "answered_by_the_model": share(bool(a.model) for a, _ in said),
        "gold_in_the_models_words": share(
            bool(a.model) and holds(a.text, q.answers) for a, q in said
        ),
        "gold_in_two_quotes_of_the_sample": share(
            any(holds(quote.text, q.answers) for quote in a.quotes[:2]) for a, q in said
        ),
        "seconds_per_answer": round(seconds, 2),
    }


def unknown(parts: Parts, questions: list[Question], folder: Path) -> float:
    """The share told "nothing found" when the article that answers them is not in the library.

    Articles are the files that share a name up to the first "-".
    """
    said = 0
    for article in {q.file.split("-")[0] for q in questions}:
        library = parts.open_library(IN_MEMORY)
        library.add([f for f in sorted(folder.iterdir()) if f.name.split("-")[0] != article])
        mine = [q for q in questions if q.file.split("-")[0] == article]
        said += sum(not library.evidence(q.text).quotes for q in mine)
        library.close()
    return round(said / len(questions), 4)


def measure(parts: Parts, name: str, questions: list[Question], folder: Path, count: int) -> Any:
    library = parts.open_library(IN_MEMORY)
    report = library.add([folder])
    assert not report.failed, report.failed
    parts.use_library(library)
    result = {"files": report.added, "chunks": report.chunks}
    result |= retrieval(library, questions)
    if name.startswith("XQuAD"):
        result["said_nothing_found_without_the_article"] = unknown(parts, questions, folder)
    if count:
        result["answers"] = answers(parts, questions, count)
    print(f"\n{name}\n{json.dumps(result, indent=2, ensure_ascii=False)}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=XQUAD, help="folder with XQuAD's two files")
    parser.add_argument("--answers", type=int, default=200, help="questions the model answers")
    parser.add_argument("--questions", type=int, default=0, help="of each set (0: all), for a look")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    # The figures are those of the base install, whatever is installed here.
    morphemes.analyser = lambda: ""
    results: dict[str, Any] = {"date": date.today().isoformat(), "ondol": __version__}
    with Parts(config.load()) as parts:
        results["models"] = [parts.config["models.chat"], parts.config["models.embedding"]]
        for name, make in (
            ("XQuAD English, half", lambda folder: english(folder, arguments.data)),
            ("Korean, our own", korean),
        ):
            if name.startswith("XQuAD") and not arguments.data.exists():
                print(f"{name}: left out, {arguments.data.name} is not here")
                continue
            with tempfile.TemporaryDirectory() as folder:
                questions = make(Path(folder))[: arguments.questions or None]
                results[name] = measure(parts, name, questions, Path(folder), arguments.answers)
    if arguments.write:
        text = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
        (HERE / "results.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
