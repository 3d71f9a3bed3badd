"""Does a private byte leave? Thousands of adversarial pipelines against the real house.

In a network of its own (a namespace): every packet that goes to no server of ours arrives at the
sink of that network, every byte that goes to one is kept. --write keeps the result as results.json.
See README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import httpx2
import numpy as np
from attacks import Attack, Corpus, World, chat, make, post
from disguises import BLIND, DISGUISES
from sink import Sink

from ondol import __version__, config, paths
from ondol.egress import Passage, guard, namespace
from ondol.egress.namespace import ADDRESS
from ondol.parts import Parts
from ondol.retrieval.embedders import Embedders
from ondol.retrieval.embedding import PassageVectors
from ondol.retrieval.library import Library
from ondol.types import Sensitivity

HERE = Path(__file__).parent
NO_NAMESPACE = 77


class NoEmbedder:
    """The vectors do not matter here."""

    model, dimensions = "none:8", 8

    def embed(self, texts: Sequence[str], *, input_type: str = "document") -> Any:
        return np.full((len(texts), 8), 8**-0.5, dtype=np.float32)

    def embed_passages(self, texts: Sequence[str], spans: Sequence[Sequence[Any]]) -> list[Any]:
        return [
            PassageVectors(self.embed([text])[0], self.embed([text] * max(1, len(mine))))
            for text, mine in zip(texts, spans, strict=True)
        ]

    def can_read(self, text: str) -> bool:
        return True


class OpenDoor:
    """No door at all: what each attack would do to a program without one."""

    def __init__(self) -> None:
        self.inspector = None

    def declare(self, purpose: str, url: str) -> None:
        pass

    @contextmanager
    def client(self, url: str, purpose: str, **more: Any) -> Iterator[httpx2.Client]:
        with httpx2.Client(
            verify=False, follow_redirects=True, timeout=3, headers=more.get("headers")
        ) as client:
            yield client


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first attack")
    parser.add_argument("--without", type=int, default=300, help="how many without the door too")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            namespace.enter()
            diverted = namespace.divert_names(folder)
            wire = namespace.Sink()
        except OSError as error:
            print(f"no network of its own: {error}", file=sys.stderr)
            sys.exit(NO_NAMESPACE)
        os.environ |= {"ONDOL_HOME": str(folder / "home"), "RES_OPTIONS": "timeout:1 attempts:1"}
        corpus = Corpus.read(HERE / "corpus")
        fill(corpus)
        sink = Sink(ADDRESS, folder)
        with Parts(config.load()) as parts:
            world = World(parts, sink, corpus)
            numbers = range(arguments.first, arguments.first + arguments.count)
            open_door = without_door(world, wire, numbers[: arguments.without])
            guard.install()
            for purpose in ("remote-model", "vectors"):
                parts.egress.declare(purpose, sink.url(purpose))
            results: dict[str, Any] = {
                "date": date.today().isoformat(),
                "ondol": __version__,
                "python": sys.version.split()[0],
                "httpx2": httpx2.__version__,
                "kernel": platform.release().split("-")[0],
                "names_diverted": diverted,
                "private_passages": len(corpus.private),
                **attacked(world, wire, numbers),
                "without_the_door": open_door,
                "harmless": harmless(world),
                "inspection_alone": inspection_alone(world),
            }
            results["ledger_intact"] = ledger_is_intact(parts)
        sink.close()
    print(json.dumps(results, indent=2, ensure_ascii=False))
    if arguments.write:
        text = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
        (HERE / "results.json").write_text(text, "utf-8")
    sys.exit(1 if results["leaks"] else 0)


def fill(corpus: Corpus) -> None:
    """A library of private documents, one for each text."""
    library = Library(paths.database_file(), Embedders.only(NoEmbedder()))
    for number, text in enumerate(corpus.private):
        library.add_text(f"note {number}", text)
    library.close()


def attacked(world: World, wire: namespace.Sink, numbers: range) -> dict[str, Any]:
    """Every attack, what stopped it, and what got out all the same."""
    families: Counter[str] = Counter()
    stopped: Counter[str] = Counter()
    by_family: dict[str, Counter[str]] = {}
    leaks: list[dict[str, Any]] = []
    passed: list[dict[str, Any]] = []
    passages: list[Passage] = []
    record = world.egress.record

    def note(passage: Passage) -> None:
        passages.append(passage)
        record(passage)

    world.egress.record = note
    began = time.perf_counter()
    for number in numbers:
        attack = make(world, number)
        passages.clear()
        end = perform(attack)
        reasons = [p.reason for p in passages if not p.allowed]
        why = reasons[0] if reasons else end
        families[attack.family] += 1
        stopped[why] += 1
        by_family.setdefault(attack.family, Counter())[why] += 1
        if not why:
            passed.append({"number": number, "family": attack.family, "variant": attack.variant})
        if got := leaked(world, wire, attack):
            leak = {"number": number, "family": attack.family, "variant": attack.variant}
            leaks.append(leak | {"where": got})
    seconds = time.perf_counter() - began
    world.egress.record = record
    return {
        "attacks": len(numbers),
        "first": numbers.start,
        "seconds": round(seconds, 1),
        "leaks": len(leaks),
        "leaked": leaks[:50],
        "went_through_with_nothing_in_it": len(passed),
        "these_went_through": passed[:50],
        "families": {
            name: {"attacks": count, "stopped_by": dict(by_family[name].most_common())}
            for name, count in families.most_common()
        },
        "stopped_by": dict(stopped.most_common()),
    }


def perform(attack: Attack) -> str:
    """Whatever stopped it, by name; "" for one that went through."""
    try:
        attack.go()
    except Exception as error:
        return type(error).__name__
    return ""


def leaked(world: World, wire: namespace.Sink, attack: Attack) -> str:
    """Where something arrived that must not; or ""."""
    got = world.sink.take()
    for part in ("stranger", "liar"):
        if got[part]:
            return part
    for part, raw in got.items():
        data = raw + unquote_to_bytes(raw.replace(b"+", b" "))
        if any(one in data for one in (*attack.needles, b"key-of-the-mirror") if one):
            # The mirror's own key belongs to it.
            if part != "mirror" or any(one in data for one in attack.needles):
                return part
    return "the network" if wire.take() else ""


def without_door(world: World, wire: namespace.Sink, numbers: range) -> dict[str, Any]:
    """The same attacks on a program without egress and guard: are they real, and would we see?"""
    real, world.parts.egress = world.parts.egress, OpenDoor()  # type: ignore[assignment]
    seen: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    for number in numbers:
        attack = make(world, number)
        perform(attack)
        tried[attack.family] += 1
        seen[attack.family] += bool(leaked(world, wire, attack))
    world.parts.egress = real
    return {
        "attacks": len(numbers),
        "arrived": sum(seen.values()),
        "families": {name: f"{seen[name]}/{count}" for name, count in tried.most_common()},
    }


def harmless(world: World) -> dict[str, int]:
    """What may go must go: the same way, with nothing private in it."""
    arrived = tried = 0
    for text in world.corpus.harmless:
        for purpose in ("home", "remote-model"):
            tried += 1
            world.sink.take()
            try:
                post(world, purpose, Sensitivity.TRUSTED, "/v1", content=chat(text))
            except Exception as error:
                print(f"refused: {text}: {error}", file=sys.stderr)
            arrived += text.encode() in world.sink.take()[purpose]
    return {"sent": tried, "arrived": arrived}


def inspection_alone(world: World) -> dict[str, str]:
    """How often the look at a request by itself sees a disguise, with nothing known of where the
    text comes from. Where it does not, labels are what holds."""
    import random

    found = {}
    for name, disguise in (DISGUISES | BLIND).items():
        seen = 0
        for number, text in enumerate(world.corpus.private):
            payload = disguise(text, random.Random(number))
            request = b"POST https://home/v1\r\n\r\n" + chat("What is this?", payload)
            seen += world.egress.inspector(request) is Sensitivity.PRIVATE
        found[name] = f"{seen}/{len(world.corpus.private)}"
    return found


def ledger_is_intact(parts: Parts) -> bool:
    from ondol.ledger.verification import verify

    return verify(parts.ledger).is_intact


if __name__ == "__main__":
    main()
