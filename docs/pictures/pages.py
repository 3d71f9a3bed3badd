"""Takes the pictures of the web app: every page, light, dark and on a phone, with real answers by
the real model.

Starts an Ondol of its own on ``docs/example``, asks a few questions through the pages' own API,
and photographs each page with Chromium; this machine's folders are shown as those of a home. Needs
the models and Playwright (``make setup train``).

    .venv/bin/python docs/pictures/pages.py [--only chat,models] [--language ko]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from playwright.sync_api import Browser, Route, sync_playwright

from ondol import config

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "example"
ONDOL = [sys.executable, "-m", "ondol"]
QUESTIONS = {
    "en": (
        "How much notice ends the lease?",
        "When was the boiler serviced?",
        "Who repairs the roof of the stables?",
    ),
    "ko": ("새 창고의 임대료는 얼마인가요?", "How much notice ends the lease?"),
}
PAGES = ("chat evidence documents models ledger memory lab connect pair settings welcome").split()
FOLDERS = {
    str(EXAMPLE): "/home/me/mill",
    str(EXAMPLE.parent): "/home/me",
    str(Path.home()): "/home/me",
}
SIZES = {
    "light": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "color_scheme": "light",
        "has_touch": True,
        "is_mobile": True,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(PAGES), help="pages, with commas")
    parser.add_argument("--language", choices=("en", "ko"), default="en")
    parser.add_argument("--to", type=Path, default=HERE / "web", help="the folder")
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    with served() as url, sync_playwright() as playwright:
        chat = talk(url, QUESTIONS[arguments.language])
        place = os.environ.get("ONDOL_TEST_CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox"])
        for page in arguments.only.split(","):
            target = f"chat/{chat}" if page in ("chat", "evidence") else page
            photograph(browser, url, target, arguments.to / page, arguments.language)
        browser.close()


@contextmanager
def served() -> Iterator[str]:
    """A running Ondol with the example documents, gone afterwards."""
    models = config.load().models_dir
    with tempfile.TemporaryDirectory(prefix="ondol-pictures-") as folder:
        environ = os.environ | {"ONDOL_HOME": folder, "ONDOL_MODELS": str(models)}
        subprocess.run([*ONDOL, "add", "--quiet", str(EXAMPLE)], env=environ, check=True)
        for text in ("I live at the mill with two cats.", "Answer briefly, in metric units."):
            subprocess.run([*ONDOL, "memory", "add", "--quiet", text], env=environ, check=True)
        server = subprocess.Popen(
            [*ONDOL, "serve", "--port", "0", "--json"],
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield address(server)
        finally:
            server.terminate()
            server.wait(30)


def address(server: subprocess.Popen[str]) -> str:
    """What the server says of where it is."""
    import json

    assert server.stdout is not None
    return str(json.loads(server.stdout.readline())["url"]).rstrip("/")


def talk(url: str, questions: tuple[str, ...]) -> str:
    """One conversation for each question; the id of the first."""
    first = ""
    with httpx2.Client(base_url=f"{url}/ondol/v1", timeout=120, trust_env=False) as client:
        for question in reversed(questions):
            chat: dict[str, Any] = client.post("/conversations", json={"mode": "documents"}).json()
            chat = chat.get("conversation", chat)
            first = chat["id"]
            asked = {"content": question}
            run = client.post(f"/conversations/{first}/runs", json=asked).json()["run"]
            run = run["id"] if isinstance(run, dict) else run
            with client.stream("GET", f"/runs/{run}/events") as events:
                for _ in events.iter_lines():
                    pass
    return first


def at_home(route: Route) -> None:
    """An answer of the API in which our folders have other names."""
    if "/events" in route.request.url:
        route.continue_()
        return
    answer = route.fetch()
    if "json" not in answer.headers.get("content-type", ""):
        route.fulfill(response=answer)
        return
    text = answer.text()
    for ours, theirs in FOLDERS.items():
        text = text.replace(ours, theirs)
    route.fulfill(response=answer, body=text)


def photograph(browser: Browser, url: str, target: str, file: Path, language: str) -> None:
    for name, size in SIZES.items():
        context = browser.new_context(locale="ko-KR" if language == "ko" else "en-GB", **size)
        # The chat shows names only, and asks for the real ones; the lab reads a stream.
        if not target.startswith(("chat", "lab")):
            context.route("**/ondol/v1/**", at_home)
        page = context.new_page()
        page.goto(f"{url}/#/{target}")
        page.wait_for_selector("main > *")
        if file.name == "evidence":
            page.locator("[data-quote], .quote").first.click()
        if target == "lab":
            page.locator("main textarea").first.fill("Why is the sky blue?")
            page.locator(".lab-side input[type=radio][value='2']").check()
            page.locator("main .button.primary").first.click()
            page.locator(".lab-agreement").wait_for(timeout=120_000)
            page.locator(".lab-column").first.locator(".token").nth(1).click()
        time.sleep(2.5)
        suffix = "" if language == "en" else f"-{language}"
        page.screenshot(path=f"{file}-{name}{suffix}.png")
        context.close()


if __name__ == "__main__":
    main()
