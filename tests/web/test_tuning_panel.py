"""Speed on this machine, in a model's details: measured in the server, applied, taken back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from house import CHAT, House
from playwright.sync_api import Page, expect
from visiting import Visitor

from ondol.lab.tuning.choosing import Row
from ondol.lab.tuning.mix import Mix
from ondol.lab.tuning.report import Report
from ondol.lab.tuning.tuning import Tuning
from ondol.training.bootstrap import Estimate

Look = Callable[[Page, str], None]

ROWS = (
    Row("F32", 9 << 20, 371 << 20, 110.0, 35.0, is_original=True),
    Row("F16", 8 << 20, 518 << 20, 400.0, 48.0, loss=Estimate(0.0, 0.0, 0.001, 9)),
    Row(
        "Q4_0", 5 << 20, 402 << 20, 450, 70, loss=Estimate(0.2, 0.19, 0.21, 9), refused="perplexity"
    ),
)


@pytest.fixture
def go_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Lets the pretended tuning end."""
    event = threading.Event()

    def run(tuning: Tuning, only: str = "") -> Report:
        tuning._on_step("F16: perplexity")
        event.wait(20)
        origin = tuning._origin.digest
        return Report(
            tuning.model, origin, "an engine", "A processor", 2, 1e9, Mix(), ROWS, (), ROWS[1]
        )

    monkeypatch.setattr(Tuning, "run", run)
    yield event
    event.set()


def test_model_is_tuned_and_served_as_it_came_again(
    house: House, laptop: Visitor, look: Look, go_on: threading.Event
) -> None:
    page = laptop.visit(house, "models")
    page.get_by_role("button", name=CHAT).first.click()
    panel = page.get_by_role("region", name="Speed on this machine")
    panel.get_by_role("button", name="Find the fastest way").click()
    expect(panel.get_by_role("status")).to_contain_text("Measuring: F16: perplexity")
    expect(panel.get_by_role("button", name="Stop")).to_be_visible()
    go_on.set()
    expect(panel.get_by_role("status")).to_contain_text("Served as F16", timeout=10_000)
    row = panel.get_by_role("row", name="Q4_0")
    expect(row).to_contain_text("20 %")
    expect(row).to_contain_text("costs perplexity")
    expect(panel.get_by_role("row", name="F16")).to_contain_text("chosen")
    look(page, "models-tuning")
    panel.get_by_role("button", name="As it came").click()
    expect(panel.get_by_role("button", name="As it came")).to_have_count(0)


def test_panel_fits_a_phone(
    house: House, phone: Visitor, look: Look, go_on: threading.Event
) -> None:
    page = phone.visit(house, "models")
    page.get_by_role("button", name=CHAT).first.click()
    panel = page.get_by_role("region", name="Speed on this machine")
    go_on.set()
    panel.get_by_role("button", name="Find the fastest way").click()
    expect(panel.get_by_role("status")).to_contain_text("Served as F16", timeout=10_000)
    look(page, "models-tuning-phone")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    panel.get_by_role("button", name="As it came").click()
    expect(panel.get_by_role("button", name="As it came")).to_have_count(0)
