"""Learning in a process of its own (``child``), which is started when it is first needed, kept
between questions and started again after it ended. Loads no PyTorch itself.

Raises ``TrainingError`` and its kin, of the class that they have in the child.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ondol import errors, keys
from ondol.egress import guard
from ondol.errors import TrainingError
from ondol.federated.learning import messages
from ondol.federated.learning.exporting import export_vector
from ondol.federated.learning.layout import layout_of
from ondol.federated.learning.strategies import Update
from ondol.federated.plan import Plan
from ondol.i18n import t
from ondol.training import extra
from ondol.training.job import BUSY_POLL_SECONDS, QUIET_SECONDS, last_line
from ondol.training.loop import Progress

if TYPE_CHECKING:
    from ondol.federated.learning.layout import Vector
    from ondol.training.dataset import Example


class ChildLearning:
    """``strategies.Learning`` with the GGUF ``base``; one question at a time, from any thread.

    While ``is_busy`` says so the child waits between two parts of a step. ``r`` is as
    ``LocalLearning`` has it."""

    def __init__(
        self,
        base: Path,
        *,
        r: int | None = None,
        is_busy: Callable[[], bool] | None = None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self.base, self.r = base, r
        self.is_busy, self.on_progress = is_busy, on_progress
        self._turn = threading.Lock()
        self._saying = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def start(self, plan: Plan, base: Path) -> Vector:
        return layout_of(plan, base).begin(plan.seed)

    def train(
        self, plan: Plan, round: int, vector: Vector, examples: Sequence[Example], folder: Path
    ) -> Update:
        found = self._ask("train", plan, vector, examples, round=round, folder=str(folder))
        delta = messages.to_vector(found.pop("delta"))
        return Update(delta, **found)

    def evaluate(
        self, plan: Plan, vector: Vector, examples: Sequence[Example]
    ) -> tuple[float, int]:
        found = self._ask("evaluate", plan, vector, examples)
        return float(found["loss_sum"]), int(found["num_tokens"])

    def export(self, plan: Plan, vector: Vector, base: Path, file: Path) -> None:
        export_vector(plan, vector, base, file)

    def stop(self) -> None:
        """Have the training under way end after its checkpoint: ``TrainingPausedError`` there. The
        same question goes on from it."""
        self._tell(stop=True)

    def close(self) -> None:
        """End the process. It is started again if something is asked."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                assert pipe is not None
                with contextlib.suppress(OSError):
                    pipe.close()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _ask(
        self, do: str, plan: Plan, vector: Vector, examples: Sequence[Example], **more: Any
    ) -> dict[str, Any]:
        extra.require()
        question = {
            "do": do,
            "plan": plan.json(),
            "r": self.r,
            "vector": messages.of_vector(vector),
            "examples": messages.of_examples(examples),
            **more,
        }
        with self._turn:
            try:
                found = self._answer(question)
                if found is None and self._ended_by_itself():
                    # It had waited long enough just when it was asked.
                    found = self._answer(question)
                if found is not None and "result" in found:
                    return dict(found["result"])
                error = self._error(found)
            except BaseException:
                self.close()
                raise
            if found is None:
                self.close()
            raise error

    def _answer(self, question: dict[str, Any]) -> dict[str, Any] | None:
        """What the child said at last; None where it ended without a word."""
        child = self._running()
        assert child.stdout is not None
        self._tell(**question)
        with self._watched():
            for line in child.stdout:
                said = messages.read(line)
                if "refused" in said:
                    guard.relay(str(said["refused"]))
                elif "progress" in said:
                    self.on_progress(Progress(**said["progress"]))
                else:
                    return said
        return None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._log = tempfile.TemporaryFile()
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "ondol.federated.learning.child", str(self.base)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                # Threads that spin while they wait make a busy machine ten times slower.
                env=keys.public_environ() | {"OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"},
                start_new_session=True,
            )
        return self._child

    def _tell(self, **fields: Any) -> None:
        child = self._child
        if child is not None and child.stdin is not None:
            # Where it has ended, its silence says so.
            with self._saying, contextlib.suppress(OSError, ValueError):
                messages.write(child.stdin, **fields)

    def _ended_by_itself(self) -> bool:
        return self._child is not None and self._child.wait() == 0

    def _error(self, said: dict[str, Any] | None) -> errors.OndolError:
        if said is not None:
            kind: type[errors.OndolError] = getattr(errors, said["kind"], TrainingError)
            return kind(said["error"], said["hint"])
        assert self._child is not None and self._log is not None
        code = self._child.wait()
        # Killed, it had no time for a reason: the last line is about something else.
        reason = last_line(self._log).rstrip(".") if code > 0 else ""
        reason = reason or t("training.ended", code=code)
        return TrainingError(t("training.failed", reason=reason), t("training.failed_hint"))

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """While a question is under way, let the child wait when somebody is busy."""
        if self.is_busy is None:
            yield
            return
        ended = threading.Event()
        watch = threading.Thread(
            target=self._watch, args=(self.is_busy, ended), name="ondol-idle", daemon=True
        )
        watch.start()
        try:
            yield
        finally:
            ended.set()
            watch.join()

    def _watch(self, is_busy: Callable[[], bool], ended: threading.Event) -> None:
        waits, until = False, 0.0
        while not ended.wait(BUSY_POLL_SECONDS):
            is_wanted, now = is_busy(), time.monotonic()
            if is_wanted:
                until = now + QUIET_SECONDS
            if waits != (is_wanted or now < until):
                waits = not waits
                self._tell(wait=waits)
        if waits:
            self._tell(wait=False)
