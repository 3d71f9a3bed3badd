"""The judge of the pipeline: an answer's signals, the calibrator of who gave it, a probability.

A model that nobody has calibrated for the task gets its signals and no probability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ondol.confidence import signals, threshold
from ondol.confidence.calibration import Calibrator
from ondol.confidence.calibrators import QUOTED, SHIPPED, Calibrators
from ondol.confidence.grounding import Embed, supported
from ondol.confidence.threshold import Choice
from ondol.types import Completion, Confidence, Evidence, Quote, Support
from ondol.types.protocols import Task


class CalibratedJudge:
    """Implements ``ondol.types.Judge``. ``directory`` holds the owner's calibrators; ``identify``
    gives the digest (``calibrators.digest_of``) of a model by the name that answers carry, and for
    "" that of whatever finds sentences. ``embed`` gives unit vectors, to compare meanings with."""

    def __init__(
        self,
        directory: Path,
        identify: Callable[[str], str],
        *,
        shipped: Path = SHIPPED,
        embed: Embed | None = None,
    ) -> None:
        self.calibrators = Calibrators(directory, shipped)
        self.identify = identify
        self._embed = embed
        self._choices: dict[tuple[str, float], Choice] = {}

    def judge(
        self,
        question: str,
        evidence: Evidence,
        given: Sequence[Quote],
        completion: Completion,
        *,
        model: str,
        task: Task = "grounded",
    ) -> Confidence:
        """How likely the answer is right: that it holds what was asked for, or that it abstains
        where the sentences do not. Takes about a millisecond, most of it to look up who the model
        is."""
        if task == "chat":
            found = signals.of_chat(question, completion)
        else:
            # Where no model spoke for itself, what it may have mumbled says nothing.
            said = completion if model else Completion("", (), "stop", completion.usage)
            found = signals.of_grounded(question, evidence, given, said)
        calibrator = self.calibrator(model, task)
        if calibrator is None:
            return Confidence(None, found)
        return Confidence(calibrator.probability(found), found, calibrator.name)

    def support(self, text: str, given: Sequence[Quote]) -> tuple[Support, ...]:
        """Each sentence of an answer with the quote that supports it."""
        return supported(text, given, self._embed)

    def calibrator(self, model: str, task: str = "grounded") -> Calibrator | None:
        """What ``model`` is judged by; None: it is uncalibrated."""
        return self.calibrators.find(self.identify(model), task if model else QUOTED)

    def threshold(self, model: str, task: str, target: float) -> Choice | None:
        """From which probability on an answer of ``model`` may be kept, when at most the share
        ``target`` of the kept may be wrong; None where it is uncalibrated, or was calibrated
        without held-out labels."""
        calibrator = self.calibrator(model, task)
        return None if calibrator is None else self.choice(calibrator, target)

    def choice(self, calibrator: Calibrator, target: float) -> Choice | None:
        """The same for a calibrator."""
        if not calibrator.held_out:
            return None
        key = f"{calibrator.digest} {calibrator.name}", target
        if key not in self._choices:
            probabilities, right = zip(*calibrator.held_out, strict=True)
            self._choices[key] = threshold.choose(probabilities, right, target)
        return self._choices[key]
