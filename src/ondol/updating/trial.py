"""Trying a release out before it is active: the engine that would serve it loads it in a child of
its own and answers a fixed question; a chat model is then heard on what the owner wants.

Nothing that runs is touched, but that a model gives up its memory where both have no room. Raises
``UpdateFailedError`` with one sentence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import InvalidModelError, ModelTooLargeError, OndolError, UpdateFailedError
from ondol.i18n import t
from ondol.lab.evaluating import no_harm
from ondol.lab.evaluating.evaluate import subject_of
from ondol.lab.evaluating.results import Evaluation, Subject, compared
from ondol.models.adapter_manifest import Adapter
from ondol.models.manifest import Model
from ondol.parts import Parts
from ondol.training import held_out
from ondol.training.bootstrap import difference
from ondol.types import GenerateOptions, Message, Reranker
from ondol.updating.switching import ORIGIN, RELEASE, Progress, Tell, Tried

if TYPE_CHECKING:
    from ondol.engine.llama import LlamaEngine
    from ondol.engine.pool import EnginePool, ModelSpec
    from ondol.training.held_out import HeldOut

QUESTION = (Message("user", "What is two plus two?"),)
REPLY = "Two plus two is four."
TEXTS = ("What is two plus two?", "둘에 둘을 더하면 무엇입니까?")
NUM_TOKENS = 8
MOST_HEARD = 16
"""Of the owner's held-out replies: each token of them is a question to both models."""
SUITES = ("instructions",)
"""Of those that ``ondol eval`` asks, what a model is asked before it is active: briefly, for a
large one takes seconds a reply."""
FEWEST_GROUPS = 5
"""Conversations; fewer give an interval that means nothing (``training.personal_gate``)."""


def try_model(parts: Parts, model: Model, now: Model | None, tell: Tell) -> Tried:
    """Load ``model`` and ask it; a chat model must not be worse than the one in use ``now``, beyond
    chance, at the replies that the owner wants."""
    tell(Progress("smoke"))
    if model.format == "onnx":
        _check_graph(parts, model)
        return Tried()
    rival = now if now is not None and now.kind == model.kind == "chat" else None
    heard = _held_out(parts) if rival else []
    asking = _Asking(heard, tell)
    before = asking.side(parts.engine(rival.name)) if rival else None
    spec = replace(spec_of(parts, model), name=model.source.removeprefix(ORIGIN) or model.name)
    with loaded(parts, spec, model.name) as engine:
        check(model.kind, spec.name, engine, model.embedding_length)
        after = asking.side(engine) if rival else None
    if rival is None or before is None or after is None:
        return Tried()
    told = _judged(spec.name, heard, before[0], after[0])
    sides = (subject_of(parts, rival.name), before[1]), (_subject(spec.name, model), after[1])
    return Tried({**told, **_followed(spec.name, no_harm.keep_of(sides, "update"))})


def try_adapter(parts: Parts, adapter: Adapter, path: Path, tell: Tell) -> None:
    """Load its model with ``adapter`` alone, switched on, and ask it."""
    from ondol.engine.pool import AdapterFile

    tell(Progress("smoke"))
    model = parts.store.get(adapter.model)
    file = AdapterFile(adapter.name, path, adapter.digest, adapter.size_bytes)
    spec = spec_of(parts, model)
    name = str(adapter.trained_on.get(RELEASE) or adapter.full_name)
    size_bytes = spec.size_bytes + adapter.size_bytes
    spec = replace(spec, name=name, adapters=(file,), size_bytes=size_bytes)
    with loaded(parts, spec, model.name, {adapter.name: 1.0}) as engine:
        check("chat", name, engine, None)


@contextmanager
def loaded(
    parts: Parts,
    spec: ModelSpec,
    replaces: str,
    adapters: dict[str, float] | None = None,
) -> Iterator[LlamaEngine]:
    """An engine of ``spec`` in a pool of its own; its name is not that of what serves, so that its
    failures are not taken for those of what does. What it ``replaces`` leaves memory where there is
    no room for both; whoever asks for it next waits until it is back."""
    with _pool(parts, spec) as pool:
        engine = pool.engine(spec.name, adapters=adapters or {})
        try:
            try:
                engine.load()
            except ModelTooLargeError:
                if not parts.stop(replaces):
                    raise
                engine.load()
        except OndolError as error:
            raise _failed(spec.name, error.message) from error
        yield engine


def _pool(parts: Parts, spec: ModelSpec) -> EnginePool:
    from ondol.engine.pool import EnginePool, EngineSettings
    from ondol.models.gguf import read_header
    from ondol.models.hardware import machine
    from ondol.models.memory import memory_need

    settings = EngineSettings.from_config(parts.config)
    settings = replace(settings, num_parallel=1)
    header = read_header(spec.path)
    others_bytes = max(0, spec.size_bytes - header.file_size_bytes)
    return EnginePool(
        settings,
        lambda name: spec,
        memory_need=lambda spec, num_ctx: memory_need(header, num_ctx).total_bytes + others_bytes,
        available_bytes=lambda: machine().available_ram_bytes,
    )


