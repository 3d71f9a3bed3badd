"""The environment that Flower runs in: its own packages first, behind them those of Ondol's.

flwr asks for older versions of fastapi, starlette, rich, packaging, protobuf than Ondol stands on,
so the two cannot share one environment. This one (a venv beside Ondol's own) holds only what
differs or is new, from ``constraints-federated.txt`` with the hash of every file; a ``.pth`` file
lets it see the rest, Ondol itself among it. dp-accounting and matplotlib live in it too, and Ray
where it was asked for. ``python -m ondol.federated.flower.environment [--ray]`` makes it; making it
again where it is whole costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from ondol import keys, paths
from ondol.errors import FederationSetupError
from ondol.i18n import t

CONSTRAINTS = Path(__file__).with_name("constraints-federated.txt")
RAY = Path(__file__).with_name("constraints-federated-ray.txt")
QUIET: Mapping[str, str] = {
    "FLWR_TELEMETRY_ENABLED": "0",  # else each start is told to its maker, with a lasting id
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "MPLBACKEND": "agg",
    "PYTHONNOUSERSITE": "1",
}
"""What Flower's processes are told so that they speak to nobody but to whom they are sent."""

# After the venv's own packages: ``addsitedir`` reads Ondol's .pth files too (an editable install).
_BEHIND = "import site; site.addsitedir({folder!r})\n"


def folder() -> Path:
    """Where it is: in Ondol's own environment, or with Ondol's data where that one is not ours to
    write into."""
    own = Path(sys.prefix)
    if _stamp(own).exists():
        return own  # asked from within
    is_ours = sys.prefix != sys.base_prefix and os.access(own, os.W_OK)
    return own / "federated" if is_ours else paths.data_dir() / "federated"


def python() -> Path:
    """Its interpreter. Raises ``FederationSetupError`` where the environment is missing, or was
    made for another Ondol."""
    if not is_ready():
        raise FederationSetupError(
            t("federated_flower.missing"), t("federated_flower.missing_hint")
        )
    return _python(folder())


def is_ready() -> bool:
    """Whether it is there, whole and for this Ondol; takes no time."""
    if folder() == Path(sys.prefix):
        return True
    try:
        return bool(json.loads(_stamp(folder()).read_text("utf-8")) == _wanted())
    except (OSError, ValueError):
        return False


def has_ray() -> bool:
    """Whether Flower's simulation can run: the second step of ``make`` was taken."""
    with suppress(OSError):
        return is_ready() and _ray_stamp(folder()).read_text("utf-8") == _digest(RAY)
    return False


def environ(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables its processes start with: none of Ondol's secrets, nothing that reports."""
    known = {key: value for key, value in keys.public_environ().items() if key != "PYTHONPATH"}
    return {**known, **QUIET, **(more or {})}


def make(may_reach: Callable[[], None] = lambda: None, *, ray: bool = False) -> Path:
    """Make it unless it is whole, and return its interpreter; with ``ray`` Flower's simulation is
    laid over it. ``may_reach`` is asked before pip goes to its index, and raises where it may not.
    Raises ``FederationSetupError`` with pip's reason; what was half made is made anew next time."""
    place = folder()
    if not is_ready():
        may_reach()
        _make(place)
    if ray and not has_ray():
        may_reach()
        _pip(place, "install", "--require-hashes", "--no-deps", "-r", str(RAY))
        _ray_stamp(place).write_text(_digest(RAY), "utf-8")
    return _python(place)


def _make(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    paths.ensure(place.parent)
    _run([sys.executable, "-m", "venv", "--without-pip", str(place)])
    _pip(place, "install", "--require-hashes", "--no-deps", "-r", str(CONSTRAINTS))
    lines = "".join(_BEHIND.format(folder=one) for one in _behind())
    (_site_packages(place) / "zz-behind.pth").write_text(lines, "utf-8")
    _stamp(place).write_text(json.dumps(_wanted()), "utf-8")


def _pip(place: Path, command: str, *options: str) -> None:
    """Ondol's own pip, working on ``place``: no second one is installed."""
    quiet = ("--disable-pip-version-check", "--no-input", "--quiet", "--progress-bar=off")
    _run([sys.executable, "-m", "pip", "--python", str(_python(place)), command, *quiet, *options])


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, env=keys.public_environ(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR:")] or lines
        reason = errors[-1].removeprefix("ERROR:").strip() if errors else str(done.returncode)
        raise FederationSetupError(
            t("federated_flower.not_made", reason=reason), t("federated_flower.not_made_hint")
        )


def _wanted() -> dict[str, object]:
    """What it must have been made from."""
    return {
        "constraints": _digest(CONSTRAINTS),
        "python": list(sys.version_info[:3]),
        "behind": _behind(),
    }


def _behind() -> list[str]:
    """The folders of Ondol's own packages, and of Ondol where it is in none of them."""
    found = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    found.append(str(Path(__file__).parents[3]))
    return list(dict.fromkeys(str(Path(one).resolve()) for one in found))


def _stamp(place: Path) -> Path:
    return place / "ondol-federated.json"


def _ray_stamp(place: Path) -> Path:
    return place / "ondol-federated-ray"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _python(place: Path) -> Path:
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _site_packages(place: Path) -> Path:
    names = {"base": str(place), "platbase": str(place)}
    return Path(sysconfig.get_path("purelib", "venv", vars=names))


if __name__ == "__main__":
    print(make(ray="--ray" in sys.argv))
