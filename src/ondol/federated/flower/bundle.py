"""The Flower app bundle of this version of Ondol, and its name.

Flower's home sends its nodes a bundle of code to run. Ours never do: a device runs its own
``client_app``, and takes part only where home's run names the bundle that the device would have
built itself.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache
from pathlib import Path

APP = "ondol/federation"
VERSION = "1.0.0"
_FILES = ("client_app.py", "server_app.py", "messages.py")
_ABOUT = f"""[project]
name = "federation"
version = "{VERSION}"
license = {{ file = "LICENSE" }}

[tool.flwr.app]
publisher = "ondol"

[tool.flwr.app.components]
serverapp = "server_app:make_server_app"
clientapp = "client_app:make_client_app"
"""


@cache
def content() -> bytes:
    """A ZIP: the same sources give the same bytes."""
    here = Path(__file__).parent
    files = {"pyproject.toml": _ABOUT.encode()}
    files |= {name: (here / name).read_bytes() for name in _FILES}
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return held.getvalue()


def digest() -> str:
    """SHA-256 (hex) of ``content``."""
    return hashlib.sha256(content()).hexdigest()
