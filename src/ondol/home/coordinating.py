"""A federation's rounds, run by the home that coordinates it: its plan for a model that is here,
and the coordinator over Flower's link, until all rounds are done or somebody stops it.

The state is in a folder of the federation's own and in the database, so that whoever kills this
process loses no round: started again it goes on. Raises ``UsageError``, ``RoundFailedError``,
``FederationSetupError``, ``FederationLinkError``, and what the parts raise.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from contextlib import nullcontext as nothing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from ondol import paths
from ondol.errors import UsageError
from ondol.federated import canary
from ondol.federated.members import keys_of
from ondol.federated.plan import Plan, Strategy, Task
from ondol.home.federations import Coordinated, Coordination
from ondol.home.serving import own_certificate
from ondol.i18n import t
from ondol.ledger.entries import Entry
from ondol.models.fingerprints import base_of, find
from ondol.models.gguf import read_header
from ondol.parts import Parts

if TYPE_CHECKING:
    from ondol.federated.coordinating.asking import Patience
    from ondol.federated.coordinating.protocols import Canary
    from ondol.federated.coordinating.records import RoundRecord
    from ondol.models.store import Model

KIND = "round"
"""Of entries in the ledger: what home added up."""

NOISY_VALUE_BITS = 4
MOST_CLIENTS = 1000
"""Of a round: the most that a secret sum takes."""

OnEvent = Callable[[str, Mapping[str, Any]], None]


def plan_for(
    parts: Parts, model: str, *, task: Task = "style", strategy: Strategy = "ffa", **how: Any
) -> Plan:
    """A plan for the chat model ``model``, with what ``how`` says of ``Plan``'s fields; the rest as
    it suits the strategy and the model. Raises ``UsageError`` for what cannot work."""
    from ondol.federated.learning.defaults import suited

    found = parts.store.get(model)
    fingerprint = base_of(parts.store, found)
    layers = read_header(parts.store.path(found), found.name).block_count or 1
    fields = suited(strategy, parameters=found.parameters or 0, layers=layers) | how
    if how.get("noise_multiplier"):
        # What noise drowns anyhow need not be sent.
        fields = {"value_bits": NOISY_VALUE_BITS} | fields
    plan = Plan(
        "",
        "",
        found.name,
        fingerprint.base_sha256,
        fingerprint.template_sha256,
        task,
        strategy,
        **fields,
    )
    _check(plan, layers)
    return _fitted(plan, parts.store.path(found), has_clip_norm="clip_norm" in how)


def _fitted(plan: Plan, base: Path, *, has_clip_norm: bool) -> Plan:
    """``plan`` with the norm of a usual update, where none is given: less would cut off what is
    learned, more is only noise. Raises ``FederationError`` where no sum would hold its noise."""
    from ondol.federated.learning.defaults import clip_norm
    from ondol.federated.learning.layout import layout_of
    from ondol.federated.privacy.noise import must_fit

    length = layout_of(plan, base).length(1)
    found = plan if has_clip_norm else replace(plan, clip_norm=clip_norm(plan, length))
    must_fit(found, length)
    return found


def _check(plan: Plan, layers: int) -> None:
    from ondol.federated.masking.session import SMALLEST_SUM

    if plan.aggregation == "secure" and plan.min_clients < SMALLEST_SUM:
        told = t("home_federation.too_small", fewest=SMALLEST_SUM)
        raise UsageError(told, t("home_federation.too_small_hint"), param="min-clients")
    if plan.strategy == "product" and plan.aggregation == "secure":
        told = t("federated_learning.product_secure")
        raise UsageError(told, t("federated_learning.product_secure_hint"), param="strategy")
    if plan.epsilon_budget and not plan.noise_multiplier:
        raise UsageError(t("home_federation.budget_without_noise"), param="budget")
    if plan.first_layer >= layers:
        raise UsageError(t("home_federation.no_layers", layers=layers), param="first-layer")


def folder(id: str) -> Path:
    """Where home keeps the state of a federation's rounds."""
    return paths.data_dir() / "federations" / id


def erase(id: str) -> None:
    """Remove what home kept of a federation's rounds."""
    shutil.rmtree(folder(id), ignore_errors=True)


