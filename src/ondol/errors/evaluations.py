"""Errors of evaluations: how good a model was."""

from __future__ import annotations

from ondol.errors.models import TrainingError


class EvaluationNotFoundError(TrainingError):
    """The history has no evaluation of that id, or none of a model of that name."""

    code = "evaluation_not_found"
    status = 404


class EvaluationBusyError(TrainingError):
    """Another evaluation is under way: one at a time."""

    code = "evaluation_busy"
    status = 409


class EvaluationStoppedError(TrainingError):
    """Somebody stopped the evaluation; nothing of it is kept."""

    code = "evaluation_stopped"
    status = 409
