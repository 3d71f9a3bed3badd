"""Draws the app's icons: ``python scripts/icons.py`` writes ``src/ondol/web/static/icons``.

The mark is a hearth: a flame above the warm line of the floor. Everything is drawn here, once, as
SVG; Chromium makes the PNG files of it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

ICONS = Path(__file__).parents[1] / "src" / "ondol" / "web" / "static" / "icons"
EMBER, CREAM = "#b1431a", "#fff4e6"
FLAME = (
    "M32 11c2.5 8 12 11.5 12 21.5a12 12 0 0 1-24 0c0-4.5 2-7.5 4.5-9.5.6 3 2 5 4 6 "
    ".3-7 1.2-12.5 3.5-18z"
)
FLOOR = "M12 51.5h40"


def mark(*, maskable: bool = False) -> str:
    """The icon as SVG. A ``maskable`` one fills its square, the mark inside the inner 80 %."""
    around = "" if maskable else ' rx="15"'
    inner = ' transform="translate(9.6 9.6) scale(.7)"' if maskable else ""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'
        f'<rect width="64" height="64"{around} fill="{EMBER}"/><g{inner}>'
        f'<path d="{FLAME}" fill="{CREAM}"/>'
        f'<path d="{FLOOR}" stroke="{CREAM}" stroke-width="4.5" stroke-linecap="round"/>'
        "</g></svg>\n"
    )


def draw() -> None:
    """Write every file."""
    from playwright.sync_api import sync_playwright

    ICONS.mkdir(exist_ok=True)
    (ICONS / "ondol.svg").write_text(mark(), encoding="utf-8")
    place = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox"])
        for size in (192, 512):
            for maskable in (False, True):
                page = browser.new_page(viewport={"width": size, "height": size})
                sized = mark(maskable=maskable).replace("<svg ", f'<svg width="{size}" ', 1)
                page.set_content(f'<body style="margin:0;line-height:0">{sized}</body>')
                name = f"ondol-{'maskable-' if maskable else ''}{size}.png"
                page.screenshot(path=str(ICONS / name), omit_background=True)
                page.close()
        browser.close()


if __name__ == "__main__":
    draw()
