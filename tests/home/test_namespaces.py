"""Device and home in two networks with a cable between them, and nothing else in the world."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from two_processes import MARKER, Place, double, enrol, serving

HOME, DEVICE = "10.87.114.1", "10.87.114.2"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def networks() -> Iterator[tuple[str, str]]:
    """The names of two network namespaces, joined."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and the program ip")
    tag = secrets.token_hex(3)
    home, device = f"oh{tag}", f"od{tag}"
    try:
        ip("netns", "add", home)
        ip("netns", "add", device)
        ip(
            "link",
            "add",
            f"h{tag}",
            "netns",
            home,
            "type",
            "veth",
            "peer",
            f"d{tag}",
            "netns",
            device,
        )
        for name, link, address in ((home, f"h{tag}", HOME), (device, f"d{tag}", DEVICE)):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", link)
            ip("-n", name, "link", "set", link, "up")
            ip("-n", name, "link", "set", "lo", "up")
    except subprocess.CalledProcessError as error:
        for name in (home, device):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    yield home, device
    for name in (home, device):
        ip("netns", "del", name)


def test_device_asks_home_over_the_cable_and_falls_back_without_it(
    networks: tuple[str, str], tmp_path: Path
) -> None:
    there = Place(
        tmp_path / "there",
        {"ONDOL_MODELS": str(tmp_path / "models"), "ONDOL_HOME_PORT": "0"},
        ("ip", "netns", "exec", networks[0]),
    )
    here = Place(tmp_path / "here", {}, ("ip", "netns", "exec", networks[1]))
    # No --host and no --address: home listens everywhere, and invites to its first address.
    with serving(there, *double(there)):
        enrol(there, here)
        status = here.json("home", "status")["homes"][0]
        assert status["available"] and status["url"].startswith(f"https://{HOME}:")
        assert here.ask(MARKER).stdout == "first last\n"
        # Private text does not even reach the cable.
        assert here.ask(MARKER, "PRIVATE").returncode == 6
        ip("-n", networks[1], "link", "set", f"d{networks[1][2:]}", "down")
        lost = here.ask("hello")
        assert lost.returncode == 6 and "home_unreachable" in lost.stdout
    (served,) = there.entries("served")
    assert here.entries("home")[0]["request"] == served["request"]
    assert there.holding(MARKER) == [] and here.holding(MARKER) == []
    left = [entry for entry in here.entries("egress") if entry["purpose"] == "home"]
    assert left and {entry["destination"].partition(":")[0] for entry in left} == {HOME}
