"""The Models page, as its owner uses it; pulls come from a real server that behaves badly."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from house import CHAT, EMBEDDING, House, tiny_gguf
from playwright.sync_api import Page, expect
from visiting import Visitor

from ondol.models import adapter_manifest
from ondol.models.adapters import SHIPPED
from ondol.server.native import pulling as pulls

sys.path.append(str(Path(__file__).parents[1] / "models"))
from pull_servers import Mood, Server, serving, sha256
from pull_servers import tiny_gguf as gguf_of

CONTENT = gguf_of(400_000)
LONG = gguf_of(6_000_000)

Look = Callable[[Page, str], None]


def call(house: House, method: str, address: str, **body: Any) -> Any:
    with house.client() as client:
        return client.request(method, f"/ondol/v1/{address}", json=body or None).json()


@pytest.fixture(scope="module", autouse=True)
def hurried() -> Iterator[None]:
    """Pauses between tries that nobody has to wait for; read when the server starts."""
    defaults = pulls.Pulls.__init__.__kwdefaults__
    before = defaults["pauses_seconds"]
    defaults["pauses_seconds"] = (1.0,)
    yield
    defaults["pauses_seconds"] = before


@pytest.fixture
def source() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def slow_source() -> Iterator[Server]:
    """Takes some twenty seconds over ``LONG``."""
    with serving(pause_seconds=0.05) as server:
        yield server


@pytest.fixture(autouse=True)
def tidy(house: House) -> Iterator[None]:
    """Every test ends with the two models that it began with, and no pulls."""
    yield
    for pull in call(house, "GET", "pulls")["pulls"]:
        call(house, "DELETE", f"pulls/{pull['id']}")
    for model in call(house, "GET", "models")["models"]:
        if model["name"] not in (CHAT, EMBEDDING):
            call(house, "DELETE", "models", model=model["name"])
    call(house, "PATCH", "settings", **{"models.chat": None, "answer.adapter": None})


def get_by_name(page: Page, reference: str) -> None:
    page.get_by_role("button", name="Get by name").click()
    dialog = page.get_by_role("dialog", name="Get by name")
    dialog.get_by_label("Name or address").fill(reference)
    dialog.get_by_role("button", name="Get").click()


def card(page: Page, name: str) -> Any:
    return page.get_by_role("article").filter(has=page.get_by_role("heading", name=name))


def test_the_machine_and_its_models_are_shown(house: House, laptop: Visitor, look: Look) -> None:
    page = laptop.visit(house, "models")
    machine = page.get_by_role("region", name="This machine")
    expect(machine).to_contain_text("Memory")
    expect(machine.get_by_role("img", name="Disk")).to_be_visible()
    expect(card(page, CHAT)).to_contain_text("Answers by default")
    expect(card(page, EMBEDDING)).to_contain_text("Searches your documents")
    look(page, "models")


def test_a_model_is_brought_into_memory_and_taken_out(house: House, laptop: Visitor) -> None:
    page = laptop.visit(house, "models")
    card(page, CHAT).get_by_role("button", name="Load", exact=True).click()
    expect(card(page, CHAT)).to_contain_text("In memory")
    expect(card(page, CHAT)).to_contain_text("Leaves memory at")
    assert [one.name for one in house.pool.loaded()] == [CHAT]
    card(page, CHAT).get_by_role("button", name="Unload").click()
    expect(card(page, CHAT)).not_to_contain_text("In memory")
    assert house.pool.loaded() == []


def test_what_does_not_fit_in_memory_is_said(house: House, laptop: Visitor) -> None:
    from ondol.errors import ModelTooLargeError

    def load(model: str, **how: Any) -> None:
        raise ModelTooLargeError("It needs 9 GB and 2 GB are free.", "Take a smaller one.")

    laptop.allowed.append("507")
    house.pool.load = load  # type: ignore[method-assign]
    try:
        page = laptop.visit(house, "models")
        card(page, CHAT).get_by_role("button", name="Load", exact=True).click()
        expect(
            page.get_by_text("It needs 9 GB and 2 GB are free. Take a smaller one.")
        ).to_be_visible()
    finally:
        del house.pool.load  # type: ignore[attr-defined]


def test_details_say_all_that_is_known(house: House, laptop: Visitor, look: Look) -> None:
    page = laptop.visit(house, "models")
    page.get_by_role("button", name=CHAT, exact=True).click()
    drawer = page.get_by_role("dialog", name=CHAT)
    digest = house.parts.store.get(CHAT).digest
    for text in ("Longest context", "2K tokens", digest, f"ondol run {CHAT}"):
        expect(drawer).to_contain_text(text)
    look(page, "models-details")
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)


def test_the_catalogue_says_what_fits_and_why(house: House, laptop: Visitor, look: Look) -> None:
    page = laptop.visit(house, "models")
    page.get_by_role("tab", name="Get more").click()
    entries = page.get_by_role("listitem")
    known = call(house, "GET", "catalog")["models"]
    chat = [one for one in known if one["kind"] == "chat"]
    best = chat[0]
    expect(entries.first).to_contain_text("Best for this machine")
    expect(entries.first).to_contain_text(best["why"])
    expect(entries).to_have_count(sum(one["fits"] != "no" for one in chat))
    look(page, "models-catalogue")
    page.locator(".switch", has_text="Show what does not fit").click()
    expect(entries).to_have_count(len(chat))
    page.get_by_role("searchbox").fill(CHAT)
    expect(entries).to_have_count(1)
    expect(entries.first).to_contain_text("Here")
    page.get_by_role("searchbox").fill("no such thing")
    expect(page.get_by_text("No model is like that.")).to_be_visible()


def test_topics_narrow_the_catalogue(house: House, laptop: Visitor) -> None:
    page = laptop.visit(house, "models/get")
    page.locator("label", has_text="Code").click()
    known = call(house, "GET", "catalog")["models"]
    fitting = [one for one in known if "code" in one["good_for"] and one["fits"] != "no"]
    expected = sum(one["kind"] == "chat" for one in fitting)
    expect(page.get_by_role("listitem")).to_have_count(expected)


def test_a_model_is_pulled_with_progress_and_is_there(
    house: House, laptop: Visitor, slow_source: Server, look: Look
) -> None:
    slow_source.add("/small-Q4_K_M.gguf", gguf_of(1_000_000))
    page = laptop.visit(house, "models")
    get_by_name(page, f"{slow_source.url}/small-Q4_K_M.gguf")
    way = card(page, "small-Q4_K_M.gguf")
    expect(way.get_by_role("progressbar")).to_be_visible()
    look(page, "models-pull")
    expect(page.get_by_text("small-Q4_K_M.gguf is here and ready.")).to_be_visible(timeout=30_000)
    expect(card(page, "small:q4_k_m")).to_be_visible()
    expect(way).to_have_count(0)


def test_a_pull_is_paused_and_goes_on_from_there(
    house: House, laptop: Visitor, slow_source: Server
) -> None:
    slow_source.add("/m.gguf", LONG)
    page = laptop.visit(house, "models")
    get_by_name(page, f"{slow_source.url}/m.gguf#sha256={sha256(LONG)}")
    way = card(page, "m.gguf")
    expect(way).to_contain_text("MB of 6 MB", timeout=30_000)
    way.get_by_role("button", name="Pause").click()
    expect(way).to_contain_text("Paused")
    slow_source.pause_seconds = 0
    way.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("m.gguf is here and ready.")).to_be_visible(timeout=30_000)
    assert slow_source.starts("/m.gguf")[-1] > 0


def test_a_broken_line_is_said_and_mended_by_itself(
    house: House, laptop: Visitor, source: Server, look: Look
) -> None:
    """Cut in the middle, then refused again and again; then the line is back."""
    refused = [Mood(status=503)] * 1000
    route = source.add("/m.gguf", CONTENT, Mood(stop_after=100_000), *refused)
    page = laptop.visit(house, "models")
    get_by_name(page, f"{source.url}/m.gguf#sha256={sha256(CONTENT)}")
    way = card(page, "m.gguf")
    expect(way).to_contain_text("The line is down", timeout=30_000)
    expect(way).to_contain_text("503")
    expect(way.get_by_role("button", name="Try now")).to_be_visible()
    look(page, "models-waiting")
    route.moods.clear()
    expect(page.get_by_text("m.gguf is here and ready.")).to_be_visible(timeout=30_000)
    expect(card(page, "m:latest")).to_be_visible()
    assert source.starts("/m.gguf")[-1] >= 100_000


def test_a_reload_in_the_middle_of_a_pull_finds_it_again(
    house: House, laptop: Visitor, slow_source: Server
) -> None:
    slow_source.add("/m.gguf", LONG)
    page = laptop.visit(house, "models")
    get_by_name(page, f"{slow_source.url}/m.gguf")
    expect(card(page, "m.gguf")).to_contain_text("MB", timeout=30_000)
    page.reload()
    expect(card(page, "m.gguf")).to_contain_text("MB of 6 MB")
    slow_source.pause_seconds = 0
    expect(page.get_by_text("m.gguf is here and ready.")).to_be_visible(timeout=30_000)


def test_what_cannot_be_had_says_why(house: House, laptop: Visitor, source: Server) -> None:
    laptop.allowed.append("404")
    page = laptop.visit(house, "models")
    get_by_name(page, "no-such-model")
    dialog = page.get_by_role("dialog", name="Get by name")
    expect(dialog.get_by_role("alert")).to_contain_text("no-such-model")
    dialog.get_by_label("Name or address").fill(f"{source.url}/gone.gguf")
    dialog.get_by_role("button", name="Get").click()
    way = card(page, "gone.gguf")
    expect(way).to_contain_text("There is nothing at")
    expect(way.get_by_role("button", name="Try again")).to_be_visible()


def test_giving_up_asks_and_deletes_what_had_arrived(
    house: House, laptop: Visitor, slow_source: Server
) -> None:
    slow_source.add("/m.gguf", LONG)
    page = laptop.visit(house, "models")
    get_by_name(page, f"{slow_source.url}/m.gguf")
    way = card(page, "m.gguf")
    expect(way).to_contain_text("MB of 6 MB", timeout=30_000)
    way.get_by_role("button", name="Give up m.gguf").click()
    dialog = page.get_by_role("dialog", name="Give up m.gguf")
    expect(dialog).to_contain_text("is deleted")
    dialog.get_by_role("button", name="Give up", exact=True).click()
    expect(way).to_have_count(0)
    assert call(house, "GET", "pulls") == {"pulls": []}


def test_a_model_is_deleted_with_what_it_frees(
    house: House, laptop: Visitor, tmp_path: Path
) -> None:
    file = tmp_path / "other.gguf"
    file.write_bytes(tiny_gguf("gemma"))
    store = house.parts.store
    store.add("other:1b", [store.stage(file, "weights", "other.gguf")])
    page = laptop.visit(house, "models")
    page.get_by_role("button", name="More for other:1b").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("other:1b is deleted")).to_be_visible()
    expect(card(page, "other:1b")).to_have_count(0)


def test_a_model_that_is_used_is_deleted_only_after_a_warning(
    house: House, laptop: Visitor
) -> None:
    page = laptop.visit(house, "models")
    page.get_by_role("button", name=f"More for {CHAT}").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.get_by_role("dialog")).to_contain_text("The settings name this model")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert CHAT in [one.name for one in house.parts.store.list()]


def test_another_model_answers_by_default(house: House, laptop: Visitor, tmp_path: Path) -> None:
    file = tmp_path / "other.gguf"
    file.write_bytes(tiny_gguf("gemma"))
    store = house.parts.store
    store.add("other:1b", [store.stage(file, "weights", "other.gguf")])
    page = laptop.visit(house, "models")
    page.get_by_role("button", name="More for other:1b").click()
    page.get_by_role("menuitem", name="Answer with it by default").click()
    expect(card(page, "other:1b")).to_contain_text("Answers by default")
    expect(card(page, CHAT)).not_to_contain_text("Answers by default")
    assert house.parts.config["models.chat"] == "other:1b"


@pytest.fixture
def adapter(house: House, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The one that ships, as if it fitted the model without weights that these tests have."""
    raw = next(SHIPPED.glob("*.json")).read_bytes()
    found = replace(adapter_manifest.from_json(raw), shipped=True)
    monkeypatch.setattr(house.parts.adapters, "list", lambda model=None: [found])
    return found


