"""``Homes``: all homes of a device as one, behind the protocol ``Home``.

Each home's load is asked for when it is older than some seconds; a home that did not answer is left
alone for a while that doubles. The one that is expected to answer first is asked, the next one when
it is gone or busy before its first word.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from ondol.config import Config
from ondol.database import Connection
from ondol.egress import Egress
from ondol.errors import (
    EgressError,
    HomeBusyError,
    HomeError,
    HomeRefusedError,
    HomeTimeoutError,
    HomeUnreachableError,
    QuotaError,
)
from ondol.homes.enrolled import Enrolment, Enrolments, shown
from ondol.i18n import t
from ondol.identity import Identity
from ondol.types import GenerateOptions, HomeState, Label, Message, Sensitivity, Token

if TYPE_CHECKING:
    from ondol.homes.client import Exchange, HomeClient

STATE = "/home/v1/state"
CHAT = "/v1/chat/completions"
FRESH_SECONDS = 10.0
STATE_TIMEOUT_SECONDS = 3.0
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0
# A guess, until a home has answered somebody.
ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Known:
    """What was heard of a home last. ``next_at`` and ``failures`` are of ``time.monotonic``."""

    state: HomeState
    next_at: float = 0.0
    failures: int = 0
    ledger: str = ""


class Homes:
    """Safe to use from several threads. ``record`` is told each exchange, however it ended;
    ``head`` gives the newest head of the device's ledger, as "size:hash"; ``witness`` is told a
    home's address and the farthest head that it has seen, whenever it was asked."""

    def __init__(
        self,
        enrolments: Enrolments,
        identity: Identity,
        egress: Egress,
        *,
        timeout_seconds: float,
        record: Callable[[Exchange], None] = lambda exchange: None,
        head: Callable[[], str] = lambda: "",
        witness: Callable[[str, str], None] = lambda url, seen: None,
    ) -> None:
        self.enrolments = enrolments
        self.identity = identity
        self.record = record
        self.head = head
        self.witness = witness
        self.egress = egress
        self._timeout_seconds = timeout_seconds
        self._known: dict[bytes, _Known] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, connection: Connection, egress: Egress, config: Config) -> Self:
        """The homes in this database. Makes the device's identity if there is none; reaches out
        to nobody yet. ``connection`` must be used by nobody else."""
        enrolments, identity = Enrolments(connection), Identity.open(connection)
        return cls(enrolments, identity, egress, timeout_seconds=config["home.timeout_seconds"])

    def state(self) -> HomeState | None:
        """The home that would be asked now: one that answers, soonest; ``None`` where none is
        enrolled. Asks those that were not heard of for a while, all at once."""
        states = self.states()
        return min(states, key=_seconds) if states else None

    def states(self) -> list[HomeState]:
        """Every home, in the order of joining."""
        return [self._known[home.fingerprint].state for home in self._look(self.enrolments.all())]

    def heads_at_home(self, *, is_fresh: bool = True) -> dict[str, str]:
        """The newest head of this device's ledger that each home has seen ("size:hash"), by home's
        name. A ledger that is shorter, or has another entry there, was tampered with."""
        found = self._look(self.enrolments.all(), is_fresh=is_fresh)
        return {home.name: self._known[home.fingerprint].ledger for home in found}

    def generate(
        self, messages: Sequence[Message], options: GenerateOptions, *, label: Label
    ) -> Iterator[Token]:
        """An answer by the home that is expected to give it soonest. Closing the iterator hangs
        up, and home stops its model.

        Raises ``EgressError`` for what may not travel, before anything else; then ``HomeError``'s
        kinds. After the first token no other home is tried: what was said stands.
        """
        from ondol.homes.client import Exchange
        from ondol.homes.dialect import body_of

        homes = self.enrolments.all()
        if label.sensitivity < Sensitivity.TRUSTED:
            self._refuse(homes, label)
        if not homes:
            raise HomeUnreachableError(t("homes.none"), t("homes.none_hint"))
        return self._generate(homes, body_of(messages, options), label, Exchange)

    def _generate(
        self, homes: list[Enrolment], body: bytes, label: Label, make: Callable[..., Exchange]
    ) -> Iterator[Token]:
        failure: HomeError | None = None
        for home in self._soonest(homes):
            exchange = make(secrets.token_hex(16), home.name, home.url)
            begun = False
            try:
                for token in self._ask(home, body, label, exchange):
                    begun = True
                    yield token
                return
            except (HomeUnreachableError, HomeBusyError, HomeTimeoutError, HomeRefusedError) as e:
                if begun or type(e) is HomeRefusedError:
                    raise  # the others would not take it either
                failure = failure or e
        assert failure is not None
        raise failure

    def _ask(
        self, home: Enrolment, body: bytes, label: Label, exchange: Exchange
    ) -> Iterator[Token]:
        from ondol.homes.dialect import GarbledError, ReportedError, tokens_of
        from ondol.homes.refusals import error_of

        client = self.client(home)
        started = time.monotonic()
        try:
            with client.stream(
                CHAT,
                body,
                exchange,
                sensitivity=label.sensitivity,
                timeout_seconds=self._timeout_seconds,
            ) as pieces:
                try:
                    for token in tokens_of(pieces):
                        if token.usage is not None:
                            exchange.prompt_tokens = token.usage.prompt_tokens
                            exchange.completion_tokens = token.usage.completion_tokens
                            exchange.finished = True
                        yield token
                except GarbledError:
                    raise client.interrupted() from None
                except ReportedError as report:
                    raise error_of(0, report.error, home.name) from None
        except (HomeError, EgressError) as error:
            exchange.reason = error.code
            # What our own door keeps is no fault of home's: the next question may go.
            if isinstance(error, HomeError):
                self._note_failure(home, error)
            raise
        finally:
            exchange.seconds = time.monotonic() - started
            if not (exchange.finished or exchange.reason):
                exchange.reason = "cancelled"
            self.record(exchange)

    def _refuse(self, homes: list[Enrolment], label: Label) -> None:
        """The door itself refuses, and has it written down; whatever it does, so do we."""
        for home in homes[:1]:
            self.egress.check(
                home.url + CHAT,
                "home",
                sensitivity=label.sensitivity,
                pinned=home.fingerprint.hex(),
            )
        raise EgressError(t("homes.private"), t("homes.private_hint"))

    def _soonest(self, homes: list[Enrolment]) -> list[Enrolment]:
        found = self._look(homes)
        return sorted(found, key=lambda home: _seconds(self._known[home.fingerprint].state))

    def _look(self, homes: list[Enrolment], *, is_fresh: bool = False) -> list[Enrolment]:
        """Ask for what is not known of ``homes``, at once."""
        now = time.monotonic()
        due = [
            home
            for home in homes
            if is_fresh
            or home.fingerprint not in self._known
            or self._known[home.fingerprint].next_at <= now
        ]
        if len(due) == 1:
            self._check(due[0])
        elif due:
            with ThreadPoolExecutor(len(due)) as threads:
                contexts = [copy_context() for _ in due]
                list(threads.map(lambda c, home: c.run(self._check, home), contexts, due))
        return homes

    def _check(self, home: Enrolment) -> None:
        try:
            said = self.client(home).get(STATE, timeout_seconds=STATE_TIMEOUT_SECONDS)
            state, ledger = _state_of(home.name, said), str(said.get("ledger") or "")
        except (HomeError, EgressError) as error:
            self._note_failure(home, error)
        except (TypeError, ValueError, KeyError, OverflowError):
            told = t("homes.garbled", home=home.name)
            self._note_failure(home, HomeError(told, t("homes.status_hint")))
        else:
            with self._lock:
                known = _Known(state, time.monotonic() + FRESH_SECONDS, 0, ledger)
                self._known[home.fingerprint] = known
            self.witness(home.url, ledger)

    def _note_failure(self, home: Enrolment, error: HomeError | EgressError) -> None:
        """Leave a home alone that failed: for as long as it says, or longer each time."""
        with self._lock:
            before = self._known.get(home.fingerprint)
            failures = (before.failures if before else 0) + 1
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 16))
            if isinstance(error, HomeBusyError | QuotaError):
                pause, failures = min(LONGEST_PAUSE_SECONDS, error.retry_after_seconds), 0
            state = before.state if before else HomeState(home.name, "", False)
            self._known[home.fingerprint] = _Known(
                replace(state, available=False, reason=error.message),
                time.monotonic() + pause,
                failures,
                before.ledger if before else "",
            )

    def client(self, home: Enrolment) -> HomeClient:
        """For what is asked of this very home, signed, over its pinned certificate."""
        from ondol.homes.client import HomeClient

        return HomeClient(
            home,
            self.identity,
            self.egress,
            on_clock=lambda seconds: self.enrolments.set_clock(home, seconds),
            head=self.head,
        )


def _state_of(name: str, said: dict[str, Any]) -> HomeState:
    def number(key: str) -> float | None:
        value = None if said.get(key) is None else float(said[key])
        if value is not None and not 0 <= value < math.inf:
            raise ValueError(key)
        return value

    num_ctx, is_well = said.get("num_ctx"), bool(said.get("available", True))
    return HomeState(
        name,
        shown(str(said["model"]), "?"),
        available=is_well,
        reason="" if is_well else t("homes.no_answers", home=name),
        wait_seconds=number("wait_seconds") or 0.0,
        answer_seconds=number("answer_seconds"),
        num_ctx=None if num_ctx is None else int(num_ctx),
        joules_per_token=number("joules_per_token"),
    )


def _seconds(state: HomeState) -> tuple[bool, float]:
    """What a home is compared by: whether it answers at all, then when."""
    answer = ANSWER_SECONDS if state.answer_seconds is None else state.answer_seconds
    return not state.available, state.wait_seconds + answer
