"""The hubs that this device knows: rows of the table ``hubs``.

A hub is added with its fingerprint, and only if the first root that lies there has it. Raises
``HubNotFoundError``, ``UsageError``, and what fetching that root raises.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ondol import paths
from ondol.egress import Egress
from ondol.errors import HubNotFoundError, OndolError, UsageError
from ondol.hub.fingerprint import name_in, normalised
from ondol.hub.targets import NAME
from ondol.i18n import t
from ondol.place import Place, Placed

if TYPE_CHECKING:
    from ondol.hub.client.hub import Hub
    from ondol.models.patience import Patience

_COLUMNS = "name, fingerprint, root, url, mirrors, added_at, refreshed_at, expires_at, failure"
MAX_URL = 2_000
MAX_MIRRORS = 16


@dataclass(frozen=True, slots=True)
class HubRow:
    """One hub. ``root`` is the root that the owner's fingerprint is of, ``failure`` what the last
    refresh met: ``code``, ``message`` and ``hint``, or nothing."""

    name: str
    fingerprint: str
    root: bytes
    url: str
    mirrors: tuple[str, ...]
    added_at: str
    refreshed_at: str | None = None
    expires_at: str | None = None
    failure: dict[str, str] = field(default_factory=dict)

    @property
    def urls(self) -> tuple[str, ...]:
        """Where it may be found, in the order in which they are asked."""
        return (self.url, *self.mirrors)

    def json(self) -> dict[str, Any]:
        """As the API and ``--json`` show it."""
        return {
            "name": self.name,
            "url": self.url,
            "fingerprint": self.fingerprint,
            "mirrors": list(self.mirrors),
            "added_at": self.added_at,
            "refreshed_at": self.refreshed_at,
            "expires_at": self.expires_at,
            "error": self.failure or None,
        }


class Hubs(Placed):
    """Safe to use from several threads and processes. ``folder`` holds what was verified of each
    hub, by default beside the database; it may be lost, the rows may not."""

    def __init__(self, place: Place, folder: Path | None = None) -> None:
        super().__init__(place)
        self._folder = folder

    def add(
        self,
        url: str,
        fingerprint: str,
        name: str = "",
        mirrors: Sequence[str] = (),
        *,
        egress: Egress,
    ) -> HubRow:
        """Know the hub at ``url``, and at ``mirrors``, from here on.

        Its first root is fetched and must have that ``fingerprint``; ``UntrustedError`` otherwise,
        and nothing is kept. A hub that is known already takes the new addresses and its new name.
        Raises ``UsageError``, ``HubUnreachableError``, ``EgressError``.
        """
        from ondol.hub.client.anchoring import first_root

        wanted = normalised(fingerprint)
        found = tuple(dict.fromkeys(address(one) for one in (url, *mirrors)))
        if len(found) > MAX_MIRRORS:
            told = t("hub_client.many_mirrors", most=MAX_MIRRORS)
            raise UsageError(told, param="mirrors")
        chosen = _checked_name(name) if name else ""
        root = first_root(found, wanted, egress)
        called = name_in(root) or _host(found[0])
        added_at = datetime.now(UTC).isoformat(timespec="seconds")
        with self.place.writing() as connection:
            before = _row(connection, "fingerprint", wanted)
            taken = {row[0] for row in connection.execute("SELECT name FROM hubs")}
            if before is not None:
                taken.discard(before.name)
                added_at = before.added_at
            if chosen in taken:
                raise UsageError(t("hub_client.taken", name=chosen), param="name")
            free = chosen or (before.name if before else "") or _free_name(called, taken)
            connection.execute("DELETE FROM hubs WHERE fingerprint = ?", (wanted,))
            row = HubRow(free, wanted, root, found[0], found[1:], added_at)
            connection.execute(
                "INSERT INTO hubs (name, fingerprint, root, url, mirrors, added_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (free, wanted, root, row.url, json.dumps(row.mirrors), added_at),
            )
        return row

    def list(self) -> list[HubRow]:
        """Every hub, the first one added first."""
        with self.place.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM hubs ORDER BY added_at, name"
            ).fetchall()
        return [_made(row) for row in rows]

    def get(self, name: str = "") -> HubRow:
        """The hub called ``name``, or of that fingerprint; with "" the only one. Raises
        ``HubNotFoundError``."""
        found = self.list()
        if not found:
            raise HubNotFoundError(t("hub_client.none"), t("hub_client.none_hint"))
        matching = [one for one in found if name in (one.name, one.fingerprint)] if name else found
        if len(matching) != 1:
            names = ", ".join(one.name for one in found)
            key = "hub_client.no_such_hub" if name else "hub_client.which_hub"
            raise HubNotFoundError(t(key, name=name, names=names), t("hub_client.list_hint"))
        return matching[0]

    def remove(self, name: str) -> HubRow:
        """Know a hub no more, and what was verified of it neither. What was installed from it
        stays. Raises ``HubNotFoundError``."""
        row = self.get(name)
        with self.place.writing() as connection:
            connection.execute("DELETE FROM hubs WHERE fingerprint = ?", (row.fingerprint,))
        shutil.rmtree(self.folder_of(row), ignore_errors=True)
        return row

    def hub(self, row: HubRow | str, egress: Egress, patience: Patience | None = None) -> Hub:
        """The hub of a row or of a name; its refreshes are noted in the row."""
        from ondol.hub.client.hub import Hub

        found = self.get(row) if isinstance(row, str) else row
        folder = self.folder_of(found)
        return Hub(found, folder, egress, patience, on_refreshed=self._note)

    def folder_of(self, row: HubRow) -> Path:
        """Where what was verified of a hub is kept."""
        parent = paths.data_dir() / "hubs" if self._folder is None else self._folder
        return parent / row.fingerprint.lower()

    def _note(self, row: HubRow, expires_at: str | None, error: OndolError | None) -> None:
        """What a refresh came to. Until when its word holds is kept when the next one fails."""
        with self.place.writing() as connection:
            if error is not None:
                failure = {"code": error.code, "message": error.message, "hint": error.hint}
                connection.execute(
                    "UPDATE hubs SET failure = ? WHERE fingerprint = ?",
                    (json.dumps(failure), row.fingerprint),
                )
                return
            now = datetime.now(UTC).isoformat(timespec="seconds")
            connection.execute(
                "UPDATE hubs SET failure = '{}', refreshed_at = ?, expires_at = ?"
                " WHERE fingerprint = ?",
                (now, expires_at, row.fingerprint),
            )


def address(url: str) -> str:
    """``url`` of a hub in its one form, a name in letters of its own country as the network writes
    it (RFC 3490); UsageError for what is none."""
    text = url.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
        host, name = parts.netloc.rpartition(":")[0] or parts.netloc, parts.hostname or ""
        if not host.isascii():
            text = text.replace(host, name.encode("idna").decode(), 1)
    except ValueError:
        is_web = False
    if not is_web or len(text) > MAX_URL or not text.isprintable() or " " in text:
        told = t("hub_client.bad_url", url="".join(c for c in url[:200] if c.isprintable()))
        raise UsageError(told, t("hub_client.bad_url_hint"), param="url")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(t("hub_client.secret_url"), t("hub_client.bad_url_hint"), param="url")
    return text


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        told, hint = t("hub_client.bad_hub_name", name=name), t("hub.bad_name_hint")
        raise UsageError(told, hint, param="name")
    return name


def _host(url: str) -> str:
    host = (urlsplit(url).hostname or "").lower()[:50]
    return host if NAME.fullmatch(host) else "hub"


def _free_name(name: str, taken: set[str]) -> str:
    """``name``, with a number behind it where it is taken."""
    number, free = 2, name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free


def _row(connection: Any, column: str, value: str) -> HubRow | None:
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM hubs WHERE {column} = ?", (value,)
    ).fetchone()
    return None if found is None else _made(found)


def _made(row: Sequence[Any]) -> HubRow:
    name, fingerprint, root, url, mirrors, added_at, refreshed_at, expires_at, failure = row
    return HubRow(
        name,
        fingerprint,
        bytes(root),
        url,
        tuple(json.loads(mirrors)),
        added_at,
        refreshed_at,
        expires_at,
        json.loads(failure),
    )
