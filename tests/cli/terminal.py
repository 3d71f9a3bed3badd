"""A person at a terminal: ``ondol`` on a pseudo-terminal, waited for by what it says."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

COMMAND = [sys.executable, "-m", "ondol"]
PATIENCE_SECONDS = 60.0


class Terminal:
    """One command on its own terminal. A context manager; kills what is left."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        self._parent, child = pty.openpty()
        self.said = ""
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=child,
            stdout=child,
            stderr=child,
            env={**os.environ, "TERM": "dumb", "COLUMNS": "100", **environ},
            start_new_session=True,
            # Ctrl-C reaches the foreground process group of the controlling terminal.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        os.close(child)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._parent)

    def type(self, text: str) -> None:
        os.write(self._parent, text.encode())

    def wait_for(self, pattern: str) -> str:
        """What was said up to and with the next match of ``pattern``."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := re.search(pattern, self.said)):
            assert self._read(deadline), f"it ended without that; it said: {self.said}"
        heard, self.said = self.said[: found.end()], self.said[found.end() :]
        return heard

    def insist(self, text: str, pattern: str) -> str:
        """Type ``text`` again and again until ``pattern`` is said: a signal that arrives between
        the prompt and the read that follows it is only noticed with the next key (CPython)."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and not re.search(pattern, self.said):
            self.type(text)
            again = time.monotonic() + 3.0
            while not re.search(pattern, self.said) and time.monotonic() < again:
                if select.select([self._parent], [], [], 0.1)[0]:
                    self._read(deadline)
        return self.wait_for(pattern)

    def wait(self) -> int:
        """The exit code."""
        while self._read(time.monotonic() + PATIENCE_SECONDS):
            pass
        return self.process.wait(PATIENCE_SECONDS)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._parent], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"waited in vain; it said: {self.said}"
        try:
            piece = os.read(self._parent, 65536)
        except OSError:  # the other side is closed
            return False
        self.said += piece.decode(errors="replace")
        return bool(piece)
