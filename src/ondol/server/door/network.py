"""The addresses of this machine that others in its network can reach."""

from __future__ import annotations

import ipaddress
import socket

# Networks of containers and virtual machines on this machine: no device is in them.
_VIRTUAL = ("br-", "cni", "docker", "podman", "vbox", "veth", "virbr", "vmnet")


def addresses() -> list[str]:
    """The IPv4 addresses of the networks that are up, the likeliest for a phone at home first:
    real ones before virtual ones, private ones before public ones."""
    import psutil

    stats = psutil.net_if_stats()
    found: list[tuple[bool, bool, str, str]] = []
    for name, entries in psutil.net_if_addrs().items():
        if not (name in stats and stats[name].isup):
            continue
        for entry in entries:
            if entry.family == socket.AF_INET:
                known = ipaddress.ip_address(entry.address)
                if not (known.is_loopback or known.is_link_local):
                    is_virtual = name.startswith(_VIRTUAL)
                    found.append((is_virtual, not known.is_private, name, entry.address))
    return [row[-1] for row in sorted(found)]
