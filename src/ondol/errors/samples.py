"""Errors of what a model may learn from."""

from __future__ import annotations

from ondol.errors.models import TrainingError


class InvalidSamplesError(TrainingError):
    """A file holds nothing to learn from, or is not of the form that it should have."""

    code = "invalid_samples"


class SampleNotFoundError(TrainingError):
    """No sample has that id."""

    code = "sample_not_found"
    status = 404


class SourceNotFoundError(TrainingError):
    """No source of samples has that id."""

    code = "source_not_found"
    status = 404
