"""Hosts and addresses: which are this machine, which are private, and what a name stands for."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORTS = {"http": 80, "https": 443}
_LOOPBACK = ("127.0.0.1", "::1")
# Names of the local network: they may stand for private addresses (RFC 6762, 8375, 9476, and use).
_LOCAL_SUFFIXES = (".local", ".lan", ".internal", ".home", ".home.arpa", ".corp", ".intranet")
# What ``ipaddress`` takes for public: IPv4 in old clothes, site-local, a translator's own
# (RFC 4291, 3879, 8215).
_LOCAL_NETWORKS = [ipaddress.IPv6Network(n) for n in ("::/96", "fec0::/10", "64:ff9b:1::/48")]
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a URL leads: ``scheme``, lower-case ``host`` without brackets, ``port``."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """Of what is no http URL, one that no address is found for."""
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").rstrip(".")
            return cls(parts.scheme, host, parts.port or _PORTS.get(parts.scheme, 0))
        except ValueError:
            return cls("", "", 0)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine, by name or address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = address_of(host)
    return address is not None and address.is_loopback


def address_of(host: str) -> Address | None:
    """The address that ``host`` is written as; ``None`` for a name."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_private(address: str) -> bool:
    """Whether ``address`` is none of the public internet's."""
    found = address_of(address)
    if isinstance(found, ipaddress.IPv6Address):
        if any(found in network for network in _LOCAL_NETWORKS):
            return True
        found = found.sixtofour or _behind_nat64(found) or found
    return found is None or not found.is_global or found.is_multicast


def _behind_nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a translator makes of ``address`` (RFC 6052)."""
    if address not in _NAT64:
        return None
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def is_local_name(host: str) -> bool:
    """Whether ``host`` says itself that it is of the local network: an address, a single word, or a
    name under one of its suffixes."""
    if address_of(host) is not None or is_loopback(host):
        return True
    return "." not in host or host.endswith(_LOCAL_SUFFIXES)


def resolve(host: str, port: int) -> tuple[str, ...]:
    """The addresses of ``host``, asked once. Names of this machine are never asked for. Raises
    ``OSError``."""
    address = address_of(host)
    if address is not None:
        return (str(address),)  # in the one spelling that the guard will see
    if is_loopback(host):
        return _LOOPBACK
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
