"""A running home: its address, its lock, its parts, and its end.

One per state directory. While it runs, ``home.json`` says where, for ``ondol home invite``. Raises
``AddressInUseError`` and ``ConfigError``.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ondol import database, paths, whole_file
from ondol.errors import AddressInUseError
from ondol.home import certificate
from ondol.home.hub import serving_hub
from ondol.home.registry import Registry
from ondol.i18n import t

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ondol.home.certificate import Certificate
    from ondol.home.journal import Journal
    from ondol.home.registry import Device
    from ondol.home.service import Served
    from ondol.ledger.ledger import Ledger
    from ondol.parts import Parts

LOCK_NAME = "home.lock"
ADDRESS_NAME = "home.json"
LONGEST_NAME = 64
_ANYWHERE = ("", "0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a home listens, and which process it is; ``hub`` is the address of its hub."""

    host: str
    port: int
    pid: int
    hub: str = ""


def serve(
    parts: Parts,
    host: str | None = None,
    port: int | None = None,
    *,
    on_ready: Callable[[Address], None] | None = None,
) -> None:
    """Be home until told to stop. ``parts``, and with it the engines, is closed when this returns.
    Call from the main thread."""
    from ondol.server.door import tls
    from ondol.server.listening import listen, run

    host = parts.config["home.host"] if host is None else host
    port = parts.config["home.port"] if port is None else port
    with ExitStack() as stack:
        stack.enter_context(_only_one())
        stack.callback(parts.close)
        mine = own_certificate()
        connection = stack.enter_context(closing(database.connect(paths.database_file())))
        app = assemble(parts, Registry(connection), mine, parts.ledger)
        listener = stack.enter_context(listen(host, port))
        hub = stack.enter_context(serving_hub(parts, host))
        address = Address(host, listener.getsockname()[1], os.getpid(), hub)

        def on_started() -> None:
            whole_file.write(_address_file(), json.dumps(asdict(address)))
            if on_ready is not None:
                on_ready(address)

        run(app, [listener], on_started, certificate=tls.Certificate(mine.file, mine.file))


def assemble(parts: Parts, registry: Registry, mine: Certificate, ledger: Ledger) -> FastAPI:
    """The app, with all that stands behind it."""
    from ondol.home.admission import Gate, SeenNonces
    from ondol.home.app import create_app
    from ondol.home.backend import OwnEngine, choose
    from ondol.home.fair_queue import FairQueue
    from ondol.home.journal import FOLDER, Journal
    from ondol.home.service import Limits, Service
    from ondol.ledger.energy import EnergyMeter

    config = parts.config
    backend = choose(parts)
    queue = FairQueue(backend.slots, config["home.max_queue"])
    limits = Limits(config["home.requests_per_day"], config["home.tokens_per_day"])
    is_here = isinstance(backend, OwnEngine)
    journal = Journal(paths.state_dir() / FOLDER, lambda served: code_of(served.device))
    recover(ledger, journal)
    service = Service(
        backend,
        queue,
        registry,
        limits,
        lambda served: _record(ledger, journal, served),
        EnergyMeter.of_this_machine(config["ledger.watts_per_core"]) if is_here else None,
        begun=journal.begin,
    )
    gate = Gate(
        registry, mine.fingerprint, SeenNonces(), config["server.max_body_mb"] << 20, time.time()
    )
    num_answers = backend.slots + config["home.max_queue"]
    return create_app(
        service,
        gate,
        name_of_this_machine(),
        num_answers,
        note=lambda kind, device: note(ledger, kind, device),
    )


def own_certificate() -> Certificate:
    """The certificate of this user's home."""
    return certificate.ensure(paths.data_dir())


def name_of_this_machine() -> str:
    """What devices call this home."""
    return platform.node().partition(".")[0][:LONGEST_NAME] or "home"


def running() -> Address | None:
    """The home that runs in this state directory, if one does."""
    try:
        lock = os.open(paths.state_dir() / LOCK_NAME, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _read()
    finally:
        os.close(lock)


def reachable_url(host: str, port: int) -> str:
    """How devices in the same network reach a home that listens on ``host``: where it listens
    everywhere, by the first address of this machine that others can reach."""
    from ondol.server.door.network import addresses

    name = next(iter(addresses()), "127.0.0.1") if host in _ANYWHERE else host.strip("[]")
    return f"https://[{name}]:{port}" if ":" in name else f"https://{name}:{port}"


@contextmanager
def _only_one() -> Iterator[None]:
    """Hold the lock for as long as home runs. The address of one that was killed goes first."""
    path = paths.ensure(paths.state_dir()) / LOCK_NAME
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise paths.storage_error(error, path) from error
    try:
        _take(lock)
        _address_file().unlink(missing_ok=True)
        try:
            yield
        finally:
            _address_file().unlink(missing_ok=True)
    finally:
        os.close(lock)


def _take(lock: int, patience_seconds: float = 0.5) -> None:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            # Somebody may just be asking whether it is held (``running``).
            if time.monotonic() > deadline:
                raise AddressInUseError(
                    t("home.already_running"), t("home.already_running_hint")
                ) from None
            time.sleep(0.02)


def note(ledger: Ledger, kind: str, device: Device) -> None:
    """Write down that a device came or went."""
    from ondol.ledger.entries import Entry

    ledger.append(Entry(kind, device=code_of(device)))


def code_of(device: Device) -> str:
    """What the ledger calls a device. A thumbprint may begin with a hyphen, which no code does."""
    return f"key:{device.id}"


def recover(ledger: Ledger, journal: Journal) -> None:
    """Write down the answers that a home which died was giving."""
    for file, entry in journal.left():
        # Home may have died just after it was written down.
        if not any(one.request == entry.request for one in ledger.entries(kind="served", limit=64)):
            ledger.append(entry)
        file.unlink(missing_ok=True)


def _record(ledger: Ledger, journal: Journal, served: Served) -> None:
    from ondol.ledger.entries import Entry

    energy = served.energy
    ledger.append(
        Entry(
            "served",
            device=code_of(served.device),
            request=served.request_id,
            reasons=(served.reason,) if served.reason else (),
            model=served.model,
            bytes_in=served.bytes_in,
            bytes_out=served.bytes_out,
            prompt_tokens=served.prompt_tokens,
            completion_tokens=served.completion_tokens,
            seconds=served.seconds,
            energy_joules=energy.joules if energy else None,
            energy_source=energy.source if energy else "",
            energy_meter=energy.meter if energy else "",
            count=served.count if served.count > 1 else None,
        )
    )
    journal.end(served)


def _address_file() -> Path:
    return paths.state_dir() / ADDRESS_NAME


def _read() -> Address | None:
    with suppress(OSError, ValueError, TypeError, KeyError):
        said = json.loads(_address_file().read_text(encoding="utf-8"))
        return Address(str(said["host"]), int(said["port"]), int(said["pid"]))
    return None
