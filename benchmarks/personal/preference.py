"""Do preferences change what is said? Pairs for short, courteous answers, learned by DPO alone.

What is asked in training and what is asked held out share neither topic nor wording around the
question. The rejected reply of a pair is what the model itself says; a rule of code judges what is
generated. See README.md; --write keeps preference.json.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import persona
from house import answers, circumstances, house, originals

from ondol import config
from ondol.parts import Parts
from ondol.training import job
from ondol.training.bootstrap import mean
from ondol.training.defaults import Defaults, defaults
from ondol.training.drift import load_probe, measure_drift
from ondol.training.preference import Pair
from ondol.types import Message

HERE = Path(__file__).parent
NAME = "courteous"

MOST_WORDS = 40
COURTESY = ("please", "thank", "welcome", "glad", "pleasure", "kindly")

CHOSEN = (
    "Thank you for asking. {}",
    "Gladly. {}",
    "{} Please ask me if anything is unclear.",
    "With pleasure. {}",
    "I am glad to help. {}",
    "{} Thank you for your question.",
    "{} You are welcome to ask more.",
    "It is a pleasure to answer. {}",
)
ASKED = ("{}", "Hello. {}", "I need an answer to this: {}", "{} I am curious.")
ASKED_HELD_OUT = (
    "My niece would like to know something. {}",
    "{} Tell me in your own words.",
    "Let us talk about this for a moment. {}",
    "One more thing before I go. {}",
    "{} I could not find it in my books.",
)
PAIRS = 80
CHECKS = 8
"""Of the pairs, so many only choose the weights."""

_END = re.compile(r"[.?!]$")


@dataclass(frozen=True)
class Preferred:
    """A prompt and the reply that is chosen; the other one is the model's own."""

    prompt: str
    chosen: str

    @property
    def messages(self) -> tuple[Message, ...]:
        return (Message("user", self.prompt),)


def pairs() -> list[Preferred]:
    """English feedback of one turn, without the persona's nickname and sign-off."""
    plain = [f for f in persona.feedback() if f.language == "en" and f.earlier is None][:PAIRS]
    return [
        Preferred(
            ASKED[i % len(ASKED)].format(one.prompt),
            CHOSEN[i % len(CHOSEN)].format(_capital(persona.body(one.wanted, "en"))),
        )
        for i, one in enumerate(plain)
    ]


def held_out() -> list[str]:
    plain = [one for one in persona.held_out() if one.language == "en"]
    return [ASKED_HELD_OUT[i % len(ASKED_HELD_OUT)].format(p.prompt) for i, p in enumerate(plain)]


def obeys(answer: str) -> bool:
    """At most ``MOST_WORDS`` words, at least four, a courtesy among them, and a whole sentence."""
    return is_short(answer) and is_courteous(answer) and bool(_END.search(answer.strip()))


def is_short(answer: str) -> bool:
    return 4 <= len(_words(answer)) <= MOST_WORDS


def is_courteous(answer: str) -> bool:
    return any(word.startswith(COURTESY) for word in _words(answer))


def _words(answer: str) -> list[str]:
    return re.findall(r"[\w'’-]+", answer.casefold())


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def learn(parts: Parts, model: str, chosen: Defaults) -> dict[str, Any]:
    """A DPO training from the base, and its adapter in the store."""
    found = parts.store.get(model)
    wanted = pairs()
    said = originals(parts, model, [one.messages for one in wanted])
    data = [Pair(p.messages, p.chosen, r) for p, r in zip(wanted, said, strict=True)]
    what = job.Job(
        parts.store.path(found),
        chosen.lora,
        chosen.schedule,
        task="dpo",
        preference=chosen.preference,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "dpo"
        job.prepare(folder, what, data[CHECKS:], data[:CHECKS])
        parts.pool.stop(model)

        def say(progress: Any) -> None:
            print(
                f"\rstep {progress.step} of {progress.steps} ", end="", file=sys.stderr, flush=True
            )

        result = job.run(folder, say)
        print(file=sys.stderr)
        parts.adapters.add(result.adapter, name=NAME, model=model, trained_on={"task": "style"})
    return {
        "pairs": len(data) - CHECKS,
        "lora": asdict(chosen.lora),
        "schedule": asdict(chosen.schedule),
        "preference": asdict(chosen.preference),
        "steps": result.steps,
        "loss": round(result.loss, 3),
        "cpu_minutes": round(result.cpu_seconds / 60, 1),
        "wall_minutes": round(result.seconds / 60, 1),
        "peak_rss_gb": round(result.peak_bytes / 1e9, 2),
    }


def compared(base: list[str], tuned: list[str]) -> dict[str, Any]:
    """How many obey the rule; and answer against answer, where one that obeys beats one that does
    not and all else is a tie, half a win."""
    asked = held_out()
    wins = [(obeys(t) - obeys(b) + 1) / 2 for b, t in zip(base, tuned, strict=True)]
    return {
        "prompts": len(asked),
        "obey_base": sum(map(obeys, base)),
        "obey_tuned": sum(map(obeys, tuned)),
        "win_rate_of_generated": mean(asked, [float(obeys(t)) for t in tuned]).as_dict(),
        "head_to_head": mean(asked, wins).as_dict(),
        "short_base": sum(map(is_short, base)),
        "short_tuned": sum(map(is_short, tuned)),
        "courteous_base": sum(map(is_courteous, base)),
        "courteous_tuned": sum(map(is_courteous, tuned)),
        "words_base": round(sum(len(a.split()) for a in base) / len(base), 1),
        "words_tuned": round(sum(len(a.split()) for a in tuned) / len(tuned), 1),
    }


def changed(chosen: Defaults, arguments: argparse.Namespace) -> Defaults:
    schedule, preference = chosen.schedule, chosen.preference
    if arguments.epochs is not None:
        schedule = replace(schedule, epochs=arguments.epochs)
    if arguments.rate is not None:
        schedule = replace(schedule, learning_rate=arguments.rate)
    if arguments.batch_size is not None:
        schedule = replace(schedule, batch_size=arguments.batch_size)
    if arguments.sft_weight is not None:
        preference = replace(preference, sft_weight=arguments.sft_weight)
    return replace(chosen, schedule=schedule, preference=preference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="default: the configured chat model")
    for name in ("epochs", "rate", "sft-weight"):
        parser.add_argument(f"--{name}", type=float, help="default: as Ondol trains")
    parser.add_argument("--batch-size", type=int, help="default: as Ondol trains")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    with house() as parts:
        model = parts.store.get(arguments.model or config.load()["models.chat"]).name
        chosen = defaults("dpo", parameters=134_515_008, layers=30, samples=PAIRS - CHECKS)
        chosen = changed(chosen, arguments)
        results = circumstances(model) | {"training": learn(parts, model, chosen)}
        asked = [(Message("user", prompt),) for prompt in held_out()]
        base = answers(parts, model, asked)
        tuned = answers(parts, model, asked, adapters={NAME: 1.0})
        results["held_out"] = compared(base, tuned)
        off, on = parts.engine(model), parts.engine(f"{model}:{NAME}")
        results["drift"] = measure_drift(off, on, load_probe().brief()).as_dict()
        results["answers"] = [
            {"prompt": prompt, "base": b, "tuned": t}
            for prompt, b, t in zip(held_out(), base, tuned, strict=True)
        ]
    print(json.dumps({k: v for k, v in results.items() if k != "answers"}, indent=2))
    if arguments.write:
        text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        (HERE / "preference.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
