"""Models that answer from documents: ``smollm2:135m+notes`` reads the collection ``notes``.

A made name is a model's, then ``+`` and each collection, or ``+documents`` for all that whoever
asks may read; the header ``Ondol-Collections`` says the same of any name. No model's own name has a
``+``. A collection that may not be read is one that is not there. Raises ``ModelNotFoundError``.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ondol import callers
from ondol.errors import ModelNotFoundError, OndolError
from ondol.i18n import t
from ondol.models import names
from ondol.retrieval.filters import Filter
from ondol.server.generation import find, installed

if TYPE_CHECKING:
    from fastapi import Request

    from ondol.models.store import Model
    from ondol.parts import Parts

SIGN = "+"
EVERYTHING = "documents"
HEADER = "Ondol-Collections"
MOST_PIECES = 50


@dataclass(frozen=True, slots=True)
class Named:
    """What a client's name means: a model, or a model that reads what passes ``where``; ``view`` is
    that as a model of its own."""

    model: Model
    view: Model
    where: Filter | None = None


def named(parts: Parts, request: Request, name: str) -> Named:
    """What ``name`` means in ``request``, whose header may say what is to be read, too: then both
    must hold."""
    base, sign, written = _split(name)
    header = _decoded(request.headers.get(HEADER, ""))
    if not sign and not header:
        model = find(parts, name)
        return Named(model, model)
    model = _base(parts, base, name)
    here = _readable(parts)
    where, labels = None, []
    for part, names_in in ((written, _in_name), (header, _in_header)):
        if not part:
            continue
        found = names_in(part, tuple(here))
        if found is None:
            known = t("grounded.no_collection", name=part[:100])
            raise ModelNotFoundError(t("server.model_not_found", model=name), known)
        read = _filter(found, here)
        where = read if where is None else where & read
        labels.append(SIGN.join(found))
    if where is None:  # "smollm2+": nothing is named
        raise ModelNotFoundError(t("server.model_not_found", model=name))
    return Named(model, _view(model, SIGN.join(labels)), where)


def listed(parts: Parts) -> list[tuple[Model, str]]:
    """``installed``, each model that can chat followed by itself with what it may read."""
    found: list[tuple[Model, str]] = []
    made: list[tuple[Model, str]] = []
    labels = _offered(parts)
    for model, parent in installed(parts):
        if not parent:
            found, made = [*found, *made], []
            if "completion" in model.capabilities:
                made = [(_view(model, label), model.name) for label in labels]
        found.append((model, parent))
    return [*found, *made]


def _offered(parts: Parts) -> list[str]:
    """What the made names of whoever asks end in."""
    try:
        here = _readable(parts)
    except OndolError:
        return []  # a list of models does without a library
    filled = [name for name, is_filled in here.items() if is_filled]
    is_taken = EVERYTHING in map(str.casefold, here)
    every = [EVERYTHING] if filled and not is_taken else []
    return [*every, *filled]


def _readable(parts: Parts) -> dict[str, bool]:
    """The collections that whoever asks may read, and whether there is anything in them."""
    caller, found = callers.current(), parts.library.inventory.collections()
    return {name: is_filled for name, is_filled in found.items() if caller.may_read(name)}


def _filter(found: Sequence[str], here: dict[str, bool]) -> Filter:
    """The filter that lets through exactly the collections ``found``. What is out of sight stays so
    whatever the question says."""
    if EVERYTHING not in found or EVERYTHING in here:
        return Filter(collections=tuple(found), seals=True)
    if callers.current().collections is None:
        return Filter(seals=True)
    return Filter(collections=tuple(here), seals=True)


def _split(name: str) -> tuple[str, str, str]:
    """A name's model, its ``+`` and what stands behind it; an address may have one in it."""
    if names.is_reference(name.strip()):
        return name, "", ""
    base, sign, written = name.partition(SIGN)
    return base.strip(), sign, written.strip()


def _base(parts: Parts, base: str, name: str) -> Model:
    """The model called ``base``; of a name without a tag also the only model of that name."""
    try:
        return find(parts, base)
    except ModelNotFoundError:
        alone = [m.name for m in parts.store.list() if m.name.rpartition(":")[0] == base.lower()]
        if len(alone) == 1:
            return find(parts, alone[0])
        raise ModelNotFoundError(t("server.model_not_found", model=name)) from None


def _in_name(written: str, here: Sequence[str]) -> list[str] | None:
    """The collections of ``notes+mail``; ``None`` where one is not there. A name may have a ``+``
    of its own, and the longest one counts; a client may have put a tag behind it all."""
    pieces = written.split(SIGN)
    if len(pieces) > MOST_PIECES:
        return None
    read: list[list[str] | None] = [*([None] * len(pieces)), []]
    for start in reversed(range(len(pieces))):
        for end in range(len(pieces), start, -1):
            rest, name = read[end], _spelled(SIGN.join(pieces[start:end]), here)
            if name and rest is not None:
                read[start] = [name, *rest]
                break
    found = read[0]
    if found is None and written.endswith(":latest"):
        return _in_name(written.removesuffix(":latest"), here)
    return None if found is None else list(dict.fromkeys(found))


def _in_header(written: str, here: Sequence[str]) -> list[str] | None:
    """The collections of ``notes, mail``, each perhaps percent-encoded."""
    found = [_spelled(unquote(part), here) for part in written.split(",") if part.strip()]
    return list(dict.fromkeys(found)) if found and all(found) else None


def _spelled(name: str, here: Sequence[str]) -> str:
    """The collection that ``name`` is, as it is written itself; upper and lower case count only
    where it matters. "" where there is none."""
    wanted = unicodedata.normalize("NFC", name.strip())
    if wanted in here:
        return wanted
    alike = [one for one in here if one.casefold() == wanted.casefold()]
    if len(alike) == 1:
        return alike[0]
    return EVERYTHING if here and wanted.casefold() == EVERYTHING else ""


def _decoded(header: str) -> str:
    """A header's text: clients write UTF-8 where HTTP has Latin-1."""
    try:
        return header.encode("latin-1").decode("utf-8").strip()
    except UnicodeError:
        return header.strip()


def _view(model: Model, label: str) -> Model:
    """``model`` with what it reads, in the form of a model. It only ever answers in words."""
    digest = hashlib.sha256(f"{model.digest} reads {label}".encode()).hexdigest()
    return replace(
        model,
        name=f"{model.name}{SIGN}{label}",
        digest=f"sha256:{digest}",
        capabilities=("completion",),
    )
