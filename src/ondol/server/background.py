"""The running server: one per state directory, with an address file that others find it by.

``serve`` listens until SIGTERM or SIGINT; ``start_in_background`` makes a detached process do so;
``running`` and ``stop`` are for everybody else. A lock held for the server's whole life, not the
address file, decides who runs. Raises ``AddressInUseError`` and ``ConfigError``.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ondol import __version__, keys, paths
from ondol.egress import is_loopback
from ondol.errors import AddressInUseError, OndolError
from ondol.i18n import t
from ondol.server import address_file
from ondol.server.address_file import ServerInfo, answers, state_file

if TYPE_CHECKING:
    from ondol.parts import Parts

POLL_SECONDS = 0.05
LOCK_PATIENCE_SECONDS = 0.5
LONGEST_LOG_BYTES = 1 << 20
OLLAMA_PORT = 11434
LOCK_NAME = "server.lock"
# Threads in which answers are made, and how long the end of a server waits for them.
ANSWERING = ("AnyIO worker thread", "ondol-run", "ondol-work")
LAST_SECONDS = 5.0
SERVE = (sys.executable, "-P", "-m", "ondol", "serve")  # -P: no module of the current folder


class StartFailedError(OndolError):
    """The background process ended before it was ready; carries its sentence and exit code."""

    code = "start_failed"

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


def log_file() -> Path:
    """What a background server had to say."""
    return paths.state_dir() / "server.log"


def running() -> ServerInfo | None:
    """The server of this state directory, if it lives and answers."""
    info = address_file.read()
    return info if info is not None and _is_locked() and answers(info) else None


def serve(
    parts: Parts,
    host: str | None = None,
    port: int | None = None,
    *,
    on_ready: Callable[[ServerInfo], None] | None = None,
) -> None:
    """Serve ``parts`` until told to stop; running answers get a few seconds to finish.

    The address file appears when requests are answered; it is gone, and ``parts`` and with it the
    engines closed, when this returns. Call from the main thread.
    """
    from ondol.server.door.access import check_bind
    from ondol.server.door.tls import certificate
    from ondol.server.following import run
    from ondol.server.listening import NETWORK, listen

    host = parts.config["server.host"] if host is None else host
    port = parts.config["server.port"] if port is None else port
    check_bind(host, parts.config["server.api_key"])
    secured = certificate(parts.config, host)
    with ExitStack() as stack:
        stack.enter_context(_only_one())
        # What an answer that was cut writes down last opens the ledger once more.
        stack.callback(parts.close)
        stack.callback(_let_end)
        stack.callback(parts.close)
        crowd, speaks_tls = None if is_loopback(host) else NETWORK, secured is not None
        listener = stack.enter_context(listen(host, port, crowd=crowd, speaks_tls=speaks_tls))
        sockets = [listener]
        if parts.config["server.ollama_port"]:
            # Ollama itself may be running: then it keeps its port, and we do without.
            with suppress(OndolError):
                sockets.append(
                    stack.enter_context(
                        listen(host, OLLAMA_PORT, crowd=crowd, speaks_tls=speaks_tls)
                    )
                )
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        port = listener.getsockname()[1]
        shown = str(secured.chain) if secured else ""
        info = ServerInfo(os.getpid(), host, port, started_at, __version__, shown)

        def on_started() -> None:
            address_file.write(info)
            if on_ready is not None:
                on_ready(info)

        run(parts, sockets, on_started, secured)


def _let_end() -> None:
    """Wait a little for the threads of answers that were cut. Python ends such threads wherever
    they are; inside SQLite that ends the process with a fault."""
    deadline = time.monotonic() + LAST_SECONDS
    for thread in threading.enumerate():
        if thread.name in ANSWERING and thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))


def start_in_background(
    arguments: Sequence[str] = (),
    *,
    command: Sequence[str] = SERVE,
    on_wait: Callable[[float], None] | None = None,
    timeout_seconds: float = 60.0,
) -> ServerInfo:
    """The running server, started with ``COMMAND ARGUMENTS`` if there is none.

    ``on_wait`` gets the seconds waited so far. Raises ``StartFailedError`` with the process's own
    words when it ends early.
    """
    if (info := running()) is not None:
        return info
    process, log_start_bytes = _spawn([*command, *arguments])
    started = time.monotonic()
    while (waited := time.monotonic() - started) < timeout_seconds:
        if on_wait is not None:
            on_wait(waited)
        exit_code = process.poll()
        info = running()
        if info is not None:
            # It outlives us on purpose: tell subprocess that nobody will wait for it.
            process.returncode = 0 if exit_code is None else exit_code
            return info
        # Another `ondol up` may have been quicker; then its server is the one to wait for.
        if exit_code is not None and not _is_locked():
            raise _failure(exit_code, log_start_bytes)
        time.sleep(POLL_SECONDS)
    process.kill()
    process.wait()
    raise StartFailedError(t("server.slow_start"), t("server.see_log", file=log_file()), 1)


def stop(info: ServerInfo, *, timeout_seconds: float = 20.0) -> bool:
    """End the server; True when it is gone."""
    if _is_locked():
        with suppress(ProcessLookupError):
            os.kill(info.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_seconds
    while _is_locked():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


@contextmanager
def _only_one() -> Iterator[None]:
    """Hold the lock of this state directory. An address file means what it says only while the
    lock is held, so that of a server that was killed goes first, and ours goes at the end."""
    path = paths.ensure(paths.state_dir()) / LOCK_NAME
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise paths.storage_error(error, path) from error
    try:
        if not _take(lock):
            raise _already_running()
        state_file().unlink(missing_ok=True)
        try:
            yield
        finally:
            state_file().unlink(missing_ok=True)
    finally:
        os.close(lock)


def _already_running() -> AddressInUseError:
    info = address_file.read()
    hint = t("server.already_running_hint")
    if info is None:
        return AddressInUseError(t("server.already_starting"), hint)
    return AddressInUseError(t("server.already_running", url=info.url, pid=info.pid), hint)


def _take(lock: int, patience_seconds: float = LOCK_PATIENCE_SECONDS) -> bool:
    deadline = time.monotonic() + patience_seconds
    is_server = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            # Someone may be asking whether it is held (`_is_locked`), which takes it for a moment.
            # Where a server runs, waiting is wrong: whoever waits would take its place at its end.
            if is_server or time.monotonic() >= deadline:
                return False
            is_server = state_file().exists()
            time.sleep(POLL_SECONDS)


def _is_locked() -> bool:
    """Whether a server lives; if not, an address file is a dead one's and is removed."""
    try:
        lock = os.open(paths.state_dir() / LOCK_NAME, os.O_RDWR)
    except OSError:
        return False
    try:
        if not _take(lock, 0.0):
            return True
        with suppress(OSError):
            state_file().unlink()
        return False
    finally:
        os.close(lock)


def _spawn(command: Sequence[str]) -> tuple[subprocess.Popen[bytes], int]:
    """A detached server, and where in the log its words begin."""
    paths.ensure(paths.state_dir())
    path = log_file()
    try:
        if path.exists() and path.stat().st_size > LONGEST_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise paths.storage_error(error, path) from error
    with os.fdopen(descriptor, "ab") as log, keys.hand_over() as (environ, descriptors):
        start_bytes = log.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | environ,
            pass_fds=descriptors,
        )
    return process, start_bytes


def _failure(exit_code: int, log_start_bytes: int) -> StartFailedError:
    """The child's ``error: … / hint: …``, passed on."""
    with log_file().open("rb") as log:
        log.seek(log_start_bytes)
        lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    message, hint = lines[-1] if lines else "", ""
    for line, next_line in zip(lines, [*lines[1:], ""], strict=False):
        if line.startswith(("error: ", "오류: ")):
            message, hint = line.partition(": ")[2], next_line.partition(": ")[2]
    return StartFailedError(
        message or t("server.silent_end"),
        hint or t("server.see_log", file=log_file()),
        exit_code if exit_code > 0 else 1,
    )
