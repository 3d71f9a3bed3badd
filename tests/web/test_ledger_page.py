"""The privacy ledger in a browser: the month, charts, filters, one entry, the check, the files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from house import House, scripted_house
from playwright.sync_api import Page, expect
from visiting import Visitor

from ondol.egress.passage import Passage
from ondol.ledger.entries import Entry
from ondol.types import Sensitivity

Look = Callable[[Page, str], None]
SENT = Passage("home", "attic.local:11443", Sensitivity.TRUSTED, 2310, 800, True)
HERE = Entry(
    "answer",
    route="local",
    reasons=("sure",),
    probability=0.88,
    model="smollm2:135m",
    task="grounded",
    sensitivity="private",
    label_reasons=("document",),
    prompt_tokens=420,
    completion_tokens=36,
    seconds=1.4,
    energy_joules=14.2,
    energy_source="measured",
    cost_krw=0.0006,
    cloud_usd=0.0003,
    cloud_model="gpt-5-mini",
    krw_per_usd=1400.0,
)


def fill(house: House) -> None:
    """62 answers from here, 3 of home, and one that nothing was found for: two pages."""
    ledger = house.parts.ledger
    for number in range(62):
        source = "estimated" if number % 5 == 0 else "measured"
        ledger.append(replace(HERE, seconds=1.0 + number / 20, energy_source=source))
    for _ in range(3):
        ledger.record(SENT)
        ledger.append(replace(HERE, route="home", reasons=("unsure",), model="qwen3:32b"))
    ledger.append(Entry("refused", destination="evil.example", purpose="other"))
    ledger.append(Entry("answer", route="abstain", reasons=("no_evidence",)))


@pytest.fixture(scope="module")
def ledger_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("ledger")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONDOL_HOME", str(folder))
        with scripted_house(folder) as house:
            fill(house)
            yield house


def test_month_is_told_in_one_sentence_and_charts_have_their_numbers(
    ledger_house: House, laptop: Visitor, look: Look
) -> None:
    page = laptop.visit(ledger_house, "ledger")
    expect(page.get_by_text("63 of 66 answers this month never left this device")).to_be_visible()
    month = page.get_by_role("region", name="This month")
    expect(month).to_contain_text("kept back: 1")
    expect(month).to_contain_text("measured;")
    expect(page.get_by_role("table", name="Answers by who gave them")).to_contain_text("62")
    expect(page.get_by_role("row").filter(has_text="62")).not_to_have_count(0)
    page.get_by_text("12 months").click()
    expect(page.get_by_role("table", name="Bytes that left")).to_contain_text("6.9 KB")
    look(page, "ledger")


def test_filters_choose_entries_and_older_ones_follow(ledger_house: House, laptop: Visitor) -> None:
    page = laptop.visit(ledger_house, "ledger")
    rows = page.locator(".ledger-row")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Older entries").click()
    expect(rows).to_have_count(70)
    expect(page.get_by_role("button", name="Older entries")).to_have_count(0)
    page.get_by_label("Kind").select_option("egress")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("attic.local:11443 · asking home")
    expect(page.get_by_label("Who answered")).to_be_disabled()
    page.get_by_label("Kind").select_option("")
    page.get_by_label("Who answered").select_option("abstain")
    expect(rows).to_have_count(1)
    page.get_by_label("To", exact=True).fill("2020-01-01")
    expect(page.get_by_text("No entry fits")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(rows).to_have_count(50)


def test_entry_is_told_in_words_with_what_left_for_it(
    ledger_house: House, laptop: Visitor, look: Look
) -> None:
    page = laptop.visit(ledger_house, "ledger")
    page.get_by_label("Who answered").select_option("home")
    page.locator(".ledger-open").first.click()
    drawer = page.get_by_role("dialog", name="Ledger entry")
    expect(drawer).to_contain_text("Your home answered (qwen3:32b)")
    expect(drawer.locator(".ledger-first")).not_to_have_text(re.compile(r"\d{4}-\d\d-\d\d \d\d:"))
    expect(drawer).to_contain_text("It was not sure enough.")
    expect(drawer.locator(".ledger-departures")).to_contain_text("2.3 KB")
    drawer.get_by_text("Every field, as it is written down").click()
    expect(drawer).to_contain_text("energy_joules")
    look(page, "ledger-entry")
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    assert page.url.endswith("#/ledger")


def test_address_of_an_entry_opens_it_and_an_unknown_one_is_said(
    ledger_house: House, laptop: Visitor
) -> None:
    newest = next(iter(ledger_house.parts.ledger.entries(kind="refused")))
    page = laptop.visit(ledger_house, f"ledger/{newest.id}")
    expect(page.get_by_role("dialog")).to_contain_text("was not let out")
    laptop.allowed.append("404")
    page.goto(f"{ledger_house.url}/#/ledger/{'0' * 16}")
    expect(page.get_by_role("alert")).to_contain_text("The ledger has no entry")


def test_both_files_are_saved(ledger_house: House, laptop: Visitor, tmp_path: Path) -> None:
    page = laptop.visit(ledger_house, "ledger")
    for item, name in (("JSON lines", "ondol-ledger.jsonl"), ("CSV", "ondol-ledger.csv")):
        page.get_by_role("button", name="Export").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=item).click()
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
    lines = (tmp_path / "ondol-ledger.jsonl").read_text().splitlines()
    assert "head" in json.loads(lines[-1])
    assert (tmp_path / "ondol-ledger.csv").read_text().startswith("number,time,kind")


def test_check_says_all_is_well_and_then_what_was_changed(
    ledger_house: House, laptop: Visitor, look: Look
) -> None:
    page = laptop.visit(ledger_house, "ledger")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_role("status").filter(has_text="as they were signed")).to_be_visible()
    look(page, "ledger-verify")
    page.keyboard.press("Escape")
    with closing(ledger_house.parts.ledger.connection()) as connection:
        connection.execute("DROP TRIGGER ledger_no_update")
        (before,) = connection.execute("SELECT entry FROM ledger WHERE number = 2").fetchone()
        connection.execute("UPDATE ledger SET entry = '{}' WHERE number = 2")
        page.get_by_role("button", name="Verify").click()
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("not as it was signed")
        expect(page.get_by_role("dialog")).to_contain_text("Entry 2 is not what was written")
        connection.execute("UPDATE ledger SET entry = ? WHERE number = 2", (before,))


def test_server_that_is_away_is_said_and_the_page_stays(
    ledger_house: House, laptop: Visitor
) -> None:
    page = laptop.visit(ledger_house, "ledger")
    expect(page.locator(".ledger-row")).to_have_count(50)
    laptop.allowed += ["ERR_FAILED", "Failed to load"]
    page.route("**/ondol/v1/**", lambda route: route.abort())
    page.get_by_label("Kind").select_option("answer")
    expect(page.get_by_text("Ondol's server does not answer")).to_be_visible()
    expect(page.locator(".ledger-row")).to_have_count(50)


def test_korean_owner_reads_it_in_korean(ledger_house: House, korean: Visitor, look: Look) -> None:
    page = korean.visit(ledger_house, "ledger")
    expect(
        page.get_by_text("이번 달 답 66개 가운데 63개가 이 기기를 떠나지 않았습니다")
    ).to_be_visible()
    expect(page.locator(".ledger-row").first).to_contain_text("답하지 않음")
    page.locator(".ledger-open").nth(1).click()
    expect(page.get_by_role("dialog", name="장부 항목")).to_be_visible()
    look(page, "ledger-ko")


def test_phone_shows_it_without_scrolling_sideways(
    ledger_house: House, phone: Visitor, look: Look
) -> None:
    page = phone.visit(ledger_house, "ledger")
    expect(page.locator(".ledger-row")).to_have_count(50)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.querySelector('main').scrollWidth") <= 390
    look(page, "ledger-phone")
    page.locator(".ledger-row").first.scroll_into_view_if_needed()
    look(page, "ledger-phone-rows")


def test_ledger_without_entries_says_so(house: House, laptop: Visitor) -> None:
    page = laptop.visit(house, "ledger")
    expect(page.get_by_text("Nothing is written down yet")).to_be_visible()
    expect(page.get_by_text("Nothing has been answered this month")).to_be_visible()
