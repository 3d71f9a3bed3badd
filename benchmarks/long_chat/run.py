"""What of a long chat is still known when its beginning no longer fits?

    .venv/bin/python benchmarks/long_chat/run.py [--facts 12] [--write]

Facts are stated, then talked over until the chat is several times as long as a context of 1,024
tokens; then each is asked for. ``dropped``: the oldest exchanges go, and nothing of them stays.
``gist``: sentences that state most stay. ``gist and question``: what Ondol does; those about the
question too. ``model``: the model itself writes a summary of as many tokens. ``held``: whether the
answer stands in what the model reads; ``said``: whether it stands in its reply.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import pictures

from ondol import __version__, config, long_chat
from ondol.answering import gather
from ondol.models.hardware import machine
from ondol.parts import Parts
from ondol.types import GenerateOptions, Message

HERE = Path(__file__).parent
CONTEXT, ANSWER = 1024, 24
PEOPLE = "Minji Daniel Haneul Clara Jisoo Marek Sora Tobias Yuna Felix Dami Ines Bora Otto".split()
THINGS = (
    "piano violin kayak telescope typewriter loom tandem accordion chess-set kiln sailboat "
    "greenhouse camera drum"
).split()
YEARS = range(1951, 2019)
DAYS = (
    "The paths were dry and the hills green;Rain fell until noon;It was windy on the ridge;"
    "Fog lay over the fields for hours;The sun came out late;It was cold but clear"
).split(";")
DEEDS = (
    "and we walked as far as the old bridge;so we stayed in and baked;and the geese were loud;"
    "and a market was held by the church;while children flew kites;and the bus was late again;"
    "and somebody painted a fence"
).split(";")
OPTIONS = GenerateOptions(temperature=0.0, max_tokens=ANSWER, seed=1)
SUMMARISE = "Summarise this conversation in a few sentences. Keep every name, thing and number."

Arm = Callable[[Any, Sequence[Message], int], list[Message]]


def chat(facts: int) -> tuple[list[Message], list[tuple[str, str]]]:
    """A chat that states so many facts and then goes on; questions and their answers."""
    chance = random.Random(11)
    people, things = PEOPLE[:facts], chance.sample(THINGS, facts)
    years = chance.sample(YEARS, facts)
    turns, asked = [], []
    for person, thing, year in zip(people, things, years, strict=True):
        stated = f"My friend {person} has owned a {thing} since {year}."
        turns += [
            Message("user", stated),
            Message("assistant", "How nice, thank you for telling me."),
        ]
        asked.append((f"Since which year has {person} owned the {thing}?", str(year)))
    for number in range(40):
        turns.append(Message("user", f"How was day {number} in the valley?"))
        told = f"{chance.choice(DAYS)}, {chance.choice(DEEDS)}."
        turns.append(Message("assistant", f"{told} There was little else on day {number}."))
    return turns, asked


def dropped(engine: Any, messages: Sequence[Message], limit: int) -> list[Message]:
    made = long_chat.folded(messages, limit, ANSWER, engine.count_tokens)
    return list(messages[made.num_folded :])


def gist_only(engine: Any, messages: Sequence[Message], limit: int) -> list[Message]:
    about = long_chat.about
    long_chat.about = lambda said, question, budget, count: []  # type: ignore[assignment]
    try:
        return long_chat.folded(messages, limit, ANSWER, engine.count_tokens).messages
    finally:
        long_chat.about = about


def both(engine: Any, messages: Sequence[Message], limit: int) -> list[Message]:
    return long_chat.folded(messages, limit, ANSWER, engine.count_tokens).messages


class Summarising:
    """The model's own summary, made once: of every part that its context holds, in turn."""

    def __init__(self) -> None:
        self.seconds, self._text = 0.0, ""

    def __call__(self, engine: Any, messages: Sequence[Message], limit: int) -> list[Message]:
        made = long_chat.folded(messages, limit, ANSWER, engine.count_tokens)
        gone, kept = messages[: made.num_folded], list(messages[made.num_folded :])
        if not self._text:
            began = time.perf_counter()
            self._text = self._summary(engine, gone, int(limit / 8))
            self.seconds = time.perf_counter() - began
        first = replace(kept[0], content=f"Earlier: {self._text}\n\n{kept[0].content}")
        return [first, *kept[1:]]

    def _summary(self, engine: Any, gone: Sequence[Message], tokens: int) -> str:
        # As a conversation is summarised that grows: the summary so far, and the next part.
        parts, text = [gone[i : i + 16] for i in range(0, len(gone), 16)], ""
        for part in parts:
            said = "\n".join(f"{m.role}: {m.content}" for m in part)
            prompt = f"{SUMMARISE}\n\n{text}\n{said}\n\nSummary:"
            options = replace(OPTIONS, max_tokens=max(32, tokens))
            text = gather(list(engine.generate([Message("user", prompt)], options))).text.strip()
        return text


def tried(engine: Any, arm: Arm, facts: int) -> dict[str, Any]:
    messages, asked = chat(facts)
    held = said = 0
    for question, answer in asked:
        turn = [*messages, Message("user", question)]
        given = arm(engine, turn, CONTEXT - 2 * ANSWER)
        held += any(answer in message.content for message in given)
        said += answer in gather(list(engine.generate(given, OPTIONS))).text
    return {"held": round(held / len(asked), 3), "said": round(said / len(asked), 3)}


def picture(results: dict[str, Any]) -> None:
    arms = results["arms"]
    ours, before = arms["gist and question"], arms["dropped"]
    title = (
        f"Of {results['facts']} facts before the context, a chat still has "
        f"{100 * ours['held']:.0f} %, not {100 * before['held']:.0f} %"
    )
    subtitle = f"{results['model']}, a context of {CONTEXT} tokens; greedy"
    fig, ax = pictures.figure(title, subtitle, size=(9, 4))
    groups = {
        name: {arm: 100 * found[figure] for arm, found in arms.items()}
        for name, figure in (("in what the model reads", "held"), ("in what it says", "said"))
    }
    pictures.bars(ax, groups, unit="facts, %")
    ax.set_ylim(0, 112)
    pictures.save(fig, HERE / "picture.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=int, default=12)
    parser.add_argument("--write", action="store_true", help="keep results.json and the picture")
    given = parser.parse_args()
    settings = config.load().with_flags({"engine.num_ctx": CONTEXT, "engine.num_parallel": 1})
    model = Summarising()
    arms: dict[str, Arm] = {
        "dropped": dropped,
        "gist": gist_only,
        "gist and question": both,
        "model": model,
    }
    results: dict[str, Any] = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "cpu": machine().cpu,
        "model": settings["models.chat"],
        "context": CONTEXT,
        "facts": given.facts,
        "arms": {},
    }
    with Parts(settings) as parts:
        engine = parts.engine()
        for name, arm in arms.items():
            results["arms"][name] = tried(engine, arm, given.facts)
            print(name, results["arms"][name], flush=True)
    results["arms"]["model"]["seconds_to_summarise"] = round(model.seconds, 1)
    text = json.dumps(results, indent=1)
    print(text)
    if given.write:
        (HERE / "results.json").write_text(text + "\n", "utf-8")
        picture(results)


if __name__ == "__main__":
    main()
