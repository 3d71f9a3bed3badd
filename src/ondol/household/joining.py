"""A device becomes a member of a federation, and hears how it stands; every word goes to the home
that the invite names, signed, over its pinned certificate.

``look`` says what an invite is to before anything is agreed; ``join`` uses it up. Whose keys the
other members have is pinned here: until the first round home may add some, afterwards none. Raises
what ``homes`` raises, ``PlanMismatchError``, ``FederationNotFoundError``, ``UsageError``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ondol.errors import (
    DeviceRefusedError,
    HomeError,
    OndolError,
    PlanMismatchError,
    UsageError,
)
from ondol.federated.members import Member
from ondol.federated.plan import Plan
from ondol.homes import enrolment
from ondol.homes.enrolled import Enrolment, shown
from ondol.homes.invite import decode
from ondol.household import consent, layouts, promises
from ondol.household.federations import Federation, Federations
from ondol.household.promises import Promises
from ondol.i18n import t
from ondol.ledger.entries import Entry
from ondol.models.fingerprints import base_of, find
from ondol.parts import Parts

KIND = "federation"
"""Of entries in the ledger; the reason says what: joined, left, …"""
PATH = "/home/v1/federations"
TIMEOUT_SECONDS = 15.0
STATES = ("open", "running", "done", "stopped")
MOST_ROUNDS = 10_000
LONGEST_RECORD = 64 * 1024
"""What is kept of what home says of rounds: it must not fill the disk."""


@dataclass(frozen=True, slots=True)
class Told:
    """What home says of a federation. ``port`` is where its rounds are, while there are any."""

    plan: Plan
    state: str
    port: int | None
    members: tuple[Member, ...]
    rounds: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, said: Mapping[str, Any], home: str) -> Told:
        """Raises ``HomeError`` for what no home says."""
        try:
            about = said["federation"]
            plan = Plan.of(about["plan"])
            if plan.federation != about["id"]:
                raise ValueError
            port = None if about["port"] is None else int(about["port"])
            if str(about["state"]) not in STATES or not 0 < (port or 1) < 1 << 16:
                raise ValueError
            members = tuple(Member.of(plan.federation, one) for one in said["members"])
            rounds = tuple(one for one in said["rounds"] if isinstance(one, dict))
            return cls(plan, str(about["state"]), port, members, rounds)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise HomeError(t("homes.garbled", home=home), t("homes.status_hint")) from None


@dataclass(frozen=True, slots=True)
class Looked:
    """What an invite is to: shown before the owner says yes."""

    home: str
    url: str
    told: Told
    is_model_here: bool
    promises: Promises

    def json(self) -> dict[str, Any]:
        """As the CLI and the API give it."""
        plan = self.told.plan
        return {
            "id": plan.federation,
            "name": plan.name,
            "home": {"name": self.home, "url": self.url},
            "plan": plan.json() | {"digest": plan.digest},
            "state": self.told.state,
            "num_members": len(self.told.members),
            "is_model_here": self.is_model_here,
            **self.promises.json(),
        }


def look(parts: Parts, code: str) -> Looked:
    """What ``code`` is an invite to. Nothing is agreed, and it stays good."""
    invite = decode(code)
    if not invite.is_to_federation:
        raise UsageError(t("household.home_invite"), t("household.home_invite_hint"), param="code")
    said = enrolment.look(parts.oversight.homes, invite)
    name = shown(str(said.get("home") or ""), invite.url)
    told = Told.of(said, name)
    is_here = _fits(parts, told.plan)
    length = layouts.layout_for(parts, told.plan).length(1) if is_here else None
    whole = promises.of(told.plan, len(told.members) + 1, dimension=length)
    return Looked(name, invite.url, told, is_here, whole)


def join(
    parts: Parts,
    code: str,
    source_ids: Sequence[str] = (),
    folders: Sequence[str] = (),
    *,
    name: str = "",
    expected: str = "",
) -> Federation:
    """Become a member; only what is named may teach. ``expected`` is the digest of the plan that
    the owner said yes to, where they saw one. Call only after the owner was asked."""
    looked = look(parts, code)
    plan = looked.told.plan
    if expected and expected != plan.digest:
        raise PlanMismatchError(t("household.other_plan"), t("household.other_plan_hint"))
    if not looked.is_model_here:
        raise PlanMismatchError(
            t("household.no_model", model=plan.model),
            t("household.no_model_hint", model=plan.model),
        )
    agreed = tuple(one.id for one in consent.checked(parts, source_ids))
    places = consent.checked_folders(folders)
    homes = parts.oversight.homes
    with Federations.open() as kept:
        kept.check_new(plan.federation)
        home, _ = enrolment.join(homes, decode(code), name)
        try:
            told = ask(parts, home, plan.federation)
            mine = [one for one in told.members if one.public_key == homes.identity.public_key]
            if told.plan.digest != plan.digest or not mine:
                raise PlanMismatchError(t("household.other_plan"), t("household.other_plan_hint"))
            _tell_node_key(parts, home, plan.federation)
        except OndolError:
            tell_gone(parts, home, plan.federation)
            raise
        made = kept.add(
            Federation(
                plan.federation,
                shown(plan.name, plan.federation),
                home.fingerprint,
                home.url,
                plan,
                told.members,
                mine[0],
                sources=agreed,
                folders=places,
            )
        )
    parts.ledger.append(Entry(KIND, reasons=("joined",), destination=home.url, model=plan.model))
    return made


def sync(parts: Parts, wanted: str = "") -> tuple[Federation, Told]:
    """Hear from home how a federation stands, and keep it: new members until this device's first
    round, rounds, its end. Raises ``PlanMismatchError`` where home names keys later that were not
    there, or another plan."""
    with Federations.open() as kept:
        one = kept.get(wanted)
        rounds = kept.rounds(one.id)
        after = max((each.number for each in rounds if each.record), default=0)
        try:
            told = ask(parts, home_of(parts, one), one.id, after)
        except DeviceRefusedError:
            kept.set_state(one.id, "ended", "removed")
            raise
        if told.plan.digest != one.plan.digest:
            raise PlanMismatchError(t("household.other_plan"), t("household.other_plan_hint"))
        if any(each.took_part for each in rounds):
            if not _keys(told.members) <= _keys(one.members):
                raise PlanMismatchError(
                    t("household.members_changed", name=one.name),
                    t("household.members_changed_hint"),
                )
        elif _keys(told.members) != _keys(one.members):
            kept.pin(one.id, told.members)
        for record in told.rounds:
            _note(kept, one, record)
        if told.state in ("done", "stopped") and one.state != "ended":
            kept.set_state(one.id, "ended", told.state)
        return kept.get(one.id), told


def _note(kept: Federations, one: Federation, record: Mapping[str, Any]) -> None:
    """Keep what home says of a round, if it is a record, beside this device's own part in it: a
    device whose database is from an older backup hears so what it sent since."""
    from ondol.federated.coordinating.records import is_record

    number = record.get("number")
    is_fair = is_record(record) and len(json.dumps(record)) <= LONGEST_RECORD
    if number is not None and is_fair and 0 < number <= MOST_ROUNDS:
        before = kept.round(one.id, number)
        took_part = before.took_part or one.me.node in record.get("clients", ())
        kept.note(one.id, replace(before, record=dict(record), took_part=took_part))


def ask(parts: Parts, home: Enrolment, id: str, after: int = 0) -> Told:
    """How the federation ``id`` stands, with the rounds after ``after``."""
    client = parts.oversight.homes.client(home)
    said = client.get(f"{PATH}/{id}?after={after}", timeout_seconds=TIMEOUT_SECONDS)
    return Told.of(said, home.name)


def home_of(parts: Parts, one: Federation) -> Enrolment:
    """The home that coordinates ``one``. Raises ``HomeError`` where the device left it."""
    for home in parts.oversight.homes.enrolments.all():
        if home.fingerprint == one.home:
            return home
    raise HomeError(t("household.home_left", name=one.name), t("household.home_left_hint"))


def _tell_node_key(parts: Parts, home: Enrolment, id: str) -> None:
    from ondol.federated.flower.node_key import NodeKey

    homes = parts.oversight.homes
    key = NodeKey.of(homes.identity, id).public_key
    homes.client(home).post(f"{PATH}/{id}/node", {"node_key": key}, timeout_seconds=TIMEOUT_SECONDS)


def tell_gone(parts: Parts, home: Enrolment, id: str) -> bool:
    """Have home let this device take part no more; whether it heard that."""
    client = parts.oversight.homes.client(home)
    try:
        client.post(f"{PATH}/{id}/leave", {}, timeout_seconds=TIMEOUT_SECONDS)
    except OndolError:
        return False
    return True


def _fits(parts: Parts, plan: Plan) -> bool:
    """Whether the plan's base is here, with the template that the plan has."""
    model = find(parts.store, plan.base_sha256, plan.model)
    return model is not None and base_of(parts.store, model).template_sha256 == plan.template_sha256


def _keys(members: Iterable[Member]) -> set[bytes]:
    return {one.public_key for one in members}
