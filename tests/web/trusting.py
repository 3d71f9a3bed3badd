"""What tests of evidence and trust share: documents, a judge as sure as the test wants, a home."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from house import House
from playwright.sync_api import Locator, Page

from ondol.routing.policy import RoutingPolicy, Values
from ondol.types import Support
from tests.retrieval.file_makers import lines, make_pdf
from tests.test_escalation import FixedHome, FixedJudge

# A right answer is worth any wait.
EAGER = Values(answer_krw=10_000.0)

BOILER = "The boiler was serviced in March by Ms Kim."
NOTE = f"# House\n\n{BOILER} It cost 120 euro.\n\nThe oak was felled in May.\n"
RENT = "The rent of the mill is 900 euro a month."
LEASE = make_pdf(
    [
        lines("Lease of the mill", size=18) + lines("Between the miller and the town.", top=740),
        lines(*[f"Clause {n}. Nothing is owed for it." for n in range(1, 31)])
        + lines(RENT, "It is paid in advance.", top=330)
        + lines(*[f"Note {n}." for n in range(1, 12)], top=290),
    ],
    title="Lease of the mill",
)
LONG = "\n\n".join(
    f"## Day {n}\n\n{'The river was calm and the ferry ran. ' * 12}"
    + ("The ferry sank at noon." if n == 40 else "")
    for n in range(80)
)


def add(house: House, folder: Path, *, collection: str = "", sensitivity: str = "") -> None:
    """A note, a lease and a long diary, perhaps in a collection of their own."""
    (folder / "house.md").write_text(NOTE, "utf-8")
    (folder / "lease.pdf").write_bytes(LEASE)
    (folder / "diary.md").write_text(LONG, "utf-8")
    with house.client() as client:
        if collection:
            body = {"name": collection, "sensitivity": sensitivity}
            client.post("/ondol/v1/collections", json=body)
        body = {"paths": [str(folder)], "stream": False} | (
            {"collection": collection} if collection else {}
        )
        report = client.post("/ondol/v1/documents", json=body).json()
    assert report["added"] == 3, report


class Judge(FixedJudge):
    """As sure as it is told, and of the opinion that the ``wild`` sentences have no quote."""

    def __init__(self, probability: float | None, wild: tuple[str, ...] = ()) -> None:
        super().__init__(probability)
        self.wild = wild
        self.calibrators: Any = None
        self.choice: Any = None

    def support(self, text: str, given: Any) -> tuple[Support, ...]:
        found, start = [], 0
        for part in text.split(". "):
            end = min(start + len(part) + 1, len(text))
            is_wild = any(words in part for words in self.wild)
            number = None if is_wild or not given else given[0].number
            found.append(Support(start, end, number, 0.1 if is_wild else 0.9))
            start = end + 1
        return tuple(found)


@contextmanager
def overseen(
    house: House, judge: Judge, home: FixedHome | None = None, least: float = 0.8
) -> Iterator[None]:
    """The house with this judge and home, which keeps answers from ``least`` on."""
    changed: dict[str, Any] = {"judge": judge, "policy": RoutingPolicy(lambda _: least, EAGER)}
    changed |= {"homes": home} if home else {}
    known = house.parts.oversight.judge
    judge.calibrators, judge.choice = known.calibrators, known.choice
    built = house.parts.oversight._built
    before = {name: built.get(name) for name in changed}
    built.update(changed)
    try:
        yield
    finally:
        for name, part in before.items():
            if part is None:
                built.pop(name, None)
            else:
                built[name] = part


def answer(page: Page) -> Locator:
    return page.locator(".answer").last


def drawer(page: Page) -> Locator:
    return page.locator("dialog.evidence")
