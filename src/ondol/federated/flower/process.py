"""A process of Flower's as Ondol sees it: started in its own environment, spoken to over its pipes,
ended with us: it ends by itself when its input does. What it logs goes to a file in its folder; it
never logs what it carries.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ondol import paths
from ondol.errors import FederationLinkError
from ondol.federated.flower import environment
from ondol.federated.flower.pipes import Head, Line, LineError, Serve
from ondol.i18n import t

SETUP_SECONDS = 120.0
"""To import flwr on a slow disk, and to begin."""
END_SECONDS = 5.0


class FlowerProcess:
    """``module`` is run with ``setup`` as its first call. Raises ``FederationSetupError`` where the
    environment is missing and ``FederationLinkError`` with the reason where it does not start."""

    def __init__(
        self, module: str, folder: Path, setup: Mapping[str, Any], serve: Serve | None = None
    ) -> None:
        self._process = _start(module, paths.ensure(folder))
        assert self._process.stdin is not None and self._process.stdout is not None
        self._line = Line(self._process.stdout, self._process.stdin, serve or _serves_nothing)
        self._reading = threading.Thread(target=self._line.run, name=module, daemon=True)
        self._reading.start()
        try:
            self.told, _ = self._line.call("setup", dict(setup), seconds=SETUP_SECONDS)
        except LineError as error:
            self.close()
            raise _failed(str(error)) from error

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it still answers."""
        return self._process.poll() is None and self._reading.is_alive()

    def call(
        self, name: str, head: Head | None = None, body: bytes = b"", *, seconds: float | None = 60
    ) -> tuple[Head, bytes]:
        """What it answers. Raises ``FederationLinkError``."""
        try:
            return self._line.call(name, head, body, seconds=seconds)
        except LineError as error:
            raise _failed(str(error)) from error

    def close(self) -> None:
        """End it. It has nothing to keep."""
        self._process.kill()
        self._process.wait()
        self._reading.join(END_SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError, ValueError):
                assert stream is not None
                stream.close()


def _start(module: str, folder: Path) -> subprocess.Popen[bytes]:
    python = environment.python()
    try:
        with (folder / "flower.log").open("wb") as log:
            return subprocess.Popen(
                [str(python), "-P", "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env=environment.environ({"FLWR_HOME": str(folder / "flwr")}),
            )
    except OSError as error:
        raise _failed(error.strerror or str(error)) from error


def _failed(reason: str) -> FederationLinkError:
    return FederationLinkError(
        t("federated_flower.failed", reason=reason), t("federated_flower.failed_hint")
    )


def _serves_nothing(name: str, head: Head, body: bytes) -> tuple[Head, bytes]:
    raise LineError(name)
