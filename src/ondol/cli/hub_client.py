"""``ondol hub add``, ``list``, ``remove``, ``search``, ``show``: the hubs that are known here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ondol.cli.command import command, pass_output, words
from ondol.cli.house import house
from ondol.cli.hub_group import hub
from ondol.cli.hub_shown import show_release
from ondol.cli.output import Output, one_line
from ondol.errors import EgressError, HubError, HubNotFoundError, UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.hub.card import Channel
    from ondol.hub.client import Hub
    from ondol.hub.release import Release


@command("add", hub, help=t("hub_browsing.add_help"))
@click.argument("url", type=words)
@click.option("--fingerprint", type=words, required=True, help=t("hub_browsing.option_fingerprint"))
@click.option("--name", type=words, default="", help=t("hub_browsing.option_name"))
@click.option(
    "--mirror", "mirrors", metavar="URL", multiple=True, help=t("hub_browsing.option_mirror")
)
@pass_output
def add(output: Output, url: str, fingerprint: str, name: str, mirrors: tuple[str, ...]) -> None:
    from ondol.hub.client import Hubs
    from ondol.updating import trusting

    with house(output) as parts, Hubs.open() as hubs:
        row = trusting.add(parts, hubs, url, fingerprint, name, mirrors)
        one = hubs.hub(row, parts.egress)
        _refreshed([one], output)
        row, count = hubs.get(row.name), len({(r.publisher, r.item) for r in one.releases()})
    if output.json:
        output.emit(row.json() | {"items": count})
        return
    output.line(row.name if output.quiet else t("hub_browsing.added", name=row.name))
    output.note(t("hub_browsing.has_items", count=count))


@command("list", hub, help=t("hub_browsing.list_help"))
@pass_output
def list_hubs(output: Output) -> None:
    from ondol.hub.client import Hubs

    with Hubs.open() as hubs:
        rows = hubs.list()
    if output.json:
        output.emit({"hubs": [row.json() for row in rows]})
        return
    if not rows:
        output.note(f"{t('hub_client.none')} {t('hub_client.none_hint')}")
        return
    output.table(
        [t(f"hub_browsing.column_{name}") for name in ("name", "url", "refreshed", "fingerprint")],
        [
            (
                row.name,
                row.url if not row.mirrors else f"{row.url} (+{len(row.mirrors)})",
                (row.refreshed_at or "–")[:16].replace("T", " "),
                row.fingerprint,
            )
            for row in rows
        ],
    )
    for row in rows:
        if row.failure and not output.quiet:
            output.warn(f"{row.name}: {row.failure['message']}")


@command("remove", hub, help=t("hub_browsing.remove_help"))
@click.argument("name", type=words)
@pass_output
def remove(output: Output, name: str) -> None:
    from ondol.hub.client import Hubs
    from ondol.updating import trusting

    with house(output) as parts, Hubs.open() as hubs:
        row = trusting.remove(parts, hubs, name)
    if output.json:
        output.emit(row.json())
    else:
        output.line(t("hub_browsing.removed", name=row.name))


@command("search", hub, help=t("hub_browsing.search_help"))
@click.argument("text", metavar="[WORDS]…", nargs=-1, type=words)
@click.option("--hub", "name", type=words, default="", help=t("hub_browsing.option_hub"))
@click.option("--beta", "is_beta", is_flag=True, help=t("hub_browsing.option_beta"))
@pass_output
def search(output: Output, text: tuple[str, ...], name: str, is_beta: bool) -> None:
    from ondol.hub.searching import found_in

    with _refreshed_hubs(output, name) as hubs:
        channel: Channel = "beta" if is_beta else "stable"
        found = [
            (one.name, release)
            for one in hubs
            for release in found_in(one.releases(), " ".join(text), channel)
        ]
    if output.json:
        output.emit({"items": [{"hub": at, **release.json()} for at, release in found]})
        return
    if not found:
        output.note(t("hub_browsing.nothing_found"))
        return
    columns = ("item", "version", "kind", "size", "licence", "title", "hub")
    output.table([t(f"hub_browsing.column_{one}") for one in columns], [*_rows(found)])


def _rows(found: Iterable[tuple[str, Release]]) -> Iterable[Sequence[str]]:
    from ondol.models.blobs import readable_size

    for at, release in found:
        card = release.card
        size = readable_size(release.size_bytes)
        title = one_line(card.title or card.description)[:48]
        yield release.name, str(release.version), card.kind, size, card.licence, title, at


@command("show", hub, help=t("hub_browsing.show_help"))
@click.argument("item", metavar="PUBLISHER/ITEM[@VERSION]", type=words)
@click.option("--hub", "name", type=words, default="", help=t("hub_browsing.option_hub"))
@pass_output
def show(output: Output, item: str, name: str) -> None:
    from ondol.hub.release import newest
    from ondol.hub.targets import Version

    wanted, _, version = item.partition("@")
    publisher, _, short = wanted.partition("/")
    if not publisher or not short or "/" in short:
        raise UsageError(t("hub_browsing.bad_item", item=item), t("hub_client.no_such_item_hint"))
    with _refreshed_hubs(output, name) as hubs:
        one = _that_has(hubs, publisher, short)
        releases = one.item(publisher, short)
        best = newest(releases) or newest(releases, "beta") or releases[-1]
        chosen = one.release(publisher, short, Version.of(version)) if version else best
        keys = one.publishers()[publisher]
        fresh = one.is_fresh
    if output.json:
        versions = [
            {"version": str(r.version), "channel": r.card.channel, "yanked": r.yanked}
            for r in releases
        ]
        about = {"hub": one.name, "keys": list(keys), "is_fresh": fresh, "versions": versions}
        output.emit(chosen.json() | about)
        return
    show_release(chosen, releases, keys, one.name, output)
    if not fresh:
        output.warn(t("hub_browsing.not_fresh", hub=one.name))


@contextmanager
def _refreshed_hubs(output: Output, name: str) -> Iterator[list[Hub]]:
    """The hub called ``name``, or all, refreshed; HubNotFoundError where there is none."""
    from ondol.hub.client import Hubs

    with house(output) as parts, Hubs.open() as kept:
        rows = [kept.get(name)] if name else kept.list() or [kept.get()]
        hubs = [kept.hub(row, parts.egress) for row in rows]
        _refreshed(hubs, output)
        yield hubs


def _refreshed(hubs: Iterable[Hub], output: Output) -> None:
    """Ask each for what is new. Who does not answer is told, and what was known answers."""
    for one in hubs:
        try:
            found = one.refresh()
        except (HubError, EgressError) as error:
            output.warn(f"{error.message} {error.hint}".strip())
            continue
        for _, left in found.left:
            output.warn(left.message)
        for trouble in found.troubles.values():
            output.warn(trouble.message)
        for name in found.rekeyed:
            output.warn(t("hub_browsing.rekeyed", publisher=name, hub=one.name))


def _that_has(hubs: Sequence[Hub], publisher: str, item: str) -> Hub:
    missing: HubNotFoundError | None = None
    for one in hubs:
        try:
            one.item(publisher, item)
        except HubNotFoundError as error:
            missing = missing or error
        else:
            return one
    assert missing is not None
    raise missing
