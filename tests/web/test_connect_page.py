"""Connect: the snippet of each program for this server, and whether it found its way here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from house import House, scripted_house
from playwright.sync_api import Page, expect
from visiting import Visitor

PROGRAMS = (
    *("Continue", "Open WebUI", "n8n", "llm", "Claude Code", "curl"),
    *("Python · openai", "Python · anthropic", "Python · ollama"),
)


def open_program(page: Page, name: str) -> None:
    page.get_by_role("group", name="Programs").get_by_role("button", name=name).click()


@pytest.mark.parametrize("name", PROGRAMS)
def test_snippet_is_for_this_server_and_model(house: House, laptop: Visitor, name: str) -> None:
    page = laptop.visit(house, "connect")
    open_program(page, name)
    snippet = page.get_by_role("region", name=name).locator("pre")
    expect(snippet).to_contain_text(house.url)
    if name != "Open WebUI":  # it reads the models' names itself
        expect(snippet).to_contain_text("smollm2:135m")


def test_snippet_names_the_documents_that_are_to_answer(
    house: House, laptop: Visitor, tmp_path: Path
) -> None:
    page = laptop.visit(house, "connect/curl")
    expect(page.get_by_role("combobox", name="Model")).to_be_visible()
    expect(page.get_by_role("combobox", name="Answers from")).to_have_count(0)
    (tmp_path / "note.md").write_text("The boiler was serviced in March.")
    house.parts.library.add([tmp_path], collection="notes")
    page.reload()
    reads = page.get_by_role("combobox", name="Answers from")
    reads.select_option("notes")
    expect(page.locator(".snippet pre")).to_contain_text("smollm2:135m+notes")
    reads.select_option("all of your documents")
    expect(page.locator(".snippet pre")).to_contain_text("smollm2:135m+documents")
    house.parts.library.forget([tmp_path])


def test_snippet_is_copied_whole(
    house: House, laptop: Visitor, look: Callable[[Page, str], None]
) -> None:
    laptop.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = laptop.visit(house, "connect/curl")
    page.get_by_role("button", name="Copy: curl").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"curl {house.url}/v1/chat/completions")
    assert "smollm2:135m" in copied
    look(page, "connect")


def test_the_page_says_so_when_a_program_connects(house: House, laptop: Visitor) -> None:
    page = laptop.visit(house, "connect")
    open_program(page, "Python · openai")
    expect(page.get_by_text("Waiting for Python · openai.")).to_be_visible()
    with house.client(headers={"User-Agent": "OpenAI/Python 2.1.0"}) as client:
        client.get("/v1/models")
    expect(page.get_by_text("It connected.")).to_be_visible()
    expect(page.get_by_text("Python · openai is connected.")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("openai-python"))).to_contain_text("/v1/models")


def test_who_came_before_the_page_was_opened_has_been_here(house: House, laptop: Visitor) -> None:
    with house.client(headers={"User-Agent": "curl/8.5.0"}) as client:
        client.get("/api/tags")
    page = laptop.visit(house, "connect/curl")
    expect(page.get_by_text("It has been here.")).to_be_visible()
    expect(page.get_by_text("curl is connected.")).to_have_count(0)


def test_what_cannot_work_is_said_instead_of_a_snippet(house: House, laptop: Visitor) -> None:
    page = laptop.visit(house, "connect")
    for name, told in (("Cursor", "its makers' servers"), ("MCP", "no MCP server yet")):
        open_program(page, name)
        expect(page.get_by_role("region", name=name)).to_contain_text(told)
        expect(page.locator(".snippet")).to_have_count(0)


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A house that asks for a key."""
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path))
    with scripted_house(tmp_path, {"ONDOL_API_KEY": "open-sesame-7"}) as house:
        yield house


def test_key_is_hidden_until_it_is_asked_for_and_copied_whole(
    locked: House, laptop: Visitor
) -> None:
    laptop.allowed.append("401")
    laptop.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = laptop.visit(locked, "connect/curl")
    page.get_by_role("textbox", name="Key").fill("open-sesame-7")
    page.get_by_role("button", name="Unlock").click()
    snippet = page.locator(".snippet pre")
    expect(snippet).to_contain_text("Bearer ••••")
    expect(page.get_by_text("open-sesame-7")).to_have_count(0)
    page.get_by_role("button", name="Copy: curl").click()
    assert "Bearer open-sesame-7" in page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Show the key").click()
    expect(snippet).to_contain_text("Bearer open-sesame-7")


def test_connect_fits_a_phone(house: House, phone: Visitor) -> None:
    page = phone.visit(house, "connect/llm")
    expect(page.locator(".snippet pre")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_key_is_made_shown_once_and_revoked(house: House, laptop: Visitor) -> None:
    page = laptop.visit(house, "connect")
    section = page.get_by_role("region", name="Keys of programs")
    section.get_by_role("textbox", name="Program").fill("My editor")
    section.get_by_role("combobox", name="Opens").select_option("for 90 days")
    section.get_by_role("button", name="Make a key").click()
    shown = section.get_by_role("status").locator("code")
    expect(shown).to_contain_text("ondol-key-")
    secret = shown.inner_text()
    row = section.get_by_role("row", name="My editor")
    expect(row).to_contain_text("no documents")
    page.reload()
    expect(section.get_by_role("row", name="My editor")).to_be_visible()
    assert secret not in page.content()
    row.get_by_role("button", name="Revoke the key of My editor").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_contain_text("revoked")
    with house.client() as client:
        answer = client.get("/v1/models", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 401
