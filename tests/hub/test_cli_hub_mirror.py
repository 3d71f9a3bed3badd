"""``ondol hub serve``, ``fetch``, ``waiting`` and ``refuse``, as an operator and strangers use
them; with the real scanner."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mirrored import BROUGHT, FILES, REPOSITORY, Operator, add_upstream, safetensors
from pull_servers import COMMIT, Server, serving

from ondol.cli import main
from ondol.config import load
from ondol.home.hub import serving_hub
from ondol.hub.freshness import kept_fresh, refresh
from ondol.hub.repository import keys, roles
from ondol.parts import Parts

PATIENCE_SECONDS = 60
NAME = f"some-lab--tiny.model-{COMMIT[:12]}"

Ondol = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ondol(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ondol:
    """Run a command in this process: code, stdout, stderr."""
    monkeypatch.setattr("ondol.cli.failures.exit_on_signals", lambda: None)

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main.run([str(one) for one in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        add_upstream(server, REPOSITORY, FILES)
        yield server


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path / "hub")


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """A hub that no test changes."""
    return Operator(tmp_path_factory.mktemp("unchanged") / "hub")


OUTSIDE = """
import json, sys
import huggingface_hub
api = huggingface_hub.HfApi(endpoint=sys.argv[1], token=False)
file = api.hf_hub_download(sys.argv[2], "config.json", cache_dir=sys.argv[3])
siblings = [one.rfilename for one in api.model_info(sys.argv[2]).siblings or ()]
print(json.dumps({"file": file, "siblings": siblings}))
"""


def outside(url: str, cache: Path) -> str:
    """What a program that knows only huggingface_hub prints, or how it fails."""
    environ = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    command = [sys.executable, "-c", OUTSIDE, url, REPOSITORY, str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    return done.stderr if done.returncode else done.stdout


@contextmanager
def hub_served(folder: Path, *more: object) -> Iterator[dict[str, Any]]:
    """``ondol hub serve`` as a process; what it says of itself."""
    arguments = ["hub", "serve", folder, "--address", "127.0.0.1:0", "--json", *more]
    command = [sys.executable, "-m", "ondol", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            assert process.wait(PATIENCE_SECONDS) in (0, 130, 143)


def test_from_a_strangers_request_to_what_it_gets(
    operator: Operator, server: Server, ondol: Ondol, tmp_path: Path
) -> None:
    """Somebody asks, the hub fetches and scans, the operator approves, and it is there."""
    key = tmp_path / "mirror.json"
    keys.save_all([(key, operator.keys["mirror"])], "a passphrase for tests")
    said = tmp_path / "passphrase"
    said.write_text("a passphrase for tests")
    with hub_served(operator.folder, "--upstream", server.url) as here:
        assert here["fingerprint"] == operator.repository.fingerprint and here["name"] == "Ours"
        cache = tmp_path / "cache"
        wanted = f"{here['url']}/{REPOSITORY}/resolve/main/config.json"
        # Longer than a fetch that failed is remembered: then it is tried again.
        deadline = time.monotonic() + 3 * PATIENCE_SECONDS
        while True:
            page = httpx2.get(wanted, trust_env=False, timeout=PATIENCE_SECONDS)
            assert FILES["config.json"] not in page.content
            if "waits for the operator" in page.headers["X-Error-Message"]:
                break
            assert time.monotonic() < deadline, (page.status_code, page.headers, page.text)
            time.sleep(0.1)
        assert page.status_code == 403
        words = outside(here["url"], cache)
        assert "GatedRepoError" in words
        assert f"ondol hub approve {NAME}" in words

        code, listed, _ = ondol("hub", "waiting", operator.folder, "--json")
        [held] = json.loads(listed)["waiting"]
        assert code == 0 and held["name"] == NAME and held["scan"]["ok"]
        assert "pytorch_model.bin" in held["left_out"]
        code, _, err = ondol(
            *("hub", "approve", operator.folder, NAME, "--key", key, "--passphrase-file", said)
        )
        assert code == 0, err
        told = json.loads(outside(here["url"], cache))
        assert Path(told["file"]).read_bytes() == FILES["config.json"]
        assert set(told["siblings"]) == BROUGHT
    left = json.loads(ondol("hub", "waiting", operator.folder, "--json")[1])
    assert left == {"waiting": [], "refused": {}}


def test_an_operator_fetches_looks_and_refuses(
    operator: Operator, server: Server, ondol: Ondol
) -> None:
    fetch = ("hub", "fetch", operator.folder, REPOSITORY, "--upstream", server.url)
    code, out, err = ondol(*fetch)
    assert code == 0, err
    assert "apache-2.0" in out and "model.safetensors" in out and "nothing found" in out
    assert "without pytorch_model.bin" in out and f"ondol hub approve {operator.folder}" in err
    assert NAME in ondol("hub", "waiting", operator.folder)[1]
    assert COMMIT in ondol("hub", "waiting", operator.folder, "some-lab")[1]
    assert ondol("hub", "refuse", operator.folder, "some-lab")[0] == 0
    said = ondol("hub", "waiting", operator.folder)[2]
    assert "Nothing waits" in said and f"Refused: {NAME}" in said
    assert not list((operator.folder / "state" / "quarantine").rglob("sha256-*"))
    # Refused for clients, not for its operator.
    assert ondol(*fetch, "--quiet")[1].strip() == NAME


def test_a_fetch_that_was_killed_goes_on_where_it_was(
    operator: Operator, server: Server, ondol: Ondol
) -> None:
    large = safetensors(1_000_000)
    add_upstream(server, REPOSITORY, {**FILES, "model.safetensors": large})
    arguments = ["hub", "fetch", str(operator.folder), REPOSITORY, "--upstream", server.url]
    server.pause_seconds = 0.02
    with subprocess.Popen([sys.executable, "-m", "ondol", *arguments]) as process:
        server.wait_for(400_000, lambda: process.poll() is not None)
        process.kill()
    assert ondol("hub", "waiting", operator.folder, "--quiet")[1] == ""
    server.pause_seconds = 0
    before = len(server.requests)
    assert ondol(*arguments)[0] == 0
    # Large files are sent on to another address, as on the real hub.
    again = [one for one in server.requests[before:] if one.path.startswith("/cdn/")]
    assert again[-1].start > 100_000
    held = json.loads(ondol("hub", "waiting", operator.folder, NAME, "--json")[1])
    assert next(f for f in held["files"] if f["path"] == "model.safetensors")["size_bytes"] == len(
        large
    )


def test_weights_that_are_not_what_they_say_are_not_kept(
    operator: Operator, server: Server, ondol: Ondol
) -> None:
    add_upstream(server, REPOSITORY, {**FILES, "model.safetensors": b"\xff" * 4096})
    code, _, err = ondol("hub", "fetch", operator.folder, REPOSITORY, "--upstream", server.url)
    assert code == 12 and "model.safetensors" in err
    assert not list((operator.folder / "state" / "quarantine").rglob("sha256-*"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("serve", "{hub}", "--address", "nowhere"), 2, "no address to listen on"),
        (("serve", "{hub}", "--address", "127.0.0.1:99999"), 2, "no address to listen on"),
        (("serve", "{hub}", "--upstream", "ftp://x"), 2, "no address of an upstream"),
        (("serve", "{hub}", "--upstream", "https://u:p@x"), 2, "no address of an upstream"),
        (("serve", "{hub}", "--allow", "a/*"), 2, "no --upstream"),
        (("serve", "{hub}", "--address", "{taken}"), 2, "--address 127.0.0.1:0"),
        (("serve", "{nothing}"), 12, "There is no hub"),
        (("waiting", "{nothing}"), 12, "There is no hub"),
        (("fetch", "{nothing}", "a/b"), 12, "There is no hub"),
        (("waiting", "{hub}", "unknown"), 12, "Nothing waits"),
        (("refuse", "{hub}", "unknown"), 12, "Nothing waits"),
        (("fetch", "{hub}", "a/b/c", "--upstream", "{upstream}"), 12, "has no a/b/c"),
        (("fetch", "{hub}", "a/none", "--upstream", "{upstream}"), 12, "upstream has no a/none"),
        (
            ("fetch", "{hub}", REPOSITORY, "--upstream", "{upstream}", "--file", "x.py"),
            12,
            "has no file x.py",
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    unchanged: Operator,
    server: Server,
    ondol: Ondol,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    places = {"hub": unchanged.folder, "nothing": tmp_path / "nothing", "upstream": server.url}
    places["taken"] = server.url.removeprefix("http://")
    found, _, err = ondol("hub", *(one.format(**places) for one in arguments))
    assert words in err and found == code and "–" not in err


def test_home_serves_a_hub_beside_it(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(environ={}, file=tmp_path / "none.toml")
    flags = {"home.hub": str(operator.folder), "home.hub_port": "0"}
    with Parts(config.with_flags(flags)) as parts, serving_hub(parts, "127.0.0.1") as url:
        metadata = httpx2.get(f"{url}/metadata/1.root.json", trust_env=False)
        assert metadata.status_code == 200 and "signatures" in metadata.json()
        assert httpx2.get(f"{url}/api/models", trust_env=False).json() == []
        assert httpx2.get(f"{url}/home/v1/health", trust_env=False).status_code == 404
        assert httpx2.get(f"{url}/home/v1/state", trust_env=False).status_code == 404
    with Parts(config) as parts, serving_hub(parts, "127.0.0.1") as url:
        assert url == ""


def test_a_hub_that_is_served_stays_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(roles.LIVES, "timestamp", timedelta(hours=3))
        operator = Operator(tmp_path / "hub")

    def expires() -> datetime:
        return operator.repository.state().timestamp.signed.expires

    before = expires()
    with kept_fresh(operator.folder):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while expires() == before:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert expires() > before + timedelta(days=1)


def test_a_copy_without_keys_is_served_as_it_is(operator: Operator, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(operator.folder / "metadata", copy / "metadata")
    assert not refresh(copy)
    assert sorted(os.listdir(copy)) == ["metadata"]


def test_a_proposal_is_approved_only_by_who_says_so(
    operator: Operator, server: Server, ondol: Ondol, tmp_path: Path
) -> None:
    key, said = tmp_path / "mirror.json", tmp_path / "passphrase"
    keys.save_all([(key, operator.keys["mirror"])], "a passphrase for tests")
    said.write_text("a passphrase for tests")
    asked = (operator.folder, f"{REPOSITORY}@{COMMIT}", "--upstream", server.url)
    assert ondol("hub", "fetch", *asked)[0] == 0
    approve = ("hub", "approve", operator.folder, NAME, "--key", key, "--passphrase-file", said)
    code, out, err = ondol(*approve)
    assert (code, out) == (2, "") and COMMIT in err and "--any-revision" in err
    assert ondol(*approve, "--any-revision")[0] == 0
