"""Is what stands in a small library found, and what does not stand there refused?

Questions over libraries of one to thirty documents, with the threshold of relevance as it is and
with that of a large library. --write keeps relevance.json. See README.md.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

from ondol import __version__, config
from ondol.database import IN_MEMORY
from ondol.parts import Parts
from ondol.retrieval import evidence as evidences
from ondol.retrieval import korean as morphemes
from ondol.training.grounding import own_documents

HERE = Path(__file__).parent
# Documents in a library, and how many such libraries.
LIBRARIES = ((1, 40), (3, 40), (10, 24), (30, 8))
ASKED_ABOUT = 4
ABSENT = 2


def measure(parts: Parts) -> dict[str, dict[str, Any]]:
    """For each size: the shares that found something, of questions that have an answer there, of
    those that a document of the library is about but does not answer, and of those about others."""
    chooser = random.Random(5)
    documents = [d for d in own_documents() if d.language == "en"]
    chooser.shuffle(documents)
    results = {}
    for size, libraries in LIBRARIES:
        found: dict[str, list[bool]] = defaultdict(list)
        for number in range(libraries):
            inside = documents[number * size : (number + 1) * size]
            outside = chooser.sample([d for d in documents if d not in inside], ABSENT)
            library = parts.open_library(IN_MEMORY)
            for d in inside:
                library.add_text(f"/{d.id}.md", d.text, media_type="text/markdown")
            for d in chooser.sample(inside, min(ASKED_ABOUT, size)):
                for q in d.questions:
                    kind = "answered" if q.answer else "not answered, same subject"
                    ask_both(library, q.text, kind, found)
            for d in outside:
                for q in d.questions:
                    ask_both(library, q.text, "other subject", found)
            library.close()
        results[str(size)] = {
            name: {"questions": len(values), "found": round(statistics.mean(values), 4)}
            for name, values in found.items()
        }
        print(size, json.dumps(results[str(size)], indent=1), flush=True)
    return results


def ask_both(library: Any, question: str, kind: str, found: dict[str, list[bool]]) -> None:
    as_it_is = evidences.MANY_PASSAGES
    found[kind].append(bool(library.evidence(question).quotes))
    evidences.MANY_PASSAGES = 1
    found[f"{kind}, one threshold"].append(bool(library.evidence(question).quotes))
    evidences.MANY_PASSAGES = as_it_is


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    morphemes.analyser = lambda: ""
    with Parts(config.load()) as parts:
        results = measure(parts)
    if arguments.write:
        about = {"date": date.today().isoformat(), "ondol": __version__, "documents": results}
        text = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
        (HERE / "relevance.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
