"""A network of its own for this process and all it starts, with a sink at its only way out.

Linux: a network namespace has no interface but what is made in it. Ours has loopback, and where the
system lets us a TUN device that takes the default route: each packet that anything tries to send
arrives at ``Sink``. Without one, the kernel's count of packets that found no route tells of them.
Raises ``OSError`` where the machine forbids namespaces.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import ipaddress
import os
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

_NEW_MOUNTS, _NEW_USER, _NEW_NETWORK = 0x00020000, 0x10000000, 0x40000000
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000
_SET_FLAGS, _SET_ADDRESS, _SET_NETMASK, _ADD_ROUTE = 0x8914, 0x8916, 0x891C, 0x890B
_TUN_SET, _TUN, _NO_HEADER = 0x400454CA, 0x0001, 0x1000
_UP, _RUNNING, _ROUTE_UP = 0x1, 0x40, 0x1
_NAME = b"ondol0"
ADDRESS, _NAME_SERVER = "192.0.2.1", "192.0.2.53"  # TEST-NET-1: nobody's
_ADDRESS6 = "2001:db8::1"
# Where name services listen on socket files, which a namespace of the network does not cover.
_SERVICES = ("/run/systemd/resolve", "/run/nscd")
_PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}
_LONGEST_PACKET = 65536


def enter() -> None:
    """Leave the machine's network for a new one that has loopback only. Call it before this process
    has a second thread; not to be undone."""
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if uid != 0 or libc.unshare(_NEW_NETWORK | _NEW_MOUNTS) != 0:
        if libc.unshare(_NEW_USER | _NEW_NETWORK | _NEW_MOUNTS) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        _set_up(control, b"lo")


def divert_names(folder: Path) -> bool:
    """Have names looked up at an address behind the sink, and not by services of the machine that
    would ask in our place; whether the system let us. ``folder`` takes two small files."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(None, b"/", None, ctypes.c_ulong(_RECURSIVE | _PRIVATE), None) != 0:
        return False
    empty = folder / "nothing"
    empty.mkdir()
    replacements = {"/etc/resolv.conf": folder / "resolv.conf", "/etc/nsswitch.conf": folder / "ns"}
    replacements["/etc/resolv.conf"].write_text(f"nameserver {_NAME_SERVER}\n")
    replacements["/etc/nsswitch.conf"].write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    replacements |= dict.fromkeys(_SERVICES, empty)
    bound = [
        libc.mount(os.fsencode(ours), os.fsencode(place), None, ctypes.c_ulong(_BIND), None) == 0
        for place, ours in replacements.items()
        if os.path.exists(place)
    ]
    return all(bound)


class Sink:
    """The end of the only way out. ``attempts`` are what arrived, in words. Raises ``OSError``
    where there can be no TUN device."""

    kind = "tun"

    def __init__(self) -> None:
        self._device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(self._device, _TUN_SET, struct.pack("16sH22x", _NAME, _TUN | _NO_HEADER))
        self._quieten()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            address = struct.pack("16sHH4s16x", _NAME, socket.AF_INET, 0, _packed(ADDRESS))
            fcntl.ioctl(control, _SET_ADDRESS, address)
            mask = struct.pack("16sHH4s16x", _NAME, socket.AF_INET, 0, _packed("255.255.255.0"))
            fcntl.ioctl(control, _SET_NETMASK, mask)
            _set_up(control, _NAME)
            fcntl.ioctl(control, _ADD_ROUTE, _default_route(self))
        with suppress(OSError):  # a machine without IPv6 sends nothing over it
            self._route_ipv6()
        self.attempts: list[str] = []

    def take(self) -> int:
        """Read what has arrived since; how many packets that was."""
        before = len(self.attempts)
        while True:
            try:
                packet = os.read(self._device, _LONGEST_PACKET)
            except BlockingIOError:
                return len(self.attempts) - before
            if told := describe(packet):
                self.attempts.append(told)

    def close(self) -> None:
        os.close(self._device)

    def _quieten(self) -> None:
        """The kernel itself greets every new IPv6 network; this one need not be greeted."""
        for name, value in (("accept_ra", "0"), ("router_solicitations", "0"), ("accept_dad", "0")):
            with suppress(OSError):
                Path(f"/proc/sys/net/ipv6/conf/{_NAME.decode()}/{name}").write_text(value)

    def _route_ipv6(self) -> None:
        index = socket.if_nametoindex(_NAME.decode())
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
            address = struct.pack("=16sIi", _packed(_ADDRESS6), 64, index)
            fcntl.ioctl(control, _SET_ADDRESS, address)
            route = struct.pack("@16s16s16sIHHILIi", b"", b"", b"", 0, 0, 0, 1, 0, _ROUTE_UP, index)
            fcntl.ioctl(control, _ADD_ROUTE, route)


class NoRoutes:
    """The kernel's count of packets for which there was no way out, where there is no ``Sink``."""

    kind = "counters"

    def __init__(self) -> None:
        self.attempts: list[str] = []
        self._seen = self._count()

    def take(self) -> int:
        """How many more there are than before."""
        now = self._count()
        new, self._seen = now - self._seen, now
        self.attempts += ["?"] * new
        return new

    def close(self) -> None:
        """Nothing is held."""

    def _count(self) -> int:
        names, values = (
            line.split()[1:]
            for line in Path("/proc/net/snmp").read_text().splitlines()
            if line.startswith("Ip:")
        )
        count = int(dict(zip(names, values, strict=True))["OutNoRoutes"])
        with suppress(OSError):
            for line in Path("/proc/net/snmp6").read_text().splitlines():
                name, value = line.split()
                count += int(value) if name == "Ip6OutNoRoutes" else 0
        return count


def describe(packet: bytes) -> str:
    """What ``packet`` (IP, without a link's header) wants: "UDP 192.0.2.53:53"; "" for what the
    kernel says on its own to neighbours that there are none of."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        protocol, target, rest = packet[9], packet[16:20], packet[(packet[0] & 15) * 4 :]
    elif version == 6 and len(packet) >= 40:
        protocol, target, rest = packet[6], packet[24:40], packet[40:]
        if target[0] == 0xFF and protocol in (0, 58):
            return ""
    else:
        return f"? ({len(packet)} bytes)"
    name = _PROTOCOLS.get(protocol, str(protocol))
    host = str(ipaddress.ip_address(target))
    if protocol not in (6, 17) or len(rest) < 4:
        return f"{name} {host}"
    (port,) = struct.unpack("!H", rest[2:4])
    return f"{name} [{host}]:{port}" if ":" in host else f"{name} {host}:{port}"


def _set_up(control: socket.socket, name: bytes) -> None:
    fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sH22x", name, _UP | _RUNNING))


def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def _default_route(keep: Sink) -> bytes:
    """``struct rtentry`` for everything, by our device."""
    # The structure points at the name, which must live as long as the call.
    keep.name = ctypes.create_string_buffer(_NAME)  # type: ignore[attr-defined]
    nowhere = struct.pack("@H14x", socket.AF_INET)
    return struct.pack(
        "@L16s16s16sHhLPhPLLH",
        0, nowhere, nowhere, nowhere, _ROUTE_UP, 0, 0, 0, 0,
        ctypes.addressof(keep.name),  # type: ignore[attr-defined]
        0, 0, 0,
    )  # fmt: skip
