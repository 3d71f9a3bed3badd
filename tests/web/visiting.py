"""Who visits the app in a test, and what their browser complained of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

from house import House
from playwright.sync_api import Browser, BrowserContext, Page

# The same browser without the frame around the page opens it for a third of the work.
PLACES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
)
LAPTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
# How many times slower the page runs: what a busy machine does to a test, at will.
SLOWER = os.environ.get("ONDOL_TEST_SLOWER_BROWSER")


def chromium() -> str | None:
    """Where Chromium is: $ONDOL_TEST_CHROMIUM, or what the system has."""
    named = os.environ.get("ONDOL_TEST_CHROMIUM")
    return named or next((found for name in PLACES if (found := shutil.which(name))), None)


class Visitor:
    """A page with what it complained of."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.allowed: list[str] = []
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        context.on("request", self._request)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("console", self._console)
        self.page: Page = context.new_page()
        if SLOWER:
            context.new_cdp_session(self.page).send(
                "Emulation.setCPUThrottlingRate", {"rate": float(SLOWER)}
            )

    def visit(self, house: House, target: str = "chat") -> Page:
        """``target`` of the app in ``house``."""
        self.origin = house.url
        self.page.goto(f"{house.url}/#/{target}")
        return self.page

    def check(self) -> None:
        """Fail where the page complained of something not allowed."""
        told = [
            one for one in self.complaints if not any(allowed in one for allowed in self.allowed)
        ]
        assert not told, told
        assert not self.foreign, self.foreign

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.origin, "blob:", "data:")):
            self.foreign.append(request.url)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")


def visitor(
    browser: Browser, language: str = "en-GB", *, keeps_app: bool = False, **how: Any
) -> Iterator[Visitor]:
    """A visitor in a browser of their own. Unless it ``keeps_app``, it is one that has no service
    workers: a worker would fetch the whole app for each test, which is half of a test's work."""
    context = browser.new_context(locale=language, **how)
    if not keeps_app:
        context.add_init_script("delete Navigator.prototype.serviceWorker")
    context.set_default_timeout(15_000)
    found = Visitor(context)
    yield found
    context.close()
    found.check()
