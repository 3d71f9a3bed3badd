"""Ondol's own endpoint for how far its probabilities can be trusted: every calibrator that counts,
what was measured of it, and what the owner's target makes of it."""

from __future__ import annotations

import math
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from ondol.confidence.calibration import Calibrator
from ondol.parts import Parts
from ondol.server.body import json_response
from ondol.server.streaming import in_thread


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about calibrators."""

    @routes.get("/confidence/calibrators")
    async def calibrators() -> Response:
        """The calibrators that count, by model and task: how well each held on answers it was not
        made from, and from which probability on answers are kept for the owner's target."""

        def work() -> dict[str, Any]:
            target = float(parts.config["routing.target_error"])
            found: dict[tuple[str, str], dict[str, Any]] = {}
            for one, is_own in parts.oversight.judge.calibrators.list():
                # The owner's come first, and hide those that came with Ondol.
                key = one.digest, one.task
                if key not in found:
                    found[key] = _json(parts, one, target) | {"own": is_own}
            return {"target_error": target, "calibrators": list(found.values())}

        return json_response(await in_thread(work))


def _json(parts: Parts, calibrator: Calibrator, target: float) -> dict[str, Any]:
    """``coverage`` is the share of answers kept at ``threshold``; where the target cannot be met,
    ``possible`` is the least share of errors that can be promised, and what it keeps."""
    said = {
        "name": calibrator.name,
        "version": calibrator.name.rpartition("@")[2],
        "model": calibrator.model,
        "task": calibrator.task,
        "date": calibrator.date.isoformat(),
        "n": calibrator.n,
        "ece": calibrator.ece,
        "auroc": calibrator.auroc,
        "brier": calibrator.brier,
        "threshold": None,
        "feasible": False,
        "coverage": None,
        "error_bound": None,
        "possible": None,
    }
    judge = parts.oversight.judge
    choice = judge.choice(calibrator, target)
    if choice is None:
        return said
    if choice.feasible:
        kept = {"threshold": choice.threshold, "coverage": round(choice.kept.coverage, 4)}
        return said | kept | {"feasible": True, "error_bound": round(choice.bound, 4)}
    bound = math.ceil(choice.bound * 100)
    if choice.kept.kept and bound < 100:
        possible = judge.choice(calibrator, bound / 100)
        kept_then = possible.kept if possible and possible.feasible else choice.kept
        least = {"target_error": bound / 100, "coverage": round(kept_then.coverage, 4)}
        return said | {"possible": least}
    return said
