"""Pulling with a progress bar per file on stderr: size, rate and time left."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.cli.output import Output
from ondol.errors import ModelNotFoundError, UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.models.pull import Progress
    from ondol.models.store import Model
    from ondol.parts import Parts


def pull_with_progress(
    parts: Parts, name: str, output: Output, projector: Path | None = None
) -> Model:
    """Fetch a model; what an interrupted pull left is used."""
    from ondol.models.pull import pull

    with _Bars(output) as bars:
        parts.adapters.refuse(name, "pull")
        try:
            return pull(name, parts.store, parts.egress, on_progress=bars.show, projector=projector)
        except (KeyboardInterrupt, SystemExit):
            bars.close()
            output.note(t("cli.pull_interrupted", name=name))
            raise


def ensure_model(parts: Parts, name: str, output: Output) -> Model:
    """The model called ``name``, perhaps with an adapter; fetched first when it is not here but
    known where it is. Not for an adapter that the fetched model would not have either."""
    from ondol.models import catalog, names, scales

    try:
        return scales.as_model(parts.adapters, name)
    except ModelNotFoundError:
        base, adapter = name, ""
        if not _is_model_name(name):
            base, _, adapter = name.rpartition(":")
            if not parts.adapters.ships(adapter.lower()):
                raise
        if catalog.load().find(base) is None and not names.is_reference(names.normalize(base)):
            raise
        pulled = pull_with_progress(parts, base, output)
        return scales.as_model(parts.adapters, name) if adapter else pulled


def _is_model_name(name: str) -> bool:
    """Whether ``name`` may be a model's; with too many colons its last part is an adapter."""
    from ondol.models import names

    try:
        names.normalize(name)
    except UsageError:
        return False
    return True


class _Bars:
    """One bar at a time; without a terminal, one line per step."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._status = ""
        self._bar: Any = None
        self._open = ExitStack()

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._open.close()

    def show(self, progress: Progress) -> None:
        if progress.status != self._status:
            self._begin(progress)
        if progress.completed_bytes is not None:
            self._bar.total = progress.total_bytes
            self._bar.update(progress.completed_bytes - self._bar.n)

    def _begin(self, progress: Progress) -> None:
        self._open.close()
        self._status = progress.status
        done = progress.completed_bytes
        if not self._output.has_progress or done is None:
            self._output.note(progress.status)
        self._bar = self._open.enter_context(
            self._output.bar(
                progress.total_bytes,
                initial=done or 0,
                desc=progress.status,
                unit="B",
                unit_scale=True,
                leave=True,
                is_shown=done is not None,
            )
        )
