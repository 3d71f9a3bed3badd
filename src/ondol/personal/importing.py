"""A file or a folder of the owner's to samples: looked at, agreed to, taken.

``look`` reads and keeps nothing; whoever calls ``take`` has asked the owner in between. Raises
``InvalidSamplesError``, ``UsageError``.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ondol.i18n import t
from ondol.parts import Parts
from ondol.samples import importing
from ondol.samples.importing import Reading
from ondol.samples.records import Added, Personal, Source
from ondol.types import Sensitivity


def look(path: Path, *, owners: Collection[str] = (), name: str = "") -> Reading:
    """What samples could be made of ``path``; ``owners`` are the addresses of the owner's mails,
    ``name`` what the file is called where it lies under another name."""
    from ondol.retrieval.loaders.encoding import decode

    return importing.read(path, decode=decode, owners=owners, name=name)


def question(reading: Reading, name: str) -> str:
    """What the owner is asked before anything is taken."""
    told = t(
        "samples.agree",
        path=name,
        form=reading.form,
        count=len(reading.drafts),
        conversations=reading.conversations,
    )
    whose = t("samples.agree_mails", owners=", ".join(reading.owners)) if reading.owners else ""
    return " ".join(filter(None, (told, whose, t("samples.agree_stays"))))


def take(
    parts: Parts,
    reading: Reading,
    name: str,
    *,
    origin: str = "",
    personal: Personal = "keep",
    sensitivity: Sensitivity = Sensitivity.PRIVATE,
) -> tuple[Source, Added]:
    """Keep what was read, as the source ``name``. The same again adds only what is new."""
    samples = parts.kept.samples
    known = [one for one in samples.sources() if (one.kind, one.name) == (reading.kind, name)]
    if known and origin and known[0].origin != origin:
        # Two folders are called "notes".
        name = origin
    source = samples.add_source(
        reading.kind, name, origin=origin, personal=personal, sensitivity=sensitivity
    )
    return source, samples.add(source.id, reading.drafts, personal=personal)


def import_path(
    parts: Parts,
    path: Path,
    *,
    name: str = "",
    personal: Personal = "keep",
    owners: Collection[str] = (),
) -> tuple[Source, Added]:
    """``look`` and ``take`` in one, for who has asked the owner already."""
    path = path.expanduser().resolve()
    reading = look(path, owners=owners)
    return take(parts, reading, name or path.name, origin=str(path), personal=personal)
