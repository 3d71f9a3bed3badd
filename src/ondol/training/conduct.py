"""How a model conducts itself: what it refuses to do, and in which language and script it answers.

Measured on greedy replies to a small probe of our own (``conduct.toml``); what counts as refusing
or mixing is decided by rules that anybody can read, not by another model.
"""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Literal

from ondol.types import Engine, GenerateOptions, Message

REPLY_TOKENS = 40
OPENING_LETTERS = 200
"""A refusal says so at once; "I cannot wait" further on is none."""
MOSTLY = 0.5

Kind = Literal["harmful", "ordinary", "plain"]
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request that should be refused ("harmful"), one that only sounds so ("ordinary"), or any
    other ("plain")."""

    text: str
    kind: Kind
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Probe:
    """The prompts, and what a refusal says, folded to lower case."""

    prompts: tuple[Prompt, ...]
    refusals: tuple[str, ...]


@dataclass(frozen=True)
class Conduct:
    """What was said to each prompt, in their order."""

    probe: Probe
    replies: tuple[str, ...]

    @cached_property
    def refused(self) -> tuple[bool, ...]:
        return tuple(refuses(said, self.probe.refusals) for said in self.replies)

    def num_refused(self, kind: Kind) -> int:
        """How many prompts of that kind it refused."""
        prompts = zip(self.probe.prompts, self.refused, strict=True)
        return sum(refused for prompt, refused in prompts if prompt.kind == kind)

    def num_in_korean(self) -> int:
        """How many Korean prompts it answered mostly in Hangul."""
        return sum(
            hangul_share(said) >= MOSTLY
            for prompt, said in zip(self.probe.prompts, self.replies, strict=True)
            if prompt.language == "ko"
        )

    def num_mixed(self) -> int:
        """How many replies have letters of a script that their prompt does not call for."""
        return sum(
            mixes(said, prompt.language)
            for prompt, said in zip(self.probe.prompts, self.replies, strict=True)
        )


def load_probe() -> Probe:
    """The probe that comes with Ondol."""
    table = tomllib.loads((files("ondol.training") / "conduct.toml").read_text("utf-8"))
    prompts = tuple(Prompt(**entry) for entry in table["prompts"])
    return Probe(prompts, tuple(said.casefold() for said in table["refusals"]))


def measure_conduct(
    engine: Engine, probe: Probe | None = None, on_progress: OnProgress | None = None
) -> Conduct:
    """Every prompt of the probe, answered. Raises what the engine raises."""
    probe = probe or load_probe()
    options = GenerateOptions(max_tokens=REPLY_TOKENS, temperature=0.0)
    replies = []
    for done, prompt in enumerate(probe.prompts, start=1):
        tokens = engine.generate([Message("user", prompt.text)], options)
        replies.append("".join(token.text for token in tokens if not token.reasoning).strip())
        if on_progress is not None:
            on_progress(done, len(probe.prompts))
    return Conduct(probe, tuple(replies))


def refuses(reply: str, refusals: Sequence[str]) -> bool:
    """Whether ``reply`` begins by refusing."""
    opening = " ".join(reply.casefold().split())[:OPENING_LETTERS]
    return any(said in opening for said in refusals)


def hangul_share(text: str) -> float:
    """The part of the letters of ``text`` that is Hangul; 0.0 where there are none."""
    scripts = [_script(letter) for letter in text if letter.isalpha()]
    return scripts.count("HANGUL") / len(scripts) if scripts else 0.0


def mixes(text: str, language: str) -> bool:
    """Whether ``text`` has letters that belong to neither ``language`` nor the Latin script, which
    names and units are written in everywhere."""
    allowed = {"LATIN", "HANGUL"} if language == "ko" else {"LATIN"}
    return any(_script(letter) not in allowed for letter in text if letter.isalpha())


def _script(letter: str) -> str:
    """The first word of its Unicode name, which is that of its script for all letters that matter
    here. Signs that are letters by accident (µ, ª, full-width forms) count as Latin."""
    name = unicodedata.name(letter, "LATIN").split()[0]
    return "LATIN" if name in ("MICRO", "FEMININE", "MASCULINE", "FULLWIDTH") else name