def spec_of(parts: Parts, model: Model) -> ModelSpec:
    from ondol.engine.pool import ModelSpec

    store = parts.store
    return ModelSpec(
        name=model.name,
        path=store.path(model),
        digest=model.digest,
        size_bytes=model.size_bytes,
        kind=model.kind,
        num_ctx=model.context_length,
        projector=store.path(model, "projector") if model.file("projector") else None,
    )


def check(kind: str, name: str, engine: LlamaEngine, dimensions: int | None) -> None:
    """Ask what a model of its kind is for; every number of the answer must be one."""
    try:
        if kind == "embedding":
            vectors = engine.embed(TEXTS)
            found = [float(value) for value in vectors.ravel()]
            ok = any(found) and dimensions in (None, vectors.shape[1])
        elif kind == "reranker":
            found = engine.rerank(TEXTS[0], TEXTS)
            ok = len(found) == len(TEXTS)
        else:
            found = engine.score(QUESTION, REPLY)
            for _ in engine.generate(
                QUESTION, GenerateOptions(max_tokens=NUM_TOKENS, temperature=0.0)
            ):
                pass
            ok = bool(found)
    except OndolError as error:
        raise _failed(name, error.message) from error
    if not ok or not all(map(math.isfinite, found)):
        raise _failed(name, t("updating.no_numbers"))


def _check_graph(parts: Parts, model: Model) -> None:
    """The same for a model that is a graph, in this process, as it would serve."""
    try:
        if model.kind == "embedding":
            found = parts.onnx_embedder(model).embed(TEXTS)
            rows = [[float(value) for value in row] for row in found]
        else:
            rows = [_reranker(parts, model).rerank(TEXTS[0], TEXTS)]
    except Exception as error:  # onnxruntime raises its own classes
        raise _failed(model.name, getattr(error, "message", type(error).__name__)) from error
    if not all(math.isfinite(value) for row in rows for value in row) or not any(map(any, rows)):
        raise _failed(model.name, t("updating.no_numbers"))


def _reranker(parts: Parts, model: Model) -> Reranker:
    from ondol.retrieval.reranker import OnnxReranker

    graph, folder = model.file("graph"), parts.store.directory_of(model)
    assert graph is not None  # else it was no model
    return OnnxReranker(model.name, folder / graph.name, parts.store.path(model, "tokenizer"))


def _held_out(parts: Parts) -> list[HeldOut]:
    """Replies that the owner wants and nothing learned from; none where they are too few."""
    from ondol.personal.gating import of_sample

    found = [of_sample(one) for one in parts.kept.samples.all(held_out=True)]
    chosen = held_out.chosen([one for one in found if one.is_wanted], MOST_HEARD)
    return chosen if len({one.group for one in chosen}) >= FEWEST_GROUPS else []


class _Asking:
    """Asks two models the same, and tells how far it is."""

    def __init__(self, heard: Sequence[HeldOut], tell: Tell) -> None:
        self._heard, self._tell, self._done = heard, tell, 0
        self._total = 2 * (len(heard) + no_harm.num_items(SUITES))

    def side(self, engine: LlamaEngine) -> tuple[list[float | None], no_harm.Heard]:
        """The loss of each reply in nats a letter, for two models may have different tokens; and
        the scores of the suites."""
        found: list[float | None] = []
        for one in self._heard:
            try:
                logprobs = engine.score(one.messages, one.reply)
            except InvalidModelError as error:
                raise _failed(engine.model, error.message) from error
            found.append(-sum(logprobs) / max(1, len(one.reply)))
            self._tick()
        return found, no_harm.hear(engine, self._tick, SUITES)

    def _tick(self) -> None:
        self._done += 1
        self._tell(Progress("gate", self._done, self._total))


def _judged(
    name: str,
    heard: Sequence[HeldOut],
    before: Sequence[float | None],
    after: Sequence[float | None],
) -> dict[str, Any]:
    if not heard:
        return {}
    change = difference([one.group for one in heard], before, after)
    told = {"reply_loss_a_letter": change.as_dict()}
    if change.low > 0:
        raise UpdateFailedError(
            t("updating.worse", name=name, points=f"{change.value:.2f}", count=len(heard)),
            t("updating.worse_hint"),
        )
    return told


def _subject(name: str, model: Model) -> Subject:
    """A release on trial, as the history knows it."""
    weights = model.file("weights")
    return Subject(name, weights.digest if weights else "", model.quantization, name, name)


def _followed(name: str, sides: Sequence[Evaluation]) -> dict[str, Any]:
    """What the suites said; ``UpdateFailedError`` for a model that loses at them beyond chance."""
    changes = compared(sides[0], sides[1])
    for one in changes:
        if one.is_worse:
            told = {"suite": one.suite, "before": f"{one.before:.0%}", "after": f"{one.after:.0%}"}
            raise UpdateFailedError(
                t("updating.loses", name=name, **told), t("updating.worse_hint")
            )
    return {"suites": [one.json() for one in changes]}


def _failed(name: str, reason: str) -> UpdateFailedError:
    return UpdateFailedError(
        t("updating.smoke_failed", name=name, reason=reason), t("updating.smoke_failed_hint")
    )
