"""What an adapter does to everything else: plain text to predict, and everyday chat.

Both through the engine that serves, with the adapter off and on. The log loss is that of whole
words that are one token, given all the text before them, among the likeliest ``ALTERNATIVES``
tokens: a less likely word counts as the last of those. The probe (``probe.toml``) was written for
this project and is in no training data.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from itertools import count
from typing import Any

from ondol.prompt import MARKS, abstains
from ondol.training.bootstrap import Estimate, difference
from ondol.types import Engine, GenerateOptions, Message

# More cost seconds a word (the whole vocabulary: one), and hold under one percent more of it.
ALTERNATIVES = 1000
ENDED = -16.0
"""The log-probability of any word where the model would rather end, and names no alternatives."""
FEWEST_WORDS_BEFORE = 8
WORDS_PER_TEXT = 16
BRIEF_TEXT_WORDS = 32
CHAT_TOKENS = 48

_WORD = re.compile(r" [A-Za-z]+(?![\w'’-])")

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """An everyday prompt. A good reply has at least ``words`` words and, where ``expect`` names
    some, one of those in it."""

    text: str
    language: str = "en"
    expect: tuple[str, ...] = ()
    words: int = 1


@dataclass(frozen=True, slots=True)
class Probe:
    """Plain texts to predict, prompts to answer, and the phrases that mean abstaining."""

    texts: tuple[str, ...]
    prompts: tuple[ChatPrompt, ...]
    abstentions: tuple[str, ...]

    def brief(self) -> Probe:
        """A probe of less than half the cost, for a look during a training: the beginning of every
        text, where nearly as many words can be asked for, and every second prompt."""
        texts = tuple(" ".join(text.split()[:BRIEF_TEXT_WORDS]) for text in self.texts)
        return Probe(texts, self.prompts[::2], self.abstentions)


@dataclass(frozen=True, slots=True)
class Word:
    """A word to predict: ``text`` begins with a space, ``before`` is what comes before it, and
    ``source`` the number of the text it is from."""

    source: int
    before: str
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said to a prompt, and what is wrong with it."""

    prompt: ChatPrompt
    off: str
    on: str
    faults_off: tuple[str, ...]
    faults_on: tuple[str, ...]


