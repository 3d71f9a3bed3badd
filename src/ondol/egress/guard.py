"""No way round the door: Python's sockets refuse every address that no permit covers.

An audit hook (PEP 578) sees each connection and each name that is looked up, whichever library asks
for it, and cannot be taken out again. It does not see native code (``ondol.egress.native`` closes
that way for the engine). Refusals are ``UnpermittedError``, kept in ``refusals`` and told to every
``Egress`` that records; a child process has its parent tell them (``relay``).
"""

from __future__ import annotations

import errno
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, TypeVar
from weakref import WeakSet

from ondol.egress.addresses import Origin, address_of
from ondol.egress.passage import Passage
from ondol.errors import EgressError
from ondol.i18n import t
from ondol.types import Sensitivity

F = TypeVar("F", bound=Callable[..., Any])

MAX_REFUSALS = 1000
refusals: deque[Passage] = deque(maxlen=MAX_REFUSALS)

# Families that never leave the machine: socket files, and the kernel's own.
_INSIDE = {
    int(getattr(socket, name)) for name in ("AF_UNIX", "AF_NETLINK") if hasattr(socket, name)
}
_INTERNET = {int(socket.AF_INET), int(socket.AF_INET6)}
_RAW = int(socket.SOCK_RAW)
_TYPE_BITS = 0xF
_NAMES = ("localhost", "ip6-localhost")
_METHODS = {"bind": -1, "connect": -1, "connect_ex": -1, "sendto": -1, "sendmsg": 3}

_open = threading.local()
_lasting: dict[tuple[str, int], int] = {}
_lock = threading.RLock()
_listeners: WeakSet[Any] = WeakSet()
_reports: list[Callable[[str], object]] = []
_installed = threading.Event()


class UnpermittedError(EgressError, PermissionError):
    """What a library meets that opens a connection of its own; an ``OSError`` (EACCES), so that it
    takes it for a network that does not work."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.errno = errno.EACCES


def install() -> None:
    """Refuse, from here on and for good, what no permit covers. In every process of ours, once."""
    with _lock:
        if _installed.is_set():
            return
        _installed.set()
        for name, place in _METHODS.items():
            setattr(socket.socket, name, _looked_at(getattr(socket.socket, name), name, place))
        sys.addaudithook(_audit)


def is_installed() -> bool:
    """Whether this process is guarded."""
    return _installed.is_set()


def tell(listener: Any) -> None:
    """Have ``listener.on_refusal(passage)`` called for each refusal while it lives."""
    with _lock:
        _listeners.add(listener)


def relay(destination: str) -> None:
    """Have it told that a connection to ``destination`` was refused, here or in a child."""
    passage = Passage("", destination, Sensitivity.PRIVATE, 0, 0, False, "no_permit")
    refusals.append(passage)
    with _lock:
        listeners = list(_listeners)
    for listener in listeners:
        with suppress(Exception):  # whoever cannot write it down does not open the door by that
            listener.on_refusal(passage)
    for report in [*_reports]:
        with suppress(Exception):
            report(destination)


def report_to(parent: Callable[[str], object]) -> None:
    """In a child, which has no ledger: call ``parent`` with each destination that is refused, from
    here on and for good; whoever hears of it there calls ``relay``."""
    _reports.append(parent)


@contextmanager
def permit(
    host: str, addresses: Iterable[str], port: int, *, lasting: bool = False
) -> Iterator[None]:
    """Let this thread look up ``host`` and connect to ``addresses`` at ``port`` inside the block;
    with ``lasting`` every thread."""
    covered = [(place, port) for place in (host, *addresses)]
    if not lasting:
        before = getattr(_open, "covered", ())
        _open.covered = (*before, *covered)
        try:
            yield
        finally:
            _open.covered = before
        return
    with _lock:
        for place in covered:
            _lasting[place] = _lasting.get(place, 0) + 1
    try:
        yield
    finally:
        with _lock:
            for place in covered:
                _lasting[place] -= 1
                if not _lasting[place]:
                    del _lasting[place]


@contextmanager
def own_server(url: str) -> Iterator[None]:
    """Let this thread speak to the server of ours at ``url``, which may listen on another address
    of this machine than loopback."""
    origin = Origin.of(url)
    with permit(origin.host, (), origin.port) if _is_mine(origin.host) else nullcontext():
        yield


def _is_mine(host: str) -> bool:
    """Whether ``host`` is this machine's name, or an address that can be listened on here."""
    address = address_of(host)
    if address is None:
        return host.partition(".")[0] == socket.gethostname().lower().partition(".")[0]
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    # Called for every file, import and call of C that is audited: this must stay the first line.
    if not event.startswith("socket."):
        return
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        _check_address(int(arguments[0].family), arguments[1])
    elif event == "socket.getaddrinfo":
        _check_name(arguments[0], arguments[1])
    elif event in ("socket.gethostbyname", "socket.gethostbyaddr"):
        _check_name(arguments[0], 0, by_address=event.endswith("addr"))
    elif event == "socket.getnameinfo":
        _check_name(arguments[0][0], arguments[0][1], by_address=True)
    elif event == "socket.__new__":
        _check_kind(int(arguments[1]), int(arguments[2]))


