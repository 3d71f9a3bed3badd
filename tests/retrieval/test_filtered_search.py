"""A filter never starves a search, equals the selection by hand, and labels are never loosened."""

from __future__ import annotations

import fnmatch
import re
import zlib
from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.database import IN_MEMORY, Connection, connect
from ondol.retrieval import kinds
from ondol.retrieval.embedding import PassageVectors
from ondol.retrieval.filters import Filter, chunk_ids, midnight_ns
from ondol.retrieval.library import Library
from ondol.retrieval.loaders import media_types
from ondol.retrieval.query import read
from ondol.retrieval.search import match_terms

DAY = 86_400 * 10**9


def put(connection: Connection, **given: Any) -> int:
    """A document's row with one chunk, unless another one has its chunks."""
    row = {
        "source": "/a.txt", "content_hash": "", "size_bytes": 1, "modified_ns": 0,
        "media_type": "text/plain", "title": "", "collection": "default", "sensitivity": 2,
        "num_chunks": 1, "embedding_model": "m", "added_at": "", "language": "en", **given,
    }  # fmt: skip
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO documents ({names}) VALUES ({marks})", list(row.values()))
    (made,) = connection.execute("SELECT max(id) FROM documents").fetchone()
    if not row.get("duplicate_of"):
        connection.execute(
            'INSERT INTO chunks (document_id, start, "end", heading, text) '
            "VALUES (?, 0, 6, '', 'boiler')",
            (made,),
        )
        (chunk,) = connection.execute("SELECT max(id) FROM chunks").fetchone()
        connection.execute("INSERT INTO chunk_terms (rowid, terms) VALUES (?, 'boiler')", (chunk,))
    return int(made)


folder_names = st.sampled_from(["a", "b", "가", "a[1]", "note"])
sources = st.builds(
    lambda folders, name, end: "/" + "/".join([*folders, f"{name}.{end}"]),
    st.lists(folder_names, max_size=3),
    folder_names,
    st.sampled_from(["pdf", "MD", "md", "py", "eml", "hwp"]),
)
documents = st.lists(
    st.fixed_dictionaries(
        {
            "source": sources,
            "collection": st.sampled_from(["default", "home", "work"]),
            "modified_ns": st.integers(0, 40).map(
                lambda days: midnight_ns(date(2025, 1, 1)) + days * DAY
            ),
            "language": st.sampled_from(["ko", "en"]),
            "of": st.integers(0, 3),
        }
    ),
    unique_by=lambda d: d["source"],
    max_size=12,
)  # fmt: skip
plain_filters = st.builds(
    Filter,
    st.lists(st.sampled_from(["default", "home", "work"]), max_size=2).map(tuple),
    st.lists(
        st.sampled_from(
            "/a /a/b a b/a *.md /a/* a[1] /a[1] n?te 가 / note.md".split()
        ),
        max_size=2,
    ).map(tuple),
    st.lists(st.sampled_from("pdf md mail code text/* hwp".split()), max_size=2).map(tuple),
    st.none() | st.dates(date(2025, 1, 1), date(2025, 2, 20)),
    st.none() | st.dates(date(2025, 1, 1), date(2025, 2, 20)),
    st.lists(st.sampled_from(["ko", "en"]), max_size=2).map(tuple),
)  # fmt: skip
all_filters = st.builds(
    lambda one, out, other: Filter(
        *(getattr(one, name) for name in list(Filter.__dataclass_fields__)[:6]),
        excluded=out or None,
        also=(other,) if other else (),
    ),
    plain_filters,
    st.none() | plain_filters,
    st.none() | plain_filters,
)


def lies_in(source: str, path: str) -> bool:
    """The rule of ``Filter.paths`` once more, in other words."""
    pattern = fnmatch.translate(path.replace("[", "[[]"))
    parts = source.split("/")
    if path == "/":
        return True
    beginnings = [""] if path.startswith("/") else ["/".join(parts[:i]) for i in range(len(parts))]
    for begin in beginnings:
        rest = source[len(begin) :].removeprefix("" if path.startswith("/") else "/")
        ends = [i for i, letter in enumerate(rest) if letter == "/" and i] + [len(rest)]
        if any(re.match(pattern, rest[:end]) for end in ends):
            return True
    return False


def is_kind(document: dict[str, Any], kind: str) -> bool:
    end = document["source"].rsplit(".", 1)[1].lower()
    if kind == "mail":
        return end == "eml"
    if kind == "code":
        return end == "py"
    if kind == "text/*":
        return str(media_types.of_extension(end)).startswith("text/")
    return end == kind


