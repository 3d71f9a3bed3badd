"""No library gets past the guard, whichever way it opens its sockets; each attempt is written down.

Real processes: the hook is for good, and what it refuses is what a library would really do.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

import pytest

# TEST-NET-3: nobody's address, and no name server is asked for names under .invalid (RFC 6761).
SOMEBODY = "203.0.113.9"
NAME = "telemetry.example.invalid"

PREAMBLE = """
import asyncio, http.client, json, socket, sys, threading, urllib.request
from ondol.egress import Egress, guard
told = []
egress = Egress(record=told.append)
guard.install()
guard.install()
def say(**fields):
    passages = [[p.destination, p.allowed, p.reason, p.bytes_out] for p in told]
    print(json.dumps({"passages": passages, **fields}))
"""


def run(script: str, *arguments: str) -> dict[str, object]:
    command = [sys.executable, "-c", PREAMBLE + script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return dict(json.loads(done.stdout.splitlines()[-1]))


WAYS = {
    "urllib": ("urllib.request.urlopen('http://%s/v1/events', timeout=2)", NAME, 80),
    "urllib by address": ("urllib.request.urlopen('http://%s/', timeout=2)", SOMEBODY, 80),
    "http.client": (
        "http.client.HTTPSConnection('%s', timeout=2).request('POST', '/', b'x')",
        SOMEBODY,
        443,
    ),
    "socket": ("s = socket.socket(); s.settimeout(2); s.connect(('%s', 9))", SOMEBODY, 9),
    "socket by name": ("s = socket.socket(); s.settimeout(2); s.connect(('%s', 9))", NAME, 9),
    "connect_ex": ("s = socket.socket(); s.settimeout(2); s.connect_ex(('%s', 9))", NAME, 9),
    "datagram": (
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('%s', 53))",
        SOMEBODY,
        53,
    ),
    "datagram by name": (
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', 0, ('%s', 53))",
        NAME,
        53,
    ),
    "message by name": (
        "socket.socket(type=socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('%s', 53))",
        NAME,
        53,
    ),
    "broadcast": (
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('%s', 9))",
        "<broadcast>",
        9,
    ),
    "IPv6": (
        "s = socket.socket(socket.AF_INET6); s.settimeout(2); s.connect(('%s', 9, 0, 0))",
        "2001:db8::9",
        9,
    ),
    "mapped IPv6": (
        "s = socket.socket(socket.AF_INET6); s.settimeout(2); s.connect(('%s', 9, 0, 0))",
        "::ffff:203.0.113.9",
        9,
    ),
    "any address": ("s = socket.socket(); s.settimeout(2); s.connect(('%s', 9))", "0.0.0.0", 9),
    "name as data": ("socket.getaddrinfo('%s', 443)", f"c2VjcmV0.{NAME}", 443),
    "name as data, old": ("socket.gethostbyname('%s')", f"c2VjcmV0.{NAME}", 0),
    "name as data, loopback": ("socket.getaddrinfo('%s', 80)", "c2VjcmV0.localhost", 80),
    "reverse": ("socket.gethostbyaddr('%s')", SOMEBODY, 0),
    "reverse, other": ("socket.getnameinfo(('%s', 80), 0)", SOMEBODY, 80),
    "asyncio": ("asyncio.run(asyncio.open_connection('%s', 443))", NAME, 443),
    "asyncio by address": ("asyncio.run(asyncio.open_connection('%s', 443))", SOMEBODY, 443),
    "from a thread": (
        "x = []\ndef f():\n  try: socket.create_connection(('%s', 443), 2)\n"
        "  except OSError as e: x.append(e)\n"
        "thread = threading.Thread(target=f); thread.start(); thread.join(); raise x[0]",
        SOMEBODY,
        443,
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_library_that_phones_home_is_refused_and_seen(way: str) -> None:
    attempt, host, port = WAYS[way]
    body = "\n".join(f"    {line}" for line in (attempt % host).splitlines())
    said = run(
        f"failure = ''\ntry:\n{body}\nexcept OSError as e: failure = repr(e)\nsay(error=failure)"
    )
    written = (f"[{host}]" if ":" in host else host).lower()
    assert said["passages"] == [[f"{written}:{port}", False, "no_permit", 0]]
    assert "tried to connect" in str(said["error"])


@pytest.mark.parametrize("family", ["AF_PACKET, socket.SOCK_RAW", "AF_INET, socket.SOCK_RAW"])
def test_raw_socket_is_refused(family: str) -> None:
    said = run(
        f"failure = ''\ntry: socket.socket(socket.{family})\n"
        "except OSError as e: failure = type(e).__name__\nsay(error=failure)"
    )
    assert said["error"] == "UnpermittedError"
    assert len(said["passages"]) == 1  # type: ignore[arg-type]


def test_loopback_and_socket_files_are_inside() -> None:
    said = run(
        """
