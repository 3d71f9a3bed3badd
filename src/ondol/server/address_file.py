"""The file that says where the running server is, for whoever is on this machine.

For its owner alone. It may be a dead one's: ``background`` knows whether a server lives.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import asdict, dataclass
from pathlib import Path

from ondol import paths, whole_file
from ondol.egress import guard
from ondol.server.door.tls import trusting

HEALTH_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Who runs and where; ``certificate`` is the file of the one it speaks TLS with, if it does."""

    pid: int
    host: str
    port: int
    started_at: str
    version: str
    certificate: str = ""

    @property
    def url(self) -> str:
        """The address for clients on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        scheme = "https" if self.certificate else "http"
        return (
            f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"
        )

    @property
    def trust(self) -> ssl.SSLContext | bool:
        """What a client on this machine verifies it by; it pretends to nothing without TLS."""
        return trusting(self.certificate)


def state_file() -> Path:
    """The address of the running server, readable by its owner only."""
    return paths.state_dir() / "server.json"


def write(info: ServerInfo) -> None:
    """Say where the server is, whole or not at all."""
    whole_file.write(state_file(), json.dumps(asdict(info)))


def read() -> ServerInfo | None:
    """What was said, whoever said it."""
    try:
        said = json.loads(state_file().read_text(encoding="utf-8"))
        pid, host, port = int(said["pid"]), str(said["host"]), int(said["port"])
        began, version = str(said["started_at"]), str(said["version"])
        return ServerInfo(pid, host, port, began, version, str(said.get("certificate", "")))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def answers(info: ServerInfo) -> bool:
    """Whether an Ondol is there."""
    import httpx2

    try:
        client = httpx2.Client(timeout=HEALTH_TIMEOUT_SECONDS, trust_env=False, verify=info.trust)
        with guard.own_server(info.url), client:
            return bool(client.get(f"{info.url}/ondol/v1/health").json()["name"] == "ondol")
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, TypeError, KeyError):
        return False