def start(
    parts: Parts,
    federations: Coordinated,
    name: str,
    *,
    host: str,
    port: int = 0,
    rounds: int | None = None,
    on_event: OnEvent = lambda event, fields: None,
    stop: Event | None = None,
    patience: Patience | None = None,
    has_canary: bool = True,
) -> list[RoundRecord]:
    """Run what is left of the rounds. Devices come to ``port`` of this machine (0: a free one),
    which the running home tells them. Ends when all rounds are done and what was learned was handed
    out; who was away then gets it at another start. ``stop`` ends it earlier."""
    from ondol.federated.chunks import ChunkedGrid, longest
    from ondol.federated.flower.link import Link
    from ondol.federated.learning.layout import layout_of

    one = startable(federations, name)
    model = find(parts.store, one.plan.base_sha256, one.plan.model)
    if model is None:
        told = t("home_federation.no_model", model=one.plan.model)
        raise UsageError(told, t("household.no_model_hint", model=one.plan.model))
    place = paths.ensure(folder(one.id))
    keys = {
        each.member.node: each.node_key
        for each in federations.members(one.id)
        if each.is_in and each.node_key
    }
    with ExitStack() as stack:
        measured = canary.of_text(one.plan, parts.store.path(model)) if has_canary else nothing()
        loss = stack.enter_context(measured)
        link = stack.enter_context(Link(place / "link", own_certificate().file, host, port))
        most_bytes = longest(layout_of(one.plan, parts.store.path(model)).size)
        grid = ChunkedGrid(link.open(one.id, keys), place / "chunks", most_bytes)
        federations.begin(one.id, link.port)
        stack.callback(federations.pause, one.id)
        on_event("begun", {"port": link.port, "members": len(keys)})
        return _run(
            parts, federations, one, model, grid, loss, place, rounds, on_event, stop, patience
        )


def startable(federations: Coordinated, name: str) -> Coordination:
    """The federation called ``name``, if it may begin or go on. Raises ``UsageError``."""
    one = federations.get(name)
    if one.state in ("done", "stopped"):
        raise UsageError(t("home_federation.has_ended", name=one.name), param="name")
    here = len(federations.roster(one.id))
    needed = one.plan.min_clients
    if here < needed:
        raise UsageError(
            t("home_federation.too_few", name=one.name, here=here, needed=needed),
            t("home_federation.too_few_hint", name=one.name),
            param="name",
        )
    return one


def _run(
    parts: Parts,
    federations: Coordinated,
    one: Coordination,
    model: Model,
    grid: Any,
    loss: Canary | None,
    place: Path,
    rounds: int | None,
    on_event: OnEvent,
    stop: Event | None,
    patience: Patience | None,
) -> list[RoundRecord]:
    from ondol.federated.choosing import cautious
    from ondol.federated.coordinating.coordinator import Coordinator
    from ondol.federated.learning.layout import layout_of
    from ondol.federated.learning.strategies import strategy

    layout = layout_of(one.plan, parts.store.path(model))

    def told(event: str, fields: Mapping[str, Any]) -> None:
        if event == "finished":
            federations.note(one.id, int(fields["number"]), fields)
            parts.ledger.append(_entry(one, fields))
        on_event(event, fields)

    def records() -> list[RoundRecord]:
        return coordinator.state.records()

    coordinator = Coordinator(
        place,
        one.plan,
        grid,
        start=lambda: layout.begin(one.plan.seed),
        strategy=strategy(one.plan, layout),
        roster=lambda: keys_of(federations.roster(one.id)),
        canary=loss,
        choose=cautious(records, most=MOST_CLIENTS),
        on_event=told,
        patience=patience,
        stop=stop,
    )
    coordinator.run(rounds)
    for record in records():  # whoever was killed may have missed one
        federations.note(one.id, record.number, record.json())
    standing = coordinator.state.standing()
    away = {each.node for each in federations.roster(one.id)} - set(standing.adopted)
    on_event("handed_out", {"devices": len(standing.adopted), "away": len(away)})
    if standing.done >= one.plan.rounds and not away:
        federations.end(one.id, "done")
    return records()


def _entry(one: Coordination, fields: Mapping[str, Any]) -> Entry:
    """What a round was, for home's own ledger."""
    failed = ("rolled_back" if fields.get("rolled_back") else "failed",)
    return Entry(
        KIND,
        reasons=(f"round:{fields['number']}", *(failed if fields.get("failed") else ())),
        model=one.plan.model,
        bytes_in=int(fields["bytes_up"]),
        bytes_out=int(fields["bytes_down"]),
        seconds=float(fields["seconds"]),
        count=len(fields["clients"]),
        request=one.id,
    )
