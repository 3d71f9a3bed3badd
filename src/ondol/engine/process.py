"""One supervised child process: started, awaited, watched and killed, never left behind.

Knows nothing about prompts or tokens. Raises ``InvalidModelError``, ``ModelTooLargeError`` or
``EngineError`` when the child cannot be made ready.
"""

from __future__ import annotations

import json
import os
import secrets
import selectors
import signal
import subprocess
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from ondol.egress import guard
from ondol.engine import failing, rendezvous
from ondol.engine.complaints import complaints, ending, is_of_memory, is_of_model, useful_line
from ondol.engine.failing import Failure
from ondol.engine.native import fallback
from ondol.engine.running import UNTOLD, Running
from ondol.engine.starter import spawn
from ondol.engine.wire import connect
from ondol.engine.worker import REFUSED
from ondol.errors import (
    EngineCrashedError,
    EngineError,
    EngineTimeoutError,
    InvalidModelError,
    ModelTooLargeError,
    OndolError,
)
from ondol.i18n import t

POLL_SECONDS = 0.05
LOG_LINES = 100


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start. ``num_ctx`` is per request; ``adapters`` are names and paths, loaded but
    switched off; ``mmproj`` is the file of a projector; ``binary`` "" is the bundled runtime, and
    ``engine`` names the native engine that a binary is of; one that failed is nobody's model's
    fault. ``takes_socket``: it is known to serve at a socket file."""

    name: str
    model: str
    num_ctx: int
    num_parallel: int
    threads: int
    gpu_layers: int
    embedding: bool = False
    pooling: str | None = None
    binary: str = ""
    adapters: tuple[tuple[str, str], ...] = ()
    mmproj: str = ""
    running: Running = UNTOLD
    engine: str = ""
    takes_socket: bool = False


class EngineProcess:
    """A child that serves one model. ``address`` is set once ``wait_ready`` returns."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.key = secrets.token_urlsafe(32)
        self.address = ""
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._child = spawn()
        has_port = bool(launch.binary) and not launch.takes_socket
        self._socket = None if has_port else rendezvous.make()
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self._kill_lock = threading.Lock()
        self._killed = False
        self._starting = True
        self._send_parameters()

    @property
    def pid(self) -> int:
        """The child's, which is also its process group's."""
        return self._child.pid

    def alive(self) -> bool:
        return not self._killed and self._child.poll() is None

    def wait_ready(self, timeout_seconds: float) -> None:
        """Return when the model answers; the child is gone if this raises."""
        deadline = time.monotonic() + timeout_seconds
        try:
            self.address = self._read_address(deadline)
            while not self._healthy():
                self._check_start(deadline)
                time.sleep(POLL_SECONDS)
        except BaseException:
            self.kill()
            raise
        finally:
            self._starting = False
            if self._killed:
                self._close_pipes()

    def kill(self) -> None:
        """End the child and everything it started; waits until it is gone."""
        with self._kill_lock:
            if self._killed:
                return
            self._killed = True
            try:
                os.killpg(self._child.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass  # nothing of the group is left (macOS says EPERM for a zombie)
            self._child.wait()
            rendezvous.remove(self._socket)
        if not self._starting:  # else wait_ready still reads from them, and closes them itself
            self._close_pipes()

    def _close_pipes(self) -> None:
        self._reader.join(timeout=5)  # the group is dead; only a runaway can hold its log open
        pipes = [self._child.stdin, self._child.stdout]
        pipes += [] if self._reader.is_alive() else [self._child.stderr]
        for pipe in pipes:
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def rss_bytes(self) -> int:
        """Resident memory of the child and what it started; 0 when it is gone."""
        return sum(info.rss for info in self._memory())

    def private_bytes(self) -> int:
        """The part of it that is not mapped from files, where the system tells them apart."""
        return sum(info.rss - getattr(info, "shared", 0) for info in self._memory())

    def _memory(self) -> list[Any]:
        import psutil

        try:
            child = psutil.Process(self.pid)
            return [p.memory_info() for p in [child, *child.children(recursive=True)]]
        except psutil.Error:
            return []

    def crashed(self, silent_seconds: float | None = None) -> EngineError:
        """The error for a request whose connection broke, or that heard nothing for so long; ends
        what may be left of the child."""
        if silent_seconds is not None:
            self.kill()
            seconds = f"{silent_seconds:g}"
            return EngineTimeoutError(
                t("engine.stalled", model=self.launch.name, seconds=seconds),
                t("engine.stalled_hint"),
            )
        try:
            code = self._child.wait(timeout=1)
        except subprocess.TimeoutExpired:
            code = None
        self.kill()
        error = EngineCrashedError(
            t("engine.crashed", model=self.launch.name, reason=ending(code)),
            t("engine.crashed_hint"),
        )
        self._tell(error)
        if not is_of_memory("", list(self._log)):
            fallback.ended(self.launch.engine, code, ending(code))
        return error

    def _tell(self, error: OndolError) -> None:
        if self.launch.engine:
            return  # the bundled engine tries next, and then it may be the model
        failing.tell(Failure(self.launch.name, tuple(n for n, _ in self.launch.adapters), error))

    def _send_parameters(self) -> None:
        parameters = asdict(self.launch) | {"key": self.key, "parent_pid": os.getpid()}
        parameters["socket"] = str(self._socket or "")
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(parameters).encode() + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            pass  # it died at birth; wait_ready says why

    def _read_log(self) -> None:
        assert self._child.stderr is not None
        for line in self._child.stderr:
            if line.startswith(REFUSED):
                guard.relay(line.removeprefix(REFUSED).decode(errors="replace").strip())
                continue
            self._log.append(line.decode(errors="replace").rstrip()[:500])

    def _read_address(self, deadline: float) -> str:
        assert self._child.stdout is not None
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if selector.select(min(1.0, max(0.0, deadline - time.monotonic()))):
                    part = os.read(self._child.stdout.fileno(), 65536)
                    if not part:
                        self._check_start(0, dead=True)
                    line += part
                self._check_start(deadline)
        reply = json.loads(line)
        if "address" not in reply:
            self._child.wait(timeout=10)
            self._log.append(str(reply.get("error", "")))
            self._check_start(0, dead=True)
        return str(reply["address"])

    def _check_start(self, deadline: float, *, dead: bool = False) -> None:
        if dead or not self.alive():
            was_killed, error = self._killed, self._failure()
            if not was_killed:
                self._tell(error)
            raise error
        if time.monotonic() > deadline:
            raise EngineError(
                t("engine.start_timeout", model=self.launch.name), t("engine.start_timeout_hint")
            )

    def _healthy(self) -> bool:
        import httpx2

        with connect(self.address, self.key) as client:
            try:
                return client.get("/health", timeout=5).status_code == 200
            except httpx2.TransportError:
                return False

    def _failure(self) -> OndolError:
        if self._killed:
            return EngineError(t("engine.closed"))
        code = self._child.wait(timeout=10)
        self._reader.join(timeout=2)
        log = list(self._log)
        named = [(self.launch.name, self.launch.model), *self.launch.adapters]
        reason = useful_line(log, named)
        name, why = self.launch.name, reason or ending(code)
        if code == -signal.SIGKILL:
            return EngineCrashedError(
                t("engine.killed_loading", model=name), t("engine.too_large_hint")
            )
        if is_of_memory(reason, log):
            return ModelTooLargeError(
                t("engine.no_memory", model=name, reason=why), t("engine.too_large_hint")
            )
        if adapter := self._unfit_adapter():
            return InvalidModelError(
                t("engine.invalid_adapter", model=name, adapter=adapter, reason=why),
                t("engine.invalid_adapter_hint", model=name, adapter=adapter),
            )
        if is_of_model(log):
            return InvalidModelError(
                t("engine.invalid_model", model=name, reason=why),
                t("engine.invalid_model_hint", model=name),
            )
        return EngineError(
            t("engine.start_failed", model=name, reason=why), t("engine.start_failed_hint")
        )

    def _unfit_adapter(self) -> str:
        """The adapter that the child's log complains of; or ""."""
        told = "\n".join(complaints(self._log))
        return next((name for name, path in self.launch.adapters if path in told), "")
