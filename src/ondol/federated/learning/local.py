"""Learning in this process: the training loop on the shared vector, and its loss on other examples.

Holds one base, read at the first call, and is not for several threads at once; ``in_child`` has it
in a process of its own. Raises ``TrainingError`` and its kin.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol import paths
from ondol.errors import TrainingError
from ondol.federated.learning import adapted, between_rounds
from ondol.federated.learning.between_rounds import HeldToBase, LowerLayers
from ondol.federated.learning.defaults import WARMUP
from ondol.federated.learning.exporting import export_vector
from ondol.federated.learning.layout import Layout, layout_of, with_rank
from ondol.federated.learning.proximal import Proximal
from ondol.federated.learning.strategies import Update
from ondol.federated.plan import Plan
from ondol.i18n import t
from ondol.training import anchor, control, private_sgd
from ondol.training.base import Base, load_base, parameters, pick_device
from ondol.training.defaults import ANCHOR
from ondol.training.loop import Progress, train
from ondol.training.lora import Schedule, add_lora, batches, load_adapter
from ondol.training.precision import BaseDtype
from ondol.training.soundness import FEWEST, MOST_TOKENS, sound
from ondol.training.steps import Run

if TYPE_CHECKING:
    from ondol.federated.learning.frozen import Frozen
    from ondol.federated.learning.layout import Vector
    from ondol.training.base import Encoded
    from ondol.training.dataset import Example

BEFORE = "loss_before"
"""A file beside the checkpoint: who goes on from there has not seen the first step."""


class LocalLearning:
    """``strategies.Learning`` with the GGUF ``base``. ``r`` is this device's rank where it is
    smaller than the plan's (only with ``product``); ``between`` is called before every part of a
    step and may wait or raise."""

    def __init__(
        self,
        base: Path,
        *,
        r: int | None = None,
        base_dtype: BaseDtype = "auto",
        between: Callable[[], None] = lambda: None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self.base, self.r, self.base_dtype = base, r, base_dtype
        self.between, self.on_progress = between, on_progress
        self._loaded: Base | None = None
        self._lower = LowerLayers()
        self._ordinary: HeldToBase | None = None
        self._layouts: dict[str, Layout] = {}
        self._frozen: dict[tuple[Layout, int], Mapping[str, Frozen]] = {}

    def start(self, plan: Plan, base: Path) -> Vector:
        return layout_of(plan, base).begin(plan.seed)

    def train(
        self, plan: Plan, round: int, vector: Vector, examples: Sequence[Example], folder: Path
    ) -> Update:
        if round < 1:
            raise TrainingError(
                t("federated_learning.round", round=round), t("federated_learning.round_hint")
            )
        whole = self._layout(plan)
        layout, vector = self._own(plan, whole, vector)
        items = self._items(examples, fewest=FEWEST)
        schedule = _schedule(plan, round)
        how: dict[str, Any] = {}
        first: list[Encoded] = []
        if plan.example_noise:
            schedule = replace(
                schedule,
                dp_noise=plan.example_noise,
                part_tokens=1,
                # Whoever knew the seed would know who was in which batch.
                seed=secrets.randbits(32),
                epochs=plan.local_steps * min(1.0, plan.batch_size / len(items)),
            )
            how = private_sgd.arrange(schedule, len(items))
        else:
            how["order"] = _order(items, schedule, plan.local_steps)
            first = [items[i] for i in how["order"][0]]
            if weight := ANCHOR["sft"] if plan.task == "style" else 0.0:
                how["objective"] = self._held_text(weight)
        prox = Proximal(plan.proximal_mu, how.pop("gradients", None))
        before = paths.ensure(folder) / BEFORE

        def arrange(model: Any) -> None:
            adapted.arrange(model, layout, vector, round)
            prox.hold(parameters(model))
            if self._ordinary is not None:
                self._ordinary.model = model

        def on_progress(progress: Progress) -> None:
            if progress.step == 1:  # of weights that had not learned yet
                before.write_text(repr(progress.loss), "ascii")
            self.on_progress(progress)

        with self._bare() as base:
            trained = train(
                base,
                items,
                first,
                adapted.config_of(plan, layout),
                schedule,
                **how,
                gradients=prox if plan.proximal_mu or plan.example_noise else None,
                start=adapted.state_of(plan, layout, vector, self._between(plan, layout)),
                arrange=arrange,
                checkpoint=folder / control.CHECKPOINT,
                keep_states=self._lower.keep,
                on_progress=on_progress,
                between=self.between,
            )
            learned = adapted.vector_of(trained.model, layout)
        _, delta = with_rank(layout, learned - vector, whole.r)
        after = trained.loss if trained.held_out_loss is None else trained.held_out_loss
        return Update(delta[whole.sent(round)], len(items), _read(before, trained.loss), after)

    def evaluate(
        self, plan: Plan, vector: Vector, examples: Sequence[Example]
    ) -> tuple[float, int]:
        items = self._items(examples, fewest=0)
        with self._measuring(plan, vector, items) as measure:
            return measure(items)

    def losses(self, plan: Plan, vector: Vector, examples: Sequence[Example]) -> list[float]:
        """The mean loss of a reply token of each of ``examples`` that can be learned from."""
        items = self._items(examples, fewest=0)
        with self._measuring(plan, vector, items) as measure:
            return [loss / max(1, tokens) for loss, tokens in (measure([one]) for one in items)]

    def export(self, plan: Plan, vector: Vector, base: Path, file: Path) -> None:
        export_vector(plan, vector, base, file)

    @property
    def _held(self) -> Base:
        if self._loaded is None:
            self._loaded = load_base(self.base, pick_device(), self.base_dtype)
        return self._loaded

    def _layout(self, plan: Plan) -> Layout:
        # Reading a file's header takes seconds where a vocabulary is large.
        if plan.digest not in self._layouts:
            self._layouts = {plan.digest: layout_of(plan, self.base)}
        return self._layouts[plan.digest]

    def _held_text(self, weight: float) -> HeldToBase:
        if self._ordinary is None:
            texts = anchor.texts(self._held, between_rounds.TEXTS)
            self._ordinary = HeldToBase(texts, weight)
        return self._ordinary

    @contextmanager
    def _bare(self) -> Iterator[Base]:
        """The base without an adapter, and so again in the end."""
        try:
            yield self._held
        finally:
            adapted.take_off(self._held.model)

    def _items(self, examples: Sequence[Example], fewest: int) -> list[Encoded]:
        """Those of ``examples`` that can be learned from, as tokens."""
        base = self._held
        most = min(MOST_TOKENS, base.num_ctx)
        found = sound(examples, base.encode, base.num_tokens, fewest=fewest, most_tokens=most)
        return [base.encode(example) for example in found.items]

    def _own(self, plan: Plan, whole: Layout, vector: Vector) -> tuple[Layout, Vector]:
        """The layout and the vector of this device's rank."""
        whole.split(vector)
        if self.r is None or self.r == whole.r:
            return whole, vector
        is_whole = not plan.lora_alpha * self.r % whole.r
        if plan.strategy != "product" or not 0 < self.r < whole.r or not is_whole:
            raise TrainingError(
                t("federated_learning.rank", r=self.r, most=whole.r),
                t("federated_learning.rank_hint", most=whole.r),
            )
        return with_rank(whole, vector, self.r)

    def _between(self, plan: Plan, layout: Layout) -> Mapping[str, Frozen]:
        if layout.strategy != "fedsb":
            return {}
        key = (layout, plan.seed)
        if key not in self._frozen:
            from ondol.federated.learning.frozen import frozen_factors

            self._frozen = {key: frozen_factors(layout, self.base, plan.seed)}
        return self._frozen[key]

    @contextmanager
    def _measuring(
        self, plan: Plan, vector: Vector, items: Sequence[Encoded]
    ) -> Iterator[Callable[[Sequence[Encoded]], tuple[float, int]]]:
        """What gives the sum of the losses of the reply tokens of some of ``items``, and how many
        they are."""
        layout, vector = self._own(plan, self._layout(plan), vector)
        with self._bare() as base:
            model = add_lora(base, adapted.config_of(plan, layout), plan.seed)
            load_adapter(model, adapted.state_of(plan, layout, vector, self._between(plan, layout)))
            adapted.arrange(model, layout, vector, 1)
            schedule = Schedule()
            how: dict[str, Any] = {"part_tokens": schedule.part_tokens, "between": self.between}
            kept = self._lower.keep(model, plan.first_layer, items, **how)
            losses = kept.losses if kept is not None else None
            run = Run(model, schedule, 1, losses=losses, between=self.between)

            def measure(some: Sequence[Encoded]) -> tuple[float, int]:
                tokens = sum(len(item.reply) for item in some)
                return run.measure(some)[0] * tokens, tokens

            yield measure


def _read(file: Path, otherwise: float) -> float:
    """The number in ``file``; it may have been killed before it was written."""
    try:
        return float(file.read_text("ascii"))
    except (OSError, ValueError):
        return otherwise


def _schedule(plan: Plan, round: int) -> Schedule:
    told = f"{plan.digest}:{round}".encode()
    return Schedule(
        batch_size=plan.batch_size,
        learning_rate=plan.learning_rate,
        warmup=WARMUP,
        seed=int.from_bytes(hashlib.sha256(told).digest()[:4], "big"),
        checks=1,
        keep_best=False,
    )


def _order(items: Sequence[Encoded], schedule: Schedule, steps: int) -> list[list[int]]:
    """So many batches, and each example once before any comes again."""
    epochs = -(-steps * schedule.batch_size // len(items))
    return batches([len(item) for item in items], replace(schedule, epochs=epochs))[:steps]