def passes(document: dict[str, Any], where: Filter) -> bool:
    checks = [
        (where.collections, lambda value: document["collection"] == value),
        (where.paths, lambda value: lies_in(document["source"], value)),
        (where.types, lambda value: is_kind(document, value)),
        (where.languages, lambda value: document["language"] == value),
        ([d for d in [where.after] if d], lambda v: document["modified_ns"] >= midnight_ns(v)),
        ([d for d in [where.before] if d], lambda v: document["modified_ns"] < midnight_ns(v)),
    ]  # fmt: skip
    for values, check in checks:
        if values and not any(map(check, values)):
            return False
    if where.excluded:
        out = where.excluded
        for values, check in [
            (out.collections, checks[0][1]), (out.paths, checks[1][1]), (out.types, checks[2][1]),
            (out.languages, checks[3][1]), ([d for d in [out.after] if d], checks[4][1]),
            ([d for d in [out.before] if d], checks[5][1]),
        ]:  # fmt: skip
            if any(map(check, values)):
                return False
    return all(passes(document, one) for one in where.also)


@cache
def _connection() -> Connection:
    return connect(IN_MEMORY)


@settings(deadline=None)
@given(documents, all_filters)
def test_filter_equals_the_selection_by_hand(rows: list[dict[str, Any]], where: Filter) -> None:
    connection = _connection()
    if connection.in_transaction:  # another case failed in the middle
        connection.execute("ROLLBACK")
    connection.execute("BEGIN")
    holders: list[int] = []
    expected: set[int] = set()
    for row in rows:
        given = {key: value for key, value in row.items() if key != "of"}
        given["media_type"] = (
            media_types.of_extension(row["source"].rsplit(".", 1)[1].lower()) or "application/x-hwp"
        )
        if row["of"] < len(holders) and row["of"]:
            holder = holders[row["of"]]
            put(connection, **given, duplicate_of=holder, num_chunks=0)
        else:
            holder = put(connection, **given)
            holders.append(holder)
        if passes(row, where):
            expected |= {
                chunk
                for (chunk,) in connection.execute(
                    "SELECT id FROM chunks WHERE document_id = ?", (holder,)
                )
            }
    found = chunk_ids(connection, where)
    assert found.dtype == np.int64 and found.tolist() == sorted(expected)
    if where:
        assert set(match_terms(connection, ["boiler"], where)) == expected
    connection.execute("ROLLBACK")


def test_filter_gives_the_best_of_what_is_inside_however_much_is_better_outside() -> None:
    connection = connect(IN_MEMORY)
    for number in range(400):
        put(connection, source=f"/out/{number}.txt")
    for number in range(3):
        put(connection, source=f"/in/{number}.txt", collection="home")
    assert len(match_terms(connection, ["boiler"], Filter(collections=("home",)))) == 3
    assert len(match_terms(connection, ["boiler"], Filter(paths=("/in",)))) == 3


def test_both_spellings_of_hangul_are_one_path() -> None:
    import unicodedata

    connection = connect(IN_MEMORY)
    put(connection, source=unicodedata.normalize("NFD", "/문서/계약.pdf"))
    for path in ("/문서", "문서", "/문서/*.pdf", "계약.pdf"):
        assert len(chunk_ids(connection, read({"path": [path]}))) == 1


def test_kinds_that_people_name() -> None:
    for word in ("PDF", ".pdf", "*.pdf", "application/pdf", "메일", "엑셀", "한글", "C", "hwp"):
        assert kinds.read(word)
    for word in ("module", "", "pdf;drop", "a/b/c", "%", "int"):
        assert kinds.read(word) is None


class AnyWords:
    """An embedder for which every text is near to every other one, whatever its words are."""

    model = "near"
    dimensions = 8

    def embed(self, texts: Sequence[str], *, input_type: str = "document") -> np.ndarray:
        rows = [np.random.default_rng(zlib.crc32(t.encode())).normal(1.0, 0.3, 8) for t in texts]
        return np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32)

    def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[Any]]
    ) -> list[PassageVectors]:
        return [
            PassageVectors(self.embed([text])[0], self.embed([text[a:b] for a, b in part]))
            for text, part in zip(texts, spans, strict=True)
        ]

    def can_read(self, text: str) -> bool:
        return True


def test_vectors_are_searched_inside_the_filter_too(tmp_path: Path) -> None:
    names = "ash birch cedar elm fir".split()
    for number in range(120):
        (tmp_path / f"{number}.txt").write_text(f"Number {number} is what this one is about.")
    (tmp_path / "home").mkdir()
    for name in names:
        (tmp_path / "home" / f"{name}.md").write_text(f"Here grows the {name}.")
    library = Library(IN_MEMORY, AnyWords())
    library.add([tmp_path])
    # No word of it is in any document, so that the vectors alone find what is found.
    for where in ("path:home", "type:md", f"path:{tmp_path / 'home'}", "-type:txt"):
        hits = library.search(f"zweifellos {where}", limit=10)
        assert {Path(hit.chunk.source).stem for hit in hits} == set(names)
    assert library.search("zweifellos type:pdf") == []
    library.close()
