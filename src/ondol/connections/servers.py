"""The owner's MCP servers: how each is reached, and which of its tools its owner has seen.

A server is a program of this machine (``command``) or an address (``url``). A program gets no
secret but its ``variables``, and no network unless ``has_network``. Of each tool that was approved
the digest of what it said of itself is kept: one that says something else is a stranger again.
Raises ``UsageError``, ``ToolServerNotFoundError`` and what the database raises.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from ondol import erasing
from ondol.connections.clients import is_name
from ondol.egress import is_loopback
from ondol.errors import ToolServerNotFoundError, UsageError
from ondol.i18n import t
from ondol.place import Placed

MOST = 50
SEPARATOR = "__"


@dataclass(frozen=True, slots=True)
class ToolServer:
    """One server. ``variables`` and ``headers`` are secrets: never shown, never written down."""

    name: str
    command: tuple[str, ...] = ()
    url: str = ""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    has_network: bool = False
    is_enabled: bool = True
    added_at: str = ""

    @property
    def stays_here(self) -> bool:
        """Whether what it is told cannot leave this machine by way of it."""
        if self.url:
            return is_loopback(urlsplit(self.url).hostname or "")
        return not self.has_network

    def json(self) -> dict[str, Any]:
        """What may be shown of it."""
        return {
            "name": self.name,
            "command": list(self.command),
            "url": self.url,
            "variables": sorted(self.variables),
            "headers": sorted(self.headers),
            "network": self.has_network,
            "enabled": self.is_enabled,
            "stays_here": self.stays_here,
            "added_at": self.added_at,
        }


class ToolServers(Placed):
    """The servers in the one database. Safe to use from several threads; ``close`` it."""

    def all(self) -> list[ToolServer]:
        """Every server, by name."""
        with self.place.reading() as connection:
            rows = connection.execute(f"{_SELECT} ORDER BY name").fetchall()
        return [_server(row) for row in rows]

    def get(self, name: str) -> ToolServer:
        """The server of that name."""
        with self.place.reading() as connection:
            row = connection.execute(f"{_SELECT} WHERE name = ?", [name]).fetchone()
        if row is None:
            raise ToolServerNotFoundError(
                t("mcp.no_server", name=name[:80]), t("mcp.no_server_hint")
            )
        return _server(row)

    def add(self, server: ToolServer) -> ToolServer:
        """Keep a new server. One of that name must be removed first."""
        _check(server)
        with self.place.reading():
            with self.place.writing() as connection:
                names = [one for (one,) in connection.execute("SELECT name FROM tool_servers")]
                if server.name in names:
                    raise UsageError(
                        t("mcp.server_taken", name=server.name), t("mcp.server_taken_hint")
                    )
                if len(names) >= MOST:
                    raise UsageError(t("mcp.too_many_servers", most=MOST))
                connection.execute(
                    "INSERT INTO tool_servers VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        server.name,
                        json.dumps(server.command),
                        server.url,
                        json.dumps(dict(server.variables)),
                        json.dumps(dict(server.headers)),
                        int(server.has_network),
                        int(server.is_enabled),
                        datetime.now(UTC).isoformat(timespec="seconds"),
                    ],
                )
            return self.get(server.name)

    def enable(self, name: str, is_enabled: bool) -> ToolServer:
        """Let models have its tools, or not."""
        with self.place.reading():
            self.get(name)
            with self.place.writing() as connection:
                connection.execute(
                    "UPDATE tool_servers SET is_enabled = ? WHERE name = ?", [int(is_enabled), name]
                )
            return self.get(name)

    def remove(self, name: str) -> None:
        """Forget a server and its secrets, so that no byte of them is left."""
        with self.place.reading():
            self.get(name)
            with self.place.writing() as connection:
                connection.execute("DELETE FROM tool_servers WHERE name = ?", [name])
                erasing.begin(connection)
            self.place.erase()

    def approved(self, name: str) -> dict[str, str]:
        """The digests of the tools that were approved, by the name that the server gives them."""
        with self.place.reading() as connection:
            rows = connection.execute(
                "SELECT name, digest FROM approved_tools WHERE server = ?", [name]
            )
            return dict(rows.fetchall())

    def approve(self, name: str, digests: Mapping[str, str]) -> None:
        """The owner has seen these tools as they are now; others are strangers."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self.place.reading():
            self.get(name)
            with self.place.writing() as connection:
                connection.execute("DELETE FROM approved_tools WHERE server = ?", [name])
                connection.executemany(
                    "INSERT INTO approved_tools VALUES (?, ?, ?, ?)",
                    [[name, tool, digest, now] for tool, digest in digests.items()],
                )


_SELECT = (
    "SELECT name, command, url, variables, headers, has_network, is_enabled, added_at "
    "FROM tool_servers"
)


def _server(row: Sequence[Any]) -> ToolServer:
    name, command, url, variables, headers, has_network, is_enabled, added_at = row
    return ToolServer(
        name,
        tuple(json.loads(command)),
        url,
        json.loads(variables),
        json.loads(headers),
        bool(has_network),
        bool(is_enabled),
        added_at,
    )


def _check(server: ToolServer) -> None:
    """Refuse what cannot be reached, or could be taken for another."""
    if not is_name(server.name) or SEPARATOR in server.name or "." in server.name:
        raise UsageError(t("mcp.bad_server", name=server.name[:80]), t("mcp.bad_server_hint"))
    if bool(server.command) == bool(server.url):
        raise UsageError(t("mcp.command_or_url"), t("mcp.command_or_url_hint"))
    if server.url:
        try:
            parts = urlsplit(server.url)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            is_address = False
        if not is_address or "@" in server.url.partition("//")[2].partition("/")[0]:
            raise UsageError(t("mcp.bad_url", url=server.url[:200]), param="url")
    if any("\0" in word for word in server.command) or (server.command and not server.command[0]):
        raise UsageError(t("mcp.command_or_url"), t("mcp.command_or_url_hint"))
    values = [*server.headers.items(), *server.variables.items()]
    if any(not key or set("\0\r\n") & set(key + value) for key, value in values):
        raise UsageError(t("mcp.bad_variable"), param="env")
