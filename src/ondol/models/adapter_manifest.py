"""What is known about an adapter, and the JSON form it is kept in.

``from_json`` trusts nothing it reads and raises ``ValueError``; the store decides what to do then.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from ondol.models.manifest import DIGEST, Model
from ondol.models.reading import Reading

_log = logging.getLogger(__name__)

VERSION = 1
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
CANDIDATE = "-candidate"
"""Ends the name of an adapter that is on trial."""

FORGOTTEN_AT = "forgotten_at"
"""In ``trained_on``: when documents that it learned from were forgotten."""

CANARY = "canary"
"""In ``evaluation``: what ``training.exposure.by_heart`` counted, of what an owner taught."""

STYLE = "style"
"""The ``task`` in ``trained_on`` of an adapter that learned from its owner: it is personal data."""

MERGED_FROM = "merged_from"
"""In ``trained_on``: the adapters that it is the average of, each with its "digest"."""

# Known from where an adapter lies and from the model that is here, so neither is written down.
_NOT_STORED = ("shipped", "stale")


@dataclass(frozen=True, slots=True)
class Adapter:
    """A GGUF LoRA that belongs to an installed model.

    ``base_digest`` is the digest of the model's weights file it was trained on, ``digest`` its own
    file's. ``template`` is the digest of the chat template and prompt layout of its training ("":
    any); ``abstention_bias`` is added to the logit of saying that the sentences do not hold the
    answer. ``trained_on`` and ``evaluation`` hold whatever its maker recorded, as JSON. A ``stale``
    adapter was made for other weights than are installed now, or learned from documents that were
    forgotten since, and is never served; a ``shipped``
    one came with Ondol and cannot be removed. Of a ``private`` one, which learned from its owner,
    the file is in the owner's database.
    """

    name: str
    model: str
    base_digest: str
    digest: str
    size_bytes: int
    template: str
    r: int
    lora_alpha: float
    target_modules: tuple[str, ...]
    created_at: datetime
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    languages: tuple[str, ...] = ()
    description: str = ""
    abstention_bias: float = 0.0
    private: bool = False
    shipped: bool = False
    stale: bool = False

    @property
    def full_name(self) -> str:
        """What a person types wherever the name of a model goes."""
        return f"{self.model}:{self.name}"

    @property
    def is_outdated(self) -> bool:
        """Whether it learned from documents that were forgotten since."""
        return FORGOTTEN_AT in self.trained_on

    def holds(self, digest: str) -> bool:
        """Whether it is the adapter in the file ``digest``, or was merged from it."""
        merged = self.trained_on.get(MERGED_FROM) or ()
        parts = [one.get("digest") for one in merged if isinstance(one, Mapping)]
        return digest in (self.digest, *parts)

    @property
    def is_candidate(self) -> bool:
        """Whether it is on trial: trained, and not (yet) found better than the model alone."""
        return self.name.endswith(CANDIDATE)


def to_json(adapter: Adapter) -> bytes:
    stored = {f.name: getattr(adapter, f.name) for f in fields(Adapter)}
    for name in _NOT_STORED:
        del stored[name]
    stored |= {
        "version": VERSION,
        "created_at": adapter.created_at.isoformat(),
        "trained_on": _finite(adapter.trained_on),
        "evaluation": _finite(adapter.evaluation),
    }
    text = json.dumps(stored, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    return text.encode()


def read(path: Path) -> Adapter:
    """What the file ``path`` holds, read once for as long as it stays as it is. ValueError as of
    ``from_json``, and OSError."""
    return _files.of(path)


def read_or_none(path: Path) -> Adapter | None:
    """The same; None for what is not there or damaged, which is logged."""
    try:
        return read(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _log.warning("adapter manifest %s skipped: %s", path.name, error)
        return None


def from_json(raw: bytes) -> Adapter:
    """The adapter ``raw`` describes; ValueError unless every field is what it must be."""
    try:
        stored = json.loads(raw, parse_float=_number, parse_constant=_number)
    except RecursionError as error:
        raise ValueError("nesting") from error
    if not isinstance(stored, dict) or stored.pop("version", None) != VERSION:
        raise ValueError("version")
    if set(stored) & set(_NOT_STORED):
        raise ValueError("field")
    try:
        created_at = datetime.fromisoformat(stored["created_at"])
        stored["created_at"] = created_at if created_at.tzinfo else created_at.replace(tzinfo=UTC)
        for name in ("target_modules", "languages"):
            stored[name] = tuple(str(item) for item in stored.get(name, ()))
        adapter = Adapter(**stored)
        _check(adapter)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(str(error)) from error
    return adapter


def as_model(model: Model, adapter: Adapter | None) -> Model:
    """``model`` with ``adapter``, in the form of a model: named after both, as large as both."""
    if adapter is None:
        return model
    digest = hashlib.sha256(f"{model.digest} {adapter.digest}".encode()).hexdigest()
    return replace(
        model,
        name=adapter.full_name,
        digest=f"sha256:{digest}",
        size_bytes=model.size_bytes + adapter.size_bytes,
        modified_at=adapter.created_at,
    )


def digests_in(manifest: Path) -> set[str]:
    """The blobs that a manifest protects: its adapter's, not the base's it merely names. A damaged
    one protects all that it mentions."""
    raw = manifest.read_bytes()
    try:
        return {from_json(raw).digest}
    except ValueError:
        return set(DIGEST.findall(raw.decode(errors="replace")))


def _check(adapter: Adapter) -> None:
    texts = (adapter.model, adapter.template, adapter.description)
    if not NAME.fullmatch(adapter.name) or not all(isinstance(text, str) for text in texts):
        raise ValueError("text")
    if not all(DIGEST.fullmatch(digest) for digest in (adapter.digest, adapter.base_digest)):
        raise ValueError("digest")
    numbers = (adapter.size_bytes, adapter.r)
    if not all(isinstance(number, int) for number in numbers) or adapter.private not in (0, 1):
        raise ValueError("number")
    if not all(isfinite(n) for n in (adapter.lora_alpha, adapter.abstention_bias)):
        raise ValueError("number")
    if not all(isinstance(facts, dict) for facts in (adapter.trained_on, adapter.evaluation)):
        raise ValueError("facts")


def _number(text: str) -> float:
    """A number of the file; JSON has no others than finite ones, and ours is passed on as JSON."""
    number = float(text)
    if not isfinite(number):
        raise ValueError("number")
    return number


def _finite(facts: Any) -> Any:
    """``facts`` as JSON can say them: what is not a number is not known."""
    if isinstance(facts, Mapping):
        return {name: _finite(value) for name, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [_finite(value) for value in facts]
    return None if isinstance(facts, float) and not isfinite(facts) else facts


_files = Reading(lambda path: from_json(path.read_bytes()))
