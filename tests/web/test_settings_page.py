"""Settings: found, changed, refused, taken back; how the app looks and speaks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from house import House, scripted_house
from playwright.sync_api import Locator, Page, expect
from visiting import Visitor

from ondol import i18n
from ondol.config import SETTINGS


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A house whose settings a test may change."""
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path))
    with scripted_house(tmp_path, {"ONDOL_QUOTES": "4"}) as house:
        yield house
    i18n.speak("auto")


def row(page: Page, name: str) -> Locator:
    return page.locator(f'[data-setting="{name}"]')


def test_every_setting_stands_with_its_description_and_source(
    own: House, laptop: Visitor, look: Callable[[Page, str], None]
) -> None:
    page = laptop.visit(own, "settings")
    expect(row(page, "server.port")).to_contain_text("Port the server listens on")
    expect(row(page, "server.port")).to_contain_text("default")
    quotes = row(page, "retrieval.quotes")
    expect(quotes).to_contain_text("ONDOL_QUOTES")
    expect(quotes.get_by_role("textbox")).to_be_disabled()
    expect(page.locator(".setting[data-setting]")).to_have_count(len(SETTINGS))
    look(page, "settings")


def test_search_leaves_what_it_is_about(own: House, laptop: Visitor) -> None:
    page = laptop.visit(own, "settings")
    expect(row(page, "offline")).to_be_visible()
    page.get_by_role("searchbox", name="Search settings").fill("kilowatt-hour")
    expect(row(page, "ledger.tariff_krw_per_kwh")).to_be_visible()
    expect(page.locator(".setting[data-setting]")).to_have_count(1)
    page.get_by_role("searchbox").fill("no such thing anywhere")
    expect(page.get_by_text("No setting is about that")).to_be_visible()


def test_number_is_checked_while_it_is_typed_and_kept_when_it_is_done(
    own: House, laptop: Visitor
) -> None:
    page = laptop.visit(own, "settings")
    limit = row(page, "retrieval.limit")
    field = limit.get_by_role("textbox")
    for wrong, told in (("0", "Between 1 and 1,000."), ("x", "a number"), ("2.5", "whole number")):
        field.fill(wrong)
        expect(limit.get_by_role("alert")).to_contain_text(told)
    field.press("Tab")
    assert own.parts.config["retrieval.limit"] == 10
    field.fill("7")
    expect(limit.get_by_role("alert")).to_have_count(0)
    field.press("Enter")
    expect(limit).to_contain_text("config.toml")
    assert own.parts.config["retrieval.limit"] == 7
    limit.get_by_role("button", name=re.compile("Back to the default")).click()
    expect(field).to_have_value("10")
    assert own.parts.config["retrieval.limit"] == 10


def test_switch_takes_the_machine_offline_at_once(own: House, laptop: Visitor) -> None:
    page = laptop.visit(own, "settings")
    row(page, "offline").locator(".switch").click()
    expect(row(page, "offline")).to_contain_text("config.toml")
    assert own.parts.egress.offline is True


def test_change_for_the_next_start_says_how_to_start_again(own: House, laptop: Visitor) -> None:
    page = laptop.visit(own, "settings")
    expect(row(page, "engine.threads")).to_contain_text("when a model is loaded next")
    context = row(page, "server.max_body_mb")
    expect(context).to_contain_text("after a restart")
    context.get_by_role("textbox").fill("64")
    context.get_by_role("textbox").press("Enter")
    expect(context).to_contain_text("waits for a restart")
    expect(page.get_by_text("ondol down && ondol up")).to_be_visible()


def test_what_only_the_server_knows_is_told_under_the_field(own: House, laptop: Visitor) -> None:
    laptop.allowed.append("422")
    page = laptop.visit(own, "settings")
    kept = row(page, "engine.keep_alive")
    kept.get_by_role("textbox").fill("soon")
    kept.get_by_role("textbox").press("Enter")
    expect(kept.get_by_role("alert")).to_contain_text("soon")


def test_secret_is_set_and_not_shown(own: House, laptop: Visitor) -> None:
    page = laptop.visit(own, "settings")
    key = row(page, "server.api_key")
    field = key.locator("input")
    expect(field).to_have_attribute("type", "password")
    expect(field).to_have_attribute("placeholder", "not set")
    field.fill("a-secret-of-mine")
    field.press("Enter")
    expect(field).to_have_attribute("placeholder", re.compile("is set"))
    expect(field).to_have_value("")
    assert "a-secret-of-mine" not in page.content()


def test_models_are_offered_by_name(own: House, laptop: Visitor) -> None:
    page = laptop.visit(own, "settings")
    chat = row(page, "models.chat")
    expect(chat.locator("datalist option")).to_have_attribute("value", "smollm2:135m")
    chat.locator("input").fill("other:1b")
    chat.locator("input").press("Enter")
    expect(chat).to_contain_text("config.toml")
    assert own.parts.config["models.chat"] == "other:1b"


def test_theme_holds_for_this_browser(own: House, laptop: Visitor) -> None:
    page = laptop.visit(own, "settings")
    page.get_by_text("Dark", exact=True).click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"


def test_language_changes_the_app_and_the_servers_sentences(own: House, laptop: Visitor) -> None:
    page = laptop.visit(own, "settings")
    page.get_by_text("한국어").click()
    expect(page.get_by_role("heading", name="설정")).to_be_visible()
    expect(row(page, "offline")).to_contain_text("이 컴퓨터")
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    expect(row(page, "language")).to_contain_text("config.toml")
    assert own.parts.config["language"] == "ko"


def test_groups_are_jumped_to(own: House, laptop: Visitor) -> None:
    page = laptop.visit(own, "settings")
    expect(page.get_by_role("heading", name="Costs")).not_to_be_in_viewport()
    page.get_by_role("navigation", name="Groups").get_by_role("button", name="Costs").click()
    expect(page.get_by_role("heading", name="Costs")).to_be_in_viewport()


def test_settings_fit_a_phone(own: House, phone: Visitor) -> None:
    page = phone.visit(own, "settings")
    expect(row(page, "ledger.hardware_years")).to_be_attached()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = row(page, "retrieval.limit").get_by_role("textbox").bounding_box()
    assert box and box["height"] >= 44
