"""What may teach a federation: sources of samples, each with its owner's consent, and folders of
documents with questions. What is not agreed to, or was forgotten since, teaches nothing: this is
asked anew in every round.

Raises ``FederationNotFoundError``, ``SourceNotFoundError``, ``UsageError``, ``TrainingError``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ondol.errors import UsageError
from ondol.household.federations import Federation, Federations
from ondol.i18n import t
from ondol.parts import Parts
from ondol.personal.examples import examples
from ondol.samples.records import Sample, Source

if TYPE_CHECKING:
    from ondol.training.dataset import Example, SourceDocument

FEWEST_LEARNED = 10
FEWEST_HELD_OUT = 5
"""With fewer held out the gate could not tell a good adapter from a lucky one."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a device has for one federation: what it learns from, what it is measured with, and the
    ids of the samples among the former. None of it leaves the device."""

    learned: tuple[Example, ...]
    held_out: tuple[Example, ...]
    samples: tuple[str, ...]


class Numbers(NamedTuple):
    """How many examples there are to learn from, and held out."""

    learned: int
    held_out: int


def sources(parts: Parts, wanted: str = "") -> list[dict[str, Any]]:
    """Every source of samples here, whether it may teach the federation (id or name; "" the only
    one), since when, and how many examples it has; then the folders that may."""
    with Federations.open() as kept:
        one = kept.get(wanted)
        since = kept.agreed(one.id)
    counts = parts.kept.samples.counts()
    found = [
        {
            "id": source.id,
            "kind": source.kind,
            "name": source.name,
            **_told(_numbers(counts.get(source.id, {})), since.get(source.id)),
        }
        for source in parts.kept.samples.sources()
    ]
    for folder in one.folders:
        told = {"id": folder, "kind": "folder", "name": Path(folder).name}
        found.append(told | _told(_numbers_of(Path(folder)), since[folder]))
    return found


def _told(numbers: Numbers, since: str | None) -> dict[str, Any]:
    return {
        "num_examples": numbers.learned,
        "num_held_out": numbers.held_out,
        "is_agreed": since is not None,
        "consented_at": since,
    }


def give(
    parts: Parts, wanted: str, source_ids: Sequence[str], folders: Sequence[str] | None = None
) -> Federation:
    """From now on these sources, and no others, may teach; ``folders`` stay as they are where none
    are given. Call only after the owner was asked."""
    agreed = [one.id for one in checked(parts, source_ids)]
    with Federations.open() as kept:
        one = kept.get(wanted)
        places = one.folders if folders is None else checked_folders(folders)
        return kept.agree(one.id, agreed, places)


def checked(parts: Parts, source_ids: Sequence[str]) -> list[Source]:
    """The sources of these ids (what they begin with will do). Raises ``SourceNotFoundError``."""
    return [parts.kept.samples.source(id) for id in source_ids]


def checked_folders(folders: Sequence[str]) -> tuple[str, ...]:
    """Whole paths of ``folders``, each of which holds documents with questions (``passages.jsonl``
    and ``questions.jsonl``). Raises ``UsageError``."""
    found = []
    for folder in folders:
        path = Path(folder).expanduser().resolve()
        if not ((path / "passages.jsonl").is_file() and (path / "questions.jsonl").is_file()):
            raise UsageError(t("household.bad_folder", folder=path), t("household.bad_folder_hint"))
        found.append(str(path))
    return tuple(found)


def samples(parts: Parts, one: Federation) -> list[Sample]:
    """The samples that may teach ``one`` now, and those held out of the same sources."""
    agreed = set(one.sources)
    return [each for each in parts.kept.samples.all() if each.source in agreed]


def lesson(parts: Parts, one: Federation) -> Lesson:
    """What there is to learn and to measure with now."""
    here = samples(parts, one)
    learned = [each for each in here if not each.is_held_out and each.is_desirable is not False]
    found = examples(learned), examples(each for each in here if each.is_held_out)
    taught, checks = _documents(parts, one)
    return Lesson((*found[0], *taught), (*found[1], *checks), tuple(each.id for each in learned))


def count(parts: Parts, one: Federation) -> tuple[int, int]:
    """How many examples there would be to learn from, and held out, without making them: at most
    so many, for a reply that was not liked teaches nothing here."""
    numbers = parts.kept.samples.counts()
    found = [_numbers(numbers.get(id, {})) for id in one.sources]
    found += [_numbers_of(Path(folder)) for folder in one.folders]
    return sum(each.learned for each in found), sum(each.held_out for each in found)


def _numbers(counts: Mapping[str, int]) -> Numbers:
    held_out = counts.get("held_out", 0)
    whole = sum(number for kind, number in counts.items() if kind != "held_out")
    return Numbers(whole - held_out, held_out)


def _numbers_of(folder: Path) -> Numbers:
    """The same of a folder; nothing of one that is gone."""
    parted = _split([folder]) if folder.is_dir() else ([], [])
    return Numbers(*(sum(len(each.questions) for each in side) for side in parted))


def _documents(parts: Parts, one: Federation) -> tuple[list[Example], list[Example]]:
    """Questions about the documents of ``one``'s folders, with what retrieval finds for them."""
    folders = [Path(folder) for folder in one.folders if Path(folder).is_dir()]
    if not folders:
        return [], []
    from ondol.household.layouts import model_of
    from ondol.train import GroundingTask, grounding_examples

    task = GroundingTask(model_of(parts, one.plan).name)
    learned, held_out = (grounding_examples(parts, task, side) for side in _split(folders))
    return learned, held_out


def held_out_documents(one: Federation) -> list[SourceDocument]:
    """The documents of ``one``'s folders that it is never taught."""
    return _split([Path(folder) for folder in one.folders if Path(folder).is_dir()])[1]


def _split(folders: Sequence[Path]) -> tuple[list[SourceDocument], list[SourceDocument]]:
    """Every fifth article of a folder is held out, by a hash of its title: the same ones however
    much is added."""
    from hashlib import sha256

    from ondol.training.grounding import reading_set

    sides: tuple[list[SourceDocument], list[SourceDocument]] = ([], [])
    for folder in folders:
        for document in reading_set(folder):
            is_held_out = sha256((document.group or document.id).encode()).digest()[0] % 5 == 0
            sides[is_held_out].append(document)
    return sides
