"""Phones of 360, 390 and 430 px: nothing sticks out at the side, everything can be hit."""

from __future__ import annotations

import pytest
from app_pages import PAGES, wait_for
from house import House
from visiting import Visitor

KEEPS_APP = True

WIDTHS = (360, 390, 430)

# What sticks out: wider than the screen, and not inside a part that scrolls by itself.
TOO_WIDE = """() => {
  const wide = [];
  for (const one of document.querySelectorAll("body *")) {
    const box = one.getBoundingClientRect();
    if (!box.width || !box.height || box.right <= innerWidth + 1) continue;
    let inner = one.parentElement;
    while (inner && inner.tagName !== "MAIN" && getComputedStyle(inner).overflowX === "visible") {
      inner = inner.parentElement;
    }
    if (inner && inner.tagName !== "MAIN" && inner !== document.body) continue;
    wide.push(`${one.tagName.toLowerCase()}.${one.className} ${Math.round(box.right)}`);
  }
  const main = document.querySelector("main");
  if (main.scrollWidth > main.clientWidth) wide.push(`main ${main.scrollWidth}`);
  const root = document.scrollingElement;
  if (root.scrollWidth > innerWidth) wide.push(`page ${root.scrollWidth}`);
  return wide;
}"""

# What is too small for a finger: 44 px, but for links in running text (WCAG 2.5.8) and what the
# label around it makes larger.
TOO_SMALL = """() => {
  const kinds = "a[href], button, input, select, textarea, summary, [role=button], [role=tab]";
  const small = [];
  for (const one of document.querySelectorAll(kinds)) {
    if (!one.checkVisibility({ visibilityProperty: true }) || one.disabled) continue;
    if (one.matches("a") && getComputedStyle(one).display === "inline") continue;
    if (one.matches(".skip") || one.closest(".hidden")) continue;
    const target = one.closest("label") ?? one;
    const box = target.getBoundingClientRect();
    if (box.width === 0 || box.right < 0 || box.left > innerWidth) continue;
    if (box.width >= 43.5 && box.height >= 43.5) continue;
    const name = `${one.tagName.toLowerCase()}.${one.className}`;
    const size = `${Math.round(box.width)}×${Math.round(box.height)}`;
    small.push(`${name} "${one.textContent.trim().slice(0, 30)}" ${size}`);
  }
  return small;
}"""


@pytest.mark.parametrize("name", PAGES)
def test_nothing_sticks_out_at_the_side(house: House, phone: Visitor, name: str) -> None:
    page = phone.visit(house, name)
    found = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 844})
        wait_for(page, name)
        found[width] = page.evaluate(TOO_WIDE)
    assert not any(found.values()), found


@pytest.mark.parametrize("name", PAGES)
def test_everything_is_large_enough_for_a_finger(house: House, phone: Visitor, name: str) -> None:
    page = phone.visit(house, name)
    wait_for(page, name)
    assert not (small := page.evaluate(TOO_SMALL)), small


@pytest.mark.parametrize("name", [name for name in PAGES if name != "welcome"])
def test_the_navigation_is_always_at_the_bottom(house: House, phone: Visitor, name: str) -> None:
    page = phone.visit(house, name)
    wait_for(page, name)
    box = page.get_by_role("navigation").first.bounding_box()
    assert box is not None and abs(box["y"] + box["height"] - 844) <= 1


def test_typing_does_not_make_the_phone_zoom(house: House, phone: Visitor) -> None:
    page = phone.visit(house)
    wait_for(page, "chat")
    sizes = page.evaluate(
        "[...document.querySelectorAll('textarea, input[type=text], input[type=search]')]"
        ".map((one) => parseFloat(getComputedStyle(one).fontSize))"
    )
    assert sizes and all(size >= 16 for size in sizes)
