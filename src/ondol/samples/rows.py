"""Rows of the tables of samples, read and written inside the caller's transaction."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ondol.database import Connection
from ondol.errors import SampleNotFoundError, SourceNotFoundError
from ondol.i18n import t
from ondol.samples.alike import marks
from ondol.samples.records import Draft, Sample, Source
from ondol.types import Message, Sensitivity

SHORTEST_PREFIX = 4
_SOURCE = "SELECT id, kind, name, origin, sensitivity, consented_at, personal FROM sample_sources"
_SAMPLE = (
    "SELECT id, source, kind, conversation, messages, reply, rejected, is_desirable, language, "
    "sensitivity, is_held_out, message, added_at FROM samples"
)
# Of what has a mark, at most so many are looked at; what more have is a phrase, no likeness.
_MOST_WITH_MARK = 64
_MOST_CANDIDATES = 32
_LEAST_SHARED = 0.25


def new_id() -> str:
    """An id that nobody can guess and no other row has."""
    return secrets.token_hex(8)


def now() -> str:
    """This moment, ISO 8601 in UTC, as fine as that of feedback."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def sources(connection: Connection) -> list[Source]:
    found = connection.execute(f"{_SOURCE} ORDER BY consented_at DESC, rowid DESC").fetchall()
    return [_source(row) for row in found]


def source(connection: Connection, id: str) -> Source:
    """The source with this id, or with the one id that begins so. Raises
    ``SourceNotFoundError``."""
    found = _by_id(connection, _SOURCE, id)
    if len(found) != 1:
        key = t("samples.ambiguous", id=id) if found else t("samples.no_source", id=id)
        raise SourceNotFoundError(key, t("samples.no_source_hint"))
    return _source(found[0])


def insert_source(connection: Connection, one: Source) -> None:
    connection.execute(
        "INSERT INTO sample_sources (id, kind, name, origin, sensitivity, consented_at, personal) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            one.id,
            one.kind,
            one.name,
            one.origin,
            int(one.sensitivity),
            one.consented_at,
            one.personal,
        ),
    )


def samples(connection: Connection, wanted: Mapping[str, Any]) -> list[Sample]:
    """Those whose columns are as ``wanted``, in the order in which they came."""
    condition = " AND ".join(f"{name} = ?" for name in wanted) or "1"
    found = connection.execute(
        f"{_SAMPLE} WHERE {condition} ORDER BY rowid", list(wanted.values())
    ).fetchall()
    return [_sample(row) for row in found]


def sample(connection: Connection, id: str) -> Sample:
    """The sample with this id, or with the one id that begins so. Raises
    ``SampleNotFoundError``."""
    found = _by_id(connection, _SAMPLE, id)
    if len(found) != 1:
        key = t("samples.ambiguous", id=id) if found else t("samples.no_sample", id=id)
        raise SampleNotFoundError(key, t("samples.no_sample_hint"))
    return _sample(found[0])


def new_sample(source: Source, draft: Draft, language: str) -> Sample:
    """The sample that ``draft`` becomes, on the side of what is learned from."""
    return Sample(
        new_id(),
        source.id,
        draft.kind,
        draft.conversation,
        draft.messages,
        draft.reply,
        draft.rejected,
        draft.is_desirable,
        language,
        source.sensitivity,
        False,
        draft.message,
        now(),
    )


def insert_sample(connection: Connection, one: Sample, digest: str, marks: Iterable[int]) -> None:
    messages = [{"role": m.role, "content": m.content} for m in one.messages]
    connection.execute(
        "INSERT INTO samples (id, source, kind, conversation, message, messages, reply, rejected, "
        "is_desirable, language, sensitivity, is_held_out, digest, added_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            one.id,
            one.source,
            one.kind,
            one.conversation,
            one.message,
            json.dumps(messages, ensure_ascii=False),
            one.reply,
            one.rejected,
            None if one.is_desirable is None else int(one.is_desirable),
            one.language,
            int(one.sensitivity),
            int(one.is_held_out),
            digest,
            one.added_at,
        ),
    )
    connection.executemany(
        "INSERT INTO sample_marks (mark, sample) VALUES (?, ?)", [(m, one.id) for m in marks]
    )


def hold_out(connection: Connection, ids: Iterable[str]) -> None:
    connection.executemany("UPDATE samples SET is_held_out = 1 WHERE id = ?", [(id,) for id in ids])


def delete(connection: Connection, gone: Iterable[Sample]) -> None:
    connection.executemany("DELETE FROM samples WHERE id = ?", [(one.id,) for one in gone])


