"""The app while the server is off, as an installed app, and what a phone shares with it."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import house as house_module
import pytest
from app_pages import PAGES, wait_for
from house import House, scripted_house
from playwright.sync_api import Page, expect
from visiting import Visitor

from ondol.server.web import worker

KEEPS_APP = True

KEPT = "navigator.serviceWorker.ready.then(() => navigator.serviceWorker.controller !== null)"
CACHED = """async () => {
  const found = [];
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) found.push(new URL(request.url).pathname);
  }
  return found;
}"""


class Machine:
    """A server at one address that can be switched off and on."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.house: House

    def start(self) -> House:
        self.house = self._stack.enter_context(scripted_house(self._folder))
        return self.house

    def stop(self) -> None:
        self._stack.pop_all().close()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listen = house_module.listen
    monkeypatch.setattr(house_module, "listen", lambda host, _: listen(host, port))
    with ExitStack() as stack:
        machine = Machine(tmp_path, stack)
        machine.start()
        yield machine
        machine.stop()


def open_and_keep(visitor: Visitor, house: House, target: str = "pair") -> Page:
    """``target``, with the service worker in charge."""
    visitor.allowed += ["ERR_CONNECTION_REFUSED", "Failed to fetch"]
    page = visitor.visit(house, target)
    wait_for(page, target)
    page.wait_for_function(KEPT)
    return page


def test_the_app_opens_while_the_server_is_off_and_says_so(
    machine: Machine, laptop: Visitor, look: Callable[[Page, str], None]
) -> None:
    page = open_and_keep(laptop, machine.house)
    machine.stop()
    page.reload()
    expect(page.get_by_role("navigation")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="not answer")).to_be_visible()
    look(page, "offline")


def test_it_goes_on_by_itself_when_the_server_is_back(machine: Machine, laptop: Visitor) -> None:
    page = open_and_keep(laptop, machine.house)
    machine.stop()
    page.reload()
    away = page.get_by_role("status").filter(has_text="not answer")
    expect(away).to_be_visible()
    machine.start()
    page.get_by_role("button", name="Try again").click()
    expect(away).to_be_hidden()


def test_every_page_opens_while_the_server_is_off(machine: Machine, laptop: Visitor) -> None:
    page = open_and_keep(laptop, machine.house)
    machine.stop()
    failed = []
    for name in PAGES:
        page.goto(f"{laptop.origin}/#/{name}")
        page.reload()
        expect(page.locator(f".shell-{name} main > *").first).to_be_visible()
        page.wait_for_load_state("networkidle")
        if page.locator("main > .notice.bad").count():
            failed.append(name)
    assert failed == []


def test_nothing_of_the_api_is_kept(machine: Machine, laptop: Visitor) -> None:
    page = open_and_keep(laptop, machine.house)
    for name in ("documents", "models", "ledger", "settings"):
        page.goto(f"{laptop.origin}/#/{name}")
        page.wait_for_load_state("networkidle")
    kept = page.evaluate(CACHED)
    assert "/web/index.html" in kept and "/web/js/main.js" in kept
    assert not [path for path in kept if not path.startswith("/web/")]


def test_a_changed_file_makes_another_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    static = tmp_path / "static"
    shutil.copytree(worker.STATIC, static)
    monkeypatch.setattr(worker, "STATIC", static)
    before = worker.source()
    assert worker.source() == before
    with (static / "css" / "base.css").open("a") as file:
        file.write("\n/* changed */\n")
    assert worker.source() != before


def test_the_browser_finds_nothing_against_installing_it(house: House, laptop: Visitor) -> None:
    page = open_and_keep(laptop, house)
    session = laptop.context.new_cdp_session(page)
    manifest = session.send("Page.getAppManifest")
    assert manifest["errors"] == [] and manifest["url"].endswith("/manifest.webmanifest")
    errors: list[Any] = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # A browser without a profile on a disk never installs anything.
    assert [one for one in errors if one["errorId"] != "in-incognito"] == []


SHARE = """() => {
  const make = (name, how) => Object.assign(document.createElement(name), how);
  const form = make("form", { action: "/share", method: "post", enctype: "multipart/form-data" });
  const add = (name, value) => form.append(make("input", { name, value }));
  add("title", "A recipe");
  add("text", "Flour, water, salt");
  add("url", "");
  const file = make("input", { type: "file", name: "files" });
  const bytes = new DataTransfer();
  bytes.items.add(new File(["two eggs"], "장보기 목록.txt", { type: "text/plain" }));
  file.files = bytes.files;
  form.append(file);
  document.body.append(form);
  form.submit();
}"""


APP = """const real = matchMedia; globalThis.matchMedia = (query) =>
  query.includes("standalone") ? real("all") : real(query);"""


def test_what_a_phone_shares_begins_a_chat_of_the_app(house: House, phone: Visitor) -> None:
    page = open_and_keep(phone, house)
    page.add_init_script(APP)
    page.evaluate(SHARE)
    message = page.get_by_role("textbox", name="Your message", exact=True)
    expect(message).to_have_value("A recipe\nFlour, water, salt")
    expect(page.get_by_text("장보기 목록.txt")).to_be_visible()
    again = """async () => (await import("/web/js/phone/shared.js")).takeShared()"""
    assert page.evaluate(again) is None
