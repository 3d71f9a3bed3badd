"""What does a small model find in a long text, and what does retrieval find in the same one?

    .venv/bin/python benchmarks/needle/run.py [--quick] [--write]

Sentences that state something ("The harbour's code is 4821.") are hidden at even depths of prose of
so many tokens. ``whole``: the model reads all of it and is asked for each (Kamradt's needle in a
haystack, several in one text), then for all of them at once. ``retrieval``: the same text as a
document, asked by ``ondol ask``. ``quoted``: whether the two sentences shown first hold it.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import pictures

from ondol import __version__, config
from ondol.answering import gather
from ondol.ask import ask
from ondol.database import IN_MEMORY
from ondol.models.hardware import machine
from ondol.parts import Parts
from ondol.types import Answer, GenerateOptions, Message

HERE = Path(__file__).parent
LENGTHS, QUICK = (1_000, 2_000, 4_000, 7_600), (500, 1_000)
PLACES = "harbour library bakery lighthouse orchard station chapel theatre mill".split()
OPTIONS = GenerateOptions(temperature=0.0, max_tokens=24, seed=1)
ALL_TOKENS = 120
ASKED = "What is the code of the {place}?"
ASKED_ALL = "List every code that is mentioned in the text, with its place."
READ = "Read this text and answer the question at its end.\n\n{text}\n\nQuestion: {question}"

WHEN = "Early in the spring;Later that week;On most evenings;After the rain;By the end of May"
WHO = "the neighbours;two of the older pupils;the ferryman;a cousin of the baker;the choir"
DID = (
    "walked along the river without hurrying;talked about the price of apples;mended a fence that "
    "the wind had taken;carried chairs into the shade;looked for the grey cat;waited for the bus "
    "and missed it;painted a gate green;counted the geese on the pond"
)
THEN = (
    "and nobody thought much of it;while the light lasted;as they had done the year before;which "
    "took longer than expected;before going home for soup;and it was quiet again"
)


def prose(chance: random.Random) -> str:
    """One sentence that states nothing anybody asks for."""
    return (
        f"{chance.choice(WHEN)} {chance.choice(WHO)} {chance.choice(DID)}, {chance.choice(THEN)}."
    )


def haystack(tokens: int, seed: int, count: Any) -> tuple[str, dict[str, str]]:
    """A text of about so many tokens, and the code of each place in it, at even depths."""
    chance = random.Random(seed)
    codes = {place: str(chance.randrange(1000, 10_000)) for place in PLACES}
    sentences = [prose(chance) for _ in range(tokens // 12)]
    ratio = count(" ".join(sentences)) / len(sentences)
    del sentences[int((tokens - 14 * len(PLACES)) / ratio) :]
    while len(sentences) * ratio < tokens - 14 * len(PLACES):
        sentences.append(prose(chance))
    step = len(sentences) / len(PLACES)
    for number, place in reversed(list(enumerate(PLACES))):
        sentences.insert(int((number + 0.5) * step), f"The code of the {place} is {codes[place]}.")
    paragraphs = [sentences[i : i + 6] for i in range(0, len(sentences), 6)]
    return "\n\n".join(" ".join(one) for one in paragraphs), codes


def whole(engine: Any, text: str, codes: dict[str, str]) -> dict[str, Any]:
    """The model reads everything; its prompt cache keeps it from question to question."""
    found, began, first = [], time.perf_counter(), 0.0
    for place, code in codes.items():
        said = spoken(engine, READ.format(text=text, question=ASKED.format(place=place)), 24)
        first = first or time.perf_counter() - began
        found.append(code in said)
    said = spoken(engine, READ.format(text=text, question=ASKED_ALL), ALL_TOKENS)
    return {
        "found": found,
        "share": share(found),
        "all_at_once": share(code in said for code in codes.values()),
        "seconds_to_the_first_answer": round(first, 1),
    }


def spoken(engine: Any, prompt: str, tokens: int) -> str:
    options = GenerateOptions(temperature=0.0, max_tokens=tokens, seed=1)
    return gather(list(engine.generate([Message("user", prompt)], options))).text


def retrieved(parts: Parts, text: str, codes: dict[str, str]) -> dict[str, Any]:
    """The same text as a document, asked as any document is."""
    library = parts.open_library(IN_MEMORY)
    parts.use_library(library)
    library.add_text("text.txt", text)
    found, quoted, times = [], [], []
    for place, code in codes.items():
        began = time.perf_counter()
        answer = answered(parts, ASKED.format(place=place))
        times.append(time.perf_counter() - began)
        found.append(code in answer.text)
        quoted.append(any(code in quote.text for quote in answer.quotes))
    everything = answered(parts, "List all codes", everything=True)
    held = " ".join(quote.text for quote in everything.quotes)
    return {
        "found": found,
        "share": share(found),
        "quoted": share(quoted),
        "all_at_once": share(code in held for code in codes.values()),
        "seconds_to_the_first_answer": round(times[0], 1),
    }


def answered(parts: Parts, question: str, **how: Any) -> Answer:
    *_, answer = ask(question, parts, **how)
    assert isinstance(answer, Answer)
    return answer


def share(values: Any) -> float:
    counted = list(values)
    return round(sum(counted) / max(1, len(counted)), 3)


def picture(results: dict[str, Any]) -> None:
    rows = results["lengths"]
    names = [f"{int(length):,} tokens" for length in rows]

    def series(way: str, figure: str) -> dict[str, float]:
        return {
            name: 100 * row[way][figure] for name, row in zip(names, rows.values(), strict=True)
        }

    best = {way: [row[way]["share"] for row in rows.values()] for way in ("whole", "retrieval")}
    first, last = (name.removesuffix(" tokens") for name in (names[0], names[-1]))
    title = (
        f"Read as a whole: {100 * best['whole'][0]:.0f} % of the facts found in {first} tokens, "
        f"{100 * best['whole'][-1]:.0f} % in {last}"
    )
    subtitle = (
        f"{len(PLACES)} facts at even depths; {results['model']}, greedy; in the answer, or in a "
        "sentence shown with it"
    )
    fig, ax = pictures.figure(title, subtitle, size=(9, 4.8))
    groups = {
        "read as a whole": series("whole", "share"),
        "ondol ask, its words": series("retrieval", "share"),
        "ondol ask, its quotes": series("retrieval", "quoted"),
        "all at once, whole": series("whole", "all_at_once"),
        "all at once, ondol ask --all": series("retrieval", "all_at_once"),
    }
    colours = dict(zip(groups, (pictures.YARDSTICK, *pictures.PALETTE[:4]), strict=True))
    pictures.bars(ax, groups, unit="found, %", colours=colours)
    ax.set_ylim(0, 112)
    ax.legend(ncols=3, loc="upper left", bbox_to_anchor=(0, 1.2), borderaxespad=0, fontsize=8)
    pictures.save(fig, HERE / "picture.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short texts only")
    parser.add_argument("--lengths", type=int, nargs="+", help="tokens of the texts")
    parser.add_argument("--write", action="store_true", help="keep results.json and the picture")
    parser.add_argument("--draw", action="store_true", help="draw the picture again")
    given = parser.parse_args()
    if given.draw:
        picture(json.loads((HERE / "results.json").read_text("utf-8")))
        return
    lengths: Sequence[int] = given.lengths or (QUICK if given.quick else LENGTHS)
    settings = config.load().with_flags({"engine.num_ctx": 8192, "engine.num_parallel": 1})
    results: dict[str, Any] = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "cpu": machine().cpu,
        "model": settings["models.chat"],
        "needles": len(PLACES),
        "lengths": {},
    }
    with Parts(settings) as parts:
        engine = parts.engine()
        for length in lengths:
            text, codes = haystack(length, length, engine.count_tokens)
            row: dict[str, Any] = {"tokens": engine.count_tokens(text)}
            for way, take in (
                ("whole", lambda t=text, c=codes: whole(engine, t, c)),
                ("retrieval", lambda t=text, c=codes: retrieved(parts, t, c)),
            ):
                row[way] = take()
                print(length, way, json.dumps(row[way]), flush=True)
            results["lengths"][str(length)] = row
    text = re.sub(r"\[\s+((?:true|false),?\s+)+\]", _flat, json.dumps(results, indent=1))
    if given.write:
        (HERE / "results.json").write_text(text + "\n", "utf-8")
        picture(results)


def _flat(found: re.Match[str]) -> str:
    return " ".join(found[0].split())


if __name__ == "__main__":
    main()
