"""All of the corpus: releases that have to be refused, each with a name of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ondol.lab.redteam.releases import (
    bad_adapters,
    ggufs,
    hostile_templates,
    others,
    tensors,
    weights,
)
from ondol.lab.redteam.releases.makers import Case, numbered

PARTS = {
    "gguf": ggufs,
    "weights": weights,
    "templates": hostile_templates,
    "safetensors": tensors,
    "adapters": bad_adapters,
    "others": others,
}


def all_cases() -> Iterator[Case]:
    for name, part in PARTS.items():
        yield from numbered(f"{name}-", part.cases())


def written(cases: Mapping[str, Case], folder: Path) -> dict[str, Path]:
    """The files of ``cases`` in ``folder``, by the names that a scan gets: a folder for each case,
    but for those whose name is what is wrong."""
    found: dict[str, Path] = {}
    for number, (name, case) in enumerate(cases.items()):
        for place, (file, data) in enumerate(case.files.items()):
            path = folder / f"{number}-{place}"
            path.write_bytes(data)
            found[f"{name}/{file}"] = path
    return found
