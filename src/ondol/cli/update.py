"""``ondol update``: bring what came from hubs to the newest, pin it, and go back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ondol.cli.command import Group, command, pass_output, words
from ondol.cli.house import house, went_back
from ondol.cli.hub_install import ask_about_stale, show_outcome, shown_progress
from ondol.cli.output import Output, clean
from ondol.errors import HubError, OndolError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.parts import Parts
    from ondol.updating.bringing import Outcome
    from ondol.updating.offers import Offer
    from ondol.updating.updater import Checked

NOW = "now"


class UpdateGroup(Group):
    """A group in which names that are no commands mean those to update: ``update NAME`` is
    ``update now NAME``, and so is ``update`` alone."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        said = [one for one in args if not one.startswith("-")]
        asks_help = {"-h", "--help"} & set(args)
        if not (said and said[0] in self.commands) and not (asks_help and not said):
            args = [NOW, *args]
        return super().parse_args(ctx, args)


update = UpdateGroup("update", help=t("cli.update_help"), subcommand_metavar="[NAME …] | COMMAND …")


def complete_installed(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Names of what came from hubs; silent when anything is wrong, for there is nobody to tell."""
    try:
        from ondol.updating.installs import Installs

        with Installs.open() as kept:
            names = [row.name for row in kept.rows()]
    except Exception:
        return []
    return [name for name in names if name.startswith(incomplete)]


_name = click.argument("name", metavar="NAME", type=words, shell_complete=complete_installed)


@command(NOW, update, help=t("updating_cli.now_help"))
@click.argument("names", metavar="[NAME]…", nargs=-1, type=words, shell_complete=complete_installed)
@click.option("--check", "only_check", is_flag=True, help=t("updating_cli.option_check"))
@click.option(
    "--channel", type=click.Choice(["stable", "beta"]), help=t("updating_cli.option_channel")
)
@click.option("--allow-stale", is_flag=True, help=t("updating_cli.option_allow_stale"))
@pass_output
def now(
    output: Output,
    names: tuple[str, ...],
    only_check: bool,
    channel: str | None,
    allow_stale: bool,
) -> None:
    from ondol.updating import health, updater

    with house(output) as parts:
        health.look(parts, lambda outcome: output.warn(went_back(outcome)))
        found = updater.check(parts, names, channel=channel or "")
        if only_check:
            _show(output, found)
            _end_unheard(found)
            return
        _warn(output, found)
        done: list[Outcome] = []
        errors: list[tuple[str, OndolError]] = []
        for offer in found.offers:
            if offer.release is None:
                continue
            try:
                done.append(_bring(parts, output, offer, channel or "", allow_stale))
            except OndolError as error:
                errors.append((offer.install.name, error))
                if not output.json and len(found.offers) > 1:
                    output.warn(f"{offer.install.name}: {error.message}")
        if output.json:
            output.emit(
                {
                    "done": [one.json() for one in done],
                    "failed": [_failure(name, error) for name, error in errors],
                    "troubles": found.json()["troubles"],
                    "notes": found.json()["notes"],
                }
            )
            if errors:
                raise click.exceptions.Exit(errors[0][1].exit_code)
        elif not done and not errors:
            _say_nothing_newer(output, found)
        if errors:
            raise errors[0][1]
        if not done:
            _end_unheard(found)


@command("pin", update, help=t("updating_cli.pin_help"))
@_name
@click.argument("version", metavar="[VERSION]", default="", type=words)
@pass_output
def pin(output: Output, name: str, version: str) -> None:
    from ondol.updating import rolling_back, switching

    with house(output) as parts:
        row = rolling_back.pin(parts, name, version)
        active = switching.place_of(parts, row).active()
    if output.json:
        output.emit({"name": row.name, "pin": str(row.pinned)})
    else:
        word = "pinned" if active == str(row.pinned) else "pinned_ahead"
        said = t(f"updating_cli.{word}", name=row.name, version=row.pinned, active=active)
        output.line(said)


@command("unpin", update, help=t("updating_cli.unpin_help"))
@_name
@pass_output
def unpin(output: Output, name: str) -> None:
    from ondol.updating import rolling_back

    with house(output) as parts:
        row = rolling_back.unpin(parts, name)
    if output.json:
        output.emit({"name": row.name, "pin": None})
    else:
        output.line(t("updating_cli.unpinned", name=row.name))


@command("rollback", update, help=t("updating_cli.rollback_help"))
@_name
@click.argument("version", metavar="[VERSION]", default="", type=words)
@pass_output
def rollback(output: Output, name: str, version: str) -> None:
    from ondol.updating import rolling_back

    with house(output) as parts:
        show_outcome(output, rolling_back.rollback(parts, name, version))


@command("history", update, help=t("updating_cli.history_help"))
@click.argument("name", metavar="[NAME]", default="", type=words, shell_complete=complete_installed)
@pass_output
def history(output: Output, name: str) -> None:
    from ondol.updating import rolling_back
    from ondol.updating.installs import Installs

    with house(output) as parts:
        with Installs.open() as kept:
            names = [kept.named(name).name] if name else [row.name for row in kept.rows()]
        events = [(one, event) for one in names for event in rolling_back.history(parts, one)]
    events.sort(key=lambda found: found[1].number, reverse=True)
    if output.json:
        output.emit({"events": [{"name": one, **event.json()} for one, event in events]})
        return
    if not events:
        output.note(t("updating_cli.nothing_happened"))
        return
    columns = ("name", "when", "what", "version", "before", "why")
    rows = [
        (
            one,
            event.at[:16].replace("T", " "),
            t(f"updating_cli.deed_{event.deed}"),
            event.version or "–",
            event.before or "–",
            event.reason or "–",
        )
        for one, event in events
    ]
    output.table([t(f"updating_cli.column_{key}") for key in columns], rows)


def _end_unheard(found: Checked) -> None:
    """A timer that asks must not take "nobody answered" for "nothing is newer"."""
    if found.is_unheard:
        raise click.exceptions.Exit(HubError.exit_code)


def _bring(parts: Parts, output: Output, offer: Offer, channel: str, allow_stale: bool) -> Outcome:
    from ondol.updating import updater

    agreed = allow_stale or ask_about_stale(output, offer.install.name, offer.stale)
    with shown_progress(output) as tell:
        outcome = updater.update(
            parts, offer.install.name, channel=channel, allow_stale=agreed, on_progress=tell
        )
    if not output.json:
        show_outcome(output, outcome)
    return outcome


def _show(output: Output, found: Checked) -> None:
    """What there is, and who could not be asked."""
    if output.json:
        output.emit(found.json())
        return
    _warn(output, found)
    newer = [one for one in found.offers if one.release is not None]
    if output.quiet:
        for one in newer:
            output.line(one.install.name)
        return
    if not found.offers:
        output.note(t("updating_cli.nothing_installed"))
        return
    columns = ("name", "installed", "newer", "size", "note")
    output.table([t(f"updating_cli.column_{name}") for name in columns], [*map(_row, found.offers)])


def _row(one: Offer) -> tuple[str, str, str, str, str]:
    from ondol.models.blobs import readable_size

    notes = [one.left] if one.left else []
    if one.yanked:
        notes.append(t("updating.yanked_here", name=one.current, reason=one.yanked))
    if one.install.pinned is not None:
        notes.append(t("updating_cli.is_pinned", version=one.install.pinned))
    if one.stale:
        notes.append(t("updating_cli.would_not_fit", adapters=", ".join(one.stale)))
    release = one.release
    return (
        one.install.name,
        one.current,
        str(release.version) if release else "–",
        readable_size(one.download_bytes) if release else "–",
        " ".join(notes) or "–",
    )


def _say_nothing_newer(output: Output, found: Checked) -> None:
    for one in found.offers:
        if one.left or one.yanked:
            output.warn(f"{one.install.name}: {_row(one)[-1]}")
    is_sure = not found.troubles and not any(one.left for one in found.offers)
    key = "nothing_newer" if is_sure else "nothing_done"
    key = key if found.offers else "nothing_installed"
    output.note(t(f"updating_cli.{key}"))


def _warn(output: Output, found: Checked) -> None:
    for hub, sentence in (*found.notes, *found.troubles):
        output.warn(clean(f"{hub}: {sentence}"))


def _failure(name: str, error: OndolError) -> dict[str, str]:
    return {"name": name, "code": error.code, "message": error.message, "hint": error.hint}
