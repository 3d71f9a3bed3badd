"""One answer at home: a share of the day, a place in the queue, the model, and then the numbers.

Nothing of what is asked or answered is kept: not in a file, not in a log, not in the ledger.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ondol.engine.generation import Cancellation
from ondol.errors import OndolError, QuotaError
from ondol.home.backend import Backend
from ondol.home.fair_queue import FairQueue, Load
from ondol.home.refused import Refused
from ondol.home.registry import Device, Registry
from ondol.i18n import t
from ondol.types import GenerateOptions, Message, Token

if TYPE_CHECKING:
    from ondol.ledger.energy import Energy, EnergyMeter

# How often a running answer looks whether its device may still have it.
LOOK_SECONDS = 1.0
# An estimate, for prompts that nobody counted.
BYTES_OF_A_TOKEN = 4

_log = logging.getLogger("ondol.home")


@dataclass(slots=True)
class Served:
    """What an answer took, counted as the device counts it: ``bytes_in`` and ``bytes_out`` are the
    bodies of the request and of the answer. ``count`` requests that were refused may be one."""

    request_id: str
    device: Device
    model: str
    bytes_in: int
    bytes_out: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    queue_seconds: float = 0.0
    seconds: float = 0.0
    energy: Energy | None = None
    reason: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What a device may have in a day; 0 is no limit."""

    requests_per_day: int = 0
    tokens_per_day: int = 0


class Writer(Protocol):
    """Turns tokens into the bytes of a response."""

    def __call__(self, tokens: Iterator[Token]) -> Iterator[bytes]: ...


class Answering(Iterator[bytes]):
    """The bytes of one answer. ``close`` may be called from any thread: it ends the wait for a turn
    and stops the model."""

    def __init__(self, produce: Callable[[Cancellation], Generator[bytes]]) -> None:
        self._cancellation = Cancellation()
        self._chunks = produce(self._cancellation)

    def __next__(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        self._cancellation.cancel()
        try:
            self._chunks.close()
        except ValueError:
            pass  # another thread is inside; the cancellation ends its wait


class Service:
    """``record`` is told what each answer took, however it ended, and ``begun`` before the model is
    asked for it; ``meter`` measures what it takes of this machine (``None`` where other machines
    think). ``close`` it in the end."""

    def __init__(
        self,
        backend: Backend,
        queue: FairQueue,
        registry: Registry,
        limits: Limits,
        record: Callable[[Served], None],
        meter: EnergyMeter | None = None,
        *,
        begun: Callable[[Served], None] = lambda served: None,
    ) -> None:
        self.backend = backend
        self.registry = registry
        self._queue = queue
        self._limits = limits
        self._record = record
        self._begun = begun
        self._refused = Refused(record)
        self._meter = meter
        self.joules_per_token: float | None = None
        # Requests of each device that are waiting or at work.
        self._active: Counter[str] = Counter()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Write down what still waits to be."""
        self._refused.settle(all=True)

    def load(self, device: Device) -> Load:
        """How busy home is, for this device."""
        return self._queue.load(device.id)

    def answer(
        self,
        device: Device,
        messages: Sequence[Message],
        options: GenerateOptions,
        write: Writer,
        served: Served,
    ) -> Answering:
        """An answer, once it is the device's turn. Raises ``QuotaError`` and ``HomeBusyError``
        before its first byte, and what the engine raises."""
        return Answering(
            lambda cancellation: self._chunks(
                device, messages, options, write, served, cancellation
            )
        )

    def _chunks(
        self,
        device: Device,
        messages: Sequence[Message],
        options: GenerateOptions,
        write: Writer,
        served: Served,
        cancellation: Cancellation,
    ) -> Generator[bytes]:
        started = time.monotonic()
        served.reason, requests = "cancelled", 0
        try:
            self._take_share(device)
        except OndolError as error:
            served.reason = error.code
            self._write_down(device, served, requests=0)
            raise
        try:
            ticket = self._queue.join(device.id)
            with cancellation.calling(ticket.cancel), ticket:
                if not ticket.wait():
                    return
                # It may have been revoked while it waited.
                self.registry.admit(device.id)
                served.queue_seconds = time.monotonic() - started
                requests = 1
                self._note(self._begun, served)
                with self._measured(served):
                    generation = self.backend.generate(messages, options)
                    with cancellation.calling(generation.close), generation:
                        for chunk in write(self._watched(generation, device, served)):
                            served.bytes_out += len(chunk)
                            yield chunk
            served.reason = "cancelled" if cancellation.cancelled else ""
        except OndolError as error:
            served.reason = error.code
            raise
        except Exception:
            served.reason = "internal_error"
            raise
        finally:
            served.seconds = time.monotonic() - started
            self._write_down(device, served, requests)
            with self._lock:
                self._active[device.id] -= 1

    def _watched(self, tokens: Iterator[Token], device: Device, served: Served) -> Iterator[Token]:
        look_at = time.monotonic() + LOOK_SECONDS
        for token in map(_of_nobody_else, tokens):
            if token.usage is not None:
                served.prompt_tokens = token.usage.prompt_tokens
                served.completion_tokens = token.usage.completion_tokens
            else:
                served.completion_tokens += 1
            yield token
            if time.monotonic() >= look_at:
                self.registry.admit(device.id)
                look_at = time.monotonic() + LOOK_SECONDS

    @contextmanager
    def _measured(self, served: Served) -> Iterator[None]:
        if self._meter is None:
            yield
            return
        span = self._meter.start()
        try:
            yield
        finally:
            served.energy = self._meter.finish(span)
            tokens = served.completion_tokens
            if served.energy.joules is not None and tokens:
                mine = served.energy.joules / tokens
                before = mine if self.joules_per_token is None else self.joules_per_token
                self.joules_per_token = before + 0.2 * (mine - before)

    def _take_share(self, device: Device) -> None:
        """Count a request of ``device`` as begun, if it may have one more today."""
        limits = self._limits
        with self._lock:
            share, begun = self.registry.share(device), self._active[device.id]
            has_none_left = (
                limits.requests_per_day and share.requests + begun >= limits.requests_per_day
            ) or (limits.tokens_per_day and share.tokens >= limits.tokens_per_day)
            if not has_none_left:
                self._active[device.id] += 1
                return
        raise QuotaError(
            t("home.quota"),
            t("home.quota_hint"),
            retry_after_seconds=self.registry.seconds_to_tomorrow(),
        )

    def _write_down(self, device: Device, served: Served, requests: int) -> None:
        # After the answer: two waits for the disk that nobody else waits for.
        # Who hangs up before the end is never told how long the prompt was.
        prompt_tokens = served.prompt_tokens or requests * served.bytes_in // BYTES_OF_A_TOKEN
        tokens = prompt_tokens + served.completion_tokens
        if requests or tokens:
            self._note(
                lambda _: self.registry.count(device, requests=requests, tokens=tokens), served
            )
        self._note(self._record if requests else self._refused.note, served)
        self._note(lambda _: self._refused.settle(), served)

    def _note(self, write: Callable[[Served], None], served: Served) -> None:
        try:
            write(served)
        except Exception as error:
            # What cannot be written down is said without a word of it; nobody waits for it.
            _log.error("An answer could not be written down: %s", type(error).__name__)


def _of_nobody_else(token: Token) -> Token:
    """``token`` without how much of the prompt the engine knew already: that tells what other
    devices asked."""
    if token.usage is None:
        return token
    return replace(token, usage=replace(token.usage, cached_tokens=0))
