"""For everybody: axe on every page, light and dark; 200 % zoom; no motion; no mouse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from app_pages import PAGES, wait_for
from chatting import plain_chat
from house import House
from playwright.sync_api import Browser, Page, expect
from visiting import Visitor, visitor

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"


def violations(page: Page) -> list[str]:
    """What axe finds, a line each."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:160]} — {node['failureSummary'][:200]}"
        for rule in found
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_and_who_wants_no_motion_gets_none(
    house: House, laptop: Visitor, name: str
) -> None:
    found = {}
    for scheme in ("light", "dark"):
        laptop.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        # The second look is at the same page: a person's system changes it under the reader.
        page = laptop.visit(house, name) if scheme == "light" else laptop.page
        wait_for(page, name)
        found[scheme] = violations(page)
    assert not any(found.values()), found
    moving = page.evaluate(
        "document.getAnimations().filter((one) => one.playState === 'running'"
        " && one.effect.getComputedTiming().duration > 1)"
        ".map((one) => one.effect.target.className)"
    )
    assert moving == []


@pytest.fixture
def talk(house: House, tmp_path: Path) -> str:
    """A house somebody lives in: a document, a question about it, its answer. The chat's id."""
    note = tmp_path / "boiler.txt"
    note.write_text("The boiler was serviced in March. The stove under the floor is older.\n")
    with house.client() as client:
        client.post("/ondol/v1/documents", json={"paths": [str(note)], "stream": False})
        made = client.post("/ondol/v1/conversations", json={"mode": "documents"}).json()
        name = str((made.get("conversation") or made)["id"])
        asked = {"content": "When was the boiler serviced?"}
        run = client.post(f"/ondol/v1/conversations/{name}/runs", json=asked).json()["run"]
        run = run if isinstance(run, str) else run["id"]
        assert "event: end" in client.get(f"/ondol/v1/runs/{run}/events").text
    return name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_a_house_that_is_lived_in(
    house: House, laptop: Visitor, talk: str, scheme: str
) -> None:
    laptop.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    found = {}
    for target in (f"chat/{talk}", "documents", "ledger"):
        page = laptop.visit(house, target)
        wait_for(page, target.partition("/")[0])
        if target.startswith("chat"):
            expect(page.locator(".answer .prose, .answer p").first).to_be_visible()
        found[target] = violations(page)
    assert not any(found.values()), found


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_on_a_phone(house: House, phone: Visitor, name: str) -> None:
    phone.page.emulate_media(reduced_motion="reduce")
    page = phone.visit(house, name)
    wait_for(page, name)
    assert not (found := violations(page)), "\n".join(found)


@pytest.fixture
def zoomed(browser: Browser) -> Iterator[Visitor]:
    """A laptop's window of 1280 × 800 at 200 %."""
    viewport = {"width": 640, "height": 400}
    yield from visitor(browser, viewport=viewport, device_scale_factor=2)


@pytest.mark.parametrize("name", PAGES)
def test_at_200_per_cent_nothing_is_cut_off(house: House, zoomed: Visitor, name: str) -> None:
    page = zoomed.visit(house, name)
    wait_for(page, name)
    wide = page.evaluate(
        "[document.scrollingElement, document.querySelector('main')]"
        ".map((one) => one.scrollWidth - one.clientWidth)"
    )
    assert wide == [0, 0]
    # The whole of a long page can be scrolled to.
    main = page.locator("main")
    expect(main).to_be_visible()
    box = main.bounding_box()
    assert box is not None and box["height"] >= 200


@pytest.mark.parametrize("name", PAGES)
def test_every_control_can_be_reached_and_seen_by_keyboard(
    house: House, laptop: Visitor, name: str
) -> None:
    page = laptop.visit(house, name)
    wait_for(page, name)
    reachable = page.evaluate(
        """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
        .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled
          && one.tabIndex >= 0 && !one.closest("[inert]")
          && !(one.matches("input[type=radio]") && !one.checked)).length"""
    )
    page.evaluate("document.activeElement?.blur?.(); window.reached = new Set()")
    unseen = []
    for _ in range(reachable + 20):
        page.keyboard.press("Tab")
        state = page.evaluate(
            """() => {
          const one = document.activeElement;
          if (!one || one === document.body) return null;
          reached.add(one);
          const around = one.closest("label") ?? one;
          const seen = [one, one.nextElementSibling, around, around.parentElement].filter(Boolean);
          const hasRing = seen.some((part) => {
            const style = getComputedStyle(part);
            const isOutlined = style.outlineStyle !== "none" && style.outlineWidth !== "0px";
            return isOutlined || style.boxShadow !== "none";
          });
          // In a date the browser itself marks the day, the month or the year that is edited.
          const isDate = one.matches("input[type=date], input[type=month]");
          return { ring: hasRing || isDate, what: one.outerHTML.slice(0, 120) };
        }"""
        )
        if state and not state["ring"]:
            unseen.append(state["what"])
    assert page.evaluate("reached.size") >= reachable
    assert unseen == []


def test_the_skip_link_leads_to_the_page(house: House, laptop: Visitor) -> None:
    page = laptop.visit(house, "pair")
    wait_for(page, "pair")
    page.evaluate("document.activeElement?.blur?.()")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_pages_are_changed_by_keyboard(house: House, laptop: Visitor) -> None:
    page = laptop.visit(house, "pair")
    wait_for(page, "pair")
    page.get_by_role("link", name="Settings").focus()
    page.keyboard.press("Enter")
    wait_for(page, "settings")
    expect(page).to_have_title("Settings · Ondol")


def test_a_closed_dialog_gives_the_keyboard_back_before_the_next_key(
    house: House, laptop: Visitor
) -> None:
    page = plain_chat(laptop, house)
    page.get_by_role("button", name="Prompt library").click()
    dialog = page.get_by_role("dialog", name="Prompt library")
    expect(dialog).to_be_visible()
    # A key is a task of its own, and need not wait for the window to be drawn.
    named = dialog.get_by_role("button", name="Close").evaluate(
        """async (close) => {
          close.click();
          await new Promise((next) => setTimeout(next));
          return document.activeElement.getAttribute("aria-label");
        }"""
    )
    assert named == "Prompt library"
