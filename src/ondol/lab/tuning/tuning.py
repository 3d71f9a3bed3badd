"""Measures the ways to run a model on this machine, chooses, and has the choice served.

From coarse to fine: every format first, then, with the weights that are chosen, threads and
batches. Raises ``UsageError`` for a model that cannot be tuned, and what the engine raises.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ondol.errors import EngineError, InvalidModelError
from ondol.i18n import t
from ondol.lab.tuning import quality, speed
from ondol.lab.tuning.choosing import Row, choose, is_better, judged
from ondol.lab.tuning.files import TrialFiles
from ondol.lab.tuning.mix import Mix
from ondol.lab.tuning.report import Report, now
from ondol.lab.tuning.surroundings import (
    engine_name,
    is_busy,
    quantiser,
    running_variants,
    tunable,
)
from ondol.lab.tuning.trial import TrialHouse, Way
from ondol.ledger.energy import EnergyMeter
from ondol.models import tuned
from ondol.models.hardware import machine
from ondol.models.manifest import ModelFile

if TYPE_CHECKING:
    from ondol.lab.measuring.perplexity import Perplexity
    from ondol.parts import Parts

REPETITIONS, FEW = 3, 1
MOST_OF_MEMORY = 0.7
NEARLY_AS_FAST = 1.2
"""What takes longer than so many times the original is not asked what it costs."""

OnStep = Callable[[str], None]


class Tuning:
    """One tuning of ``model``. A context manager: the files that were tried go with it."""

    def __init__(
        self,
        parts: Parts,
        model: str,
        mix: Mix | None = None,
        *,
        is_quick: bool = False,
        on_step: OnStep = lambda told: None,
    ) -> None:
        self._parts, self._is_quick, self._on_step = parts, is_quick, on_step
        self._mix = mix or Mix()
        self._model = tunable(parts, model)
        self._source = parts.store.path(self._model)
        self._machine = machine()
        self._files = TrialFiles(parts.store, self._source, quantiser(parts))
        self._meter = EnergyMeter.of_this_machine(parts.config["ledger.watts_per_core"])
        self._foreseen: Perplexity | None = None
        self._answers: quality.Answers | None = None
        self._own = self._files.header.quantization

    def __enter__(self) -> Tuning:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.__exit__()

    @property
    def model(self) -> str:
        """The canonical name of what is tuned."""
        return self._model.name

    def formats(self) -> Sequence[str]:
        """What can be asked for by name, the one that came first."""
        return (self._own, *self._files.known())

    def run(self, only: str = "") -> Report:
        """The table of all formats and the choice; or, with ``only``, of that one, which is then
        chosen whatever it costs."""
        began = time.monotonic()
        was_busy = is_busy(self._machine)
        self._on_step(t("tune.step_memory"))
        bandwidth = speed.memory_bandwidth(self._machine.cores)
        original = self._with_quality(self._timed(Way(self._own, self._source), is_original=True))
        rows = [original]
        for name in self._wanted(only):
            rows.append(self._tried(name, original, is_asked=bool(only)))
        chosen = rows[-1] if only else choose(rows, self._mix)
        if not only:
            chosen, rows = self._answering(chosen, rows)
        variants = [] if self._is_quick or only else list(self._variants(chosen))
        for variant in variants:
            if is_better(variant, chosen, self._mix):
                chosen = variant
        return Report(
            model=self._model.name,
            origin=self._origin.digest,
            engine=engine_name(self._parts),
            cpu=self._machine.cpu,
            cores=self._machine.cores,
            bandwidth=bandwidth,
            mix=self._mix,
            rows=rows,
            variants=variants,
            chosen=chosen,
            seconds=time.monotonic() - began,
            was_busy=was_busy,
        )

    def apply(self, report: Report) -> bool:
        """Serve what was chosen from now on. False where the model was replaced meanwhile."""
        store, chosen = self._parts.store, report.chosen
        if not report.changes_something:
            tuned.undo(store, self._model)
            return True
        path, file = None, None
        if not chosen.is_original:
            from ondol.models.blobs import digest_of

            path = self._files.make(chosen.format)
            name = f"{self._model.name.replace('/', '-')}.{chosen.format}.gguf"
            file = ModelFile(tuned.ROLE, name, digest_of(path), path.stat().st_size)
        record = tuned.Tuned(
            origin=report.origin,
            format=chosen.format,
            file=file,
            running=dict(chosen.running),
            engine=report.engine,
            applied_at=now(),
            measured=report.as_applied().json(),
        )
        return tuned.put(store, self._model, record, path)

    @property
    def _origin(self) -> ModelFile:
        found = tuned.only_weights(self._model)
        assert found is not None
        return found

    def _wanted(self, only: str) -> Sequence[str]:
        if only == self._own:
            return ()
        return (only,) if only else self._files.tried()

    def _tried(self, name: str, original: Row, *, is_asked: bool) -> Row:
        """The row of a format; one that does not work says so, and is nobody else's loss."""
        size = self._files.size(name)
        if size > self._machine.available_ram_bytes * MOST_OF_MEMORY and not is_asked:
            return Row(name, size, refused="memory")
        try:
            self._on_step(t("tune.step_format", format=name))
            row = self._timed(Way(name, self._files.make(name)))
            worth = 1.0 if self._is_quick else NEARLY_AS_FAST
            if is_asked or row.seconds(self._mix) < original.seconds(self._mix) * worth:
                row = self._with_quality(row)
        except (EngineError, InvalidModelError) as error:
            if is_asked:
                raise
            return Row(name, size, refused="failed", reason=error.message)
        return judged(row, original, self._mix, self._machine.available_ram_bytes)

    def _answering(self, chosen: Row, rows: list[Row]) -> tuple[Row, list[Row]]:
        """The choice after questions about documents, of the original and of what would be chosen:
        one that knows less makes room for the next."""
        if self._is_quick or chosen.is_original:
            return chosen, rows
        self._on_step(t("tune.step_answers", format=self._own))
        self._answers = self._asked(rows[0])
        if self._answers is None:
            return chosen, rows
        rows[0] = replace(rows[0], accuracy=self._answers.share)
        while not chosen.is_original and chosen.accuracy is None:
            place = rows.index(chosen)
            self._on_step(t("tune.step_answers", format=chosen.format))
            found = self._asked(chosen)
            assert found is not None
            change = self._answers.change(found)
            row = replace(chosen, accuracy=found.share, accuracy_change=change)
            rows[place] = judged(row, rows[0], self._mix, self._machine.available_ram_bytes)
            chosen = choose(rows, self._mix)
        return chosen, rows

    def _asked(self, row: Row) -> quality.Answers | None:
        with self._house(self._way(row)) as house:
            return quality.answers(house, self._model.name)

    def _variants(self, chosen: Row) -> Iterator[Row]:
        """Other ways to compute with the chosen weights."""
        for running in running_variants(self._machine):
            told = " ".join(f"{name}={value}" for name, value in running.items())
            self._on_step(t("tune.step_variant", running=told))
            way = replace(self._way(chosen), running=running)
            try:
                row = self._timed(way, is_original=chosen.is_original)
            except (EngineError, InvalidModelError):
                continue
            kept = ("perplexity", "loss", "accuracy", "accuracy_change")
            yield replace(row, **{name: getattr(chosen, name) for name in kept})

    def _way(self, row: Row) -> Way:
        file = self._source if row.is_original else self._files.make(row.format)
        return Way(row.format, file, row.running)

    def _timed(self, way: Way, *, is_original: bool = False) -> Row:
        if is_original and not way.running:
            self._on_step(t("tune.step_format", format=way.format))
        with self._house(way) as house:
            found = speed.measured(
                house,
                self._model.name,
                self._mix.prompt_tokens,
                self._mix.answer_tokens,
                FEW if self._is_quick else REPETITIONS,
                self._meter,
            )
        return Row(
            way.format,
            way.file.stat().st_size,
            found.resident_bytes,
            found.prefill,
            found.decode,
            found.prefill_spread,
            found.decode_spread,
            running=way.running,
            watts=found.watts,
            energy_source=found.energy_source,
            is_original=is_original,
        )

    def _with_quality(self, row: Row) -> Row:
        from ondol.lab.measuring.perplexity import change

        self._on_step(t("tune.step_perplexity", format=row.format))
        with self._house(self._way(row)) as house:
            found = quality.foreseen(house, is_brief=self._is_quick)
        if row.is_original:
            self._foreseen = found
            return replace(row, perplexity=found.value)
        assert self._foreseen is not None
        return replace(row, perplexity=found.value, loss=change(self._foreseen, found))

    def _house(self, way: Way) -> TrialHouse:
        return TrialHouse(self._parts.config, self._model.name, way)
