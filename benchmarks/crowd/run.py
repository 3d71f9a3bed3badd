"""A hundred clients at once, in every dialect, with the real model: is every request answered, and
with its own answer? See README.md.

Each asks for its own tag under a schema that allows nothing else, so that an answer that reaches
somebody else shows. Some hang up, some read slowly.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx2
import psutil

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "gateway"))

from run import CHAT, ondol  # noqa: E402 (the gateway's)

DIALECTS = ("ollama-chat", "ollama-generate", "openai-chat", "openai-responses", "anthropic")
BUSY = (429, 503, 529)
PATIENCE_SECONDS = 3600
SAMPLE_SECONDS = 5
SLOW_BYTES = 24


@dataclass
class Found:
    """How the requests ended."""

    ended: Counter[str] = field(default_factory=Counter)
    by_dialect: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    asked: int = 0

    def end(self, dialect: str, how: str, told: str = "") -> None:
        self.ended[how] += 1
        self.by_dialect[f"{dialect} {how}"] += 1
        if told:
            self.failures.append(f"{dialect} {how}: {told}")


def request(dialect: str, tag: str, stream: bool) -> tuple[str, dict[str, Any]]:
    """Where, and what, to ask for ``tag``."""
    text = f"Repeat this word as JSON: {tag}"
    schema = {
        "type": "object",
        "properties": {"tag": {"const": tag}},
        "required": ["tag"],
        "additionalProperties": False,
    }
    turns = [{"role": "user", "content": text}]
    base = {"model": CHAT, "stream": stream}
    if dialect == "ollama-chat":
        return "/api/chat", {**base, "messages": turns, "format": schema}
    if dialect == "ollama-generate":
        return "/api/generate", {**base, "prompt": text, "format": schema}
    if dialect == "openai-chat":
        form = {"type": "json_schema", "json_schema": {"name": "tag", "schema": schema}}
        return "/v1/chat/completions", {**base, "messages": turns, "response_format": form}
    if dialect == "openai-responses":
        form = {"type": "json_schema", "name": "tag", "schema": schema}
        asked = {"input": text, "text": {"format": form}, "store": False}
        return "/v1/responses", {**base, **asked}
    tool = {"name": "repeat", "description": "Repeats a word.", "input_schema": schema}
    choice = {"type": "tool", "name": "repeat"}
    asked = {"messages": turns, "tools": [tool], "tool_choice": choice, "max_tokens": 200}
    return "/v1/messages", {**base, **asked}


def said(dialect: str, body: bytes, stream: bool) -> str:
    """The text that came, or the arguments of the call. ``ValueError`` for what did not end."""
    if not stream:
        return WHOLE[dialect](json.loads(body))
    lines = [line.removeprefix("data: ") for line in body.decode().splitlines()]
    if dialect == "openai-chat" and "[DONE]" not in lines:
        raise ValueError(f"a stream without an end: {lines[-1][:300]}")
    events = [json.loads(line) for line in lines if line.startswith("{")]
    end = {"openai-responses": "response.completed", "anthropic": "message_stop"}.get(dialect)
    is_ended = events[-1].get("done", True) if end is None else events[-1]["type"] == end
    if not is_ended:
        raise ValueError(f"a stream without an end: {events[-1]}"[:300])
    return "".join(PIECE[dialect](event) or "" for event in events)


WHOLE: dict[str, Callable[[Any], str]] = {
    "ollama-chat": lambda answer: str(answer["message"]["content"]),
    "ollama-generate": lambda answer: str(answer["response"]),
    "openai-chat": lambda answer: str(answer["choices"][0]["message"]["content"]),
    "openai-responses": lambda answer: "".join(
        part["text"] for item in answer["output"] for part in item.get("content", ())
    ),
    "anthropic": lambda answer: json.dumps(
        next(part["input"] for part in answer["content"] if part["type"] == "tool_use")
    ),
}
PIECE: dict[str, Callable[[Any], str | None]] = {
    "ollama-chat": lambda event: event["message"]["content"],
    "ollama-generate": lambda event: event["response"],
    "openai-chat": lambda event: "".join(c["delta"].get("content") or "" for c in event["choices"]),
    "openai-responses": lambda event: (
        event["delta"] if event["type"] == "response.output_text.delta" else ""
    ),
    "anthropic": lambda event: event.get("delta", {}).get("partial_json", ""),
}


async def client(number: int, url: str, found: Found, until: float, seed: int) -> None:
    dice = random.Random(seed * 1000 + number)
    kept = httpx2.Limits(max_connections=2, max_keepalive_connections=2)
    timeout = httpx2.Timeout(PATIENCE_SECONDS)
    async with httpx2.AsyncClient(
        base_url=url, timeout=timeout, limits=kept, trust_env=False, verify=False
    ) as asker:
        while time.monotonic() < until:
            dialect, stream = dice.choice(DIALECTS), dice.random() < 0.5
            manner = dice.choices(("plain", "leaves", "slow"), (8, 1, 1))[0]
            tag = f"tag{number:03d}x{dice.getrandbits(24):06x}"
            found.asked += 1
            started = time.monotonic()
            try:
                await one(asker, dialect, stream, manner, tag, dice, found)
            except (httpx2.HTTPError, OSError) as error:
                found.end(dialect, "lost", f"{type(error).__name__} {error}"[:300])
            except (ValueError, KeyError, IndexError, StopIteration) as error:
                found.end(dialect, "garbled", f"{type(error).__name__} {error}"[:400])
            found.seconds.append(time.monotonic() - started)


async def one(
    asker: httpx2.AsyncClient,
    dialect: str,
    stream: bool,
    manner: str,
    tag: str,
    dice: random.Random,
    found: Found,
) -> None:
    path, body = request(dialect, tag, stream)
    if manner == "leaves":
        with suppress(TimeoutError):
            async with (
                asyncio.timeout(dice.random() * 20),
                asker.stream("POST", path, json=body) as r,
            ):
                async for _ in r.aiter_bytes():
                    break
        found.end(dialect, "left")
        return
    async with asker.stream("POST", path, json=body) as response:
        received = b"".join([part async for part in read(response, manner)])
    if response.status_code in BUSY:
        is_told = int(response.headers.get("retry-after", 0)) > 0
        found.end(dialect, "busy", "" if is_told else "without Retry-After")
        await asyncio.sleep(1)
        return
    if response.status_code != 200:
        found.end(dialect, "failed", f"{response.status_code} {received[:300]!r}")
        return
    answer = json.loads(said(dialect, received, stream))
    if answer == {"tag": tag}:
        found.end(dialect, "right")
    else:
        found.end(dialect, "mixed up", f"asked for {tag}, got {answer}")


async def read(response: httpx2.Response, manner: str) -> AsyncIterator[bytes]:
    if manner == "plain":
        async for part in response.aiter_bytes():
            yield part
        return
    async for part in response.aiter_bytes(SLOW_BYTES):
        yield part
        await asyncio.sleep(0.05)


async def crowd(where: dict[str, Any], clients: int, seconds: float, seed: int) -> dict[str, Any]:
    found, server = Found(), psutil.Process(where["pid"])
    engine = psutil.Process(where["engine_pid"])
    url, started = f"http://127.0.0.1:{where['port']}", time.monotonic()
    until, curve = started + seconds, []

    async def watch() -> None:
        while True:
            curve.append(
                {
                    "second": round(time.monotonic() - started),
                    "ended": sum(found.ended.values()),
                    "rss_mb": round(server.memory_info().rss / 2**20, 1),
                    "engine_rss_mb": round(engine.memory_info().rss / 2**20, 1),
                    "threads": server.num_threads(),
                    "fds": server.num_fds(),
                }
            )
            if len(curve) % 6 == 1:
                print(curve[-1], dict(found.ended), flush=True)
            await asyncio.sleep(SAMPLE_SECONDS)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(client(n, url, found, until, seed) for n in range(clients)))
    took = time.monotonic() - started
    watching.cancel()
    # What was left behind would show now.
    await asyncio.sleep(12)
    async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False, verify=False) as asker:
        loaded = (await asker.get("/ondol/v1/loaded")).json()
    rest = {
        "threads": server.num_threads(),
        "fds": server.num_fds(),
        "rss_mb": round(server.memory_info().rss / 2**20, 1),
        "loaded": loaded,
    }
    ended = sum(found.ended.values())
    return {
        "clients": clients,
        "seconds": round(took),
        "asked": found.asked,
        "ended": dict(found.ended),
        "unaccounted": found.asked - ended,
        "by_dialect": dict(sorted(found.by_dialect.items())),
        "seconds_p50": round(statistics.median(found.seconds), 1),
        "seconds_p95": round(statistics.quantiles(found.seconds, n=20)[-1], 1),
        "afterwards": rest,
        "curve": curve,
        "failures": found.failures[:40],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="ondol-crowd-") as name:
        with ondol(Path(name), given.parallel) as where:
            found = asyncio.run(crowd(where, given.clients, given.seconds, given.seed))
    about = {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "python": platform.python_version(),
        "engine": f"xllamacpp {version('xllamacpp')}",
        "slots": given.parallel,
        "load": [round(before, 1), round(os.getloadavg()[0], 1)],
    }
    result = {"about": about, **found}
    print(json.dumps({k: v for k, v in result.items() if k != "curve"}, indent=1))
    if given.write:
        (HERE / "results.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
