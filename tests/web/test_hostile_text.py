"""What an answer, a website or another device may try with the chat page, and what stays of it."""

from __future__ import annotations

import pytest
from chatting import ask, composer, conversation, finished, plain_chat, say, told
from house import House
from playwright.sync_api import expect
from visiting import Visitor

KEPT = "() => Object.keys(localStorage).filter((key) => /chat[.](draft|system)[.]/.test(key))"
DEEP = "> " * 6000


@pytest.fixture(autouse=True)
def none_yet(house: House) -> None:
    """No conversation is left from the test before."""
    with house.client() as client:
        client.request("DELETE", "/ondol/v1/conversations", json={"all": True})


def test_what_is_nested_too_deeply_is_shown_as_it_is(house: House, laptop: Visitor) -> None:
    told(house, DEEP + "the end", "A plain word.")
    page = plain_chat(laptop, house)
    ask(page, "Quote it.", "the end")
    ask(page, "And now?", "A plain word.")
    page.reload()
    expect(page.locator(".answer").first).to_contain_text("the end")


@pytest.mark.parametrize(
    "tex",
    [
        r"\rule{5000em}{5000em}",
        r"\raisebox{200em}{\rule{4000pt}{4000pt}}",
        r"\kern{-4000pt}\rule{8000pt}{9em}",
        r"\begin{array}{c}" + r"\rule{30em}{30em}\\" * 40 + r"\end{array}",
    ],
)
@pytest.mark.parametrize("mark", ["$", "$$"])
def test_a_formula_lies_over_nothing(house: House, laptop: Visitor, tex: str, mark: str) -> None:
    told(house, f"Look: {mark}{tex}{mark} there.", "A plain word.")
    page = plain_chat(laptop, house)
    say(page, "Draw it.")
    finished(page, "Look:")
    page.wait_for_selector(".math[data-set]", state="attached")
    outside = page.evaluate(
        """() => [...document.querySelectorAll("nav a, nav button, textarea")].filter((one) => {
          const box = one.getBoundingClientRect();
          const there = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
          return there?.closest(".prose");
        }).length"""
    )
    assert outside == 0
    math, prose = page.locator(".answer .math"), page.locator(".answer .prose")
    assert (math.bounding_box() or {})["width"] <= 3000
    assert (prose.bounding_box() or {})["width"] <= 1280


def test_nothing_stays_here_of_a_conversation_that_was_erased(
    house: House, laptop: Visitor
) -> None:
    mine, other, third = (conversation(house, title=name) for name in ("Mine", "Other", "Third"))
    for id, title in ((mine, "Mine"), (other, "Other"), (third, "Third")):
        page = laptop.visit(house, f"chat/{id}")
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        composer(page).fill("My secret plan")
        page.wait_for_function(f"() => localStorage.getItem('ondol.chat.draft.{id}')")
    chats = page.get_by_role("navigation", name="Conversations")
    chats.get_by_role("link", name="Mine", exact=True).hover()
    chats.get_by_role("button", name="Actions for “Mine”").click()
    page.get_by_role("menuitem", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(chats.get_by_role("link")).to_have_count(2)
    left = {f"ondol.chat.draft.{id}" for id in (other, third)}
    assert set(page.evaluate(KEPT)) == left
    # Another device erases one; here it goes when the list is read.
    with house.client() as client:
        client.delete(f"/ondol/v1/conversations/{other}")
    page.reload()
    expect(chats.get_by_role("link")).to_have_count(1)
    assert page.evaluate(KEPT) == [f"ondol.chat.draft.{third}"]


SHARED = """async () => {
  const waiting = await caches.open("ondol-shared");
  await waiting.put("/shared/text", new Response("Shared words"));
  await waiting.put("/shared/file/0", new Response("planted", { headers: { "X-Name": "a.txt" } }));
}"""


@pytest.mark.parametrize("is_app", [False, True])
def test_a_website_that_shares_plants_no_file(house: House, laptop: Visitor, is_app: bool) -> None:
    """The service worker cannot tell it from a phone; but a phone shares with the app alone."""
    page = laptop.visit(house)
    page.wait_for_load_state("networkidle")
    page.evaluate(SHARED)
    if is_app:
        page.add_init_script(
            """const real = matchMedia; globalThis.matchMedia = (query) =>
              query.includes("standalone") ? real("all") : real(query);"""
        )
    page.goto("about:blank")
    page = laptop.visit(house, "chat?shared=1")
    expect(composer(page)).to_have_value("Shared words")
    expect(page.get_by_text("a.txt")).to_have_count(1 if is_app else 0)
    page.wait_for_load_state("networkidle")
    with house.client() as client:
        made = client.get("/ondol/v1/conversations").json()["conversations"]
    assert len(made) == (1 if is_app else 0)


@pytest.mark.parametrize("target", ["%", "chat/%E0%A4%A", "documents/%ZZ", "__proto__/x"])
def test_a_link_that_says_nonsense_opens_a_page(house: House, laptop: Visitor, target: str) -> None:
    laptop.allowed.append("404")
    page = laptop.visit(house, target)
    expect(page.get_by_role("link", name="Settings")).to_be_visible()
    expect(page.locator("main > *").first).to_be_visible()
