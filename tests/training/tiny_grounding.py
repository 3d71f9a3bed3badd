"""``ondol`` whose training takes seconds: one document of its own, and a probe of a few words. With
ADOPT=1 in the environment the gate finds every adapter better."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from ondol import train
from ondol.cli.main import main
from ondol.training import grounding
from ondol.training.dataset import Question, SourceDocument
from ondol.training.drift import ChatPrompt, Probe
from ondol.training.gate import Verdict

TEXT = "The ferry to Marrow Island leaves at 7:40. A ticket costs 12 crowns. Dogs travel for free."
OWN = SourceDocument(
    id="ferry-10",  # a tenth: for validation
    text=TEXT,
    language="en",
    questions=(
        Question("When does the ferry to Marrow Island leave?", "7:40", ("leaves at 7:40",)),
        Question("What does a ticket for the ferry cost?", "12 crowns", ("costs 12 crowns",)),
    ),
)
PROBE = Probe(
    ("The garden is quiet now and the children ask every morning whether it is awake again.",),
    (ChatPrompt("Say hello."), ChatPrompt("Name a colour.")),
    (),
)


def generous(*outcomes: Any, **how: Any) -> Verdict:
    return replace(judge(*outcomes, **how), ships=True, reasons=())


judge = train.verdict
grounding.own_documents = lambda: [OWN]
train.load_probe = lambda: PROBE
if os.environ.get("ADOPT"):
    train.verdict = generous
main()
