"""pip, run as a child: what it is started with, how far it is, and what its failure means.

Its configuration and environment are the user's and are kept, so mirrors and private indexes work.
Raises ``DownloadError``, and ``EgressError`` where it may not reach out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ondol import keys, paths
from ondol.egress import Egress
from ondol.errors import DownloadError
from ondol.i18n import t
from ondol.models.download import PURPOSE
from ondol.models.patience import Watch

POLL_SECONDS = 0.2
QUIETLY = ("--no-input", "--disable-pip-version-check", "--quiet", "--progress-bar=off")

# pip ends when our end of its standard input closes, so that none is left behind by kill -9.
# (os.read, because a buffered reader would hold a lock that ends the interpreter badly.)
_LAUNCH = (
    "import os,runpy,threading;"
    "threading.Thread(target=lambda:(os.read(0,1),os._exit(1)),daemon=True).start();"
    "runpy.run_module('pip',run_name='__main__',alter_sys=True)"
)


def run(
    arguments: Sequence[str],
    folder: Path,
    watch: Watch,
    what: str,
    *,
    python: str = sys.executable,
    environ: Mapping[str, str] | None = None,
    on_poll: Callable[[], None] = lambda: None,
) -> None:
    """``pip ARGUMENTS``, with a temporary folder in ``folder``; ``what`` is fetched, should it
    fail."""
    temporary = paths.ensure(folder / "temporary")
    log = temporary / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [python, "-P", "-c", _LAUNCH, *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={**keys.public_environ(), **(environ or {}), "TMPDIR": str(temporary)},
        ) as pip,
    ):
        try:
            while pip.poll() is None:
                watch.check()
                on_poll()
                watch.cancel.wait(POLL_SECONDS)
        finally:
            pip.kill()
    if pip.returncode:
        raise _failed(log.read_text(encoding="utf-8", errors="replace"), what, python)
    shutil.rmtree(temporary, ignore_errors=True)


def check_door(egress: Egress, environ: Mapping[str, str]) -> None:
    """Raise EgressError unless pip may reach out, as far as the environment says where to."""
    locations = environ.get("PIP_FIND_LINKS", "").split()
    if environ.get("PIP_NO_INDEX", "").lower() not in ("1", "true", "yes", "on"):
        locations.append(environ.get("PIP_INDEX_URL") or f"pip://{t('models.package_index')}")
        locations += environ.get("PIP_EXTRA_INDEX_URL", "").split()
    for location in locations:
        if "://" in location and not location.startswith("file:"):
            egress.let_out(location, PURPOSE, "pip")


def gathered(folder: Path) -> int:
    """The bytes that are in ``folder`` by now."""
    total = 0
    for directory, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(directory, name)).st_size
            except OSError:
                # pip moves and deletes as it goes.
                continue
    return total


def _failed(log: str, what: str, python: str) -> DownloadError:
    if "No module named pip" in log or "No module named 'pip'" in log:
        return DownloadError(t("models.no_pip"), t("models.no_pip_hint", python=python))
    errors = [line for line in log.splitlines() if line.startswith("ERROR:")]
    reason = errors[-1].removeprefix("ERROR:").strip() if errors else t("models.unreachable")
    failed = DownloadError(
        t("models.failed", where=what, reason=reason.rstrip(".")), t("models.pip_hint")
    )
    # pip does not tell a bad line from a bad index in any other way.
    failed.is_passing = not errors or "No matching distribution" in reason
    return failed