@dataclass(frozen=True)
class Drift:
    """The probe's result; losses are natural-log, one a word, off and on in the same order."""

    words: tuple[Word, ...]
    losses_off: tuple[float, ...]
    losses_on: tuple[float, ...]
    replies: tuple[Reply, ...]

    @cached_property
    def loss_difference(self) -> Estimate:
        """Mean loss with the adapter on minus off, resampling texts; above 0: it got worse."""
        sources = [str(word.source) for word in self.words]
        return difference(sources, self.losses_off, self.losses_on)

    @property
    def perplexity_off(self) -> float:
        return _perplexity(self.losses_off)

    @property
    def perplexity_on(self) -> float:
        return _perplexity(self.losses_on)

    @property
    def chat_passed(self) -> tuple[int, int]:
        """How many replies have no fault, off and on."""
        off = sum(not reply.faults_off for reply in self.replies)
        return off, sum(not reply.faults_on for reply in self.replies)

    @property
    def length_ratio(self) -> float:
        """Words of the replies to open prompts (no fact to name), on over off."""
        open_ones = [reply for reply in self.replies if not reply.prompt.expect]
        off, on = (
            sum(len(getattr(reply, side).split()) for reply in open_ones) for side in ("off", "on")
        )
        return on / off if off else 1.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON, and for the manifest of an adapter."""
        off, on = self.chat_passed
        return {
            "words": len(self.words),
            "perplexity_off": _known(self.perplexity_off),
            "perplexity_on": _known(self.perplexity_on),
            "loss_difference": self.loss_difference.as_dict(),
            "chat_prompts": len(self.replies),
            "chat_passed_off": off,
            "chat_passed_on": on,
            "chat_length_ratio": round(self.length_ratio, 3),
            "chat_faults_on": {
                r.prompt.text: list(r.faults_on) for r in self.replies if r.faults_on
            },
        }


def load_probe() -> Probe:
    """The probe that comes with Ondol."""
    table = tomllib.loads((files("ondol.training") / "probe.toml").read_text("utf-8"))
    prompts = tuple(
        ChatPrompt(
            entry["text"],
            entry.get("language", "en"),
            tuple(entry.get("expect", ())),
            entry.get("words", 1),
        )
        for entry in table["prompts"]
    )
    texts = tuple(" ".join(text.split()) for text in table["texts"])
    return Probe(texts, prompts, tuple(table["abstentions"]))


def measure_drift(
    off: Engine, on: Engine, probe: Probe | None = None, on_progress: OnProgress | None = None
) -> Drift:
    """Compare the same model without (``off``) and with (``on``) the adapter. Raises what the
    engines raise."""
    probe = probe or load_probe()
    words = [w for i, text in enumerate(probe.texts) for w in words_of(text, off, source=i)]
    ticks = count(1)
    total = 2 * (len(words) + len(probe.prompts))

    def tick() -> None:
        done = next(ticks)
        if on_progress is not None:
            on_progress(done, total)

    # One engine after the other: each keeps its prompt cache from one word to the next.
    (losses_off, said_off), (losses_on, said_on) = (
        _probed(engine, words, probe.prompts, tick) for engine in (off, on)
    )
    replies = tuple(
        Reply(p, a, b, faults(p, a, probe.abstentions), faults(p, b, probe.abstentions))
        for p, a, b in zip(probe.prompts, said_off, said_on, strict=True)
    )
    return Drift(tuple(words), tuple(losses_off), tuple(losses_on), replies)


def _probed(
    engine: Engine, words: Sequence[Word], prompts: Sequence[ChatPrompt], tick: Callable[[], None]
) -> tuple[list[float], list[str]]:
    losses, said = [], []
    for word in words:
        losses.append(log_loss(engine, word))
        tick()
    for prompt in prompts:
        said.append(chat(engine, prompt.text))
        tick()
    return losses, said


def words_of(text: str, engine: Engine, *, source: int = 0) -> list[Word]:
    """Up to ``WORDS_PER_TEXT`` words of ``text``, spread over it, that are one token each."""
    found = [
        Word(source, text[: match.start()], match.group())
        for match in _WORD.finditer(text)
        if len(text[: match.start()].split()) >= FEWEST_WORDS_BEFORE
    ]
    single = [word for word in found if engine.count_tokens(word.text) == 1]
    step = max(1, math.ceil(len(single) / WORDS_PER_TEXT))
    return single[::step]


def log_loss(engine: Engine, word: Word) -> float:
    """Minus the log-probability that ``word`` comes next, in nats."""
    options = GenerateOptions(max_tokens=1, temperature=0.0, logprobs=ALTERNATIVES)
    first, *_ = engine.complete(word.before, options)
    known = [other.logprob for other in first.top if other.text == word.text]
    return -max(known or [min((other.logprob for other in first.top), default=ENDED)])


def chat(engine: Engine, prompt: str) -> str:
    """The reply to a conversation of one message."""
    options = GenerateOptions(max_tokens=CHAT_TOKENS, temperature=0.0)
    tokens = engine.generate([Message("user", prompt)], options)
    return "".join(token.text for token in tokens if not token.reasoning).strip()


def faults(prompt: ChatPrompt, reply: str, abstentions: Sequence[str]) -> tuple[str, ...]:
    """What is wrong with ``reply``: ``empty``, ``abstains``, ``marks``, ``short``, ``fact``."""
    folded = reply.casefold()
    plain = MARKS.sub("", folded)
    checks = {
        "empty": not any(character.isalnum() for character in plain),
        "abstains": abstains(reply) or any(a.casefold() in folded for a in abstentions),
        "marks": bool(MARKS.search(reply)),
        "short": len(plain.split()) < prompt.words,
        "fact": bool(prompt.expect) and not any(e.casefold() in plain for e in prompt.expect),
    }
    return tuple(name for name, wrong in checks.items() if wrong)


def _known(value: float) -> float | None:
    """Three places; None for what JSON has no number for."""
    return round(value, 3) if math.isfinite(value) else None


def _perplexity(losses: Sequence[float]) -> float:
    return math.exp(sum(losses) / len(losses)) if losses else math.nan
