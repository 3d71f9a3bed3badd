"""What does a request cost Ondol itself? Its engine says the same canned answer at once.

``canned.py [--cold] [SOURCE …]`` measures each checkout's ``src`` in turn (default: this one), so
that two states of the code are compared while the machine is as busy for both. With ``--cold`` each
is measured twice: the second time the engine reads through ``COLD_BYTES`` before it answers, as a
real one reads its weights. See README.md.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Thread

import psutil

HERE = Path(__file__).parent
CHAT = "smollm2:135m"
REQUESTS, ROUNDS, WARM_UP = 200, 3, 30
# More than the caches hold, and what the weights of smollm2:135m are.
COLD_BYTES = 100 * 1024 * 1024
PROMPT = "What burns in the stove under the floor? Tell me in a few words."

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_TOKEN = {"token": " wood", "logprob": -0.1, "bytes": [32, 119]}
_TOP = [{**_TOKEN, "logprob": -0.1 - n} for n in range(5)]


def main() -> None:
    if sys.argv[1:] == ["--serve"]:
        serve()
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("source", nargs="*", type=Path, default=[HERE.parents[1] / "src"])
    given = parser.parse_args()
    for _ in range(ROUNDS):
        for source in given.source:
            for cold in (False, True) if given.cold else (False,):
                found = measure(source, COLD_BYTES if cold else 0)
                print(json.dumps({"source": str(source), "cold": cold, **found}), flush=True)


def measure(source: Path, cold_bytes: int) -> dict[str, object]:
    """Milliseconds of processor and clock for a one-token answer."""
    from ondol.config import load

    with tempfile.TemporaryDirectory(prefix="ondol-gateway-") as home:
        environ = {
            **os.environ,
            **{"PYTHONPATH": str(source), "ONDOL_HOME": home, "ONDOL_LANGUAGE": "en"},
            **{"ONDOL_MODELS": str(load().models_dir), "ONDOL_KEEP_ALIVE": "-1"},
            "CANNED_COLD_BYTES": str(cold_bytes),
        }
        command = [sys.executable, __file__, "--serve"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environ) as process:
            assert process.stdin is not None and process.stdout is not None
            port = int(process.stdout.readline())
            found: dict[str, object] = {
                name: asked(port, process.pid, stream=stream)
                for name, stream in (("whole", False), ("streamed", True))
            }
            process.stdin.close()
    return found | {"load": round(os.getloadavg()[0], 1)}


def asked(port: int, pid: int, *, stream: bool) -> dict[str, float]:
    body = {"model": CHAT, "messages": [{"role": "user", "content": PROMPT}], "stream": stream}
    content = json.dumps({**body, "max_tokens": 1, "temperature": 0}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    took = []
    for number in range(WARM_UP + REQUESTS):
        if number == WARM_UP:
            before = cpu_seconds(pid)
        started = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", content)
        with connection.getresponse() as response:
            assert response.read() and response.status == 200
        took.append((time.perf_counter() - started) * 1000)
    time.sleep(0.3)  # what is written down after the last byte counts
    cpu_ms = (cpu_seconds(pid) - before) * 1000 / REQUESTS
    return {
        "cpu_ms": round(cpu_ms, 2),
        "p50_ms": round(statistics.median(took[WARM_UP:]), 2),
        "least_ms": round(min(took), 2),
    }


def cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def serve() -> None:
    """Ondol before an engine of our own, until stdin ends. Says its port."""
    import signal

    from ondol import config as configuration
    from ondol.engine import resident
    from ondol.parts import Parts
    from ondol.server.app import create_app
    from ondol.server.listening import listen, run

    command = [sys.executable, "-c", f"import runpy; runpy.run_path({__file__!r})['engine']()"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as engine_process:
        assert engine_process.stdout is not None
        address = f"http://127.0.0.1:{int(engine_process.stdout.readline())}"

        class Process:
            def __init__(self, launch: object) -> None:
                self.launch, self.address, self.key = launch, address, "key"
                self.pid = engine_process.pid

            def __getattr__(self, name: str) -> object:
                return lambda *_: name in ("alive", "rss_bytes")

        resident.EngineProcess = Process  # type: ignore[misc, assignment]
        with Parts(configuration.load()) as parts:
            parts.pool.load(CHAT)
            listener = listen("127.0.0.1", 0)

            def end() -> None:
                sys.stdin.buffer.read()
                os.kill(os.getpid(), signal.SIGTERM)

            Thread(target=end, daemon=True).start()
            port = listener.getsockname()[1]
            run(create_app(parts), [listener], lambda: print(port, flush=True))
        engine_process.kill()


def engine() -> None:
    """What llama-server says to a question for one token, said to every one."""
    import socketserver

    import numpy as np

    cold = int(os.environ["CANNED_COLD_BYTES"])
    # As many threads as a real engine has, each with weights of its own.
    weights = [np.ones(cold // 16) for _ in range(2)]

    def read_weights() -> None:
        readers = [Thread(target=part.sum) for part in weights]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()

    delta = {"content": " wood"}
    logprobs = {"content": [{**_TOKEN, "top_logprobs": _TOP}]}
    usage = {"completion_tokens": 1, "prompt_tokens": 45, "total_tokens": 46}
    said = b"".join(
        b"data: " + json.dumps({"object": "chat.completion.chunk", **event}).encode() + b"\n\n"
        for event in (
            {"choices": [], "prompt_progress": {"total": 45, "cache": 44, "processed": 45}},
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]},
            {"choices": [{"index": 0, "delta": delta, "logprobs": logprobs}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]},
            {"choices": [], "usage": usage},
        )
    )
    answer = _HEAD + b"%x\r\n%b\r\n0\r\n\r\n" % (len(said), said)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = 0
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.rfile.read(length)
            if cold:
                read_weights()
            self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
