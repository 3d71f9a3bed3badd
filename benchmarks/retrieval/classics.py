"""Does the hybrid lead BM25, vectors and reciprocal rank fusion on the classic ad-hoc collections?

``classics.py FOLDER [--only cran,med]``: FOLDER holds ``NAME.all``, ``NAME.qry``, ``NAME.rel`` of
the collections of SMART's form (ADI, CACM, CISI, Cranfield, Medline), which are not ours to hand
on. Prints nDCG@10 and the interval of the hybrid's lead; --write keeps classics.json.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import run
from alternatives import difference
from sets import HERE, Collection, Question

from ondol import __version__, config
from ondol.parts import Parts
from ondol.retrieval import korean

OTHERS = ("BM25 alone", "vectors alone", "reciprocal rank fusion")
FILE = HERE / "classics.json"
SHOWN = ("ndcg_at_10", "reciprocal_rank", "recall_at_100")


def records(file: Path) -> Iterator[dict[str, str]]:
    """The records of a file: a line ``.I 1``, then fields, each under its letter."""
    for record in re.split(r"^\.I\s*", file.read_text("latin-1"), flags=re.MULTILINE)[1:]:
        number, *fields = re.split(r"^\.([A-Z])\s*?$", record, flags=re.MULTILINE)
        found = {"I": number.strip()}
        for letter, text in zip(fields[::2], fields[1::2], strict=True):
            found.setdefault(letter, text.strip())
        yield found


def read(folder: Path, name: str) -> Collection:
    """One collection; what was judged relevant at all is. Cranfield's judgements count its queries,
    whose own numbers have gaps; those of all others name them."""
    files = {}
    for record in records(folder / f"{name}.all"):
        text = f"{record.get('T', '')}\n\n{record.get('W', '')}\n"
        if text.strip():
            files[f"d{int(record['I']):05}.txt"] = text
    relevant: dict[int, dict[str, int]] = {}
    for line in (folder / f"{name}.rel").read_text("latin-1").splitlines():
        query, document = (int(word) for word in line.split()[:2])
        if f"d{document:05}.txt" in files:
            relevant.setdefault(query, {})[f"d{document:05}.txt"] = 1
    questions = []
    for place, record in enumerate(records(folder / f"{name}.qry"), start=1):
        number = place if name == "cran" else int(record["I"])
        if number in relevant:
            text = " ".join(record["W"].split())
            questions.append(Question(text, relevant[number], f"{name} {number}"))
    return Collection(name, files, tuple(questions))


def measure(collection: Collection, embedder: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        measured = run.Measured(collection, embedder, Path(folder))
        found = {"hybrid": measured.hybrid(), **{o: measured.alone(o) for o in OTHERS}}
        measured.library.close()
    result: dict[str, Any] = {
        "files": len(collection.files),
        "questions": len(collection.questions),
    }
    for name, numbers in found.items():
        result[name] = {k: round(float(np.mean(numbers[k])), 4) for k in SHOWN}
        if name != "hybrid":
            ours, theirs = found["hybrid"]["ndcg_at_10"], numbers["ndcg_at_10"]
            # The mean of the differences and its 95 % interval.
            result[name]["hybrid_leads_by"] = difference(theirs, ours, [True] * len(ours))[1:4]
        print(f"{collection.name:6} {name:24} {result[name]}", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="adi,med,cran,cisi,cacm")
    parser.add_argument("--write", action="store_true", help="keep the result")
    given = parser.parse_args()
    korean.analyser = lambda: ""
    with Parts(config.load()) as parts:
        results: dict[str, Any] = {
            "date": date.today().isoformat(),
            "ondol": __version__,
            "embedding": parts.embedder.model,
        }
        for name in given.only.split(","):
            results[name] = measure(read(given.folder, name), parts.embedder)
            if given.write:
                # The others stay as they were measured.
                kept = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
                FILE.write_text(json.dumps(kept | results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
