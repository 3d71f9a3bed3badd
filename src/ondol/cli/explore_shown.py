"""What ``ondol explore`` found, on a screen: tokens in their colours, tables, sentences."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.output import Output, clean
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.lab.exploring.determinism import Finding, Likeness
    from ondol.lab.exploring.sampler import Shape

UNSURE, SURPRISED = 0.5, 0.1


def show_sample(
    data: dict[str, Any], steps: list[dict[str, Any]], shape: Shape, output: Output, *, alone: bool
) -> None:
    """One text: with a table of its tokens where it is ``alone``."""
    if output.quiet:
        output.line(clean(data["text"].strip()))
        return
    if not alone:
        output.line(t("explore.seed", seed=data["seed"]), bold=True)
    for step in steps:
        output.write(_coloured(step))
    output.line()
    if alone:
        output.line()
        columns = [t(f"explore.column_{name}") for name in ("token", "p", "bits", "kept", "others")]
        output.table(columns, [_row(step) for step in steps])
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
    if alone:
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


def show_summary(data: dict[str, Any], output: Output) -> None:
    """How several texts differ and agree."""
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


def _row(step: dict[str, Any]) -> list[str]:
    if step["logprob"] is None:
        return [_shown(step["text"]), "", "", "", ""]
    others = [one for one in step["alternatives"] if one["logprob"] != step["logprob"]]
    low, high = step["entropy_bits"]
    return [
        _shown(step["text"]),
        _percent(exp(step["logprob"])),
        f"{(low + high) / 2:.1f}",
        f"{step['kept']}" + ("" if step["is_whole"] else "+"),
        "  ".join(_other(one) for one in others),
    ]


def _other(one: dict[str, Any]) -> str:
    said = f"{_shown(one['text'])} {_percent(exp(one['logprob']))}"
    return f"({said})" if one["cut"] else said


def _shown(text: str) -> str:
    """Spaces and line ends that one can see."""
    seen = text.replace("\n", "⏎").replace("\t", "⇥")
    bare = seen.strip(" ")
    # A special token has no text, and a piece of a letter none that is shown.
    return clean("·" * (len(seen) - len(seen.lstrip(" "))) + bare) or "∅"


def _coloured(step: dict[str, Any]) -> str:
    text = clean(step["text"])
    if step["logprob"] is None or (sure := exp(step["logprob"])) >= UNSURE:
        return text
    return click.style(text, fg="red" if sure < SURPRISED else "yellow")


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "<0.1%"


def show_findings(findings: Sequence[Finding], output: Output) -> None:
    """What could be had again."""
    from ondol.lab.exploring.determinism import summary

    columns = [t(f"explore.column_{name}") for name in ("condition", "greedy", "sampled")]
    output.table(columns, [_finding(one) for one in findings])
    output.note("")
    found = summary(findings)
    for name in ("exact", "text", "neither"):
        if found[name]:
            output.note(t(f"explore.{name}", conditions="; ".join(map(condition, found[name]))))


def _finding(one: Finding) -> list[str]:
    return [condition(one.condition, one.value), _like(one.greedy), _like(one.sampled)]


def condition(name: str, value: int | None = None) -> str:
    """What was changed."""
    told = t(f"explore.condition_{name}")
    return told if value is None else f"{told} ({value})"


def _like(like: Likeness) -> str:
    if like.is_exact:
        return t("explore.like_exact")
    if like.differs_at is None:
        return t("explore.like_text", largest=f"{like.largest:.1g}")
    return t("explore.like_neither", token=like.differs_at + 1)
