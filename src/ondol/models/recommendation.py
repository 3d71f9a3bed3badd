"""Which models suit a machine, best first, and one sentence each that says why.

Judges by memory, size and cores; runs nothing. A model that does not fit is listed only when asked
for, last, and as such. Sizes are shown in GB of 2**30 bytes, as memory is sold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.models.hardware import Machine
from ondol.models.memory import guess_need

if TYPE_CHECKING:
    from ondol.models.catalog import Entry

Fit = Literal["gpu", "ram", "no"]

GIB = 2**30
NUM_CTX = 4096

# A CPU reads every weight once per token at some 40 GB/s, and people read 5 tokens a second.
UNHURRIED_BYTES = 8 * 10**9
# A page is read before it is answered from, at two operations a weight and token. A core does some
# 40 billion a second (benchmarks/speed: 300 tokens a second with 135M weights on two cores).
PAGE_TOKENS = 500
CORE_OPERATIONS = 40 * 10**9
UNHURRIED_PAGE_SECONDS = 30

_UNITS = {"": 3, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_TOPICS = (
    *("chat", "code", "korean", "long documents", "math", "old machines", "reasoning"),
    *("reranking", "search", "search in English", "tools", "trying out", "vision", "writing"),
)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A model and how it would fit."""

    entry: Entry
    fits: Fit
    need_bytes: int
    why: str


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes a model may take, what the system needs for itself left out; ``cores`` where known."""

    ram_bytes: int
    gpu_bytes: int = 0
    gpu: str = ""
    cores: int | None = None

    def page_seconds(self, parameters: int) -> float:
        """About how long the CPU reads a page with so many weights; 0 where nobody knows."""
        if not self.cores:
            return 0.0
        return PAGE_TOKENS * 2 * parameters / (CORE_OPERATIONS * self.cores)


def recommend(
    catalog: Iterable[Entry],
    machine: Machine | int,
    *,
    kind: str = "chat",
    limit: int = 5,
    num_ctx: int = NUM_CTX,
    good_for: str | None = None,
    include_unfit: bool = False,
) -> list[Recommendation]:
    """The ``limit`` best models of ``kind`` for ``machine`` (or that many bytes of RAM).

    ``good_for`` keeps models with that topic or language code. With ``include_unfit`` those that
    do not fit follow, the nearest miss first.
    """
    place = room(machine)
    wanted = (e for e in catalog if e.kind == kind and _suits(e, good_for))
    judged = [judge(entry, place, num_ctx) for entry in wanted]
    fitting = sorted((r for r in judged if r.fits != "no"), key=lambda r: _rank(r, place, good_for))
    unfit = sorted((r for r in judged if r.fits == "no"), key=lambda r: r.need_bytes)
    return fitting[:limit] + (unfit if include_unfit else [])


def judge(entry: Entry, place: Room, num_ctx: int = NUM_CTX) -> Recommendation:
    """Whether ``entry`` fits in ``place``, and the sentence about it."""
    need = guess_need(
        size_bytes=entry.size_bytes,
        parameters=entry.parameters,
        num_ctx=min(num_ctx, entry.context_length or num_ctx),
        layers=entry.layers,
        kv_heads=entry.kv_heads,
        head_dim=entry.head_dim,
    ).total_bytes
    fits: Fit = "gpu" if need <= place.gpu_bytes else "ram" if need <= place.ram_bytes else "no"
    usable = {"gpu": place.gpu_bytes, "ram": place.ram_bytes, "no": max_room(place)}[fits]
    sentence = t(
        f"hardware.fits_{fits}",
        need=show_size(need),
        usable=show_size(usable),
        spare=show_size(max(0, usable - need)),
        gpu=place.gpu,
    )
    if fits == "ram" and entry.kind == "chat":
        seconds = place.page_seconds(entry.parameters)
        if seconds > UNHURRIED_PAGE_SECONDS:
            sentence += t("hardware.but_few_cores", cores=place.cores, seconds=round(seconds))
        elif entry.size_bytes > UNHURRIED_BYTES:
            sentence += t("hardware.but_slow", size=show_size(entry.size_bytes))
    topics = [_topic(name) for name in entry.good_for]
    if topics:
        sentence += t("hardware.good_for", topics=", ".join(topics))
    return Recommendation(entry, fits, need, sentence + ".")


def room(machine: Machine | int) -> Room:
    """What ``machine``, or one with that many bytes of RAM and no GPU, has for a model."""
    ram_bytes = machine if isinstance(machine, int) else machine.ram_bytes
    # A desktop takes a gigabyte or two whatever the machine; a tiny one at most half.
    ram = ram_bytes - min(max(3 * GIB // 2, ram_bytes // 7), ram_bytes // 2)
    if isinstance(machine, int):
        return Room(ram)
    if not machine.gpus:
        return Room(ram, cores=machine.physical_cores)
    total = sum(gpu.memory_bytes for gpu in machine.gpus)
    names = ", ".join(dict.fromkeys(gpu.name for gpu in machine.gpus))
    return Room(ram, total - max(GIB // 2, total // 12), names, machine.physical_cores)


def max_room(place: Room) -> int:
    return max(place.ram_bytes, place.gpu_bytes)


def parse_size(text: str) -> int:
    """Bytes in ``8GB``, ``8 GiB``, ``512m`` or ``8`` (GB); 1 GB is 2**30. Raises UsageError."""
    match = _SIZE.fullmatch(text.strip()) if len(text) < 32 and text.isascii() else None
    size = float(match[1]) * 1024 ** _UNITS[match[2].lower()] if match else 0.0
    if not 1 <= size <= 2**50:
        raise UsageError(
            t("hardware.bad_size", value=text[:40]), t("hardware.bad_size_hint"), param="ram"
        )
    return int(size)


def show_size(size_bytes: int) -> str:
    """``4.9 GB`` or ``320 MB``."""
    if size_bytes < GIB:
        return f"{size_bytes / 2**20:.0f} MB"
    return f"{size_bytes / GIB:.1f} GB"


def _suits(entry: Entry, good_for: str | None) -> bool:
    if good_for is None:
        return True
    wanted = good_for.lower()
    return wanted in entry.good_for or wanted in entry.languages


def _is_slow(entry: Entry, place: Room) -> bool:
    is_heavy = entry.size_bytes > UNHURRIED_BYTES
    return entry.kind == "chat" and (
        is_heavy or place.page_seconds(entry.parameters) > UNHURRIED_PAGE_SECONDS
    )


def _rank(found: Recommendation, place: Room, good_for: str | None) -> tuple[int, float, str]:
    """On a GPU the largest is best; in RAM the largest that still reads a page and answers at an
    unhurried reader's speed. Where no topic is asked for, a model made for something else than
    conversation counts as half its size."""
    slow = found.fits == "ram" and _is_slow(found.entry, place)
    size: float = found.entry.parameters
    if good_for is None and found.entry.good_for and "chat" not in found.entry.good_for:
        size *= 2.0 if slow else 0.5
    order = 0 if found.fits == "gpu" else 2 if slow else 1
    return order, size if slow else -size, found.entry.name


def _topic(name: str) -> str:
    return t(f"hardware.topic_{name.lower().replace(' ', '_')}") if name in _TOPICS else name
