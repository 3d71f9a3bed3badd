"""A real Chromium before a real server. Whatever the page complains of fails the test: an error in
the console, a violation of the content policy, a request to anywhere else.

``laptop``, ``phone`` (390 px, touch) and ``korean`` are visitors: ``laptop.visit(house, "models")``
opens a page in ``house`` (no model thinks) or ``real`` (the default models) and returns it. What a
test expects to go wrong it allows: ``laptop.allowed.append("503")``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from house import House, scripted_house, serving
from visiting import LAPTOP, PHONE, Visitor, chromium, visitor

from ondol import config as configuration
from ondol.parts import Parts

# Read now: each test is freed of our variables.
PICTURES = os.environ.get("ONDOL_TEST_PICTURES")


# Of a module, not of a session: while Playwright runs, no test of another file in this process can
# run an event loop of its own.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    place = chromium()
    if place is None:
        pytest.fail(
            "No Chromium here: install it (apt install chromium) or set ONDOL_TEST_CHROMIUM."
        )
    # As root, and in containers, Chromium's own sandbox cannot start.
    browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox"])
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def shared_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONDOL_HOME", str(folder))
        with scripted_house(folder) as house:
            yield house


@pytest.fixture
def house(shared_house: House) -> House:
    """A running server whose models are scripted; each module has its own."""
    shared_house.pool.calls.clear()
    shared_house.pool.engines.clear()
    shared_house.pool.names.clear()
    return shared_house


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[House]:
    """A running server with the default models (marker ``model``) and an empty library."""
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONDOL_HOME", str(folder))
        patch.setenv("ONDOL_MODELS", str(models_dir))
        with Parts(configuration.load()) as parts, serving(parts) as port:
            yield House(parts, parts.pool, port)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def keeps_app(request: pytest.FixtureRequest) -> bool:
    """Whether the module's visitors have a service worker, and so the app without its server."""
    return bool(getattr(request.module, "KEEPS_APP", False))


@pytest.fixture
def laptop(browser: Browser, keeps_app: bool) -> Iterator[Visitor]:
    yield from visitor(browser, viewport=LAPTOP, keeps_app=keeps_app)


@pytest.fixture
def phone(browser: Browser, keeps_app: bool) -> Iterator[Visitor]:
    how = {"viewport": PHONE, "has_touch": True, "is_mobile": True}
    yield from visitor(browser, keeps_app=keeps_app, **how)


@pytest.fixture
def korean(browser: Browser, keeps_app: bool) -> Iterator[Visitor]:
    yield from visitor(browser, "ko-KR", viewport=LAPTOP, keeps_app=keeps_app)


@pytest.fixture
def look() -> Callable[[Page, str], None]:
    """Keeps a picture for who wants to look: ``ONDOL_TEST_PICTURES=folder pytest …``."""

    def take(page: Page, name: str) -> None:
        if PICTURES:
            page.screenshot(path=str(Path(PICTURES) / f"{name}.png"))

    return take