import os, tempfile
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
for host in ("127.0.0.1", "localhost"):
    with socket.create_connection((host, port), 5) as one:
        one.sendall(b"x")
ours, theirs = socket.socketpair()
ours.send(b"x")
with tempfile.TemporaryDirectory() as folder:
    server = socket.socket(socket.AF_UNIX); server.bind(folder + "/s"); server.listen()
    socket.socket(socket.AF_UNIX).connect(folder + "/s")
say()
"""
    )
    assert said["passages"] == []


def test_permit_covers_its_own_address_port_and_thread_while_it_is_open() -> None:
    said = run(
        """
results = {}
def attempt(name, host, port):
    s = socket.socket(); s.setblocking(False)
    try: s.connect((host, port)); results[name] = "let"
    except BlockingIOError: results[name] = "let"
    except guard.UnpermittedError: results[name] = "refused"
    except OSError: results[name] = "let"  # no such network
    s.close()
with guard.permit("192.0.2.77", ("192.0.2.77",), 9):
    attempt("covered", "192.0.2.77", 9)
    attempt("other port", "192.0.2.77", 10)
    attempt("other address", "192.0.2.78", 9)
    thread = threading.Thread(target=attempt, args=("other thread", "192.0.2.77", 9))
    thread.start(); thread.join()
attempt("closed", "192.0.2.77", 9)
with guard.permit("192.0.2.77", (), 9, lasting=True):
    thread = threading.Thread(target=attempt, args=("lasting", "192.0.2.77", 9))
    thread.start(); thread.join()
attempt("closed again", "192.0.2.77", 9)
say(results=results)
"""
    )
    assert said["results"] == {
        "covered": "let",
        "other port": "refused",
        "other address": "refused",
        "other thread": "refused",
        "closed": "refused",
        "lasting": "let",
        "closed again": "refused",
    }


def test_listener_that_fails_does_not_open_the_door() -> None:
    said = run(
        """
def fail(passage): raise RuntimeError("disk full")
egress.record = fail
try: socket.create_connection(("203.0.113.9", 9), 1); result = "let"
except OSError as e: result = type(e).__name__
egress.record = told.append
say(result=result, kept=len(guard.refusals))
"""
    )
    assert said["result"] == "UnpermittedError"
    assert said["kept"] == 1


ENTRIES = {
    "the command line": ["-m", "ondol", "--version"],
    "the engine": ["-m", "ondol.engine.worker"],
    "the parser": ["-m", "ondol.retrieval.loaders.isolated"],
    "the training": ["-m", "ondol.training.child", "/nonexistent"],
}


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_every_process_of_ours_is_guarded(entry: str) -> None:
    # A sitecustomize of its own tells when the hook is installed, from inside the real process.
    script = (
        "import runpy, sys, atexit\n"
        "from ondol.egress import guard\n"
        "install = guard.install\n"
        "def tell():\n    install(); print('guarded', file=sys.stderr, flush=True)\n"
        "guard.install = tell\n"
        "sys.argv = ['x', *sys.argv[2:]]\n"
        f"runpy.run_module({ENTRIES[entry][1]!r}, run_name='__main__')\n"
    )
    command: Sequence[str] = [sys.executable, "-c", script, "x", *ENTRIES[entry][2:]]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert "guarded" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
def test_native_code_gets_no_internet_socket() -> None:
    said = run(
        """
import ctypes
from ondol.egress.native import deny_internet
denied = deny_internet()
libc = ctypes.CDLL(None, use_errno=True)
results = {name: libc.socket(int(getattr(socket, name)), 1, 0) >= 0
           for name in ("AF_UNIX", "AF_INET", "AF_INET6")}
say(denied=denied, results=results)
"""
    )
    if not said["denied"]:
        pytest.skip("this kernel has no seccomp")
    assert said["results"] == {"AF_UNIX": True, "AF_INET": False, "AF_INET6": False}
