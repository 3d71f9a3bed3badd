"""The tools of the owner's MCP servers, and what holds for each call of one.

A model gets the tools that their owner has seen as they are now, of the servers that are switched
on. A call is made when its owner allows it, and where what it could be made from may go: what is
PRIVATE goes to no server that could hand it on. It is in the ledger before it is made.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from ondol.connections.offers import Offer
from ondol.connections.servers import SEPARATOR, ToolServer, ToolServers
from ondol.connections.sessions import Result, Sessions
from ondol.egress import Egress
from ondol.errors import OndolError, ToolServerError
from ondol.i18n import t
from ondol.ledger.entries import Entry
from ondol.ledger.ledger import Ledger
from ondol.tooling import Allow, ToolUse
from ondol.types import Message, Sensitivity, Tool, ToolCall

MOST_ARGUMENT_BYTES = 32_768
# A server that does not work is not tried again for so long.
PATIENCE_SECONDS = 60.0

LabelOf = Callable[[Sequence[Message]], Sensitivity]
Inspect = Callable[[bytes], Sensitivity]


class Toolbox:
    """The tools of one process. ``inspect`` is the last look at what leaves. Safe to use from
    several threads; ``close`` it."""

    def __init__(
        self, servers: ToolServers, egress: Egress, ledger: Ledger, inspect: Inspect
    ) -> None:
        self.sessions = Sessions(egress)
        self._servers, self._ledger, self._inspect = servers, ledger, inspect
        self._failed: dict[tuple[str, str], float] = {}

    def close(self) -> None:
        """End every conversation with a server."""
        self.sessions.close()

    def has_servers(self) -> bool:
        """Whether there is any to be asked for its tools; none is started for that."""
        return any(one.is_enabled for one in self._servers.all())

    def open(self, label_of: LabelOf) -> Tools:
        """What is at hand now. ``label_of`` says how far a conversation may travel."""
        found: dict[str, tuple[ToolServer, Offer]] = {}
        problems: list[tuple[str, str]] = []
        for server in self._servers.all():
            approved = self._servers.approved(server.name) if server.is_enabled else {}
            if not approved:
                continue
            try:
                offers = self._offers(server)
            except OndolError as error:
                problems.append((server.name, error.message))
                continue
            strangers = 0
            for offer in offers:
                if approved.get(offer.name) == offer.digest:
                    found[offer.tool.name] = server, offer
                else:
                    strangers += 1
            if strangers:
                told = t("mcp.strangers", name=server.name, count=strangers)
                problems.append((server.name, told))
        return Tools(self, found, tuple(problems), label_of)

    def call(
        self, server: ToolServer, offer: Offer, arguments: dict[str, Any], label: Sensitivity
    ) -> Result:
        """Make a call that was allowed, and write it down, before and after."""
        sent = len(json.dumps(arguments, ensure_ascii=False).encode())
        about = self._record(server, offer, sent, label, "allowed")
        started = time.perf_counter()
        try:
            result = self.sessions.call(server, offer.name, arguments, label)
        except OndolError as error:
            self._received(server, about, 0, started, error.code)
            raise
        num_bytes = len(result.text.encode())
        self._received(server, about, num_bytes, started, "failed" if result.is_error else "")
        return result

    def refuse(self, server: ToolServer, offer: Offer, label: Sensitivity, reason: str) -> None:
        """Write down that a call was not made."""
        self._record(server, offer, 0, label, "refused", reason)

    def may_go(self, server: ToolServer, label: Sensitivity, arguments: str) -> bool:
        """Whether a server may be told what has this label."""
        if server.stays_here:
            return True
        least = Sensitivity.TRUSTED
        return label >= least and self._inspect(arguments.encode()) >= least

    def _offers(self, server: ToolServer) -> list[Offer]:
        key = server.name, server.added_at
        failed_at = self._failed.get(key)
        if failed_at is not None and time.monotonic() - failed_at < PATIENCE_SECONDS:
            raise ToolServerError(t("mcp.server_rests", name=server.name))
        try:
            return self.sessions.offers(server)[0]
        except OndolError:
            self._failed[key] = time.monotonic()
            raise

    def _record(
        self, server: ToolServer, offer: Offer, sent: int, label: Sensitivity, *reasons: str
    ) -> str:
        return self._ledger.append(
            Entry(
                "tool",
                device=server.name,
                task=offer.name,
                purpose="tools",
                destination=urlsplit(server.url).netloc,
                reasons=reasons,
                sensitivity=label.name.lower(),
                bytes_out=sent,
            )
        )

    def _received(
        self, server: ToolServer, about: str, num_bytes: int, started: float, reason: str
    ) -> None:
        self._ledger.append(
            Entry(
                "received",
                device=server.name,
                purpose="tools",
                about=about,
                bytes_in=num_bytes,
                reasons=(reason,) if reason else (),
                seconds=time.perf_counter() - started,
            )
        )


class Tools:
    """What is at hand in one conversation (``tooling.Box``). ``problems`` are servers and sentences
    about what of theirs is not."""

    def __init__(
        self,
        box: Toolbox,
        found: dict[str, tuple[ToolServer, Offer]],
        problems: tuple[tuple[str, str], ...],
        label_of: LabelOf,
    ) -> None:
        self.problems = problems
        self._box, self._found, self._label_of = box, found, label_of

    @property
    def tools(self) -> tuple[Tool, ...]:
        return tuple(offer.tool for _, offer in self._found.values())

    def use(
        self, call: ToolCall, said: Sequence[Message], allow: Allow
    ) -> Generator[ToolUse, None, str]:
        """See ``tooling.Box``."""
        if call.name not in self._found:
            return t("mcp.model_no_tool", name=call.name[:80])
        server, offer = self._found[call.name]
        arguments = _object(call.arguments)
        if arguments is None:
            return t("mcp.model_bad_arguments")
        use = ToolUse(
            secrets.token_hex(8),
            server.name,
            offer.name,
            json.dumps(arguments, ensure_ascii=False),
            "asked",
            leaves=_beyond(server),
        )
        label = self._label_of(_before(said, server.name))
        if not self._box.may_go(server, label, use.arguments):
            self._box.refuse(server, offer, label, "label")
            yield replace(use, status="refused", text=t("mcp.private_call", name=server.name))
            return t("mcp.model_private")
        yield use
        if not allow(use):
            self._box.refuse(server, offer, label, "owner")
            yield replace(use, status="refused", text=t("mcp.owner_refused"))
            return t("mcp.model_refused")
        try:
            result = self._box.call(server, offer, arguments, label)
        except OndolError as error:
            yield replace(use, status="failed", text=error.message)
            return t("mcp.model_failed")
        status = "failed" if result.is_error else "done"
        yield replace(use, status=status, text=result.text)  # type: ignore[arg-type]
        return result.text


def _before(said: Sequence[Message], server: str) -> list[Message]:
    """What a call to ``server`` could be made from that it does not know already: not what it said
    itself, nor what the model said while it called tools, which is made of the rest. The owner's
    instructions are the owner's words."""
    kept = []
    for message in said:
        is_own = message.role == "tool" and message.tool_name.startswith(f"{server}{SEPARATOR}")
        if is_own or (message.role == "assistant" and message.tool_calls):
            continue
        kept.append(replace(message, role="user") if message.role == "system" else message)
    return kept


def _object(text: str) -> dict[str, Any] | None:
    """The arguments of a call; ``None`` for what is none."""
    if len(text.encode()) > MOST_ARGUMENT_BYTES:
        return None
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _beyond(server: ToolServer) -> str:
    """Where what ``server`` is told may go."""
    if server.stays_here:
        return ""
    return urlsplit(server.url).netloc if server.url else t("mcp.the_network")
