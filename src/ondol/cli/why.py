"""``ondol why``: an answer's decision in words, from the ledger alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ondol.cli.command import command, pass_output, words
from ondol.cli.house import house
from ondol.cli.output import Output, clean

if TYPE_CHECKING:
    from ondol.ledger.explanation import Quality


@command("why")
@click.argument("id", type=words, default="last", metavar="[ID]")
@pass_output
def why(output: Output, id: str) -> None:
    from ondol.ledger.explanation import explain, passages_of

    with house(output) as parts:
        entry = parts.ledger.get(id)
        passages = passages_of(parts.ledger, entry) if entry.kind == "answer" else []
    quality = _quality(entry.calibrator)
    text = explain(entry, passages, quality)
    if output.json:
        left = [{"id": one.id, **one.json()} for one in passages]
        held = {"n": quality.n, "ece": quality.ece} if quality else None
        said = {"explanation": text, "entry": {"id": entry.id, **entry.json()}}
        output.emit(said | {"passages": left, "calibration": held})
    else:
        output.line(clean(text))


def _quality(calibrator: str) -> Quality | None:
    """How well the probabilities of ``calibrator`` held, while it is still here."""
    from ondol import paths
    from ondol.confidence.calibrators import Calibrators
    from ondol.ledger.explanation import Quality

    if not calibrator:
        return None
    for one, _ in Calibrators(paths.data_dir() / "calibrators").list():
        if one.name == calibrator:
            return Quality(one.n, one.ece)
    return None
