"""What does Ondol's HTTP cost over its engine's own, and beside LiteLLM's proxy?

All three are asked in turn in the same run: the same prompt, the same engine process, the same
client. See README.md.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from ondol.config import load

HERE = Path(__file__).parent
CHAT = "smollm2:135m"
PROMPT = "What burns in the stove under the floor? Tell me in a few words."
STORY = "Tell me a very long story about a house, a stove and the winter."
START_SECONDS = 300
# LiteLLM starts with none that is shorter.
MASTER_KEY = "sk-" + "gateway-benchmark-" * 3


@dataclass(frozen=True)
class Target:
    """Somebody who answers OpenAI's chat completions at ``url``."""

    name: str
    url: str
    key: str
    model: str
    pid: int = 0

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor time that its process has used."""
        times = psutil.Process(self.pid).cpu_times()
        return (times.user + times.system) * 1000

    def connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=300)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}


class Asker:
    """One client with one kept connection."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.connection = target.connect()

    def ask(self, body: dict[str, Any], path: str = "/v1/chat/completions") -> tuple[float, bytes]:
        """Seconds and the body of the answer."""
        content = json.dumps({**body, "model": self.target.model}).encode()
        for attempt in (1, 2):
            started = time.perf_counter()
            try:
                self.connection.request("POST", path, content, self.target.headers)
                response = self.connection.getresponse()
                answer = response.read()
            except (http.client.HTTPException, OSError):
                # A kept connection may end just when it is used again.
                self.connection.close()
                self.connection = self.target.connect()
                if attempt == 2:
                    raise
                continue
            if response.status != 200:
                raise RuntimeError(f"{self.target.name}: {response.status} {answer[:300]!r}")
            return time.perf_counter() - started, answer
        raise AssertionError

    def get(self, path: str) -> float:
        started = time.perf_counter()
        self.connection.request("GET", path, headers=self.target.headers)
        self.connection.getresponse().read()
        return time.perf_counter() - started


def body(text: str, tokens: int, *, stream: bool) -> dict[str, Any]:
    asked = {"messages": [{"role": "user", "content": text}], "max_tokens": tokens}
    return {**asked, "temperature": 0, "seed": 1, "stream": stream}


def latency(targets: list[Target], rounds: int, *, stream: bool) -> dict[str, Any]:
    """Milliseconds of one-token answers to a prompt that the engine knows."""
    askers = [Asker(target) for target in targets]
    took: dict[str, list[float]] = {target.name: [] for target in targets}
    asked, before = body(PROMPT, 1, stream=stream), {}
    for number in range(-5, rounds):
        if number == 0:
            before = {target.name: target.cpu_ms for target in targets}
        # Who is first changes, for what comes before may still be in the engine's way.
        for asker in askers[number % len(askers) :] + askers[: number % len(askers)]:
            seconds, _ = asker.ask(asked)
            if number >= 0:
                took[asker.target.name].append(seconds * 1000)
    found = compared(took)
    for target in targets[1:]:
        used = target.cpu_ms - before[target.name]
        found[target.name]["cpu_ms"] = round(used / rounds, 2)
    return found


