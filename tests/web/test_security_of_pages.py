"""No page asks anybody else for anything, or breaks its content policy; what is served says so."""

from __future__ import annotations

import re

import pytest
from app_pages import PAGES, STATIC, wait_for
from house import House
from visiting import Visitor

WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) =>
  violations.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}`));
"""
SERVED = ["/", "/web/js/main.js", "/web/css/base.css", "/sw.js", "/manifest.webmanifest"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_nobody_else_and_keeps_its_policy(
    house: House, laptop: Visitor, name: str
) -> None:
    laptop.page.add_init_script(WATCH)
    page = laptop.visit(house, name)
    wait_for(page, name)
    assert page.evaluate("violations") == []
    assert laptop.foreign == []


@pytest.mark.parametrize("path", SERVED)
def test_what_is_served_is_fenced_in(house: House, path: str) -> None:
    with house.client(headers={"Accept": "text/html"}) as client:
        headers = client.get(path).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'self'" and policy["frame-ancestors"] == "'none'"
    assert policy["object-src"] == "'none'" and policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_the_page_has_no_script_or_style_of_its_own() -> None:
    text = (STATIC / "index.html").read_text("utf-8")
    assert not re.findall(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son\w+=", text)
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text)


def test_no_file_of_ours_names_another_server() -> None:
    ours = [*STATIC.glob("js/**/*.js"), *STATIC.glob("css/*.css"), STATIC / "sw.js"]
    found = {}
    for file in ours:
        lines = [
            line
            for line in file.read_text("utf-8").splitlines()
            if not line.strip().startswith(("//", "*"))
        ]
        named = re.findall(
            r"(?:fetch|import|src|href)\W{1,4}[`\"'](https?:)?//[\w.-]+", "\n".join(lines)
        )
        if named:
            found[file.name] = named
    assert found == {}
    assert not any("@import" in file.read_text("utf-8") for file in STATIC.glob("css/*.css"))


def test_nothing_makes_code_of_text() -> None:
    risky = re.compile(
        r"\beval\(|new Function\(|\.outerHTML\s*=|document\.write\(|insertAdjacentHTML"
    )
    ours = [*STATIC.glob("js/**/*.js"), STATIC / "sw.js"]
    assert not [file.name for file in ours if risky.search(file.read_text("utf-8"))]
