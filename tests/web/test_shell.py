"""What stands around every page."""

from __future__ import annotations

from collections.abc import Callable

from house import House
from playwright.sync_api import Page, expect
from visiting import Visitor


def test_a_browser_gets_the_app_and_a_program_its_sentence(house: House) -> None:
    with house.client() as client:
        page = client.get("/", headers={"Accept": "text/html,application/xhtml+xml"})
        program = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert program.text == "Ollama is running"


def test_a_file_is_checked_by_its_content_and_nothing_else_is_served(house: House) -> None:
    with house.client() as client:
        first = client.get("/web/js/main.js")
        again = client.get("/web/js/main.js", headers={"If-None-Match": first.headers["etag"]})
        outside = [
            client.get(f"/web/{path}").status_code
            for path in (
                "../server/web/files.py",
                "%2e%2e/%2e%2e/parts.py",
                "js",
                "",
                "none.js",
                "a%00b",
            )
        ]
    assert first.headers["content-encoding"] == "gzip"
    assert again.status_code == 304
    assert outside == [404] * 6


def test_the_settings_page_opens_and_the_navigation_says_where_we_are(
    house: House, laptop: Visitor, look: Callable[[Page, str], None]
) -> None:
    page = laptop.visit(house, "settings")
    expect(page.get_by_role("link", name="Settings")).to_have_attribute("aria-current", "page")
    expect(page).to_have_title("Settings · Ondol")
    look(page, "shell")


def test_a_phone_has_the_main_pages_below_and_the_others_behind_more(
    house: House, phone: Visitor
) -> None:
    page = phone.visit(house, "settings")
    expect(page.get_by_role("link", name="Models")).to_be_visible()
    page.get_by_role("button", name="More").click()
    page.get_by_role("dialog").get_by_role("link", name="Connect").click()
    expect(page).to_have_title("Connect · Ondol")


def test_the_app_speaks_korean_to_a_korean_browser(house: House, korean: Visitor) -> None:
    page = korean.visit(house, "settings")
    expect(page.get_by_role("link", name="설정")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "ko"


def test_a_korean_particle_fits_the_name_it_follows(house: House, korean: Visitor) -> None:
    page = korean.visit(house, "models")
    expect(page.get_by_role("heading", name="모델", exact=True)).to_be_visible()
    said = page.evaluate(
        """async (names) => {
          const { t } = await import("/web/js/core/i18n.js");
          return names.map((name) => t("models.pulled", { name }).split(" ")[0]);
        }""",
        ["문서", "파일", "llama3", "gemma2", "smollm"],
    )
    assert said == ["문서를", "파일을", "llama3을", "gemma2를", "smollm을(를)"]
