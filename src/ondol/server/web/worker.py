"""The service worker as it is served: which files make up the app, and a stamp of them all, before
``static/sw.js``.

A change of any file changes the stamp and with it the worker, so that browsers fetch the app anew.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from ondol.server.web.files import PREFIX, STATIC

# The app loads none of these: types and licences, and what an installed app's frame shows.
NOT_LOADED = (".d.ts", ".txt", "versions.json", ".md")
NOT_KEPT = ("sw.js", "manifest.webmanifest")


def files() -> list[Path]:
    """What the app may load while no server answers."""
    found = sorted(file for file in STATIC.rglob("*") if file.is_file())
    return [
        file
        for file in found
        if not file.name.endswith(NOT_LOADED)
        and not file.name.startswith(".")
        and str(file.relative_to(STATIC)) not in NOT_KEPT
    ]


def source() -> bytes:
    """The worker's whole text."""
    found = files()
    return _source(tuple((file, file.stat().st_mtime_ns) for file in [*found, STATIC / "sw.js"]))


@lru_cache(maxsize=4)
def _source(state: tuple[tuple[Path, int], ...]) -> bytes:
    stamp = hashlib.sha256()
    paths = []
    for file, _ in state:
        name = file.relative_to(STATIC).as_posix()
        stamp.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
        if name not in NOT_KEPT:
            paths.append(PREFIX + name)
    known = {"STAMP": stamp.hexdigest()[:16], "FILES": paths}
    head = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in known.items())
    return head.encode() + (STATIC / "sw.js").read_bytes()
