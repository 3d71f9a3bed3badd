"""Every page of the app, as ``js/core/pages.js`` lists them, and how to wait for one."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

STATIC = Path(__file__).parents[2] / "src" / "ondol" / "web" / "static"
PAGES = re.findall(r'\{ name: "(\w+)"', (STATIC / "js" / "core" / "pages.js").read_text("utf-8"))


def wait_for(page: Page, name: str) -> None:
    """Until the page shows itself and asks the server nothing more."""
    expect(page.locator(f".shell-{name} main > *").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(150)  # what fades in has faded in