def _check_kind(family: int, kind: int) -> None:
    """Raw sockets send what no other event tells of."""
    if family in _INSIDE or family == -1:  # -1: of a descriptor that is open already
        return
    if family not in _INTERNET or (kind & _TYPE_BITS) == _RAW:
        raise _refusal(f"family {family}", 0)


def _check_address(family: int, address: Any) -> None:
    if family in _INSIDE or address is None:
        return
    if family not in _INTERNET or not isinstance(address, tuple) or len(address) < 2:
        raise _refusal(f"family {family}", 0)
    host, port = _text(address[0]), address[1] if isinstance(address[1], int) else 0
    found = address_of(host)
    if found is not None and found.is_loopback:
        return
    if not _is_covered(host, port):
        raise _refusal(host, port)


def _check_name(host: Any, port: Any, *, by_address: bool = False) -> None:
    """Looking a name up tells a server of the name."""
    name, number = _text(host), _number(port)
    found = address_of(name)
    if name in ("", *_NAMES) or (found is not None and (found.is_loopback or not by_address)):
        return
    if not _is_covered(name, number):
        raise _refusal(name, number)


def _is_covered(host: str, port: int) -> bool:
    if (host, port) in getattr(_open, "covered", ()):
        return True
    with _lock:
        return (host, port) in _lasting


def _refusal(host: str, port: int) -> UnpermittedError:
    destination = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    relay(destination)
    return UnpermittedError(
        t("egress.no_permit", destination=destination), t("egress.no_permit_hint")
    )


def _looked_at(method: F, name: str, place: int) -> F:
    """``socket.socket``'s method, which looks names up itself before any event is told."""

    def checked(self: socket.socket, *arguments: Any, **keywords: Any) -> Any:
        address = _address_in(arguments, keywords, name, place)
        if int(self.family) in _INTERNET and isinstance(address, tuple) and len(address) > 1:
            if address_of(_text(address[0])) is None:
                _check_name(address[0], address[1])
        return method(self, *arguments, **keywords)

    checked.__name__, checked.__doc__ = name, method.__doc__
    return checked  # type: ignore[return-value]


def _address_in(arguments: Any, keywords: Any, name: str, place: int) -> Any:
    if name == "sendmsg":
        return arguments[place] if len(arguments) > place else keywords.get("address")
    return arguments[place] if arguments else None


def _text(host: Any) -> str:
    if isinstance(host, bytes | bytearray):
        return bytes(host).decode("ascii", "replace").lower()
    return "" if host is None else str(host).lower()


def _number(port: Any) -> int:
    text = _text(port)
    if text.isdecimal():
        return int(text)
    return {"http": 80, "https": 443}.get(text, 0)
