"""``ondol explore``: what else a model might have said at each token, what its sampler cut, how
several answers to one prompt agree, and which answers can be had again on this machine."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ondol.cli import explore_shown as shown
from ondol.cli import stdin
from ondol.cli.command import command, model_option, option, pass_output, words
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.lab.exploring.sampler import Shape

if TYPE_CHECKING:
    from ondol.lab.exploring.session import Event
    from ondol.lab.exploring.watching import Sample
    from ondol.parts import Parts
    from ondol.types import GenerateOptions, Message, Token

SHOWN = 4


@dataclass(frozen=True, slots=True)
class Looked:
    """What is looked at, and how."""

    prompt: str
    model: str
    shape: Shape
    is_text: bool
    samples: int
    max_tokens: int
    seed: int
    alternatives: int

    def body(self) -> dict[str, Any]:
        """As ``/ondol/v1/explore`` takes it."""
        return {
            "prompt": self.prompt,
            "model": self.model,
            "mode": "text" if self.is_text else "chat",
            "samples": self.samples,
            "max_tokens": self.max_tokens,
            "temperature": self.shape.temperature,
            "top_k": self.shape.top_k,
            "top_p": self.shape.top_p,
            "min_p": self.shape.min_p,
            "seed": self.seed,
            "alternatives": self.alternatives,
        }


@command("explore")
@click.argument("prompt", nargs=-1, metavar="[PROMPT]...", type=words)
@model_option()
@option("--text", "is_text", key="explore_text", is_flag=True)
@option("--samples", key="explore_samples", type=click.IntRange(1, 8), metavar="N", default=1)
@option("--max-tokens", key="max_tokens", type=click.IntRange(1, 512), metavar="N", default=32)
@option("--temperature", key="temperature", type=click.FloatRange(0, 2), metavar="X", default=0.8)
@option("--top-k", key="explore_top_k", type=click.IntRange(0), metavar="N", default=40)
@option("--top-p", key="explore_top_p", type=click.FloatRange(0, 1), metavar="X", default=0.95)
@option("--min-p", key="explore_min_p", type=click.FloatRange(0, 1), metavar="X", default=0.05)
@option("--seed", key="seed", type=click.IntRange(0, 2**31 - 1), metavar="N", default=1)
@option("--alternatives", key="explore_alternatives", type=click.IntRange(1, 100), metavar="N")
@option("--determinism", "is_check", key="explore_determinism", is_flag=True)
@pass_output
def explore(
    output: Output,
    prompt: tuple[str, ...],
    model: str | None,
    is_text: bool,
    samples: int,
    max_tokens: int,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    seed: int,
    alternatives: int | None,
    is_check: bool,
) -> None:
    with house(output, models_chat=model) as parts:
        piped = stdin.read_piped(parts.config["retrieval.max_file_mb"] << 20)
        asked = "\n\n".join(part for part in (" ".join(prompt), piped) if part)
        if not asked.strip():
            raise UsageError(t("explore.no_prompt"), t("explore.no_prompt_hint"))
        looked = Looked(
            asked,
            _able(parts, output),
            Shape(temperature, top_k, top_p, min_p),
            is_text,
            samples,
            max_tokens,
            seed,
            alternatives or (20 if output.json else SHOWN),
        )
        if is_check:
            _check(looked, parts, output)
        else:
            _look(looked, parts, output)


def _able(parts: Parts, output: Output) -> str:
    from ondol.cli.pulling import ensure_model

    model = ensure_model(parts, parts.config["models.chat"], output)
    if "completion" not in model.capabilities:
        raise UsageError(t("cli.cannot_chat", name=model.name), t("cli.cannot_chat_hint"))
    return model.name


def _look(looked: Looked, parts: Parts, output: Output) -> None:
    from ondol.lab.exploring.session import gathered

    with closing(_events(looked, parts)) as events:
        if output.json:
            output.emit({"model": looked.model, **gathered(events)})
            return
        steps: list[dict[str, Any]] = []
        for name, data in events:
            if name == "token":
                steps.append(data)
            elif name == "sample":
                alone = looked.samples == 1
                shown.show_sample(data, steps, looked.shape, output, alone=alone)
                steps = []
            elif looked.samples > 1:
                shown.show_summary(data, output)


def _events(looked: Looked, parts: Parts) -> Generator[Event]:
    """From the running server, if there is one: the model is in its memory."""
    from ondol.cli import remote

    if server := remote.find(parts.config):
        with server.stream("/ondol/v1/explore", looked.body()) as events:
            for name, data in events:
                if name == "error":
                    raise remote.error_of(data)
                yield name, data
        return
    yield from _here(looked, parts)


def _here(looked: Looked, parts: Parts) -> Iterator[Event]:
    from ondol.answering import merge
    from ondol.chat import Reply
    from ondol.lab.exploring.opening import vocabulary_of
    from ondol.lab.exploring.session import explored
    from ondol.lab.exploring.watching import Sample
    from ondol.models import scales
    from ondol.preset import messages_of
    from ondol.types import Message

    messages: list[Message] = [Message("user", looked.prompt)]
    manner = parts.chat_manner(looked.model)
    made = scales.of(parts.adapters, looked.model)[0].made
    vocabulary = vocabulary_of(parts, looked.model)

    def start(given: GenerateOptions) -> Iterator[Token]:
        engine = parts.engine(looked.model)
        if looked.is_text:
            return engine.complete(looked.prompt, given)
        return engine.generate(messages, given)

    def reply(sample: Sample) -> Iterator[Token]:
        given = merge(manner.options, sample.options(looked.max_tokens))
        before = messages_of(made) if made else ()
        how: dict[str, Any] = {"is_personal": manner.is_personal, "before": before}
        watching = sample.watching(start)
        with closing(Reply(watching, messages, given, parts.trust, manner.model, **how)) as tokens:
            yield from tokens

    seeds = range(looked.seed, looked.seed + looked.samples)
    yield from explored(
        [Sample(looked.shape, seed, vocabulary, looked.alternatives) for seed in seeds], reply
    )


def _check(looked: Looked, parts: Parts, output: Output) -> None:
    from ondol.lab.exploring.determinism import Check, summary
    from ondol.lab.exploring.opening import opened_by, threads_of

    check = Check(
        opened_by(parts, looked.model),
        looked.prompt,
        threads_of(parts),
        looked.max_tokens,
        looked.seed,
        looked.is_text,
        lambda name: output.note(t("explore.trying", condition=shown.condition(name))),
    )
    findings = list(check.run())
    if output.json:
        told = [one.json() for one in findings]
        output.emit({"model": looked.model, "findings": told, "summary": summary(findings)})
        return
    shown.show_findings(findings, output)
