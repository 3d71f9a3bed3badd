"""Does a question that points back find its document, with the conversation and without?

30 follow-ups over 19 small documents in two languages, every other one held back while the rules
were made; and the first questions of the conversations, asked after a conversation about something
else, which must lose nothing by it. Prints a table; --write keeps it as results.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ondol import config
from ondol.database import IN_MEMORY
from ondol.parts import Parts
from ondol.retrieval.library import Library
from ondol.types import Message

HERE = Path(__file__).parent


def conversation(said: list[str]) -> list[Message]:
    return [Message("assistant" if place % 2 else "user", text) for place, text in enumerate(said)]


def found(library: Library, question: dict[str, Any], history: list[Message]) -> tuple[bool, bool]:
    """Whether the right file is first, and whether two quotes of it hold the answer."""
    evidence = library.evidence(question["question"], history=history)
    first = [Path(hit.chunk.source).name for hit in evidence.hits[:1]] == [question["file"]]
    held = any(
        answer in quote.text and Path(quote.source).name == question["file"]
        for quote in evidence.quotes[:2]
        for answer in question["answers"]
    )
    return first and bool(evidence.quotes), held


def share(outcomes: list[tuple[bool, bool]]) -> dict[str, float]:
    count = max(len(outcomes), 1)
    return {
        "questions": len(outcomes),
        "first": round(sum(first for first, _ in outcomes) / count, 4),
        "gold_in_two_quotes": round(sum(held for _, held in outcomes) / count, 4),
    }


def measure(library: Library, questions: list[dict[str, Any]], verbose: bool) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for half in ("dev", "held"):
        mine = [q for q in questions if q["half"] == half]
        result[half] = {}
        for name in ("without", "with"):
            outcomes = []
            for question in mine:
                history = conversation(question["history"]) if name == "with" else []
                outcomes.append(found(library, question, history))
                if verbose and name == "with" and not all(outcomes[-1]):
                    print(half, outcomes[-1], question["question"], question["history"])
            result[half][name] = share(outcomes)
    return result


def standing_alone(library: Library, questions: list[dict[str, Any]]) -> dict[str, Any]:
    """First questions, asked after a conversation about another document."""
    firsts = {q["history"][0]: q for q in questions}
    alone = [{"question": text, "file": q["file"], "answers": [""]} for text, q in firsts.items()]
    other = [conversation(questions[(n + 7) % len(questions)]["history"]) for n in range(99)]
    return {
        "without": share([found(library, q, []) for q in alone]),
        "with": share([found(library, q, other[n]) for n, q in enumerate(alone)]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verbose", action="store_true", help="show what was missed")
    parser.add_argument("--dev", action="store_true", help="leave the held-back half alone")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    lines = (HERE / "questions.jsonl").read_text("utf-8").splitlines()
    questions = [json.loads(line) for line in lines]
    if arguments.dev:
        questions = [q for q in questions if q["half"] == "dev"]
    with Parts(config.load()) as parts:
        library = parts.open_library(IN_MEMORY)
        parts.use_library(library)
        library.add([HERE / "documents"])
        result = measure(library, questions, arguments.verbose)
        result["standing_alone"] = standing_alone(library, questions)
    print(json.dumps(result, indent=2))
    if arguments.write:
        (HERE / "results.json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
