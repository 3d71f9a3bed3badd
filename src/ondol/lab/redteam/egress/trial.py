"""Thousands of adversarial pipelines against the real house: does a private byte leave?

Runs in a process of its own, which it takes into a network of its own: every packet that goes to no
server of ours arrives at the sink of that network, every byte that goes to one is kept. Raises
``OSError`` where the machine forbids such networks.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from ondol import config, paths
from ondol.egress import Passage, guard, namespace
from ondol.egress.namespace import ADDRESS
from ondol.lab.redteam.egress.disguises import BLIND, DISGUISES
from ondol.lab.redteam.egress.families import make
from ondol.lab.redteam.egress.sink import Sink
from ondol.lab.redteam.egress.world import Attack, Corpus, World, chat, post
from ondol.lab.redteam.report import Breach, Outcome
from ondol.parts import Parts
from ondol.retrieval.embedders import Embedders
from ondol.retrieval.library import Library
from ondol.types import Sensitivity

CORPUS = Path(__file__).parents[1] / "corpus"

Progress = Callable[[int, int], None]


def trial(
    folder: Path,
    numbers: range,
    *,
    without: int,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """The attacks of these ``numbers``, the first so many ``without`` the door too; ``folder`` is
    for the house. Not to be undone: the process stays in its network."""
    namespace.enter()
    diverted = namespace.divert_names(folder)
    wire = namespace.Sink()
    os.environ |= {"ONDOL_HOME": str(folder / "home"), "RES_OPTIONS": "timeout:1 attempts:1"}
    corpus = Corpus.read(CORPUS)
    fill(corpus)
    sink = Sink(ADDRESS, folder)
    try:
        with Parts(config.load()) as parts:
            world = World(parts, sink, corpus)
            open_door = without_door(world, wire, numbers[:without])
            guard.install()
            for purpose in ("remote-model", "vectors"):
                parts.egress.declare(purpose, sink.url(purpose))
            return {
                "python": sys.version.split()[0],
                "kernel": platform.release().split("-")[0],
                "names_diverted": diverted,
                "private_passages": len(corpus.private),
                **attacked(world, wire, numbers, progress),
                "without_the_door": open_door,
                "harmless": harmless(world),
                "inspection_alone": inspection_alone(world),
                "ledger_intact": ledger_is_intact(parts),
            }
    finally:
        sink.close()


class NoEmbedder:
    """The vectors do not matter here."""

    model, dimensions = "none:8", 8

    def embed(self, texts: Sequence[str], *, input_type: str = "document") -> Any:
        import numpy as np

        return np.full((len(texts), 8), 8**-0.5, dtype=np.float32)

    def embed_passages(self, texts: Sequence[str], spans: Sequence[Sequence[Any]]) -> list[Any]:
        from ondol.retrieval.embedding import PassageVectors

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
    def client(self, url: str, purpose: str, **more: Any) -> Iterator[Any]:
        import httpx2

        with httpx2.Client(
            verify=False, follow_redirects=True, timeout=3, headers=more.get("headers")
        ) as client:
            yield client


def fill(corpus: Corpus) -> None:
    """A library of private documents, one for each text."""
    library = Library(paths.database_file(), Embedders.only(NoEmbedder()))
    for number, text in enumerate(corpus.private):
        library.add_text(f"note {number}", text)
    library.close()


def attacked(
    world: World, wire: namespace.Sink, numbers: range, progress: Progress
) -> dict[str, Any]:
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
    for done, number in enumerate(numbers):
        progress(done, len(numbers))
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


def outcome(found: dict[str, Any]) -> Outcome:
    """A ``trial`` as a part of a report: what leaked, a wall in place of a door, a ledger that
    does not verify, attacks that would be none without the door."""
    breaches = [
        Breach(f"{one['number']}: {one['family']}, {one['variant']}", f"arrived at {one['where']}")
        for one in found["leaked"]
    ]
    breaches += [Breach("more of them", "arrived")] * (found["leaks"] - len(found["leaked"]))
    if found["harmless"]["arrived"] < found["harmless"]["sent"]:
        breaches.append(Breach("what may go", "did not arrive"))
    if not found["ledger_intact"]:
        breaches.append(Breach("the ledger", "does not verify"))
    if not found["without_the_door"]["arrived"]:
        breaches.append(Breach("the control", "nothing arrives even without the door"))
    control = found["without_the_door"]
    figures = {
        "families": len(found["families"]),
        "without_the_door_arrived": f"{control['arrived']} of {control['attacks']}",
        "harmless_arrived": f"{found['harmless']['arrived']} of {found['harmless']['sent']}",
        "ledger_intact": found["ledger_intact"],
    }
    return Outcome(found["attacks"], tuple(breaches), figures)
