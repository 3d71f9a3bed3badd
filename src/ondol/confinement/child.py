"""The parent's end of one child: start, ask, hear, kill.

Knows nothing about files. Everything raises ``ChildGoneError`` once the child is dead, hangs or
says what makes no sense; it is killed then, with all it started.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from ondol.confinement import frames
from ondol.i18n import t

START_SECONDS = 60
CAN_CONFINE = hasattr(socket, "send_fds") and os.name == "posix"
# Nothing else of the environment reaches the child.
_KEPT = ("PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_MARK = b"F"

T = TypeVar("T")


class ChildGoneError(Exception):
    """The child is no more; ``is_slow`` when its time was up, ``is_killed`` when somebody else
    ended it, or the kernel, short of memory."""

    def __init__(self, reason: str, *, is_slow: bool = False, is_killed: bool = False) -> None:
        super().__init__(reason)
        self.is_slow = is_slow
        self.is_killed = is_killed


class Child:
    """A child that is ready, or ``ChildGoneError`` or ``OSError``. It is started as ``command``
    with little more of an environment than ``more``, and says at most ``answer_bytes`` to one
    request."""

    def __init__(
        self,
        command: Sequence[str],
        memory_bytes: int,
        *,
        answer_bytes: int,
        more: Mapping[str, str],
    ) -> None:
        self._answer_bytes = answer_bytes
        self._socket, theirs = socket.socketpair()
        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=_environment(more),
                start_new_session=True,
            )
        except BaseException:
            self._socket.close()
            raise
        finally:
            theirs.close()
        self._incoming = frames.Incoming(self._socket, answer_bytes)
        home = os.path.expanduser("~")
        settings = {"parent_pid": os.getpid(), "memory_bytes": memory_bytes, "home": home}
        try:
            self._send(settings)
            said = self.hear(time.monotonic() + START_SECONDS)
            self.protections = tuple(map(str, said.get("protections", ())))
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: Mapping[str, object], descriptor: int) -> None:
        """Hand over an open file with what is to be done with it."""
        self._incoming = frames.Incoming(self._socket, self._answer_bytes)
        try:
            self._socket.settimeout(START_SECONDS)
            socket.send_fds(self._socket, [_MARK], [descriptor])
        except OSError as error:
            raise self._gone() from error
        self._send(request)

    def hear(self, deadline: float) -> dict[str, Any]:
        """The next thing it says."""
        return self.hear_with(frames.Incoming.frame, deadline)

    def hear_with(self, receive: Callable[[frames.Incoming, float], T], deadline: float) -> T:
        """What ``receive`` makes of the next frames."""
        try:
            return receive(self._incoming, deadline)
        except (OSError, EOFError, ValueError) as error:
            raise self._gone(error) from error

    def kill(self) -> int:
        """End it and all it started; returns how it had ended, as ``subprocess`` says it."""
        self.signal_end()
        self._socket.close()
        return self._process.wait()

    def signal_end(self) -> None:
        """Have it ended, from any thread: whoever listens to it hears that it is gone."""
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter for a zombie
            os.killpg(self._process.pid, signal.SIGKILL)

    def _send(self, content: Mapping[str, object]) -> None:
        try:
            self._socket.settimeout(START_SECONDS)
            frames.send(self._socket, content)
        except OSError as error:
            raise self._gone(error) from error

    def _gone(self, error: Exception | None = None) -> ChildGoneError:
        if isinstance(error, TimeoutError):
            self.kill()
            return ChildGoneError("", is_slow=True)
        if isinstance(error, ValueError):
            self.kill()
            return ChildGoneError(t("isolation.nonsense"))
        with suppress(subprocess.TimeoutExpired):  # its end of the socket goes before it does
            self._process.wait(timeout=5)
        code = self.kill()
        is_slow = hasattr(signal, "SIGXCPU") and code == -signal.SIGXCPU
        return ChildGoneError(_ending(code), is_slow=is_slow, is_killed=code == -signal.SIGKILL)


def take_request(connection: socket.socket) -> tuple[dict[str, Any], int] | None:
    """The child's side of ``ask``: a request with its file; None when the parent is gone."""
    connection.settimeout(None)
    mark, descriptors, _, _ = socket.recv_fds(connection, len(_MARK), 1)
    if not mark or not descriptors:
        return None
    os.set_inheritable(descriptors[0], False)
    return frames.Incoming(connection, frames.MAX_FRAME_BYTES).frame(), descriptors[0]


def claim_stdin() -> socket.socket:
    """The child's end of the socket, under a number of its own; whatever reads standard input finds
    nothing."""
    parent = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return parent


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PATH": "", "PYTHONDONTWRITEBYTECODE": "1", **more}


def _ending(code: int) -> str:
    if code >= 0:
        return t("isolation.ended")
    try:
        return signal.Signals(-code).name
    except ValueError:
        return str(-code)
