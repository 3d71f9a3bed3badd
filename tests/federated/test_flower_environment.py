"""Flower's own environment: whose packages are seen, when it is made anew, and what it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ondol import keys
from ondol.errors import EgressError, FederationSetupError
from ondol.federated.flower import environment
from ondol.federated.flower.node_key import NodeKey, is_public_key

BROKEN_PIP = """
import sys
print("ERROR: No matching distribution found for flwr==1.41.0", file=sys.stderr)
sys.exit(1)
"""


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An Ondol in which the environment was not made."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    (tmp_path / "venv").mkdir()
    return tmp_path / "venv" / "federated"


def test_its_packages_come_first_and_ondol_behind_them() -> None:
    said = subprocess.run(
        [
            str(environment.python()),
            "-c",
            "import importlib.metadata as m, json, sys, ondol;"
            "print(json.dumps([m.version('flwr'), m.version('fastapi'), m.version('numpy'),"
            " ondol.__file__, sys.prefix]))",
        ],
        env=environment.environ(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    import importlib.metadata

    import ondol

    flwr, fastapi, numpy, file, prefix = json.loads(said)
    assert flwr == "1.41.0"
    assert fastapi != importlib.metadata.version("fastapi")
    assert numpy == importlib.metadata.version("numpy")
    assert Path(file) == Path(ondol.__file__)
    assert Path(prefix) == environment.folder()


def test_its_processes_get_no_secret_and_report_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keys.PASSPHRASE, "open sesame")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    given = environment.environ({"FLWR_HOME": "/there"})
    assert "open sesame" not in given.values() and "PYTHONPATH" not in given
    assert given["FLWR_TELEMETRY_ENABLED"] == given["RAY_USAGE_STATS_ENABLED"] == "0"
    assert given["FLWR_DISABLE_UPDATE_CHECK"] == "1" and given["FLWR_HOME"] == "/there"


def test_where_it_is_missing_the_command_that_makes_it_is_named(elsewhere: Path) -> None:
    with pytest.raises(FederationSetupError) as caught:
        environment.python()
    assert "ondol federation setup" in caught.value.hint
    assert not environment.is_ready() and not environment.has_ray()


def test_it_is_not_fetched_where_nothing_may_leave(elsewhere: Path) -> None:
    def may_not() -> None:
        raise EgressError("offline")

    with pytest.raises(EgressError):
        environment.make(may_not)
    assert not elsewhere.exists()


def test_what_the_package_index_said_is_told_and_nothing_half_made_is_used(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pip.py").write_text(BROKEN_PIP, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(FederationSetupError, match="No matching distribution found for flwr"):
        environment.make()
    assert not environment.is_ready()


def test_it_is_made_once_and_anew_for_another_ondol(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.make(lambda: pytest.fail("nothing to fetch")) == environment.python()
    monkeypatch.setattr(environment, "_behind", lambda: ["/another/ondol"])
    assert not environment.is_ready()


@pytest.mark.parametrize("file", [environment.CONSTRAINTS, environment.RAY])
def test_every_file_is_pinned_by_its_hash(file: Path) -> None:
    lines = file.read_text("utf-8").splitlines()
    names = [line for line in lines if not line.startswith(" ")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==\S+ \\", name) for name in names)
    rest = [line for line in lines if line.startswith(" ")]
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in rest)
    assert len(rest) > len(names) > 0


class Pen:
    """Signs as Ed25519 does: the same for the same."""

    def sign(self, data: bytes) -> bytes:
        import hashlib

        return hashlib.sha512(b"secret" + data).digest()


def test_a_devices_key_is_the_same_each_time_and_another_for_each_federation() -> None:
    first, again, other = (NodeKey.of(Pen(), name) for name in ("clinic", "clinic", "family"))
    assert first == again and first.public_key != other.public_key
    assert is_public_key(first.public_key) and "PRIVATE" not in repr(first)


@pytest.mark.parametrize(
    "text", ["", "no key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "ㄱ"]
)
def test_what_is_no_key_is_none(text: str) -> None:
    assert not is_public_key(text)
    assert not is_public_key(NodeKey.of(Pen(), "clinic").private_pem.decode())
