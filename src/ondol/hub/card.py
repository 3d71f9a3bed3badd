"""The card of a release: what its publisher signs about it, and what every client may rely on.

It travels as ``custom`` of the release's first file (TUF specification 4.5), so that it is signed
with the file's hash. Unknown fields are kept out, texts and lists are bounded, and nothing in it is
ever shown as markup. Raises ``HubError``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from typing import Any, Literal, Self, get_args

from ondol.errors import HubError
from ondol.hub.targets import Version
from ondol.i18n import t

Kind = Literal["model", "adapter", "pack"]
Channel = Literal["stable", "beta"]

MAX_CARD_BYTES = 64 * 1024
MAX_TEXT = 4_000
MAX_ITEMS = 200
MAX_DEPTH = 16
"""Of tables in tables. Python reads deeper ones than it can write again."""
MAX_NUMBER = 2**63
"""Whole numbers are smaller: a database keeps no larger ones, and a float is made of none."""


@dataclass(frozen=True, slots=True)
class Card:
    """What stands on a card. Empty or None where nobody says.

    ``name`` is what the model or adapter is called on a device (``smollm2:135m``, or an adapter's
    short name). Digests are ``sha256:`` and 64 hexadecimal digits; ``base_digest`` is that of the
    base model's weights. ``files`` says which role each file of the release has, in the words of
    ``models.manifest``. ``evaluation`` is a table by measure; ``scan`` what the scanner said.
    ``min_ondol`` is the oldest Ondol that can use it. ``supersedes`` names, by file, older blobs
    of which deltas lie in the hub.
    """

    kind: Kind
    name: str
    files: Mapping[str, str]
    channel: Channel = "stable"
    title: str = ""
    description: str = ""
    base_model: str = ""
    base_digest: str = ""
    tokenizer_digest: str = ""
    template_digest: str = ""
    architecture: str = ""
    parameters: int | None = None
    quantization: str = ""
    context_length: int | None = None
    r: int | None = None
    lora_alpha: float | None = None
    licence: str = ""
    languages: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    epsilon: float | None = None
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    scan: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    min_ondol: str = ""
    released_at: str = ""

    def json(self) -> dict[str, Any]:
        """As it is signed: without what nobody says."""
        return {k: v for k, v in asdict(self).items() if v not in (None, "", (), {}, [])}

    @classmethod
    def of(cls, found: Any) -> Self:
        """The card that ``found``, JSON from outside, is; HubError where it is none."""
        if not isinstance(found, dict) or not _is_plain(found):
            raise _bad("json")
        if len(json.dumps(found)) > MAX_CARD_BYTES:
            raise _bad("size")
        known = {one.name for one in fields(cls)}
        kept = {k: v for k, v in found.items() if k in known}
        try:
            card = cls(**{**kept, "languages": tuple(kept.get("languages", ()))})
        except TypeError as error:
            raise _bad("fields") from error
        card._check()
        return card

    def _check(self) -> None:
        if self.kind not in get_args(Kind) or self.channel not in get_args(Channel):
            raise _bad("kind")
        for one in fields(self):
            value = getattr(self, one.name)
            if one.type == "str" and (not isinstance(value, str) or len(value) > MAX_TEXT):
                raise _bad(one.name)
            if one.type == "int | None" and not (
                value is None or (type(value) is int and value >= 0)
            ):
                raise _bad(one.name)
            if one.type == "float | None" and not (value is None or type(value) in (int, float)):
                raise _bad(one.name)
            if str(one.type).startswith("Mapping") and (
                not isinstance(value, dict) or len(value) > MAX_ITEMS
            ):
                raise _bad(one.name)
        texts = (*self.languages, *self.files, *self.files.values())
        if len(self.languages) > MAX_ITEMS or not all(isinstance(one, str) for one in texts):
            raise _bad("languages")
        if not self.name or not self.files:
            raise _bad("files")
        if self.min_ondol:
            Version.of(self.min_ondol)


def _is_plain(found: Any) -> bool:
    """Whether ``found`` can be written again as it was read, by every program and to every screen:
    one card that cannot would take the list of a whole hub away."""
    waiting = [(found, 0)]
    while waiting:
        one, depth = waiting.pop()
        if depth > MAX_DEPTH:
            return False
        if isinstance(one, dict):
            waiting += [(part, depth + 1) for pair in one.items() for part in pair]
        elif isinstance(one, list | tuple):
            waiting += [(part, depth + 1) for part in one]
        elif isinstance(one, str):
            if any("\ud800" <= letter <= "\udfff" for letter in one):
                return False
        elif isinstance(one, float):
            if not isfinite(one):
                return False
        elif isinstance(one, int):
            if abs(one) >= MAX_NUMBER:
                return False
        elif one is not None:
            return False
    return True


def _bad(what: str) -> HubError:
    return HubError(t("hub.bad_card", field=what))
