"""Home's side of all rounds: who is asked, what their sum moves, and whether that is taken.

Knows the plan, a grid and where to keep things; neither Flower nor a model. Everything is on the
disk before the next question goes out, so a killed coordinator that is built again goes on with
the round that it was in. Raises ``RoundFailedError`` when rounds come to nothing again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from ondol.errors import ClosingError, FederationError, RoundFailedError, TrainingError
from ondol.federated.coordinating import asking, checks, gathering, measuring, messages, moving
from ondol.federated.coordinating.asking import Patience
from ondol.federated.coordinating.gathering import BehindError
from ondol.federated.coordinating.holding import Round
from ondol.federated.coordinating.journal import alone
from ondol.federated.coordinating.messages import Message
from ondol.federated.coordinating.moving import Addition, Moved, Standpoint
from ondol.federated.coordinating.records import RoundRecord
from ondol.federated.coordinating.state import HomeState, Standing
from ondol.federated.grid import Grid
from ondol.federated.plan import Plan
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.federated.coordinating.protocols import (
        Canary,
        OnEvent,
        Strategy,
        Vector,
    )

Choose = Callable[[Sequence[int], int], Sequence[int]]
"""Of the nodes that can be reached, those to ask for round n."""


class Coordinator:
    """One federation's rounds, kept in ``folder``. One process at a time may have it.

    ``start`` gives the vector of the first round, ``strategy`` (by default the plain mean) the one
    after each; ``roster`` the members' pinned keys by node, which secret sums need. ``canary``
    measures a vector on data of home's own, ``choose`` takes a sample of the nodes; once ``stop``
    is set, ``ClosingError`` is raised where home would wait, and the round stays as it is."""

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        grid: Grid,
        *,
        start: Callable[[], Vector],
        strategy: Strategy | None = None,
        roster: Callable[[], Mapping[int, bytes]] | None = None,
        canary: Canary | None = None,
        choose: Choose | None = None,
        on_event: OnEvent | None = None,
        patience: Patience | None = None,
        stop: Event | None = None,
    ) -> None:
        self.plan, self.grid, self.state = plan, grid, HomeState(folder)
        self._start, self._roster = start, roster
        self._strategy = strategy
        self._canary = canary
        self._choose = choose or (lambda nodes, round: nodes)
        self._on_event: OnEvent = on_event or (lambda event, fields: None)
        self._patience, self._stop = patience or Patience(), stop or Event()

    def run(self, rounds: int | None = None, most_tries: int | None = None) -> list[RoundRecord]:
        """Go on until ``rounds`` (the plan's) have given a sum, or ``most_tries`` were made, good
        or not; then hand out what was learned. The records of all rounds. Where that was done
        before, only who was away then is asked."""
        with alone(self.state.folder, waits=False):
            self.state.hold_to(self.plan)
            self._hold_all(rounds or self.plan.rounds, most_tries)
            self.hand_out()
            return self.state.records()

    def _hold_all(self, wanted: int, most_tries: int | None) -> None:
        in_vain = 0
        while (standing := self.state.standing()).done < wanted:
            if most_tries is not None and standing.round >= most_tries:
                break
            record = self.hold()
            in_vain = in_vain + 1 if record.failed and not record.rolled_back else 0
            if in_vain >= self._patience.failures:
                raise RoundFailedError(record.failed)

    def vector(self) -> Vector:
        """The shared vector, as devices have it."""
        found = self.state.vector()
        return messages.rounded(self._start() if found is None else found)

    def hold(self) -> RoundRecord:
        """One round, or the rest of one; what became of it. ``run`` calls it."""
        if self.state.vector() is None:
            first = self._start()
            loss = None if self._canary is None else self._canary(messages.rounded(first))
            self.state.begin(first, loss)
        opened = self.state.open()
        held = Round(
            self.plan,
            self.grid,
            opened,
            self._patience,
            on_event=self._on_event,
            wait=self._wait,
        )
        self._on_event("round", {"round": held.number})
        vector = self.state.vector()
        assert vector is not None
        point = moving.Standpoint(vector, self.state.mean(), self._moves())
        try:
            chosen = self._chosen(held)
            moved = self._move(held, chosen, point)
        except (FederationError, TrainingError) as error:
            return self._close(held, None, failed=error.message)
        except BehindError as error:
            self.state.go_on_behind(error.round)
            return self.hold()
        return self._judge(held, moved, point)

    def hand_out(self) -> list[int]:
        """Give the shared vector to all who can be reached and have it not yet; who have it now."""
        standing, vector = self.state.standing(), self.vector()
        about = {"rounds": standing.done, "epsilon": self._epsilon(standing)}
        # Most hold it from measuring it; it is sent to those who say that they do not.
        for along in ({}, messages.with_vector(vector)):
            adopted = self.state.standing().adopted
            nodes = [node for node in self._members() if node not in adopted]
            body = messages.write(
                self.plan,
                max(1, standing.round),
                start=messages.digest(vector),
                about=about,
                **along,
            )
            if nodes:
                self.state.adopted(self._handed(dict.fromkeys(nodes, body)))
        return list(self.state.standing().adopted)

    def _handed(self, bodies: Mapping[int, bytes]) -> Iterable[int]:
        heard = asking.ask(
            self.grid,
            messages.ADOPT,
            bodies,
            need=0,
            check=lambda node, said: Message(self.plan, said),
            patience=self._patience,
            most_seconds=self._patience.training,
            wait=self._wait,
        )
        return heard.answers

    def _chosen(self, held: Round) -> dict[int, str]:
        """Who is in the round, and the digest of the vector that each holds."""
        if held.opened.about.chosen:
            return dict.fromkeys(held.opened.about.chosen, "")
        ready = gathering.gather(
            self.plan,
            self.grid,
            held.number,
            lambda: self._choose(self._askable(), held.number),
            patience=self._patience,
            wait=self._wait,
        )
        held.hear(messages.READY, ready.heard, chosen=tuple(sorted(ready.holds)))
        return ready.holds

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise ClosingError(t("federated_rounds.stopped"))

    def _askable(self) -> list[int]:
        left_out = self.state.standing().left_out
        return [node for node in self._members() if node not in left_out]

    def _members(self) -> list[int]:
        known = None if self._roster is None else self._roster()
        return sorted(node for node in self.grid.nodes() if known is None or node in known)

    def _move(self, held: Round, holds: Mapping[int, str], point: Standpoint) -> Moved:
        trained = moving.train(held, holds, point)
        if self.plan.aggregation == "individual":
            return moving.open_move(held, trained, point)
        return moving.secret_move(held, sorted(trained), point, self._keys())

    def _judge(self, held: Round, moved: Moved, point: Standpoint) -> RoundRecord:
        """Whether the new vector is taken, and what the devices say to it."""
        if moved.refused:
            return self._close(held, None, moved, failed=moved.refused)
        down = messages.rounded(moved.vector)
        loss = None if self._canary is None else self._canary(down)
        standing = self.state.standing()
        if loss is not None and checks.is_worse(loss, standing.best_canary):
            return self._close(
                held, None, moved, loss_canary=loss, failed=t("federated_rounds.rolled_back")
            )
        losses = measuring.measure(
            held, moved.clients, down, self._keys(), point.strategy.length(held.number)
        )
        return self._close(
            held,
            (moved.vector, moved.mean),
            moved,
            loss_canary=loss,
            loss_shared=losses.get("shared"),
            loss_local=losses.get("local"),
        )

    def _close(
        self,
        held: Round,
        taken: tuple[Vector, Vector] | None,
        moved: Moved | None = None,
        **fields: Any,
    ) -> RoundRecord:
        about, standing = held.opened.about, self.state.standing()
        num_released = held.released()
        if num_released:
            stayed = None if moved is None else len(moved.clients)
            standing = replace(standing, costs=(*standing.costs, (num_released, stayed)))
        left_out = tuple(sorted({*standing.left_out, *held.left_out}))
        standing = replace(standing, left_out=left_out)
        record = RoundRecord(
            number=held.number,
            clients=() if moved is None else moved.clients,
            dropped={int(node): stage for node, stage in about.dropped.items()},
            refused={int(node): why for node, why in about.refused.items()},
            bytes_up=about.bytes_up,
            bytes_down=about.bytes_down,
            epsilon=self._epsilon(standing),
            norm=0.0 if moved is None else moved.norm,
            rolled_back=moved is not None and taken is None,
            at=about.at,
            seconds=round(held.seconds, 3),
            **fields,
        )
        if moved is not None:
            losses = [x for x in (standing.best_canary, record.loss_canary) if x is not None]
            if taken is not None and losses:
                standing = replace(standing, best_canary=min(losses))
            standing = replace(standing, done=standing.done + 1)
        self.state.close(record, standing, taken)
        self._on_event("finished", record.json())
        return record

    def _epsilon(self, standing: Standing) -> float:
        """Of a device that took part in every round."""
        from ondol.federated.privacy.spending import Accountant

        if self.plan.noise_multiplier == 0.0 or not standing.costs:
            return 0.0
        # Two rounds tell all lengths that there are: a strategy has one or two by turns.
        accountant = Accountant(self.plan, min(self._moves().length(n) for n in (1, 2)))
        for num_clients, stayed in standing.costs:
            accountant.add(num_clients, stayed)
        return accountant.spent().epsilon

    def _moves(self) -> Strategy:
        return self._strategy or Addition(self.vector().size)

    def _keys(self) -> Mapping[int, bytes]:
        return {} if self._roster is None else self._roster()
