"""The samples in the one database: taken with the owner's consent, found, and erased so that no
byte is left; and which adapter learned from which.

Raises ``UsageError``, ``SourceNotFoundError``, ``SampleNotFoundError``, and what the database
raises. Erasing a sample does nothing to adapters: ``personal.forgetting`` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Self

from ondol import erasing
from ondol.database import Connection
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.place import Place, Placed
from ondol.samples import alike, rows
from ondol.samples.records import (
    PERSONAL,
    SOURCE_KINDS,
    Added,
    Draft,
    Erased,
    Kind,
    Personal,
    Sample,
    Source,
    SourceKind,
)
from ondol.samples.screening import Screen, plain
from ondol.samples.split import split
from ondol.types import Sensitivity

MOST = 100_000
MOST_ALIKE = 8
"""Samples that teach nearly the same reply: more of them drown what the others teach, and are what
somebody would smuggle in who wants one thing said to everything."""

BATCH = 200
LONGEST_NAME = 200


class Samples(Placed):
    """All of them. Safe to use from several threads; ``close`` it. ``screen`` looks at what comes.
    Where an id is asked for, the one that begins so will do."""

    def __init__(self, place: Place, screen: Screen | None = None) -> None:
        super().__init__(place)
        self._screen = screen or Screen()

    @classmethod
    def open(cls, file: Path | None = None, screen: Screen | None = None) -> Self:
        """Those in the database ``file``, by default the owner's own. Opened when first used."""
        return cls(Place.in_file(file), screen)

    def sources(self) -> list[Source]:
        """What the owner agreed to, the latest consent first."""
        with self.place.reading() as connection:
            return rows.sources(connection)

    def source(self, id: str) -> Source:
        """Raises ``SourceNotFoundError``."""
        with self.place.reading() as connection:
            return rows.source(connection, id)

    def add_source(
        self,
        kind: SourceKind,
        name: str,
        *,
        origin: str = "",
        sensitivity: Sensitivity = Sensitivity.PRIVATE,
        personal: Personal = "keep",
    ) -> Source:
        """Write down that the owner agrees, now, to learning from this; ``personal`` says what
        happens to samples with personal data. One that is known by kind and name is given back as
        it is. Call only after the owner was asked."""
        if personal not in PERSONAL:
            raise UsageError(t("samples.bad_personal", value=personal), param="personal")
        name, origin = " ".join(plain(name).split())[:LONGEST_NAME], plain(origin)
        if kind not in SOURCE_KINDS:
            raise UsageError(t("samples.bad_source_kind", kind=kind), param="kind")
        if not name:
            raise UsageError(t("samples.no_name"), param="name")
        with self.place.writing() as connection:
            known = [s for s in rows.sources(connection) if (s.kind, s.name) == (kind, name)]
            if known:
                return known[0]
            made = Source(rows.new_id(), kind, name, origin, sensitivity, rows.now(), personal)
            rows.insert_source(connection, made)
        return made

    def add(
        self, source_id: str, drafts: Iterable[Draft], *, personal: Personal | None = None
    ) -> Added:
        """Take ``drafts``, in small transactions: what was taken stays if the rest cannot be.
        ``personal`` is by default what was agreed for the source; secrets are never taken."""
        if personal not in (None, *PERSONAL):
            raise UsageError(t("samples.bad_personal", value=personal), param="personal")
        source = self.source(source_id)
        ids: list[str] = []
        duplicates, refused = 0, Counter[str]()
        coming = iter(drafts)
        while some := list(islice(coming, BATCH)):
            looked = [self._screen.look(draft, personal or source.personal) for draft in some]
            refused.update(one for one in looked if isinstance(one, str))
            added = self._take(source.id, [one for one in looked if isinstance(one, Draft)])
            ids += added.added
            duplicates += added.duplicates
            refused.update(added.refused)
        return Added(tuple(ids), duplicates, dict(refused))

    def replace(
        self,
        source_id: str,
        drafts: Sequence[Draft],
        *,
        conversation: str | None = None,
        elsewhere: Collection[str] = (),
    ) -> tuple[Added, list[Sample], bool]:
        """Make the samples of a source, or those of its one ``conversation``, those of ``drafts``.
        What was there stays as it is, and what is no draft any more goes: the second value; the
        third says that no byte of it is left. A text that is ``elsewhere`` in the database anyway
        is not erased from its pages now."""
        source = self.source(source_id)
        looked = [self._screen.look(draft, source.personal) for draft in drafts]
        kept = [alike.digest(one) for one in looked if isinstance(one, Draft)]
        with self.place.reading():
            with self.place.writing() as connection:
                gone = rows.outside(connection, source.id, conversation, kept)
                rows.delete(connection, gone)
                texts = {text for one in gone for text in (one.reply, one.rejected) if text}
                if not texts <= set(elsewhere):
                    erasing.begin(connection)
            is_erased = self.place.erase() if gone else True
        return self.add(source.id, drafts), gone, is_erased

    def all(
        self,
        *,
        source: str | None = None,
        kind: Kind | None = None,
        held_out: bool | None = None,
        conversation: str | None = None,
    ) -> list[Sample]:
        """The samples, in the order in which they came; those that fit all that is given."""
        with self.place.reading() as connection:
            wanted = {
                "source": rows.source(connection, source).id if source is not None else None,
                "kind": kind,
                "is_held_out": None if held_out is None else int(held_out),
                "conversation": conversation,
            }
            return rows.samples(connection, {k: v for k, v in wanted.items() if v is not None})

    def get(self, id: str) -> Sample:
        """Raises ``SampleNotFoundError``."""
        with self.place.reading() as connection:
            return rows.sample(connection, id)

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """For each source's id how many samples of each kind it has, and under "held_out" how many
        of all are held out."""
        with self.place.reading() as connection:
            return rows.counts(connection)

    def erase(self, ids: Collection[str] | None = None, *, source: str | None = None) -> Erased:
        """Forget these samples, or a source with all of its samples, for good. One that is not
        known is an error, and nothing goes then."""
        if (ids is None) == (source is None):
            raise UsageError(t("samples.which"), param="ids")
        with self.place.reading():
            with self.place.writing() as connection:
                if source is not None:
                    found = rows.source(connection, source)
                    gone = rows.samples(connection, {"source": found.id})
                    connection.execute("DELETE FROM sample_sources WHERE id = ?", (found.id,))
                else:
                    gone = [rows.sample(connection, id) for id in dict.fromkeys(ids or ())]
                rows.delete(connection, gone)
                adapters = rows.adapters_of(connection, [one.id for one in gone])
                if gone or source is not None:
                    erasing.begin(connection)
            is_erased = self.place.erase()
        count = len({one.id for one in gone})
        return Erased(count, int(source is not None), frozenset(adapters), is_erased)

    def note_learned(self, adapter_digest: str, ids: Sequence[str]) -> None:
        """Write down that the adapter in the file ``adapter_digest`` learned from these."""
        with self.place.writing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO adapter_samples VALUES (?, ?)",
                [(adapter_digest, id) for id in ids],
            )

    def learned_by(self, adapter_digest: str) -> list[str]:
        """The ids of the samples that an adapter learned from, of erased ones too."""
        with self.place.reading() as connection:
            found = connection.execute(
                "SELECT sample FROM adapter_samples WHERE adapter = ? ORDER BY sample",
                (adapter_digest,),
            ).fetchall()
        return [str(id) for (id,) in found]

    def adapters_of(self, sample_ids: Iterable[str]) -> set[str]:
        """The digests of the adapters that learned from any of these."""
        with self.place.reading() as connection:
            return rows.adapters_of(connection, sample_ids)

    def federations_of(self, sample_ids: Iterable[str]) -> list[str]:
        """The names of the federations in whose rounds any of these taught: what was shared there
        cannot be taken back."""
        with self.place.reading() as connection:
            return rows.federations_of(connection, sample_ids)

    def let_go(self) -> dict[str, str]:
        """The answers whose samples the owner took out, and when: what was said of them before is
        not learned from again."""
        with self.place.reading() as connection:
            found = connection.execute("SELECT message, at FROM samples_let_go").fetchall()
        return {str(message): str(at) for message, at in found}

    def let_go_of(self, messages: Iterable[str]) -> None:
        """Write down that the owner took out what came of these answers; unknown ones are not."""
        with self.place.writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO samples_let_go SELECT id, ? FROM messages WHERE id = ?",
                [(rows.now(), message) for message in messages],
            )

    def _take(self, source_id: str, drafts: Sequence[Draft]) -> Added:
        taken: list[Sample] = []
        duplicates, refused = 0, Counter[str]()
        with self.place.writing() as connection:
            source = rows.source(connection, source_id)
            room, sides = MOST - rows.count(connection), rows.sides(connection)
            for draft in drafts:
                digest, passages = alike.digest(draft), alike.passages(alike.taught(draft))
                is_known = rows.knows(connection, digest)
                near = [] if is_known else _near(connection, draft, passages)
                if is_known or any(_is_same(draft, one) for one in near):
                    duplicates += 1
                elif (other := alike.opposite(draft)) and rows.knows(connection, other):
                    refused["contradicts"] += 1
                elif len(near) >= MOST_ALIKE:
                    refused["too_many_alike"] += 1
                elif len(taken) >= room:
                    refused["too_many"] += 1
                else:
                    made = rows.new_sample(source, draft, self._language(draft))
                    rows.insert_sample(connection, made, digest, alike.marks(passages))
                    taken.append(made)
            sides = split(sides, [one.conversation for one in taken])
            rows.hold_out(connection, [one.id for one in taken if sides[one.conversation]])
        return Added(tuple(one.id for one in taken), duplicates, refused)

    def _language(self, draft: Draft) -> str:
        """That of the reply, and of the question where a reply is too short to tell."""
        language = self._screen.language
        found = language(draft.reply)
        return found if found != "und" else language(alike.prompt_of(draft))


def _near(connection: Connection, draft: Draft, passages: frozenset[int]) -> list[Sample]:
    """Those that teach nearly the same."""
    return [
        one
        for one in rows.alike(connection, draft.kind, passages)
        if alike.are_near(alike.passages(alike.taught(one)), passages)
    ]


def _is_same(draft: Draft, other: Sample) -> bool:
    """Whether two that teach nearly the same teach it as the answer to nearly the same."""
    if draft.is_desirable != other.is_desirable:
        return False
    one, two = (alike.passages(alike.prompt_of(x)) for x in (draft, other))
    return alike.are_near(one, two)
