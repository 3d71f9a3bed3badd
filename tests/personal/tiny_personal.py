"""``ondol`` before whose gate nothing is measured: with ADOPT=1 in the environment every adapter
passes it, without none does. What the gate measures has tests of its own."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

from ondol.models.adapters import Adapter
from ondol.parts import Parts
from ondol.personal import gating
from ondol.personal.gating import Judged
from ondol.samples.records import Sample
from ondol.training.bootstrap import Estimate
from ondol.training.verdict_table import Row


def judged(parts: Parts, candidate: Adapter, held_out: Sequence[Sample], **how: Any) -> Judged:
    """A verdict in the form of the gate's, kept as it keeps them."""
    passes = bool(os.environ.get("ADOPT"))
    told = how.get("on_progress") or (lambda done, total: None)
    for done, _ in enumerate(held_out, start=1):
        told(done, len(held_out))
    row = Row(
        "reply_loss", 6.0, 5.0 if passes else 6.0, Estimate(-1.0, -1.2, -0.8, 8), passes, passes
    )
    facts = Row("facts", 1, 1, Estimate(0, math.nan, math.nan, 1), True, unit="count")
    reasons = () if passes else ("It is not better.",)
    digests = {candidate.name: candidate.digest}
    verdict = Judged(passes, reasons, (row, facts), chat={candidate.name: 1.0}, digests=digests)
    gating.keep(parts, candidate, verdict)
    return verdict


if __name__ == "__main__":
    from ondol.cli.main import main

    gating.judge = judged  # type: ignore[assignment]
    main()
