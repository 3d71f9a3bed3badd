"""Why anything may leave this machine at all: the whole list. What is not in it is refused."""

from __future__ import annotations

from dataclasses import dataclass

from ondol.types import Sensitivity


@dataclass(frozen=True, slots=True)
class Purpose:
    """``least`` is the least label that what is sent must carry. ``is_named``: the destination is
    what the owner named with this very request; else it was declared before, from the settings or
    by an enrolment. ``may_follow``: a request without a body may be sent on to another https host.
    ``needs_tls`` beyond this machine. ``is_numbers``: long runs of numbers are what is sent, and no
    text to be inspected; ``is_opaque``: nothing but such, in a form of its own, so that a body is
    not looked at. ``is_read_only``: nothing but GET and HEAD without a body.
    ``names_digests``: whole SHA-256 digests and git commits in an address are names of public
    files, and not looked at: one in two hundred looks like somebody's number.
    ``loopback_is_inside``: what stays on this machine is no passage, and carries any label."""

    least: Sensitivity
    is_named: bool = False
    may_follow: bool = False
    needs_tls: bool = False
    is_numbers: bool = False
    is_opaque: bool = False
    is_read_only: bool = False
    names_digests: bool = False
    loopback_is_inside: bool = True


PURPOSES = {
    # Models, from where the catalogue or the owner says.
    "download": Purpose(Sensitivity.PUBLIC, is_named=True, may_follow=True, names_digests=True),
    # Hubs that the owner added, with the fingerprint of who signs there, and their mirrors.
    "hub": Purpose(Sensitivity.PUBLIC, is_read_only=True, names_digests=True),
    # The owner's own server, enrolled with its certificate. A home on loopback may be a tunnel.
    "home": Purpose(Sensitivity.TRUSTED, needs_tls=True, loopback_is_inside=False),
    # An OpenAI-compatible server from the settings.
    "remote-model": Purpose(Sensitivity.TRUSTED),
    # An MCP server that the owner added; what its tools are told was confirmed.
    "tools": Purpose(Sensitivity.TRUSTED),
    # A home that coordinates a federation, with the certificate that the invite named: what was
    # learned, masked or as the members agreed. A home on loopback may be a tunnel.
    "federation": Purpose(
        Sensitivity.TRUSTED, needs_tls=True, is_opaque=True, loopback_is_inside=False
    ),
    # The owner's own Qdrant.
    "vectors": Purpose(Sensitivity.TRUSTED, is_numbers=True),
}
