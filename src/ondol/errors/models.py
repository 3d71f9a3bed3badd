"""Errors of models, engines, training and calibration."""

from __future__ import annotations

from ondol.errors.base import OndolError


class ModelError(OndolError):
    """Something is wrong with a model's files."""

    code = "model_error"
    exit_code = 3


class ModelNotFoundError(ModelError):
    """No model of that name is here (or in the catalogue)."""

    code = "model_not_found"
    status = 404


class AdapterNotFoundError(ModelError):
    """The model has no adapter of that name, or none that was made for this version of it."""

    code = "adapter_not_found"
    status = 404


class InvalidModelError(ModelError):
    """A model file is malformed or does not match its hash."""

    code = "invalid_model"
    status = 422


class DownloadError(ModelError):
    """A source could not deliver. ``is_passing`` where that was the line or a busy server, so that
    the same may work in a minute."""

    code = "download_failed"
    status = 502
    is_passing = False


class ModelTooLargeError(ModelError):
    """The model does not fit in memory."""

    code = "model_too_large"
    status = 507


class EngineError(OndolError):
    """The model process could not answer."""

    code = "engine_error"
    exit_code = 4


class EngineCrashedError(EngineError):
    """The model process ended in the middle of a request."""

    code = "engine_crashed"
    status = 502


class EngineBusyError(EngineError):
    """The queue is full; try again in ``retry_after_seconds``."""

    code = "engine_busy"
    status = 503

    def __init__(self, message: str, hint: str = "", *, retry_after_seconds: int = 5) -> None:
        super().__init__(message, hint)
        self.retry_after_seconds = retry_after_seconds


class EngineTimeoutError(EngineError):
    """The model process said nothing for too long, and was ended."""

    code = "engine_timeout"
    status = 504


class ContextLengthError(EngineError):
    """The prompt is longer than the context window, by ``excess_tokens`` where that is known."""

    code = "context_length_exceeded"
    status = 400
    excess_tokens = 0


class EngineNotFoundError(EngineError):
    """No engine of that name is here beside the bundled one."""

    code = "engine_not_found"
    status = 404


class EngineBuildError(EngineError):
    """An engine could not be compiled here."""

    code = "engine_build_failed"


class NoCompilerError(EngineBuildError):
    """There is nothing to compile an engine with."""

    code = "no_compiler"
    status = 409


class EngineUnhealthyError(EngineError):
    """An engine does not compute what the bundled one does, or lacks what is needed of it."""

    code = "engine_unhealthy"
    status = 409


class TrainingError(OndolError):
    """An adapter cannot be trained, or cannot be made into a file that the engine serves."""

    code = "training_error"
    status = 422
    exit_code = 8


class AdapterRefusedError(TrainingError):
    """An adapter that the gate did not let pass, or that is not what was measured, is to answer."""

    code = "adapter_refused"
    status = 409


class CalibrationError(TrainingError):
    """A calibrator cannot be learned from these labels, or cannot be read."""

    code = "calibration_error"


class TrainingPausedError(TrainingError):
    """Somebody asked the training to pause: what was learned is kept, and goes on when asked."""

    code = "training_paused"
    status = 409


class TrainingCancelledError(TrainingError):
    """Somebody asked the training to end for good: nothing of it is kept."""

    code = "training_cancelled"
    status = 409
