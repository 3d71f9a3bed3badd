"""An adapter into use, out of use, and back: one row of the database and its entry in the ledger,
in one transaction. Whenever a process is killed, what answers is what passed the gate, or the model
alone.

Raises ``AdapterRefusedError`` for what did not pass, ``UsageError``, and what the parts raise.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ondol import calibrate
from ondol.confidence.learning import Change
from ondol.errors import AdapterRefusedError, CalibrationError, UsageError
from ondol.i18n import t
from ondol.ledger.entries import Entry
from ondol.models import scales
from ondol.models.activations import (
    NOTHING,
    ROLLED_BACK,
    UPDATED,
    Activation,
    Chosen,
    OvertakenError,
)
from ondol.models.adapter_manifest import CANDIDATE
from ondol.models.adapters import Adapter
from ondol.parts import Parts
from ondol.personal import gating
from ondol.personal.gating import EVALUATION, Judged
from ondol.training.personal_gate import PersonalVerdict

KIND = "activation"
"""Of entries in the ledger."""
ACTIVATED, DEACTIVATED = "activated", "deactivated"
SOURCE = "gate"
"""What a calibrator that was learned from the gate's answers says of its labels."""


def adopt(parts: Parts, candidate: Adapter, verdict: PersonalVerdict) -> Adapter:
    """Give a candidate that passed its name (the next free one where that is taken, so that there
    is something to return to), and let it answer. May be done again after a kill."""
    _check(candidate, verdict.json())
    _check_file(parts, candidate, verdict.digests.get(candidate.name, ""))
    name = _free_name(parts, candidate)
    made = gating.keep(parts, candidate, verdict, name)
    if isinstance(verdict, Judged):
        renamed = {name if k == candidate.name else k: v for k, v in verdict.grounded.items()}
        recalibrate(parts, made.model, renamed, verdict)
    activate(parts, made.full_name)
    if candidate.name != made.name:
        parts.adapters.remove(candidate.model, candidate.name)
    return made


def activate(parts: Parts, name: str) -> Activation:
    """Let the adapter ``model:adapter`` answer where only its model is named, at the scales that it
    was measured at."""
    adapter = parts.adapters.find(name)
    parts.adapters.resolve(adapter.full_name)  # says why a stale one is not served
    told = adapter.evaluation.get(EVALUATION)
    if not isinstance(told, Mapping):
        raise AdapterRefusedError(
            t("activation.not_measured", name=adapter.full_name),
            t("activation.not_measured_hint", name=adapter.full_name),
        )
    _check(adapter, told)
    if adapter.is_candidate:
        # It passed, and was not named yet: whoever was to do so was interrupted.
        _check_file(parts, adapter, str(told["digests"].get(adapter.name, "")))
        made = gating.keep_told(parts, adapter, told, _free_name(parts, adapter))
        done = activate(parts, made.full_name)
        parts.adapters.remove(adapter.model, adapter.name)
        return done
    chosen = _chosen(told)
    for one in chosen.names:
        _check_file(parts, parts.adapters.get(adapter.model, one), chosen.digests.get(one, ""))
    if parts.kept.activations.chosen(adapter.model) == chosen:
        return parts.kept.activations.history(adapter.model)[0]
    return _write(parts, adapter.model, chosen, ACTIVATED)


def update(parts: Parts, model: str, chosen: Chosen) -> Activation:
    """Write down that newer files are about to have the names of those in use: the row counts from
    the moment that they are in their place."""
    return _write(parts, model, chosen, UPDATED)


def rollback(parts: Parts, model: str | None = None) -> Activation:
    """Return to what answered for ``model`` before the last activation."""
    name, activations = model_named(parts, model), parts.kept.activations
    while True:
        latest = activations.latest(name)
        before = activations.before(name)
        with suppress(OvertakenError):
            return _write(parts, name, before, ROLLED_BACK, latest)


def deactivate(parts: Parts, model: str | None = None) -> Activation:
    """Let ``model`` answer alone; a rollback takes that back."""
    name = model_named(parts, model)
    if parts.kept.activations.chosen(name) == NOTHING:
        told = t("activation.nothing_to_roll_back", model=name)
        raise UsageError(told, t("activation.nothing_to_roll_back_hint"), param="model")
    return _write(parts, name, NOTHING, DEACTIVATED)


def model_named(parts: Parts, name: str | None) -> str:
    """The model itself, whatever adapter is named with it; by default the chat model."""
    return scales.of(parts.adapters, name or parts.config["models.chat"])[0].name


def standing(parts: Parts, model: str) -> dict[str, Any]:
    """What answers for ``model`` now, as CLI and API give it: ``adapters`` in chats, ``grounded``
    about documents, those ``missing`` that may not be served, and a ``warning`` where there are
    any; whether there ``is_before`` to roll back to."""
    activations = parts.kept.activations
    chosen, missing = activations.chosen(model), activations.missing(model)
    told = t("activation.missing", model=model, names=", ".join(missing)) if missing else ""
    return {
        "model": model,
        "adapters": dict(activations.active(model)),
        "grounded": dict(parts.manner(model).options.adapters),
        "activated": list(chosen.names),
        "missing": list(missing),
        "warning": told,
        "is_before": activations.has_before(model),
    }


def recalibrate(
    parts: Parts, model: str, grounded: Mapping[str, float], judged: Judged
) -> Change | None:
    """The calibrator of this very set of adapters, from the answers that the gate heard; None where
    they were too few: then its answers have no probability, rather than another set's."""
    if not judged.labelled or not grounded:
        return None
    name = scales.full_name(model, grounded)
    try:
        return calibrate.learn(parts.oversight.judge, judged.labelled, name, "grounded", SOURCE)
    except CalibrationError:
        return None


def _write(
    parts: Parts, model: str, chosen: Chosen, reason: str, after: int | None = None
) -> Activation:
    activations = parts.kept.activations
    entry = Entry(
        KIND,
        model=scales.full_name(model, chosen.chat),
        reasons=(reason, *chosen.digests.values()),
        task="chat" if not chosen.grounded else "",
    )
    found: list[Activation] = []
    parts.ledger.append(
        entry,
        lambda connection, id: found.append(
            activations.write(connection, model, chosen, reason, id, after)
        ),
    )
    return found[0]


def _chosen(told: Mapping[str, Any]) -> Chosen:
    return Chosen(dict(told["chat"]), dict(told["grounded"]), dict(told["digests"]))


def _check(adapter: Adapter, told: Mapping[str, Any]) -> None:
    """Raise ``AdapterRefusedError`` for a verdict that does not let it answer."""
    if told.get("activates") is not True:
        reasons = " ".join(str(one) for one in told.get("reasons") or ())
        raise AdapterRefusedError(
            t("activation.refused", name=adapter.full_name, reasons=reasons),
            t("activation.refused_hint", name=adapter.full_name),
        )


def _check_file(parts: Parts, adapter: Adapter, measured: str) -> None:
    """Raise ``AdapterRefusedError`` unless what lies there now is what was measured."""
    if not measured or {adapter.digest, parts.kept.activations.digest_of(adapter)} != {measured}:
        raise AdapterRefusedError(
            t("activation.changed", name=adapter.full_name),
            t("activation.not_measured_hint", name=adapter.full_name),
        )


def _free_name(parts: Parts, candidate: Adapter) -> str:
    """``candidate``'s own name, or with a number where another file has that."""
    wanted = candidate.name.removesuffix(CANDIDATE)
    taken = {one.name: one.digest for one in parts.adapters.list(candidate.model)}
    names = [wanted, *(f"{wanted}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if taken.get(name, candidate.digest) == candidate.digest)