def knows(connection: Connection, digest: str) -> bool:
    found = connection.execute("SELECT 1 FROM samples WHERE digest = ?", (digest,)).fetchone()
    return found is not None


def outside(
    connection: Connection, source: str, conversation: str | None, digests: Collection[str]
) -> list[Sample]:
    """The samples of ``source`` (of one conversation, if given) whose digest is none of these."""
    found = connection.execute(
        f"{_SAMPLE} WHERE source = ? AND conversation = coalesce(?, conversation) "
        "AND digest NOT IN (SELECT value FROM json_each(?))",
        (source, conversation, json.dumps(list(digests))),
    ).fetchall()
    return [_sample(row) for row in found]


def alike(connection: Connection, kind: str, passages: frozenset[int]) -> list[Sample]:
    """Samples of that kind that may teach nearly what has these ``passages``: those that share the
    most marks with it."""
    wanted = marks(passages)
    shared: dict[str, int] = {}
    for mark in wanted:
        for (id,) in connection.execute(
            "SELECT m.sample FROM sample_marks m JOIN samples s ON s.id = m.sample "
            "WHERE m.mark = ? AND s.kind = ? LIMIT ?",
            (mark, kind, _MOST_WITH_MARK),
        ).fetchall():
            shared[id] = shared.get(id, 0) + 1
    likely = [id for id, count in shared.items() if count >= _LEAST_SHARED * len(wanted)]
    likely.sort(key=lambda id: (-shared[id], id))
    chosen = json.dumps(likely[:_MOST_CANDIDATES])
    found = connection.execute(
        f"{_SAMPLE} WHERE id IN (SELECT value FROM json_each(?))", (chosen,)
    ).fetchall()
    return [_sample(row) for row in found]


def sides(connection: Connection) -> dict[str, bool]:
    """Of each conversation whether it is held out."""
    found = connection.execute(
        "SELECT conversation, max(is_held_out) FROM samples GROUP BY conversation"
    ).fetchall()
    return {str(conversation): bool(side) for conversation, side in found}


def count(connection: Connection) -> int:
    (found,) = connection.execute("SELECT count(*) FROM samples").fetchone()
    return int(found)


def counts(connection: Connection) -> dict[str, dict[str, int]]:
    """See ``Samples.counts``."""
    found: dict[str, dict[str, int]] = {}
    for source, kind, is_held_out, number in connection.execute(
        "SELECT source, kind, is_held_out, count(*) FROM samples GROUP BY 1, 2, 3"
    ).fetchall():
        one = found.setdefault(source, {})
        one[kind] = one.get(kind, 0) + number
        if is_held_out:
            one["held_out"] = one.get("held_out", 0) + number
    return found


def adapters_of(connection: Connection, ids: Iterable[str]) -> set[str]:
    found = connection.execute(
        "SELECT DISTINCT adapter FROM adapter_samples "
        "WHERE sample IN (SELECT value FROM json_each(?))",
        (json.dumps(list(ids)),),
    ).fetchall()
    return {str(adapter) for (adapter,) in found}


def federations_of(connection: Connection, ids: Iterable[str]) -> list[str]:
    found = connection.execute(
        "SELECT DISTINCT f.name FROM federation_samples s JOIN federations f "
        "ON f.id = s.federation WHERE s.sample IN (SELECT value FROM json_each(?)) "
        "ORDER BY f.name",
        (json.dumps(list(ids)),),
    ).fetchall()
    return [str(name) for (name,) in found]


def _by_id(connection: Connection, select: str, id: str) -> list[Sequence[Any]]:
    exact: list[Sequence[Any]] = connection.execute(f"{select} WHERE id = ?", (id,)).fetchall()
    if exact or len(id) < SHORTEST_PREFIX:
        return exact
    rows: list[Sequence[Any]] = connection.execute(
        f"{select} WHERE substr(id, 1, ?) = ? LIMIT 2", (len(id), id)
    ).fetchall()
    return rows


def _source(row: Sequence[Any]) -> Source:
    id, kind, name, origin, sensitivity, *rest = row
    return Source(id, kind, name, origin, Sensitivity(sensitivity), *rest)


def _sample(row: Sequence[Any]) -> Sample:
    id, source, kind, conversation, said, reply, rejected, right, language, level, held, *rest = row
    return Sample(
        id,
        source,
        kind,
        conversation,
        tuple(Message(one["role"], one["content"]) for one in json.loads(said)),
        reply,
        rejected,
        None if right is None else bool(right),
        language,
        Sensitivity(level),
        bool(held),
        *rest,
    )