def test_the_adapter_that_ships_is_described_in_korean_on_a_korean_page(
    house: House, korean: Visitor, adapter: Any
) -> None:
    page = korean.visit(house, "models")
    expect(page.get_by_text("문서에서 찾은 문장으로 짧게 답하고")).to_be_visible()
    expect(page.get_by_text(adapter.description)).to_have_count(0)
    page.get_by_role("button", name="평가 결과").click()
    expect(page.get_by_role("dialog").get_by_role("heading", name="처음 보는 글")).to_be_visible()


def test_the_catalogue_opens_at_the_models_for_a_language(house: House, laptop: Visitor) -> None:
    page = laptop.visit(house, "models/get/korean")
    topics = page.get_by_role("group", name="Good for")
    expect(topics.get_by_role("radio", name="Korean")).to_be_checked()


def test_an_adapter_shows_its_evaluation_and_is_switched_off(
    house: House, laptop: Visitor, adapter: Any, look: Look
) -> None:
    page = laptop.visit(house, "models")
    mine = card(page, CHAT)
    expect(mine).to_contain_text(adapter.description)
    mine.get_by_role("button", name="How it was measured").click()
    drawer = page.get_by_role("dialog", name=adapter.full_name)
    row = drawer.get_by_role("row").filter(has_text="Right answer in its words").first
    every = adapter.evaluation["all sets"]
    expect(row).to_contain_text(f"{round(every['off']['accuracy']['value'] * 100)}%")
    expect(row).to_contain_text(f"{round(every['on']['accuracy']['value'] * 100)}%")
    look(page, "models-adapter")
    page.keyboard.press("Escape")
    switch = mine.get_by_role("switch", name="Answers questions")
    expect(switch).to_be_checked()
    with page.expect_response("**/ondol/v1/settings"):
        mine.locator(".switch").click()
    expect(switch).not_to_be_checked()
    assert house.parts.config["answer.adapter"] == ""


def test_a_phone_shows_it_all_without_scrolling_sideways(
    house: House, phone: Visitor, look: Look
) -> None:
    page = phone.visit(house, "models")
    expect(card(page, CHAT)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    look(page, "models-phone")
    page.get_by_role("tab", name="Get more").click()
    expect(page.get_by_role("listitem").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_reasons_are_told_in_korean(house: House, korean: Visitor) -> None:
    page = korean.visit(house, "models/get")
    with house.client(headers={"Accept-Language": "ko"}) as client:
        first = client.get("/ondol/v1/catalog").json()["models"][0]
    expect(page.get_by_role("listitem").first).to_contain_text(first["why"])
