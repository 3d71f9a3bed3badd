"""How a release of a hub is shown in a terminal: its card, as its publisher signed it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ondol.cli.output import Output, clean, one_line, width
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.hub.card import Card
    from ondol.hub.release import Release

_SHOWN = 24
MOST_LETTERS = 2_000


def show_release(
    release: Release, others: Sequence[Release], keys: Sequence[str], hub: str, output: Output
) -> None:
    """``release``, which ``others`` are the versions of; ``keys`` sign for its publisher."""
    card = release.card
    output.line(f"{release.reference}  {one_line(card.title)}".rstrip(), bold=True)
    if release.yanked:
        output.line(t("hub_browsing.yanked", reason=one_line(release.yanked)))
    if card.description:
        output.line(clean(card.description)[:MOST_LETTERS])
    rows = [*_facts(card), *_tables(card), *_about(release, others, keys, hub)]
    column = max(width(label) for label, _ in rows)
    for label, value in rows:
        output.line(f"  {label}{' ' * (column - width(label))}  {one_line(value)}")


def _facts(card: Card) -> Iterator[tuple[str, str]]:
    said: dict[str, Any] = {
        "kind": card.kind,
        "name": card.name,
        "channel": card.channel,
        "licence": card.licence,
        "languages": ", ".join(card.languages),
        "base_model": card.base_model,
        "base_digest": card.base_digest[: len("sha256:") + 12],
        "architecture": card.architecture,
        "parameters": f"{card.parameters:,}" if card.parameters else "",
        "quantization": card.quantization,
        "context_length": card.context_length,
        "r": card.r,
        "epsilon": card.epsilon,
        "min_ondol": card.min_ondol,
        "source": card.source,
        "released_at": card.released_at,
    }
    for name, value in said.items():
        if value not in (None, ""):
            yield t(f"hub_browsing.fact_{name}"), str(value)


def _tables(card: Card) -> Iterator[tuple[str, str]]:
    for name in ("training", "evaluation", "scan"):
        found: Mapping[str, Any] = getattr(card, name)
        said = [(key, value) for key, value in found.items() if value not in (None, "", [], {})]
        for key, value in said[:_SHOWN]:
            told = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"{t(f'hub_browsing.fact_{name}')}: {one_line(str(key))[:40]}", told[:200]


def _about(
    release: Release, others: Sequence[Release], keys: Sequence[str], hub: str
) -> Iterator[tuple[str, str]]:
    from ondol.models.blobs import readable_size

    for file in release.files:
        told = f"{file.name} ({file.role}, {readable_size(file.size_bytes)}, {file.digest})"
        yield t("hub_browsing.fact_file"), told
    versions = ", ".join(
        f"{one.version}{_mark(one)}" for one in sorted(others, key=lambda one: one.version)
    )
    yield t("hub_browsing.fact_versions"), versions
    yield t("hub_browsing.fact_publisher"), f"{release.publisher} ({', '.join(keys)})"
    yield t("hub_browsing.fact_hub"), hub


def _mark(release: Release) -> str:
    if release.yanked:
        return f" ({t('hub_browsing.withdrawn')})"
    return " (beta)" if release.card.channel == "beta" else ""
