"""A ledger of its own for a test, with something in it; and what somebody could do to it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from ondol.egress.passage import Passage
from ondol.ledger.entries import Entry
from ondol.ledger.ledger import Ledger
from ondol.types import Answer, Confidence, Decision, Label, Route, Seconds, Sensitivity, Usage

SECRET = "Zwetschgenknödel-7f3a"
MODEL = "smollm2:135m+grounding"


def an_answer(route: Route = Route.LOCAL, seconds: float = 1.2, **fields: Any) -> Answer:
    """One with a secret text, of 300 and 40 tokens."""
    given = {
        "text": SECRET,
        "quotes": (),
        "citations": (),
        "confidence": Confidence(0.91, {"mean_logprob": -0.1}, f"{MODEL}/grounded@2026-11-21.500"),
        "route": route,
        "reasons": (),
        "usage": Usage(300, 40),
        "seconds": Seconds(0.1, 0.3, seconds),
        "model": MODEL,
    }
    return Answer(**{**given, **fields})


SURE = Decision(Route.LOCAL, ("sure",), 0.85, None)
PRIVATE = Label(Sensitivity.PRIVATE, ("document",))
SENT = Passage("home", "attic.local:11443", Sensitivity.TRUSTED, 2310, 800, True)
KEPT = Passage("download", "evil.example:443", Sensitivity.PUBLIC, 0, 0, False, "label")


def filled(file: Path, count: int) -> Ledger:
    """A ledger in ``file`` with ``count`` entries of all kinds."""
    ledger = Ledger.open(file)
    for number in range(count):
        if number % 3 == 0:
            ledger.append_answer(an_answer(), SURE, PRIVATE, task="grounded")
        elif number % 3 == 1:
            ledger.record(SENT if number % 2 else KEPT)
        else:
            ledger.append(Entry("feedback", verdict="up", about="0" * 64))
    return ledger


def tamper(ledger: Ledger, *statements: str | tuple[str, tuple[Any, ...]]) -> None:
    """Do to the database what its triggers forbid."""
    with closing(ledger.connection()) as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'ledger%'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            sql, values = statement if isinstance(statement, tuple) else (statement, ())
            connection.execute(sql, values)
