"""The process in which a device learns: of low priority, without the internet, ended with its
parent, or when nothing has been asked of it for a while. Started by ``in_child.ChildLearning``.

stdin and stdout are ``messages``. It keeps the base between questions, for reading it costs as much
as a short round.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ondol.egress import guard
from ondol.egress.native import deny_internet
from ondol.errors import OndolError, TrainingPausedError
from ondol.federated.learning import messages
from ondol.federated.learning.local import LocalLearning
from ondol.federated.plan import Plan
from ondol.i18n import t
from ondol.training.child import WAIT_SECONDS, step_back
from ondol.training.loop import Progress

KEEP_SECONDS = 120.0


class Turns:
    """When the training may go on, as the parent says."""

    def __init__(self) -> None:
        self.must_wait, self.must_stop = threading.Event(), threading.Event()

    def between(self) -> None:
        """Return when it may; ``TrainingPausedError`` when it is to stop instead."""
        while self.must_wait.is_set() and not self.must_stop.wait(WAIT_SECONDS):
            pass
        if self.must_stop.is_set():
            raise TrainingPausedError(t("training.paused"), t("training.paused_hint"))


def main() -> None:
    """Answer what the parent asks, with the GGUF named on the command line."""
    guard.install()
    deny_internet()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with what the parent reads
    step_back()
    turns, asked = Turns(), queue.Queue[dict[str, Any]]()
    threading.Thread(target=_listen, args=(turns, asked), daemon=True).start()
    guard.report_to(lambda destination: messages.write(answers, refused=destination))

    def on_progress(progress: Progress) -> None:
        messages.write(answers, progress=asdict(progress))

    learning = LocalLearning(Path(sys.argv[1]), between=turns.between, on_progress=on_progress)
    while True:
        try:
            message = asked.get(timeout=KEEP_SECONDS)
        except queue.Empty:
            sys.exit(0)
        try:
            messages.write(answers, result=answer(learning, message))
        except OndolError as error:
            told = {"error": error.message, "hint": error.hint, "kind": type(error).__name__}
            messages.write(answers, **told)


def answer(learning: LocalLearning, message: dict[str, Any]) -> dict[str, Any]:
    """What one question comes to."""
    plan = Plan.of(message["plan"])
    learning.r = message["r"]
    vector, examples = messages.to_vector(message["vector"]), messages.to_examples(message)
    if message["do"] == "evaluate":
        loss_sum, num_tokens = learning.evaluate(plan, vector, examples)
        return {"loss_sum": loss_sum, "num_tokens": num_tokens}
    folder = Path(message["folder"])
    update = learning.train(plan, int(message["round"]), vector, examples, folder)
    return {
        "delta": messages.of_vector(update.delta),
        "num_examples": update.num_examples,
        "loss_before": update.loss_before,
        "loss_after": update.loss_after,
    }


def _listen(turns: Turns, asked: queue.Queue[dict[str, Any]]) -> None:
    """The parent holds our stdin: it asks, and says when to wait; its end is ours."""
    for line in sys.stdin.buffer:
        message = messages.read(line)
        if "wait" in message:
            (turns.must_wait.set if message["wait"] else turns.must_wait.clear)()
        elif "stop" in message:
            turns.must_stop.set()
        else:
            turns.must_stop.clear()  # that was of the question before
            asked.put(message)
    os._exit(1)


if __name__ == "__main__":
    main()
