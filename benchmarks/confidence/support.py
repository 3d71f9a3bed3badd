"""Does the mark "supported" tell what a quote says from the same words changed? See README.md.

Claims are made from sentences of benchmarks/confidence/data by rules, all of them in the same way:
as they are, cut short, turned around at a comma; and with a number, a name or a denial changed, or
held against another sentence of the same document. --write keeps support.json.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from ondol.confidence.grounding import sentences, supported
from ondol.training.dataset import read_documents
from ondol.types import Quote

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from collect import documents  # noqa: E402

Change = Callable[[str, random.Random, list[str]], str | None]

_NAME = re.compile(r"(?<=\s)[A-Z][a-z]{3,}(?=[\s,.])")
_DENIED = (
    (" was ", " was not "),
    (" were ", " were not "),
    (" is ", " is not "),
    (" are ", " are not "),
)
_KOREAN = (
    ("있다", "없다"),
    ("있습니다", "없습니다"),
    ("이다.", "이 아니다."),
    ("입니다.", "이 아닙니다."),
)


def as_it_is(text: str, rng: random.Random, names: list[str]) -> str | None:
    return text


def cut_short(text: str, rng: random.Random, names: list[str]) -> str | None:
    words = text.split()
    return " ".join(words[: 2 * len(words) // 3]) if len(words) > 9 else None


def turned_around(text: str, rng: random.Random, names: list[str]) -> str | None:
    first, comma, rest = text.rstrip(".").partition(", ")
    return (
        f"{rest[0].upper()}{rest[1:]}, {first}."
        if comma and min(len(first), len(rest)) > 20
        else None
    )


def another_number(text: str, rng: random.Random, names: list[str]) -> str | None:
    found = list(re.finditer(r"\d+", text))
    if not found:
        return None
    one = rng.choice(found)
    return f"{text[: one.start()]}{int(one[0]) + rng.randint(1, 9)}{text[one.end() :]}"


def another_name(text: str, rng: random.Random, names: list[str]) -> str | None:
    found = list(_NAME.finditer(text))
    others = [name for name in names if name not in text]
    if not found or not others:
        return None
    one = rng.choice(found)
    return f"{text[: one.start()]}{rng.choice(others)}{text[one.end() :]}"


def denied(text: str, rng: random.Random, names: list[str]) -> str | None:
    for plain, denying in (*_DENIED, *_KOREAN):
        if denying not in text and text.count(plain) == 1:
            return text.replace(plain, denying)
    return None


SAID: dict[str, Change] = {
    "as it is": as_it_is,
    "cut short": cut_short,
    "turned around": turned_around,
}
NOT_SAID: dict[str, Change] = {
    "another number": another_number,
    "another name": another_name,
    "denied": denied,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    rng = random.Random(0)
    counts: dict[str, list[int]] = {}

    def note(kind: str, claim: str, quote: str) -> None:
        marks = supported(claim, (Quote(1, quote, "/a", 0, len(quote), 1.0),))
        counts.setdefault(kind, [0, 0])[0] += all(mark.quote == 1 for mark in marks)
        counts[kind][1] += 1

    for file in documents():
        for document in read_documents(file):
            prose = " ".join(x for x in document.text.split("\n") if not x.startswith(("#", "-")))
            texts = [prose[s:e].strip() for s, e in sentences(prose)]
            texts = [text for text in texts if len(text) > 25]
            names = sorted({n[0] for text in texts for n in _NAME.finditer(text)})
            language = document.language
            for kind, change in (SAID | NOT_SAID).items():
                for text in texts:
                    claim = change(text, rng, names)
                    if claim is not None:
                        note(f"{language}: {kind}", claim, text)
            for claim, quote in pairwise(texts):
                note(f"{language}: another sentence", claim, quote)
    results = {
        kind: {"n": n, "marked_supported": round(count / n, 4)}
        for kind, (count, n) in counts.items()
    }
    for kind, entry in results.items():
        print(f"{kind:24} n {entry['n']:5}  marked supported {entry['marked_supported']:.1%}")
    if arguments.write:
        text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        (HERE / "support.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
