"""The first run: three screens at most, each can be skipped, to a first cited answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from house import House, scripted_house, serving
from playwright.sync_api import Page, expect
from visiting import Visitor

from ondol import config as configuration
from ondol import i18n
from ondol.parts import Parts

BOILER = (
    "# The boiler\n\nThe boiler was serviced on 3 March 2026 by Mina Kim. "
    "The boiler has a warranty until 2031.\n"
)


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A house that nobody has been in, with some papers beside it."""
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path / "ondol"))
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "boiler.md").write_text(BOILER, encoding="utf-8")
    with scripted_house(tmp_path) as house:
        yield house
    i18n.speak("auto")


def come(visitor: Visitor, house: House) -> Page:
    """Open the app as ``ondol up`` does, at no page of its own."""
    visitor.origin = house.url
    visitor.page.goto(house.url)
    return visitor.page


def next_screen(page: Page) -> None:
    heading = page.get_by_role("heading", level=1)
    shown = heading.inner_text()
    page.get_by_role("button", name="Next").click()
    expect(heading).not_to_have_text(shown)


def test_who_comes_first_is_welcomed_and_who_skips_is_not_asked_again(
    fresh: House, laptop: Visitor, look: Callable[[Page, str], None]
) -> None:
    page = come(laptop, fresh)
    expect(page.get_by_role("heading", name="Welcome to Ondol")).to_be_visible()
    expect(page.get_by_role("navigation", name="Pages")).to_be_hidden()
    look(page, "welcome")
    page.get_by_role("button", name="Skip").click()
    expect(page).to_have_url(f"{fresh.url}/#/chat")
    page = come(laptop, fresh)
    expect(page.get_by_role("link", name="Chat", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Welcome to Ondol")).to_have_count(0)


def test_who_names_a_page_gets_it(fresh: House, laptop: Visitor) -> None:
    page = laptop.visit(fresh, "memory")
    expect(page.get_by_role("heading", name="Memory")).to_be_visible()
    expect(page).to_have_url(f"{fresh.url}/#/memory")


def test_language_is_chosen_for_the_app_and_the_server(fresh: House, laptop: Visitor) -> None:
    page = come(laptop, fresh)
    with page.expect_response(lambda r: r.url.endswith("/settings") and r.request.method != "GET"):
        page.get_by_role("radio", name="한국어").click()
    expect(page.get_by_role("heading", name="온돌에 오신 것을 환영합니다")).to_be_visible()
    page.get_by_role("button", name="다음").click()
    expect(page.get_by_role("heading", name="누가 답하나요?")).to_be_visible()
    assert fresh.parts.config["language"] == "ko"


def test_starter_is_ready_and_the_better_model_comes_in_the_background(
    fresh: House, laptop: Visitor, look: Callable[[Page, str], None]
) -> None:
    with fresh.client() as client:
        best = client.get("/ondol/v1/onboarding").json()["recommended"]["name"]
    asked: list[Any] = []
    pull = {
        **{"id": "p1", "model": best, "state": "running", "status": "downloading", "error": None},
        **{"completed_bytes": 25, "total_bytes": 100, "bytes_per_second": 5_000_000},
    }

    def pulls(route: Any) -> None:
        if route.request.method == "POST":
            asked.append(route.request.post_data_json)
            route.fulfill(status=201, json=pull)
        else:
            route.fulfill(json={"pulls": [pull] if asked else []})

    page = come(laptop, fresh)
    page.route("**/ondol/v1/pulls", pulls)
    next_screen(page)
    expect(page.get_by_role("article").first).to_contain_text("smollm2:135m")
    expect(page.get_by_role("article").first).to_contain_text("ready")
    card = page.get_by_role("article").filter(has_text=best)
    card.get_by_role("button", name="Download").click()
    bar = card.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", "25")
    expect(card).to_contain_text("5 MB/s")
    assert asked == [{"model": best}]
    look(page, "welcome-model")
    pull.update(state="done", completed_bytes=100)
    expect(card).to_contain_text("It is here.")


def test_pull_that_fails_is_told_and_can_go_on(fresh: House, laptop: Visitor) -> None:
    with fresh.client() as client:
        best = client.get("/ondol/v1/onboarding").json()["recommended"]["name"]
    failed = {
        **{"id": "p1", "model": best, "state": "failed", "status": "", "completed_bytes": 1},
        **{"total_bytes": 2, "bytes_per_second": None},
        "error": {"code": "download_failed", "message": "The line broke.", "hint": "Try again."},
    }
    page = come(laptop, fresh)
    page.route("**/ondol/v1/pulls", lambda route: route.fulfill(json={"pulls": [failed]}))
    next_screen(page)
    expect(page.get_by_role("alert")).to_contain_text("The line broke. Try again.")
    expect(page.get_by_role("button", name="Go on with the download")).to_be_enabled()


def test_folder_of_this_machine_is_read_and_a_question_offered(
    fresh: House, laptop: Visitor, tmp_path: Path
) -> None:
    page = come(laptop, fresh)
    papers = tmp_path / "papers"
    page.route(
        "**/ondol/v1/browse*",
        lambda route: route.fulfill(
            json={
                **{"path": str(tmp_path), "parent": "/", "folders": [], "files": 0},
                "places": [str(tmp_path), str(papers)],
            }
        ),
    )
    next_screen(page)
    next_screen(page)
    page.get_by_role("button", name="papers").click()
    expect(page.get_by_text("Done: 1 documents can be asked.")).to_be_visible()
    page.get_by_role("button", name="boiler?").first.click()
    expect(page.get_by_role("textbox", name="Message").or_(page.locator("textarea"))).to_have_value(
        "What do my documents say about boiler?"
    )
    assert [one.source for one in fresh.parts.library.documents()] == [str(papers / "boiler.md")]
    with fresh.client() as client:
        assert client.get("/ondol/v1/onboarding").json()["done"] is True


def test_files_are_sent_where_no_folder_can_be_named(
    fresh: House, phone: Visitor, tmp_path: Path
) -> None:
    phone.allowed.append("403")
    page = come(phone, fresh)
    page.route(
        "**/ondol/v1/browse*",
        lambda route: route.fulfill(status=403, json={"error": {"code": "x", "message": "no"}}),
    )
    next_screen(page)
    next_screen(page)
    expect(page.get_by_role("button", name="Choose a folder")).to_have_count(0)
    page.locator("input[type=file]").set_input_files(tmp_path / "papers" / "boiler.md")
    expect(page.get_by_text("Done: 1 documents can be asked.")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_file_that_cannot_be_read_is_counted(fresh: House, laptop: Visitor, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7\nnothing else")
    page = come(laptop, fresh)
    next_screen(page)
    next_screen(page)
    page.locator("input[type=file]").set_input_files(broken)
    expect(page.get_by_text("Files that could not be read: 1.")).to_be_visible(timeout=120_000)


@pytest.fixture
def real_fresh(
    tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    """A house that nobody has been in, with the default models."""
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path / "ondol"))
    monkeypatch.setenv("ONDOL_MODELS", str(models_dir))
    with Parts(configuration.load()) as parts, serving(parts) as port:
        yield House(parts, parts.pool, port)  # type: ignore[arg-type]


@pytest.mark.model
def test_from_the_first_screen_to_a_cited_answer_of_the_real_model(
    real_fresh: House, laptop: Visitor, tmp_path: Path
) -> None:
    paper = tmp_path / "boiler.md"
    paper.write_text(BOILER, encoding="utf-8")
    page = come(laptop, real_fresh)
    next_screen(page)
    next_screen(page)
    page.locator("input[type=file]").set_input_files(paper)
    page.get_by_role("button", name="boiler?").first.click(timeout=120_000)
    message = page.locator("textarea").first
    expect(message).to_have_value("What do my documents say about boiler?")
    # What is offered the documents answer themselves.
    message.fill("When was the boiler serviced?")
    message.press("Enter")
    expect(page.locator("main")).to_contain_text("serviced on 3 March 2026", timeout=60_000)
    expect(page.locator("main")).to_contain_text("boiler.md")
