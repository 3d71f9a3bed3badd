"""The gate again: a shared adapter answers on this device only if it passes on this device's own
held-out examples; else what answers stays as it is.

What came of the last round waits in the federation's folder until the device is idle: judging asks
the model some hundred questions. A style goes through the gate of personal adapters
(``personal.gating``), which measures it beside what is in use now, and is put into use as those
are, in one transaction with its ledger entry. An adapter for questions about documents goes through
the gate of those (``training.gate``). Raises what the parts raise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import AdapterRefusedError
from ondol.household import consent, layouts, leaving
from ondol.household.federations import Federation, Federations
from ondol.i18n import t
from ondol.models.activations import NOTHING, Chosen
from ondol.models.adapter_manifest import CANDIDATE, NAME
from ondol.models.adapters import Adapter
from ondol.models.store import Model
from ondol.parts import Parts
from ondol.personal import activating, gating

if TYPE_CHECKING:
    from ondol.federated.coordinating.protocols import Vector

WAITING = "adopt.vector"
MOST_BYTES = 512 * 1024 * 1024
OnProgress = Callable[[int, int], None]


def keep_for_later(place: Path, vector: Vector, about: Mapping[str, Any]) -> None:
    """Put a shared vector where ``adopt`` finds it, in the place of one that waits."""
    from ondol.federated import wire
    from ondol.federated.coordinating.journal import keep

    keep(place / WAITING, wire.pack({"vector": vector, "about": dict(about)}))


def is_waiting(id: str) -> bool:
    """Whether there is something to adopt."""
    return (leaving.folder(id) / WAITING).exists()


def adopt(parts: Parts, wanted: str = "", on_progress: OnProgress | None = None) -> Federation:
    """Judge what waits, and let it answer if it passed; how the federation stands then. Its
    ``verdict`` says why not. One that has not passed stays as ``model:name-candidate``."""
    with Federations.open() as kept:
        one = kept.get(wanted)
        file = leaving.folder(one.id) / WAITING
        if not file.exists():
            return one

        def heed(done: int, total: int) -> None:
            kept.get(one.id)  # raises where it was left meanwhile: nothing of it is put into use
            if on_progress is not None:
                on_progress(done, total)

        candidate = _candidate(parts, one, layouts.model_of(parts, one.plan), file)
        if one.plan.task == "grounding":
            adapter, verdict = _judge_grounding(parts, one, candidate, heed)
        else:
            adapter, verdict = _judge_style(parts, one, candidate, heed)
        done = kept.adopt(one.id, adapter or one.adapter, verdict)
        file.unlink(missing_ok=True)
        return done


def _candidate(parts: Parts, one: Federation, model: Model, file: Path) -> Adapter:
    """The adapter that the vector in ``file`` makes of ``model``, on trial."""
    from ondol.federated import wire
    from ondol.federated.learning.exporting import export_vector, facts

    told = wire.unpack(file.read_bytes(), MOST_BYTES)
    about = told["about"]
    exported = file.with_suffix(".gguf")
    export_vector(one.plan, told["vector"], parts.store.path(model), exported)
    weights = model.file("weights")
    try:
        return parts.adapters.add(
            exported,
            name=name_of(one) + CANDIDATE,
            model=model.name,
            base_digest=weights.digest if weights else "",
            template=_layout(parts, model) if one.plan.task == "grounding" else "",
            trained_on=facts(
                one.plan,
                rounds=int(about.get("rounds") or 0),
                clients=len(one.members),
                epsilon=one.epsilon,
            ),
            description=t("household.adapter_description", name=one.name),
        )
    finally:
        exported.unlink(missing_ok=True)


def _judge_style(
    parts: Parts, one: Federation, candidate: Adapter, on_progress: OnProgress | None
) -> tuple[str | None, dict[str, Any]]:
    held_out = [each for each in consent.samples(parts, one) if each.is_held_out]
    # By the samples of this device it learned, too: forgetting one names it.
    with Federations.open() as kept:
        parts.kept.samples.note_learned(candidate.digest, kept.samples_of(one.id))
    now = _beside(parts, one, candidate)
    verdict = gating.judge(parts, candidate, held_out, on_progress=on_progress, beside=now)
    if not verdict.activates:
        return None, verdict.json()
    try:
        made = activating.adopt(parts, candidate, verdict)
    except AdapterRefusedError as error:
        return None, verdict.json() | {"activates": False, "reasons": [error.message]}
    return made.full_name, verdict.json()


def _beside(parts: Parts, one: Federation, candidate: Adapter) -> Chosen:
    """What answers now and stays on top of what is shared: the owner's own adapters, and none that
    this very federation gave before."""
    before = {each.name for each in leaving.shared_adapters(parts, one.id)}
    now = parts.kept.activations
    chosen = now.chosen(candidate.model)
    if now.missing(candidate.model) or before & set(chosen.grounded):
        return NOTHING
    chat = {name: scale for name, scale in chosen.chat.items() if name not in before}
    digests = {name: chosen.digests[name] for name in {*chat, *chosen.grounded}}
    return Chosen(chat, chosen.grounded, digests) if chat else NOTHING


def _judge_grounding(
    parts: Parts, one: Federation, candidate: Adapter, on_progress: OnProgress | None
) -> tuple[str | None, dict[str, Any]]:
    from ondol.train import try_grounding

    trial = try_grounding(
        parts, candidate, consent.held_out_documents(one), on_progress=on_progress
    )
    found = {
        "activates": trial.verdict.ships,
        "reasons": list(trial.verdict.reasons),
        **trial.evaluation(),
    }
    if not trial.verdict.ships:
        return None, found
    made = parts.adapters.add(
        parts.adapters.path(candidate),
        name=candidate.name.removesuffix(CANDIDATE),
        model=candidate.model,
        base_digest=candidate.base_digest,
        template=candidate.template,
        trained_on=candidate.trained_on,
        evaluation=trial.evaluation(),
        description=candidate.description,
    )
    parts.adapters.remove(candidate.model, candidate.name)
    return made.full_name, found


def name_of(one: Federation) -> str:
    """What the shared adapter is called on this device."""
    letters = "".join(c if c.isascii() and c.isalnum() else "-" for c in one.name.lower())
    made = f"shared-{letters.strip('-') or one.id[:8]}"[:60].rstrip("-")
    return made if NAME.fullmatch(made + CANDIDATE) else f"shared-{one.id[:8]}"


def _layout(parts: Parts, model: Model) -> str:
    from ondol.models.gguf import read_header
    from ondol.prompt import GROUNDING

    header = read_header(parts.store.path(model), model.name)
    return GROUNDING.digest(header.chat_template or "")
