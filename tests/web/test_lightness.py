"""The app begins light and stays so: bytes of a first visit, and nothing kept of what is gone.

What takes time is measured in ``benchmarks/web``; here is what is the same on every machine.
"""

from __future__ import annotations

from typing import Any

from app_pages import wait_for
from chatting import finished, plain_chat, say, told
from house import House
from playwright.sync_api import Route, expect
from visiting import Visitor

FIRST_LOAD_BYTES = 70 * 1024


def test_a_first_visit_fetches_less_than_70_kb(house: House, laptop: Visitor) -> None:
    paths: list[str] = []
    laptop.page.on("request", lambda request: paths.append(request.url))
    page = laptop.visit(house, "chat")
    wait_for(page, "chat")
    ours = {path.split("#")[0].removeprefix(house.url) for path in paths}
    sizes: dict[str, int] = {}
    with house.client(headers={"Accept": "text/html", "Accept-Encoding": "gzip"}) as client:
        for path in ours:
            # What the service worker fetches for later comes after the page has all it needs.
            if path.startswith(("/web/", "/?")) or path == "/":
                sizes[path] = int(client.get(path).headers["content-length"])
    assert "/web/js/main.js" in sizes and "/web/js/chat/composer.js" in sizes
    assert sum(sizes.values()) <= FIRST_LOAD_BYTES, sorted(sizes.items(), key=lambda one: -one[1])


def test_what_a_new_chat_does_not_need_waits(house: House, laptop: Visitor) -> None:
    paths: list[str] = []
    laptop.page.on("request", lambda request: paths.append(request.url))
    page = laptop.visit(house, "chat")
    wait_for(page, "chat")
    assert not any("marked.js" in path or "temml.js" in path for path in paths)
    with page.expect_request("**/vendor/marked.js"):
        page.get_by_role("textbox", name="message").fill("Hel")


def test_a_part_that_could_not_be_fetched_is_asked_for_again(house: House, laptop: Visitor) -> None:
    laptop.allowed.append("net::ERR")
    left = 2

    def lose(route: Route) -> None:
        nonlocal left
        left -= 1
        route.abort() if left >= 0 else route.continue_()

    laptop.page.route("**/chat/talk.js", lose)
    told(house, "Here I am.")
    page = plain_chat(laptop, house)
    say(page, "Are you there?")
    finished(page, "Here I am.")
    assert left < 0
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_part_that_never_comes_offers_to_load_the_page_anew(
    house: House, laptop: Visitor
) -> None:
    laptop.allowed.append("net::ERR")
    laptop.page.route("**/chat/talk.js", lambda route: route.abort())
    told(house, "Here I am.")
    page = plain_chat(laptop, house)
    say(page, "Are you there?")
    alert = page.get_by_role("alert").filter(has_text="This page could not be loaded.")
    expect(alert).to_be_visible()
    laptop.page.unroute("**/chat/talk.js")
    alert.get_by_role("button", name="Try again").click()
    finished(page, "Here I am.")


def test_messages_that_are_out_of_sight_are_let_go(house: House, laptop: Visitor) -> None:
    with house.client() as client:
        made: dict[str, Any] = client.post("/ondol/v1/conversations", json={"mode": "chat"}).json()
    page = laptop.visit(house, f"chat/{(made.get('conversation') or made)['id']}")
    wait_for(page, "chat")
    session = laptop.context.new_cdp_session(page)
    session.send("Performance.enable")

    def nodes() -> float:
        page.wait_for_timeout(500)
        session.send("HeapProfiler.collectGarbage")
        session.send("HeapProfiler.collectGarbage")
        found = session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in found if one["name"] == "Nodes"))

    def talk(first: int, last: int) -> None:
        for number in range(first, last):
            box = page.get_by_role("textbox", name="message")
            box.fill(f"Question {number}")
            box.press("Enter")
            expect(page.get_by_text(f"Question {number}", exact=True).last).to_be_visible()
            expect(page.locator(".answer[aria-busy=true]")).to_have_count(0)
            expect(page.get_by_role("button", name="Answer again").last).to_be_visible()

    talk(0, 12)
    before = nodes()
    talk(12, 24)
    # Twelve answers that were kept would be 400 nodes and more.
    assert nodes() - before < 100
