"""``ondol search`` and the list of documents: the owner's library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.command import command, option, pass_output, words
from ondol.cli.filtering import Wanted, filter_options
from ondol.cli.house import house
from ondol.cli.output import Output, name_line, one_line, place
from ondol.i18n import t
from ondol.json import hit_json, labelled_json, sensitivity_word

if TYPE_CHECKING:
    from ondol.parts import Parts
    from ondol.retrieval.inventory import LibraryDocument

EXCERPT_LETTERS = 240


@command("search")
@click.argument("query", type=words, nargs=-1, required=True)
@option("--limit", key="limit", type=click.IntRange(1, 1000), metavar="N")
@option("--all", "everything", key="all", is_flag=True)
@filter_options
@pass_output
def search(
    output: Output, query: tuple[str, ...], limit: int | None, everything: bool, where: Wanted
) -> None:
    with house(output) as parts:
        hits = _search(parts, " ".join(query), where, limit, everything)
    if output.json:
        output.emit({"hits": hits})
        return
    for hit in hits:
        if output.quiet:
            output.line(name_line(hit["source"]))
        else:
            _show_hit(hit, output)
    if not hits:
        output.note(t("answer.nothing_found"))
        output.note(t("cli.hint", hint=t("answer.nothing_found_hint")))


def list_documents(output: Output, where: Wanted) -> None:
    """The table of ``ondol list --documents``."""
    with house(output) as parts:
        _, passing = where.read()
        documents = parts.library.documents(where=passing)
    show_documents(documents, output)
    if not documents:
        output.note(t("cli.none_passes" if where else "cli.no_documents"))


def show_documents(documents: Sequence[LibraryDocument], output: Output) -> None:
    """Documents as a table, or as JSON."""
    from ondol.models.blobs import readable_size

    if output.json:
        output.emit({"documents": [labelled_json(document) for document in documents]})
        return
    rows = [
        (
            d.source if output.quiet else place(d.source),
            _shared(d) or str(d.num_chunks),
            # What came in a container was not a file of its own.
            "–" if d.container else readable_size(d.size_bytes),
            d.collection,
            sensitivity_word(d.sensitivity),
            d.added_at[:10],
        )
        for d in documents
    ]
    columns = ("source", "chunks", "size", "collection", "sensitivity", "added")
    output.table([t(f"cli.column_{name}") for name in columns], rows)


def _shared(document: LibraryDocument) -> str:
    """The document whose passages this one shares, for a table."""
    return f"= {place(document.duplicate_of)}" if document.duplicate_of else ""


def _search(
    parts: Parts, query: str, where: Wanted, limit: int | None, everything: bool
) -> list[dict[str, Any]]:
    """The best passages, or all that match; no more than ``limit``, if there is one."""
    from ondol.cli import remote

    best = limit or parts.config["retrieval.limit"]
    server = remote.find(parts.config)
    if server is not None:
        text, fields = where.for_server(query)
        return server.search(text, limit if everything else best, fields, everything=everything)
    text, passing = where.read(query)
    if everything:
        return [hit_json(hit) for hit in parts.library.search_all(text, where=passing)[:limit]]
    return [hit_json(hit) for hit in parts.library.search(text, limit=best, where=passing)]


def _show_hit(hit: dict[str, Any], output: Output) -> None:
    where = place(hit["source"], hit["page"])
    heading = f"  {one_line(hit['heading'])}" if hit["heading"] else ""
    output.line(f"{click.style(str(hit['rank']), bold=True)}  {where}{heading}")
    text = one_line(hit["text"])
    cut = text[:EXCERPT_LETTERS].rsplit(" ", 1)[0] + " …" if len(text) > EXCERPT_LETTERS else text
    output.line(f"   {cut}", dim=True)
    for source in hit.get("also_in", ()):
        output.line(f"   {place(source)}", dim=True)
