"""The birth of a child process: one lasting thread starts them all.

Raises ``NoProcess`` when the system gives no more processes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import Future
from functools import cache
from queue import SimpleQueue

from ondol import keys
from ondol.errors import EngineError
from ondol.i18n import t


class NoProcess(EngineError):
    """The system gives no more processes just now. Nobody but who starts them need know it from any
    other ``EngineError``."""


def spawn() -> subprocess.Popen[bytes]:
    """A worker that waits for its parameters on stdin."""
    return _starter().spawn()


# Threads that spin while they wait make a busy machine ten times slower; ones that sleep at once
# are woken at each of the hundreds of barriers of a token. A short spin (tens of microseconds) has
# neither fault: see "waiting" in benchmarks/speed.
WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}


def _spawn() -> subprocess.Popen[bytes]:
    try:
        return _popen()
    except OSError as error:
        raise NoProcess(
            t("engine.no_process", reason=error.strerror or error), t("engine.start_failed_hint")
        ) from error


def _popen() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        # -P: a folder full of documents must not be able to shadow a module.
        [sys.executable, "-P", "-m", "ondol.engine.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=keys.public_environ() | WAITING,
        start_new_session=True,
    )


class _Starter:
    """The thread that starts every child. The kernel ends a child with the *thread* that started
    it, so that thread must last; a daemon, because an interpreter that ends must not wait for it.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Future[subprocess.Popen[bytes]]] = SimpleQueue()
        threading.Thread(target=self._run, name="ondol-engine-starter", daemon=True).start()

    def spawn(self) -> subprocess.Popen[bytes]:
        job: Future[subprocess.Popen[bytes]] = Future()
        self._jobs.put(job)
        return job.result()

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job.set_result(_spawn())
            except Exception as error:
                job.set_exception(error)
            # A job nobody waits for any more must be forgotten, so that its child's stdin ends.
            del job


@cache
def _starter() -> _Starter:
    return _Starter()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_starter.cache_clear)  # a fork has none of our threads
