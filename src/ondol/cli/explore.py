"""``ondol explore``: what else a model might have said at each token, what its sampler cut, how
several answers to one prompt agree, and which answers can be had again on this machine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from math import exp
from typing import TYPE_CHECKING, Any

import click

from ondol.cli import stdin
from ondol.cli.command import command, model_option, option, pass_output, words
from ondol.cli.house import house
from ondol.cli.output import Output, clean
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.lab.exploring.sampler import Shape

if TYPE_CHECKING:
    from ondol.lab.exploring.determinism import Finding, Likeness
    from ondol.lab.exploring.session import Event
    from ondol.lab.exploring.watching import Sample
    from ondol.parts import Parts
    from ondol.types import GenerateOptions, Message, Token

SHOWN = 4
UNSURE, SURPRISED = 0.5, 0.1


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
                _show_sample(data, steps, looked, output)
                steps = []
            elif looked.samples > 1:
                _show_summary(data, output)


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


def _show_sample(
    data: dict[str, Any], steps: list[dict[str, Any]], looked: Looked, output: Output
) -> None:
    if output.quiet:
        output.line(clean(data["text"].strip()))
        return
    if looked.samples > 1:
        output.line(t("explore.seed", seed=data["seed"]), bold=True)
    for step in steps:
        output.write(_coloured(step))
    output.line()
    if looked.samples == 1:
        output.line()
        columns = [t(f"explore.column_{name}") for name in ("token", "p", "bits", "kept", "others")]
        output.table(columns, [_row(step, looked) for step in steps])
        output.line()
    if "perplexity" in data:
        facts = t(
            "explore.facts",
            tokens=data["tokens"],
            mean=_percent(data["mean_probability"]),
            perplexity=f"{data['perplexity']:.2f}",
            bits=f"{data['mean_entropy_bits']:.2f}",
        )
        output.line(facts, dim=True)
    if looked.samples == 1:
        shape = looked.shape
        output.note(
            t(
                "explore.legend",
                top_k=shape.top_k,
                top_p=shape.top_p,
                min_p=shape.min_p,
                temperature=shape.temperature,
            ),
            dim=True,
        )
    else:
        output.line()


def _show_summary(data: dict[str, Any], output: Output) -> None:
    if output.quiet:
        return
    output.line(
        t(
            "explore.diversity",
            one=f"{data['distinct_1']:.2f}",
            two=f"{data['distinct_2']:.2f}",
            bleu=f"{data['self_bleu']:.2f}",
        )
    )
    key = "explore.agreement" if len(data["clusters"]) > 1 else "explore.agreement_all"
    output.line(
        t(
            key,
            agree=len(data["clusters"][0]),
            texts=data["texts"],
            meanings=len(data["clusters"]),
            bits=f"{data['entropy_bits']:.2f}",
        )
    )


def _row(step: dict[str, Any], looked: Looked) -> list[str]:
    if step["logprob"] is None:
        return [_shown(step["text"]), "", "", "", ""]
    others = [one for one in step["alternatives"] if one["logprob"] != step["logprob"]]
    low, high = step["entropy_bits"]
    return [
        _shown(step["text"]),
        _percent(exp(step["logprob"])),
        f"{(low + high) / 2:.1f}",
        f"{step['kept']}" + ("" if step["is_whole"] else "+"),
        "  ".join(_other(one) for one in others[: looked.alternatives]),
    ]


def _other(one: dict[str, Any]) -> str:
    said = f"{_shown(one['text'])} {_percent(exp(one['logprob']))}"
    return f"({said})" if one["cut"] else said


def _shown(text: str) -> str:
    """Spaces and line ends that one can see."""
    seen = text.replace("\n", "⏎").replace("\t", "⇥")
    bare = seen.strip(" ")
    return clean("·" * (len(seen) - len(seen.lstrip(" "))) + bare) if bare else "·" * len(seen)


def _coloured(step: dict[str, Any]) -> str:
    text = clean(step["text"])
    if step["logprob"] is None or (sure := exp(step["logprob"])) >= UNSURE:
        return text
    return click.style(text, fg="red" if sure < SURPRISED else "yellow")


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "<0.1%"


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
        lambda condition: output.note(t("explore.trying", condition=_condition(condition))),
    )
    findings = list(check.run())
    if output.json:
        told = [one.json() for one in findings]
        output.emit({"model": looked.model, "findings": told, "summary": summary(findings)})
        return
    columns = [t(f"explore.column_{name}") for name in ("condition", "greedy", "sampled")]
    output.table(columns, [_finding(one) for one in findings])
    output.note("")
    found = summary(findings)
    for name in ("exact", "text", "neither"):
        if found[name]:
            said: Callable[[str], str] = _condition
            output.note(t(f"explore.{name}", conditions=", ".join(map(said, found[name]))))


def _finding(one: Finding) -> list[str]:
    return [_condition(one.condition, one.value), _like(one.greedy), _like(one.sampled)]


def _condition(name: str, value: int | None = None) -> str:
    told = t(f"explore.condition_{name}")
    return told if value is None else f"{told} ({value})"


def _like(like: Likeness) -> str:
    if like.is_exact:
        return t("explore.like_exact")
    if like.differs_at is None:
        return t("explore.like_text", largest=f"{like.largest:.1g}")
    return t("explore.like_neither", token=like.differs_at + 1)
