"""``ondol airgap``: a network of its own in which an attempt to get out is seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ondol.cli import airgap
from ondol.cli.main import run
from ondol.egress.namespace import describe

SCRIPT = """
import json, socket, sys, tempfile, time
from pathlib import Path
from ondol.egress import namespace
try:
    namespace.enter()
except OSError as error:
    print(json.dumps({"unavailable": str(error)})); sys.exit()
with tempfile.TemporaryDirectory() as folder:
    diverted = namespace.divert_names(Path(folder))
    try: watcher = getattr(namespace, sys.argv[1])()
    except OSError as error:
        print(json.dumps({"unavailable": str(error)})); sys.exit()
    quiet = (time.sleep(0.5), watcher.take())[1]
    for family, address in ((socket.AF_INET, ("203.0.113.7", 9)),
                            (socket.AF_INET6, ("2001:db8:9::7", 9))):
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            try: one.sendto(b"secret", address)
            except OSError: pass
    with socket.socket() as one:
        one.setblocking(False)
        try: one.connect(("203.0.113.7", 443))
        except OSError: pass
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), 2).close()
    time.sleep(0.2)
    count = watcher.take()
    print(json.dumps({"quiet": quiet, "count": count, "attempts": watcher.attempts}))
"""


def inside(watcher: str) -> dict[str, object]:
    environ = {**os.environ, "RES_OPTIONS": "timeout:1 attempts:1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, watcher],
        env=environ, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    found = dict(json.loads(done.stdout))
    if "unavailable" in found:
        pytest.skip(str(found["unavailable"]))
    return found


def test_sink_sees_what_tries_to_get_out_and_loopback_is_quiet() -> None:
    found = inside("Sink")
    assert found["quiet"] == 0
    attempts = found["attempts"]
    assert isinstance(attempts, list)
    assert {"UDP 203.0.113.7:9", "TCP 203.0.113.7:443"} <= set(attempts)


def test_without_a_device_the_kernel_counts_what_found_no_way_out() -> None:
    found = inside("NoRoutes")
    assert found["quiet"] == 0
    count = found["count"]
    assert isinstance(count, int)
    assert count >= 2


@pytest.mark.parametrize(
    ("packet", "told"),
    [
        (
            bytes.fromhex("45000020000000004011000000000000c0000235") + b"\0\1\0\x35",
            "UDP 192.0.2.53:53",
        ),
        (bytes.fromhex("450000140000000040010000000000000a000001"), "ICMP 10.0.0.1"),
        (b"\x60" + bytes(5) + b"\x06\x40" + bytes(31) + b"\1\0\1\1\xbb", "TCP [::1]:443"),
        (b"\x60" + bytes(5) + b"\x3a\x40" + bytes(16) + b"\xff\2" + bytes(14), ""),
        (b"", "? (0 bytes)"),
    ],
)  # fmt: skip
def test_packet_is_told_in_words(packet: bytes, told: str) -> None:
    assert describe(packet) == told


def child(tmp_path: Path, *lines: object) -> tuple[str, ...]:
    script = tmp_path / "child.py"
    said = "\n".join(json.dumps(line) for line in lines)
    script.write_text(f"print({said!r})" if lines else "import sys; sys.exit('it broke')")
    return (sys.executable, str(script))


STEP = {"name": "ask", "ok": True, "seconds": 1.0}
FOUND = {
    "ok": True,
    "capture": "tun",
    "names_diverted": True,
    "control": {"packet_seen": True, "refusal_seen": True},
    "steps": [STEP],
    "packets": 0,
    "attempts": [],
    "refused": [],
}


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
class TestCommand:
    def test_proof_is_said_and_is_zero(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(airgap, "CHILD", child(tmp_path, {"step": STEP}, FOUND))
        assert run(["airgap"]) == 0
        said = capsys.readouterr().out
        assert "ask: works" in said
        assert "nothing tried to leave" in said
        assert run(["airgap", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["packets"] == 0

    def test_a_packet_is_named_and_the_exit_code_is_six(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bad = FOUND | {"ok": False, "packets": 2, "attempts": ["UDP 192.0.2.53:53"]}
        monkeypatch.setattr(airgap, "CHILD", child(tmp_path, bad))
        assert run(["airgap"]) == 6
        said = capsys.readouterr().out
        assert "UDP 192.0.2.53:53" in said
        assert "Not proved" in said

    def test_machine_that_forbids_it_is_a_sentence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        said = {"unavailable": "Operation not permitted"}
        monkeypatch.setattr(airgap, "CHILD", child(tmp_path, said))
        assert run(["airgap"]) == 6
        told = capsys.readouterr().err
        assert "Operation not permitted" in told
        assert "user namespaces" in told

    def test_child_that_breaks_down_proves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(airgap, "CHILD", child(tmp_path))
        assert run(["airgap"]) == 6
        assert "it broke" in capsys.readouterr().err


@pytest.mark.model
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_real_house_works_there_and_tries_to_reach_nobody(models_dir: Path) -> None:
    environ = {**os.environ, "ONDOL_MODELS": str(models_dir)}
    command = [sys.executable, "-m", "ondol", "airgap", "--json"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if "network of its own" in done.stderr:
        pytest.skip(done.stderr.strip())
    found = json.loads(done.stdout)
    assert found["control"] == {"packet_seen": True, "refusal_seen": True}
    assert [step["name"] for step in found["steps"] if step["ok"]] == [
        "add",
        "search",
        "ask",
        "chat",
    ]
    assert (found["packets"], found["refused"], done.returncode) == (0, [], 0)
