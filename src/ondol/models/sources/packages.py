"""Other people's packages as files: a package's source, and programs that come as wheels.

Each is pinned by version and SHA-256, which pip checks before anything of it is opened. Raises
``DownloadError``, ``EgressError`` and ``StorageError``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ondol import paths
from ondol.egress import Egress
from ondol.errors import EngineBuildError
from ondol.i18n import t
from ondol.models.blobs import Blobs, digest_of
from ondol.models.patience import Watch
from ondol.models.sources import pip

# By name: the version, and the wheels of it for Linux (glibc, musl) and macOS.
TOOLS = {
    "cmake": (
        "4.4.4",
        (
            "f773a0544c66370408f451acd487c2c643b0dfebb48c5d64f3638bc1bb820238",
            "b3029f586853e01ddf2824c1ff124a1c5284f8ae897994758e9c4eeb45903b58",
            "ed50c732a82ac04f6e5606a0677ddfb49dda9ee130f9d4163c5df217e478417e",
            "e2d98233f16b5d6b9d4673a0a724ce801fc413811befb8f0b008cbffb7a2ad63",
            "883962a72b1b3a16ff445427f24c8caca9797dd9e563bbe208cbcd89e877f9d3",
        ),
    ),
    "ninja": (
        "1.13.2",
        (
            "65a24341b5ac09fcadcc37082660be40a94174e51a937fabf6e2cae26225fa2c",
            "d775a5e43e9088f507a6250d57fcf5678eb31268c545feb5064ffeee33735622",
            "915bd482c4be41c75120fd67a22e0bb3f0fbb3bbc5f95b89787deadd59e27ef2",
            "0e083700470c02ca154a855ae6d692d03564f5064cae52e113896f9ccc078418",
            "fd82e26c0706ad4ab88e5fdd26f3fab0a987a90f810160f6c322e752c6af298b",
        ),
    ),
}

# pip asks a source for its metadata before it hands it over, and for that would fetch and run what
# builds it. In place of all that it is given this, which reads what the archive says of itself.
_BACKEND = """
import os, pathlib

def get_requires_for_build_wheel(config_settings=None):
    return []

def prepare_metadata_for_build_wheel(directory, config_settings=None):
    name = os.environ["ONDOL_PACKAGE"].replace("-", "_")
    version = os.environ["ONDOL_PACKAGE_VERSION"]
    folder = pathlib.Path(directory, f"{name}-{version}.dist-info")
    folder.mkdir()
    told = f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n"
    (folder / "METADATA").write_text(told)
    return folder.name
"""


def fetch_source(
    package: str,
    version: str,
    digest: str,
    size_bytes: int,
    folder: Path,
    egress: Egress,
    watch: Watch,
    backend: str,
) -> Path:
    """The sdist of ``package``, in ``folder``; nothing of it is run, by pip neither. ``backend`` is
    the module that the package names as its builder."""
    found = _sdist(folder)
    if found is not None and digest_of(found) == f"sha256:{digest}":
        return found
    shutil.rmtree(folder, ignore_errors=True)
    Blobs(paths.ensure(folder.parent)).check_space(size_bytes)
    paths.ensure(folder)
    pip.check_door(egress, os.environ)
    requirement = f"{package}=={version}"
    pinned = _requirements(folder, [f"{requirement} --hash=sha256:{digest}"])
    stand_in = _write_backend(folder / "backend", backend)
    pip.run(
        [
            *("download", "--no-deps", "--no-binary=:all:", "--no-build-isolation"),
            *("--require-hashes", "--requirement", str(pinned), "--dest", str(folder)),
            *pip.QUIETLY,
        ],
        folder,
        watch,
        f"pypi:{requirement}",
        environ={
            "PYTHONPATH": str(stand_in),
            "ONDOL_PACKAGE": package,
            "ONDOL_PACKAGE_VERSION": version,
        },
        on_poll=lambda: watch.on_bytes(min(pip.gathered(folder), size_bytes), size_bytes),
    )
    found = _sdist(folder)
    if found is None:
        raise EngineBuildError(t("models.archive_lacks", name=requirement))
    return found


def fetch_tools(names: Sequence[str], folder: Path, egress: Egress, watch: Watch) -> Path:
    """The programs ``names`` of ``TOOLS`` in ``folder``, which only its owner enters."""
    wanted = [name for name in names if not _whole(folder, name).exists()]
    if not wanted:
        return folder
    paths.ensure(folder)
    pip.check_door(egress, os.environ)
    lines = []
    for name in wanted:
        version, digests = TOOLS[name]
        lines.append(f"{name}=={version} " + " ".join(f"--hash=sha256:{d}" for d in digests))
    pip.run(
        [
            *("install", "--no-deps", "--only-binary=:all:", "--no-compile"),
            *("--require-hashes", "--requirement", str(_requirements(folder, lines))),
            *("--target", str(folder), "--upgrade", *pip.QUIETLY),
        ],
        folder,
        watch,
        "pypi:" + ", ".join(wanted),
    )
    for name in wanted:
        _whole(folder, name).touch()
    return folder


def _whole(folder: Path, name: str) -> Path:
    """What says that ``name`` is here as it is pinned: a pip that was killed leaves some of it."""
    return folder / f".{name}-{TOOLS[name][0]}"


def _sdist(folder: Path) -> Path | None:
    return next(folder.glob("*.tar.gz"), None)


def _requirements(folder: Path, lines: Sequence[str]) -> Path:
    file = folder / "requirements.txt"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


def _write_backend(folder: Path, module: str) -> Path:
    parts = module.split(".")
    place = folder.joinpath(*parts)
    place.mkdir(parents=True, exist_ok=True)
    for depth in range(1, len(parts)):
        folder.joinpath(*parts[:depth], "__init__.py").touch()
    (place / "__init__.py").write_text(_BACKEND, "utf-8")
    return folder
