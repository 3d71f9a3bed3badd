"""``ondol mcp serve`` as Claude Desktop and Cursor start it: a child process, by the SDK."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError, StdioServerParameters

from ondol.ledger.ledger import Ledger

ONDOL = [sys.executable, "-P", "-m", "ondol"]
COMMAND = [*ONDOL, "mcp", "serve", "--client", "cursor"]


def environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name.startswith("ONDOL_")}
    return {"PATH": os.environ["PATH"]} | own


def talk(work: Any) -> Any:
    async def run() -> Any:
        command = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], env=environment())
        async with Client(command) as session:
            try:
                return await work(session)
            except MCPError as error:
                return error

    result = asyncio.run(asyncio.wait_for(run(), 60))
    if isinstance(result, MCPError):
        raise result
    return result


def text_of(result: Any) -> str:
    return "\n".join(block.text for block in result.content)


def ondol(*arguments: str) -> str:
    """What a command of the owner's says."""
    done = run([*ONDOL, *arguments], "")
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(command: list[str], lines: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        input=lines,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def note(tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A note that the owner lets cursor see, and a private one beside it."""
    monkeypatch.setenv("ONDOL_MODELS", str(models_dir))
    note = tmp_path / "bees.md"
    note.write_text("# Bees\n\nThe hive by the barn has four frames of honey this summer.\n")
    (tmp_path / "vault.md").write_text("# Vault\n\nThe honey vault opens with nine turns.\n")
    ondol("collection", "create", "notes", "--sensitivity", "trusted")
    ondol("add", str(note), "--collection", "notes")
    ondol("add", str(tmp_path / "vault.md"))
    said = ondol("mcp", "allow", "cursor", "--collection", "notes", "--collection", "default")
    assert "notes" in said
    return note


def given() -> list[Any]:
    ledger = Ledger.open()
    try:
        return list(ledger.entries(kind="given"))
    finally:
        ledger.close()


def test_program_finds_a_passage_with_no_server_running(note: Path) -> None:
    result = talk(lambda s: s.call_tool("search_documents", {"query": "frames of honey"}))
    assert "four frames" in text_of(result) and "nine turns" not in text_of(result)
    assert "1 passages of what you may see are private" in text_of(result)
    assert str(note.parent) not in result.model_dump_json()
    (entry,) = given()
    assert (entry.device, entry.task, entry.count) == ("cursor", "search_documents", 1)


def test_calls_go_to_the_ondol_that_runs(note: Path) -> None:
    ondol("mcp", "allow", "cursor", "--remember", "--local")
    server = subprocess.Popen(
        [*ONDOL, "serve", "--port", "0"], env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None and "127.0.0.1" in server.stdout.readline()
        found = talk(lambda s: s.call_tool("search_documents", {"query": "honey vault turns"}))
        assert "nine turns" in text_of(found)
        told = talk(lambda s: s.call_tool("remember", {"text": "I keep bees"}))
        assert text_of(told) == "It is remembered."
        listed = talk(lambda s: s.list_resources()).resources
        assert sorted(one.name for one in listed) == ["bees.md", "vault.md"]
        with pytest.raises(MCPError, match="no such document"):
            talk(lambda s: s.read_resource("ondol://documents/none"))
        assert "bees" in ondol("memory", "list")
    finally:
        server.terminate()
        server.communicate(timeout=60)
    assert [one.task for one in given()][-1] == "search_documents"


def test_locked_library_is_told_without_asking_anybody(
    note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONDOL_PASSPHRASE", "bees and honey and hives")
    ondol("lock")
    monkeypatch.delenv("ONDOL_PASSPHRASE")
    result = talk(lambda s: s.call_tool("search_documents", {"query": "honey"}))
    assert result.is_error and "library_locked" in text_of(result)


def spoken(*messages: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    return run(COMMAND, "".join(json.dumps(message) + "\n" for message in messages))


HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "claude-ai", "version": "1"},
    },
}


def test_stdout_holds_messages_and_nothing_else_and_it_ends_with_stdin() -> None:
    done = spoken(HELLO, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert done.returncode == 0
    (answer,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert answer["result"]["serverInfo"]["name"] == "ondol"
    assert done.stderr == ""


def test_line_that_is_no_message_ends_nothing() -> None:
    done = run(COMMAND, "garbage\n" + json.dumps(HELLO) + "\n")
    assert '"serverInfo"' in done.stdout and done.returncode == 0


def test_signal_ends_it_though_stdin_stays_open() -> None:
    child = subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    try:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps(HELLO) + "\n")
        child.stdin.flush()
        assert "serverInfo" in child.stdout.readline()
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 128 + signal.SIGTERM
    finally:
        child.kill()
        child.communicate()
