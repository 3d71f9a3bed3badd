"""The models Ondol knows by name: ``catalog.toml``, read once.

Holds no hash that was not computed from the very file; what is not known here is learned from the
source when a model is pulled and is recorded in its manifest.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from ondol.errors import ModelNotFoundError, UsageError
from ondol.i18n import t
from ondol.models import names
from ondol.models.manifest import Kind
from ondol.models.sources import WantedFile


@dataclass(frozen=True, slots=True)
class Entry:
    """One model. ``sources`` are references, the first choice first.

    ``size_bytes`` is what is downloaded, exact only where ``files`` are pinned. ``layers``,
    ``kv_heads`` and ``head_dim`` (for the size of the KV cache) are None where they are not sure.
    ``languages`` are ISO 639-1 codes, or ``multilingual``. ``draft`` is a much smaller model that
    writes with the same tokens, and may guess ahead for this one.
    """

    name: str
    kind: Kind
    sources: tuple[str, ...]
    size_bytes: int
    licence: str
    context_length: int
    parameters: int
    family: str
    quantization: str
    good_for: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    note: str = ""
    aliases: tuple[str, ...] = ()
    files: tuple[WantedFile, ...] = ()
    layers: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    draft: str = ""


class Catalog:
    """All entries, in the order of the file."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = tuple(entries)
        self._by_name = {n: e for e in entries for n in (*e.aliases, e.name)}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, name: str) -> Entry | None:
        """The entry that ``name`` means; None for a reference or a name nobody knows."""
        try:
            return self._by_name.get(names.normalize(name))
        except UsageError:
            return None

    def entry(self, name: str) -> Entry | None:
        """The entry that ``name`` means; None where it is a reference. Raises ``UsageError`` and
        ``ModelNotFoundError`` for what cannot be pulled."""
        wanted = names.normalize(name)
        found = self.find(wanted)
        if found is None and not names.is_reference(wanted):
            message = t("models.unknown", name=wanted)
            if near := self.nearest(wanted):
                message += " " + t("models.near", names=", ".join(near))
            raise ModelNotFoundError(message, t("models.unknown_hint"))
        return found

    def nearest(self, name: str, limit: int = 3) -> list[str]:
        """Names somebody who typed ``name`` may have meant, the likeliest first."""
        text = name.lower().removesuffix(":latest")
        begins = [e.name for e in self._entries if e.name.startswith(text.split(":")[0])]
        alike = difflib.get_close_matches(text, self._by_name, n=limit, cutoff=0.6)
        found = dict.fromkeys([*begins, *(self._by_name[n].name for n in alike)])
        return list(found)[:limit]


@cache
def load() -> Catalog:
    """The catalogue that ships with Ondol."""
    text = (files("ondol.models") / "catalog.toml").read_text(encoding="utf-8")
    return parse(text)


def parse(text: str) -> Catalog:
    """A catalogue from TOML."""
    return Catalog([_entry(table) for table in tomllib.loads(text)["model"]])


def _entry(table: dict[str, Any]) -> Entry:
    wanted = tuple(
        WantedFile(
            f["role"],
            f["name"],
            f"sha256:{f['sha256']}" if "sha256" in f else "",
            f.get("size_bytes"),
        )
        for f in table.pop("files", ())
    )
    lists = {k: tuple(v) for k, v in table.items() if isinstance(v, list)}
    return Entry(**{**table, **lists}, files=wanted)
