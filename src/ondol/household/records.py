"""What is kept of a federation that this device belongs to: frozen records, and the JSON that the
CLI and the API give. Times are ISO 8601 in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ondol.federated.members import Member, safety_number
from ondol.federated.plan import Plan

State = Literal["active", "paused", "ended"]


@dataclass(frozen=True, slots=True)
class Federation:
    """One membership. ``home`` is the SHA-256 of home's certificate, ``members`` whose keys were
    pinned, ``me`` this device among them. ``epsilon`` is what was spent so far (None: nothing is
    promised). An ``ended`` one has a ``reason``: done, stopped, removed or left. ``adapter`` is
    the shared adapter that passed this device's gate, ``verdict`` what the gate said of the last
    one. ``sources`` and ``folders`` are what may teach."""

    id: str
    name: str
    home: bytes
    url: str
    plan: Plan
    members: tuple[Member, ...]
    me: Member
    state: State = "active"
    reason: str = ""
    epsilon: float | None = None
    adapter: str | None = None
    verdict: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    joined_at: str = ""

    @property
    def safety_number(self) -> str:
        """Read it to the other members: it is theirs too."""
        return safety_number(self.plan.digest, self.members)

    def json(self) -> dict[str, Any]:
        """As the CLI and the API give it."""
        return {
            "id": self.id,
            "name": self.name,
            "home": {"url": self.url, "fingerprint": self.home.hex()},
            "plan": self.plan.json() | {"digest": self.plan.digest},
            "state": self.state,
            "reason": self.reason,
            "pseudonym": self.me.pseudonym,
            "members": [
                {
                    "pseudonym": one.pseudonym,
                    "node": one.node,
                    "is_me": one == self.me,
                    "joined_at": one.joined_at,
                }
                for one in self.members
            ],
            "safety_number": self.safety_number,
            "epsilon": {
                "spent": self.epsilon,
                "delta": self.plan.delta,
                "budget": self.plan.epsilon_budget or None,
            },
            "sources": list(self.sources),
            "folders": list(self.folders),
            "adapter": self.adapter,
            "verdict": dict(self.verdict) or None,
            "joined_at": self.joined_at,
        }


@dataclass(frozen=True, slots=True)
class Round:
    """A round as this device knows it. ``record`` is home's (``coordinating.records``), the rest
    its own part: ``loss_before`` and ``loss_after`` are on its own held-out data, of the shared
    vector before the round and after it; ``digest`` is the SHA-256 of what it sent, ``reason`` why
    it sent nothing."""

    number: int
    record: Mapping[str, Any] = field(default_factory=dict)
    took_part: bool = False
    reason: str = ""
    num_examples: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    loss_before: float | None = None
    loss_after: float | None = None
    digest: str = ""
    at: str = ""

    def json(self) -> dict[str, Any]:
        """As the CLI and the API give it: home's record, and under "mine" this device's part."""
        return {
            **self.record,
            "number": self.number,
            "at": self.record.get("at") or self.at,
            "mine": {
                "took_part": self.took_part,
                "reason": self.reason,
                "num_examples": self.num_examples,
                "bytes_up": self.bytes_up,
                "bytes_down": self.bytes_down,
                "loss_before": self.loss_before,
                "loss_after": self.loss_after,
                "digest": self.digest,
            },
        }
