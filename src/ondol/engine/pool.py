"""The models in memory: loaded once on demand, shared, kept alive, evicted, never left behind.

The only place that starts and ends engine processes. A model in use is never evicted. A request
for a larger context than the loaded one, or for an adapter that is not loaded, reloads the model as
soon as it is idle; a smaller one uses what is there, because a reload costs its user far more than
the memory it would free.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

from ondol.engine.budget import Budget
from ondol.engine.following import follow
from ondol.engine.generation import Cancellation
from ondol.engine.llama import LlamaEngine, Loaded
from ondol.engine.resident import Resident, Wanted
from ondol.engine.runtime import begun
from ondol.engine.settings import AdapterFile, EngineSettings, LoadedModel, ModelSpec
from ondol.engine.slots import Demand, Slots
from ondol.engine.states.keeping import Keeping
from ondol.engine.wire import connect
from ondol.errors import (
    EngineBusyError,
    EngineError,
    InvalidModelError,
    ModelTooLargeError,
    OndolError,
)
from ondol.i18n import t

__all__ = ["AdapterFile", "EnginePool", "EngineSettings", "LoadedModel", "ModelSpec"]


class EnginePool:
    """``locate`` finds the file of a model's name (raising ``ModelNotFoundError``),
    ``memory_need(spec, num_ctx)`` and ``available_bytes()`` what fits; ``settings`` may change."""

    def __init__(
        self,
        settings: EngineSettings,
        locate: Callable[[str], ModelSpec],
        *,
        memory_need: Callable[[ModelSpec, int], int] | None = None,
        available_bytes: Callable[[], int] | None = None,
    ) -> None:
        self.settings = settings
        self._locate = locate
        self._budget = Budget(settings.max_loaded_models, memory_need, available_bytes)
        self._changed = threading.Condition()
        self._residents: dict[str, Resident] = {}
        self._demand = Demand(self._changed, settings.num_parallel + settings.max_queue)
        self._keeping = Keeping(settings.states_mb << 20)
        self._loading = self._closed = False
        self._waiting, self._looks_at = 0, math.inf
        self._reaper: threading.Thread | None = None

    def engine(
        self,
        model: str,
        *,
        num_ctx: int | None = None,
        keep_alive_seconds: float | None = None,
        adapters: Mapping[str, float] | None = None,
        name: str = "",
    ) -> LlamaEngine:
        """An engine that loads ``model`` when it is first used; costs nothing until then. It has
        ``adapters`` switched on at their scales, and is called ``name``."""
        lease = partial(self._lease, model, num_ctx, keep_alive_seconds)
        return LlamaEngine(name or model, lease, adapters or {})

    def load(
        self, model: str, *, num_ctx: int | None = None, keep_alive_seconds: float | None = None
    ) -> float:
        """Bring ``model`` into memory now; the seconds it took."""
        return self.engine(model, num_ctx=num_ctx, keep_alive_seconds=keep_alive_seconds).load()

    def stop(self, model: str) -> bool:
        """Unload ``model``, after the answers it is giving; False when it is not in memory."""
        with self._changed:
            resident = self._residents.get(model) or self._residents.get(self._name(model))
            if resident is None or not resident.ready:
                return False
            resident.retiring = True
            self._retire(resident)
            return True

    def loaded(self) -> list[LoadedModel]:
        """What is in memory, last used first."""
        with self._changed:
            here = [r for r in self._residents.values() if r.ready and r.alive()]
            here.sort(key=lambda r: (r.users > 0, r.used_at), reverse=True)
            return [r.report() for r in here]

    def close(self) -> None:
        """End every process now; requests still running raise ``EngineError``."""
        with self._changed:
            self._closed = True
            residents = list(self._residents.values())
            self._residents.clear()
            for resident in residents:
                resident.end()
            self._changed.notify_all()
        if self._reaper is not None:
            self._reaper.join()

    def __enter__(self) -> EnginePool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @contextmanager
    def _lease(
        self,
        model: str,
        num_ctx: int | None,
        keep_alive_seconds: float | None,
        cancellation: Cancellation,
        slot: bool,
        adapters: Mapping[str, float],
    ) -> Iterator[Loaded]:
        wanted = Wanted(partial(self._locate, model), num_ctx or self.settings.num_ctx, adapters)
        if keep_alive_seconds is None:
            keep_alive_seconds = self.settings.keep_alive_seconds
        with self._demand.one(wanted.spec.name), cancellation.calling(self._wake):
            started = time.monotonic()
            resident = self._hold(wanted, keep_alive_seconds, cancellation)
            seconds, silence = time.monotonic() - started, self.settings.schema_timeout_seconds
            loaded = resident.lent(partial(self._crashed, resident), seconds, silence)

            def waiting() -> bool:
                cancellation.check()
                self._check_open()
                return not resident.gone  # then the request finds out at once, and tries again

            with self._held(resident):
                if not slot:
                    yield loaded
                    return
                with resident.seated(self._keeping, cancellation, waiting) as sitting:
                    yield replace(loaded, sitting=sitting)
                follow(self._changed, resident, self._held(resident), loaded, sitting)

    def _hold(self, wanted: Wanted, keep_alive: float, cancellation: Cancellation) -> Resident:
        """A ready resident with us among its users, loaded by us if nobody else does."""
        deadline = time.monotonic() + self.settings.start_timeout_seconds
        while True:
            try:
                with self._changed:
                    resident = self._await_turn(wanted, keep_alive, cancellation, deadline)
                    if resident.ready:
                        resident.users += 1
                        resident.keep_alive_seconds = keep_alive
                        return resident
                self._start(resident)
            except (InvalidModelError, ModelTooLargeError):
                # It may be an adapter that is damaged or has no room: nobody's loss but its users'.
                if not wanted.lighten():
                    raise

    def _await_turn(
        self, wanted: Wanted, keep_alive: float, cancellation: Cancellation, deadline: float
    ) -> Resident:
        """Wait for a resident that is ready, or make one that is ours to start."""
        while True:
            self._check_open()
            cancellation.check()
            resident = self._current(wanted)
            if resident is None and not self._loading and self._make_room(wanted):
                wanted.look()  # what it waited for may have been replaced or removed meanwhile
                self._loading = True
                slots = Slots(self._changed, self.settings.num_parallel)
                resident = Resident(wanted.spec, wanted.num_ctx, keep_alive, slots)
                self._residents[wanted.spec.name] = resident
                return resident
            if resident is not None and resident.ready and not resident.retiring:
                return resident
            if not self._loading and time.monotonic() >= deadline:
                told = t("engine.no_room", model=wanted.spec.name)
                raise EngineBusyError(told, t("engine.busy_hint"))
            self._waiting += 1
            self._changed.wait(None if self._loading else max(0.0, deadline - time.monotonic()))
            self._waiting -= 1
            if resident is not None and resident.error is not None and resident.concerns(wanted):
                raise type(resident.error)(resident.error.message, resident.error.hint)

    def _current(self, wanted: Wanted) -> Resident | None:
        """The model's resident, after ending one that is dead, or retiring one that will not do."""
        resident = self._residents.get(wanted.spec.name)
        if resident is None or not resident.ready:
            return resident
        if not resident.alive():
            self._discard(resident)
        elif not resident.retiring and not resident.suits(wanted):
            wanted.look()  # or it would retire one that others have since brought up to date
            resident.retiring = not resident.suits(wanted)
        self._retire(resident)
        return None if resident.gone else resident

    def _make_room(self, wanted: Wanted) -> bool:
        """Evict idle models, least recently used first, until it fits; False: wait."""
        spec, num_ctx = wanted.spec, wanted.num_ctx
        while not self._budget.fits(spec, num_ctx, self._residents.values()):
            idle = [r for r in self._residents.values() if r.idle]
            if idle:
                self._discard(min(idle, key=lambda r: r.used_at))
            elif self._residents:
                return False
            else:
                raise self._budget.too_large(spec, num_ctx)
        return True

    def _start(self, resident: Resident) -> None:
        try:
            patience = self.settings.start_timeout_seconds
            begin = partial(resident.begin, self._changed, lambda: self._closed, patience)
            process = begun(resident.spec, resident.num_ctx, self.settings, begin)
            resident.client = connect(process.address, process.key)
        except BaseException as error:
            with self._changed:
                resident.error = error if isinstance(error, OndolError) else None
                self._loading = False
                self._discard(resident)
            raise
        with self._changed:
            self._loading = False
            resident.ready = not resident.gone
            resident.used_at = time.monotonic()
            if self._reaper is None:
                self._reaper = threading.Thread(target=self._reap, name="ondol-reaper", daemon=True)
                self._reaper.start()
            self._changed.notify_all()

    @contextmanager
    def _held(self, resident: Resident) -> Iterator[None]:
        try:
            yield
        finally:
            with self._changed:
                resident.users -= 1
                resident.used_at = time.monotonic()
                if resident.idle and resident.keep_alive_seconds <= 0:
                    resident.retiring = True
                self._retire(resident)
                if self._waiting or resident.expires_at < self._looks_at:  # waking is dear
                    self._changed.notify_all()

    def _retire(self, resident: Resident) -> None:
        if resident.retiring and resident.idle:
            self._discard(resident)

    def _discard(self, resident: Resident) -> None:
        if self._residents.get(resident.spec.name) is resident:
            del self._residents[resident.spec.name]
        resident.end()
        self._changed.notify_all()

    def _crashed(self, resident: Resident, silent_seconds: float | None) -> OndolError:
        assert resident.process is not None
        if self._closed:
            return EngineError(t("engine.closed"))
        error = resident.process.crashed(silent_seconds)
        with self._changed:
            self._discard(resident)
        return error

    def _reap(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                for resident in [r for r in self._residents.values() if r.expires_at <= now]:
                    self._discard(resident)
                due = min((r.expires_at for r in self._residents.values()), default=math.inf)
                self._looks_at = due
                self._changed.wait(min(due - now, threading.TIMEOUT_MAX))

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError(t("engine.closed"))

    def _name(self, model: str) -> str:
        with suppress(OndolError):
            return self._locate(model).name
        return model
