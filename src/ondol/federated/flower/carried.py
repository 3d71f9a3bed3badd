"""The network and the clock of a process that has no network: its HTTP requests go to Ondol, which
carries them, and what it signs it signs with home's time.

Flower turns away who signs with a time that is five seconds ahead of home's, or five minutes
behind; clocks at home are often worse. Home's answers say what time it is there.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from ondol.federated.flower.pipes import Line, LineError

CARRY_SECONDS = 60.0
CLOSE_SECONDS = 2.0
"""A clock that is off by no more is right: home says its time in whole seconds."""


class Carried(httpx.BaseTransport):
    """Requests go to Ondol, which carries them. ``corrections`` counts how often home's clock was
    found to differ from what had been thought."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._ahead = timedelta()
        self.corrections = 0

    def now(self) -> datetime:
        """The time at home, as far as it is known."""
        return datetime.now(UTC) + self._ahead

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        head = {"path": request.url.path, "headers": list(request.headers.items())}
        try:
            said, body = self._line.call("carry", head, request.read(), seconds=CARRY_SECONDS)
        except LineError as error:
            raise httpx.ConnectError(str(error)) from error
        if "error" in said:
            raise httpx.ConnectError(said["error"])
        self._look_at_the_clock(str(said.get("date", "")))
        return httpx.Response(said["status"], headers={"content-type": said["type"]}, content=body)

    def _look_at_the_clock(self, said: str) -> None:
        with suppress(ValueError, TypeError, OverflowError):
            there = parsedate_to_datetime(said)
            if abs((there - self.now()).total_seconds()) > CLOSE_SECONDS:
                self._ahead = there - datetime.now(UTC)
                self.corrections += 1
