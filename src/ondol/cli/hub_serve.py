"""``ondol hub serve``: a hub over HTTP, for devices, huggingface_hub and Ollama."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ondol.cli.command import command, pass_output, words
from ondol.cli.house import house, keep_log
from ondol.cli.hub_group import hub
from ondol.cli.hub_keys import hub_argument
from ondol.cli.output import Output, clean
from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.hub.mirror.front import Source

F = TypeVar("F", bound=Callable[..., Any])

ADDRESS = "127.0.0.1:11438"
MOST_GB = 100


def upstream_options(function: F) -> F:
    """Where to bring models from, and how many bytes may wait."""
    most = click.option(
        "--most-gb",
        type=click.IntRange(1, 1_000_000),
        default=MOST_GB,
        metavar="N",
        show_default=True,
        help=t("hub_mirror.option_most_gb"),
    )
    upstream = click.option(
        "--upstream", type=words, metavar="URL", help=t("hub_mirror.option_upstream")
    )
    return upstream(most(function))


def source_of(upstream: str | None, most_gb: int, allow: Sequence[str] = ()) -> Source | None:
    """What the options say; UsageError where the address is none."""
    from ondol.hub.mirror.front import Source, address

    if upstream is None:
        if allow:
            raise UsageError(t("hub_mirror.allow_alone"), param="allow")
        return None
    address(upstream)
    return Source(upstream, allow, most_gb << 30)


@command("serve", hub, help=t("hub_mirror.serve_help"))
@hub_argument
@click.option(
    "--address",
    default=ADDRESS,
    type=words,
    metavar="HOST:PORT",
    show_default=True,
    help=t("hub_mirror.option_address"),
)
@upstream_options
@click.option(
    "--allow", multiple=True, type=words, metavar="PATTERN", help=t("hub_mirror.option_allow")
)
@pass_output
def serve(
    output: Output,
    folder: Path,
    address: str,
    upstream: str | None,
    most_gb: int,
    allow: tuple[str, ...],
) -> None:
    from ondol.hub.mirror.front import opened
    from ondol.hub.repository import Repository
    from ondol.server.listening import NETWORK, listen, run

    host, port = host_and_port(address)
    source = source_of(upstream, most_gb, allow)
    with house(output) as parts, opened(folder, parts.egress, source) as app:
        if not output.debug:
            keep_log(logging.WARNING)
        with _own_port(), listen(host, port, crowd=NETWORK) as listener:
            bound = listener.getsockname()[1]
            repository = Repository(folder)
            name, fingerprint = repository.name, repository.fingerprint

            def announce() -> None:
                _announce(output, name, _url(host, bound), fingerprint)

            run(app, [listener], announce)


@contextmanager
def _own_port() -> Iterator[None]:
    """A port that is taken is chosen by ``--address`` here, not as ``ondol serve`` does it."""
    from ondol.errors import AddressInUseError

    try:
        yield
    except AddressInUseError as error:
        raise AddressInUseError(error.message, t("hub_mirror.other_port_hint")) from None


def host_and_port(address: str) -> tuple[str, int]:
    """What ``HOST:PORT`` says; a port alone is of this machine."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or int(port) > 65535 or (":" in host and not host.startswith("[")):
        raise UsageError(
            t("hub_mirror.bad_address", address=address), t("hub_mirror.bad_address_hint")
        )
    return host.strip("[]") or "127.0.0.1", int(port)


def _url(host: str, port: int) -> str:
    """How it is reached: where it listens everywhere, by the first address that others can use."""
    from ondol.home.serving import reachable_url

    return reachable_url(host, port).replace("https://", "http://", 1)


def _announce(output: Output, name: str, url: str, fingerprint: str) -> None:
    if output.json:
        output.emit({"url": url, "name": name, "fingerprint": fingerprint})
    elif output.quiet:
        output.line(url)
    else:
        output.line(t("hub_mirror.is_up", name=clean(name), url=url))
        for key in ("hub_mirror.up_ondol", "hub_mirror.up_hf", "hub_mirror.up_ollama"):
            output.line("  " + t(key, url=url, fingerprint=fingerprint))
        output.note(t("hub_mirror.up_hint"))
    sys.stdout.flush()