def compared(took: dict[str, list[float]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, values in took.items():
        found[name] = {"p50_ms": percentile(values, 50), "p95_ms": percentile(values, 95)}
        if name != "engine":
            differences = [a - b for a, b in zip(values, took["engine"], strict=True)]
            found[name] |= {
                "added_p50_ms": round(statistics.median(differences), 2),
                "added_p95_ms": round(percentile(values, 95) - percentile(took["engine"], 95), 2),
            }
    return found


def percentile(values: list[float], percent: int) -> float:
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 2)


def throughput(targets: list[Target], rounds: int, streams: int, tokens: int) -> dict[str, Any]:
    """Tokens a second of ``streams`` clients together, and the processor's time for one token."""
    speeds: dict[str, list[float]] = {target.name: [] for target in targets}
    costs: dict[str, list[float]] = {target.name: [] for target in targets}
    askers = {t.name: [Asker(t) for _ in range(streams)] for t in targets}
    with ThreadPoolExecutor(streams) as pool:
        for number in range(-1, rounds):
            order = targets[number % len(targets) :] + targets[: number % len(targets)]
            for target in order:
                started, before = time.perf_counter(), target.cpu_ms
                texts = [f"{STORY} It is the story number {n}." for n in range(streams)]
                given = list(
                    pool.map(
                        lambda one: said(one[0].ask(body(one[1], tokens, stream=True))[1]),
                        zip(askers[target.name], texts, strict=True),
                    )
                )
                seconds = time.perf_counter() - started
                # What is written down after the last byte counts.
                time.sleep(0.3)
                if number >= 0:
                    speeds[target.name].append(sum(given) / seconds)
                    costs[target.name].append((target.cpu_ms - before) / sum(given))
    found: dict[str, Any] = {}
    for name, values in speeds.items():
        found[name] = {"tokens_per_second": round(statistics.median(values), 2)}
        if name != "engine":
            ratios = [a / b for a, b in zip(values, speeds["engine"], strict=True)]
            found[name]["loss_percent"] = round(100 * (1 - statistics.median(ratios)), 1)
            found[name]["cpu_ms_per_token"] = round(statistics.median(costs[name]), 3)
    return found


def said(answer: bytes) -> int:
    """How many pieces of text a stream had."""
    count = 0
    for line in answer.split(b"\n"):
        if line.startswith(b"data: {"):
            choices = json.loads(line[6:]).get("choices") or [{}]
            count += bool((choices[0].get("delta") or {}).get("content"))
    return count


def cheap(target: Target, rounds: int) -> dict[str, Any]:
    asker, found = Asker(target), {}
    for path in ("/api/version", "/api/tags", "/v1/models", "/ondol/v1/health"):
        took = [asker.get(path) * 1000 for _ in range(rounds)]
        found[path] = {"p50_ms": percentile(took, 50), "p95_ms": percentile(took, 95)}
    return found


@contextmanager
def ondol(folder: Path, parallel: int) -> Iterator[dict[str, Any]]:
    environ = {
        **os.environ,
        "ONDOL_HOME": str(folder / "home"),
        "ONDOL_MODELS": str(load().models_dir),
        "ONDOL_LANGUAGE": "en",
    }
    process = subprocess.Popen(
        [sys.executable, HERE / "serve.py", str(parallel)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environ,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)


@contextmanager
def litellm(python: Path, folder: Path, where: dict[str, Any]) -> Iterator[Target]:
    """LiteLLM's proxy before the same engine."""
    config = folder / "litellm.yaml"
    params = {
        "model": "openai/engine",
        "api_base": f"{where['engine']}/v1",
        "api_key": where["key"],
    }
    config.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": "engine", "litellm_params": params}],
                "litellm_settings": {"telemetry": False},
                "general_settings": {"master_key": MASTER_KEY},
            }
        )
    )
    port = free_port()
    command = [python.parent / "litellm", "--config", config, "--port", str(port)]
    log = (folder / "litellm.log").open("wb")
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1"],
        stdout=log,
        stderr=log,
        env={**os.environ, "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )
    target = Target("litellm", f"http://127.0.0.1:{port}", MASTER_KEY, "engine", process.pid)
    try:
        wait_for(lambda: Asker(target).ask(body(PROMPT, 1, stream=False)))
        yield target
    finally:
        process.terminate()
        process.wait(30)


def wait_for(work: Callable[[], object]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            work()
            return
        except (OSError, RuntimeError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def install_litellm(folder: Path) -> Path | None:
    """A Python that has LiteLLM, in an environment of its own; ``None`` where it cannot be had."""
    python = folder / "litellm" / "bin" / "python"
    try:
        subprocess.run([sys.executable, "-m", "venv", folder / "litellm"], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "litellm[proxy]"]
        subprocess.run(pip, check=True, timeout=900, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    return python


def version_of(python: Path) -> str:
    code = "from importlib.metadata import version; print(version('litellm'))"
    return subprocess.check_output([python, "-c", code], text=True).strip()


def measure(
    folder: Path, python: Path | None, rounds: int, speed_rounds: int, tokens: int
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with ondol(folder, 8) as where:
        engine = Target("engine", where["engine"], where["key"], "engine", where["engine_pid"])
        ours = Target("ondol", f"http://127.0.0.1:{where['port']}", "", CHAT, where["pid"])
        targets = [engine, ours]

        def all_of_it() -> None:
            found["whole"] = latency(targets, rounds, stream=False)
            print(json.dumps({"whole": found["whole"]}), flush=True)
            found["streamed"] = latency(targets, rounds, stream=True)
            print(json.dumps({"streamed": found["streamed"]}), flush=True)
            for streams in (1, 8):
                name = f"tokens_{streams}"
                found[name] = throughput(targets, speed_rounds, streams, tokens)
                print(json.dumps({name: found[name]}), flush=True)

        if python is None:
            all_of_it()
        else:
            with litellm(python, folder, where) as third:
                targets.append(third)
                all_of_it()
        found["cheap"] = cheap(ours, rounds)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=200, help="one-token answers of each")
    parser.add_argument("--speed-rounds", type=int, default=6)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--litellm", default="install", help="a Python that has it; or: none")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="ondol-gateway-") as name:
        folder = Path(name)
        python = None
        if given.litellm == "install":
            python = install_litellm(folder)
        elif given.litellm != "none":
            python = Path(given.litellm)
        found = measure(folder, python, given.rounds, given.speed_rounds, given.tokens)
        about = {
            "date": time.strftime("%Y-%m-%d %H:%M"),
            "python": platform.python_version(),
            "engine": f"xllamacpp {version('xllamacpp')}",
            "uvicorn": version("uvicorn"),
            "litellm": version_of(python) if python else None,
            "processors": os.cpu_count(),
            "load": [round(load_before, 1), round(os.getloadavg()[0], 1)],
            "rounds": given.rounds,
            "speed_rounds": given.speed_rounds,
            "tokens": given.tokens,
        }
    result = {"about": about, **found}
    print(json.dumps(result, indent=1))
    if given.write:
        (HERE / "results.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
