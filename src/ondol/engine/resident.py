"""One model in memory and who uses it, and what a request needs of it: the pool's records.

Holds no lock and starts nothing itself; every method is called with the pool's lock held, except
those of ``process`` and ``client``.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ondol.engine.process import EngineProcess, Launch
from ondol.engine.settings import LoadedModel, ModelSpec
from ondol.engine.slots import Slots
from ondol.engine.states.keeping import Keeping, Sitting
from ondol.engine.states.seats import Seats
from ondol.errors import AdapterNotFoundError, OndolError
from ondol.i18n import t

if TYPE_CHECKING:
    import httpx2

    from ondol.engine.generation import Cancellation
    from ondol.engine.request import Loaded


LEAST_CTX = 2
"""With room for one token, in one slot, llama.cpp aborts while it loads."""


class Wanted:
    """What a request needs: a model with ``num_ctx`` tokens of context, and ``adapters`` of it.

    A request may wait for minutes, and what is installed may change meanwhile, so ``look`` finds it
    anew. It raises what ``locate`` raises, and ``AdapterNotFoundError`` for a name in ``scales``
    that the model does not have.
    """

    def __init__(
        self, locate: Callable[[], ModelSpec], num_ctx: int, scales: Mapping[str, float]
    ) -> None:
        self._locate = locate
        self._num_ctx = num_ctx
        self._scales = scales
        self._is_light = False
        self.look()

    def look(self) -> None:
        """Find the model and its adapters as they are now."""
        spec = self._locate()
        known = {adapter.name: adapter for adapter in spec.adapters}
        for name in self._scales:
            if name not in known:
                raise AdapterNotFoundError(
                    t("engine.unknown_adapter", model=spec.name, adapter=name),
                    t("engine.unknown_adapter_hint", model=spec.name),
                )
        self.adapters = tuple(known[name] for name, scale in self._scales.items() if scale)
        self.spec = spec.with_only(self.adapters) if self._is_light else spec
        self.num_ctx = max(LEAST_CTX, min(self._num_ctx, spec.num_ctx or self._num_ctx))

    def lighten(self) -> bool:
        """Do without the adapters that the request does not ask for; False if it has no others."""
        if len(self.spec.adapters) == len(self.adapters):
            return False
        self._is_light = True
        self.look()
        return True


@dataclass(slots=True, eq=False)
class Resident:
    """``users`` hold the model; those that generate also have one of its ``slots``. A ``retiring``
    model takes no new users and leaves with its last."""

    spec: ModelSpec
    num_ctx: int
    keep_alive_seconds: float
    slots: Slots
    process: EngineProcess | None = None
    client: httpx2.Client | None = None
    ready: bool = False
    retiring: bool = False
    gone: bool = False
    error: OndolError | None = None
    users: int = 0
    used_at: float = field(default_factory=time.monotonic)
    _seats: Seats = field(init=False)

    def __post_init__(self) -> None:
        self._seats = Seats(self.slots.count)

    @property
    def idle(self) -> bool:
        return self.ready and self.users == 0

    @property
    def expires_at(self) -> float:
        """When an idle model leaves, on the monotonic clock; never while it is used."""
        return self.used_at + self.keep_alive_seconds if self.idle else math.inf

    def suits(self, wanted: Wanted) -> bool:
        """Whether it can serve the request: an adapter that nobody asks for is no reason to go."""
        return (
            self.spec.digest == wanted.spec.digest
            and (self.spec.path, self.spec.running) == (wanted.spec.path, wanted.spec.running)
            and self.num_ctx >= wanted.num_ctx
            and all(adapter in self.spec.adapters for adapter in wanted.adapters)
        )

    def concerns(self, wanted: Wanted) -> bool:
        """Whether what ended its start would end the request's own, which loads all of that too."""
        return all(adapter in wanted.spec.adapters for adapter in self.spec.adapters)

    def alive(self) -> bool:
        return self.process is not None and self.process.alive()

    @property
    def drafts(self) -> bool:
        """Whether its process may be asked for drafts."""
        launch = self.process.launch if self.process else None
        return launch is not None and bool(launch.binary and launch.running.draft)

    def begin(
        self,
        changed: threading.Condition,
        is_closed: Callable[[], bool],
        timeout_seconds: float,
        what: Launch,
    ) -> EngineProcess:
        """Start a process, and wait until it is ready; one that nobody wants any more ends."""
        process = EngineProcess(what)
        with changed:
            self.process = process
            closed = is_closed()
        if closed:
            process.kill()
        process.wait_ready(timeout_seconds)
        return process

    def end(self) -> None:
        """Kill the process; what still reads from it sees its connection break."""
        self.gone, self.ready = True, False
        if self.process is not None:
            self.process.kill()
        self.slots.wake()

    def lent(
        self, crashed: Callable[[float | None], OndolError], seconds: float, silence: float
    ) -> Loaded:
        """The process as one request sees it, which took ``seconds`` to load."""
        from ondol.engine.request import Loaded

        assert self.client is not None
        here = tuple(adapter.name for adapter in self.spec.adapters)
        return Loaded(self.client, crashed, seconds, here, silence, drafts=self.drafts)

    @contextmanager
    def seated(
        self, keeping: Keeping, cancellation: Cancellation, proceed: Callable[[], bool]
    ) -> Iterator[Sitting]:
        """One of the slots for a request, when its turn comes (see ``Slots.one``)."""
        assert self.process is not None
        sitting = Sitting(self._seats, keeping, self.spec, self.process.launch)
        with self.slots.one(cancellation, proceed), sitting:
            yield sitting

    def report(self) -> LoadedModel:
        assert self.process is not None
        return LoadedModel(
            name=self.spec.name,
            digest=self.spec.digest,
            size_bytes=self.process.rss_bytes(),
            num_ctx=self.num_ctx,
            pid=self.process.pid,
            expires_at=self._leaves_at(),
            in_use=self.users,
            spec=self.spec,
            num_parallel=self.process.launch.num_parallel,
        )

    def _leaves_at(self) -> datetime | None:
        since = 0.0 if self.users else time.monotonic() - self.used_at
        try:
            return datetime.now(UTC) + timedelta(seconds=self.keep_alive_seconds - since)
        except OverflowError:
            return None
