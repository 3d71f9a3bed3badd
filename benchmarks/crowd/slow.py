"""Five hundred clients that read nothing, or a byte a second, of answers without end: how long do
others wait meanwhile? See README.md.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "server"))


def serve(folder: Path) -> None:
    """A server whose model says more than any buffer holds, as fast as it is taken."""
    from house import CHAT, HashEmbedder, ScriptedPool, add_models
    from test_slow_readers import Talker as Fast

    from ondol import config as configuration
    from ondol.engine.scripted import ScriptedEngine
    from ondol.models.store import ModelStore
    from ondol.parts import Parts
    from ondol.server.app import create_app
    from ondol.server.listening import listen, run

    class Talker(Fast):
        """Eighty kilobytes a second: a model of a thousand tokens a second."""

        def generate(self, messages: Any, options: Any) -> Iterator[Any]:
            for token in super().generate(messages, options):
                time.sleep(0.1)
                yield token

    class Pool(ScriptedPool):
        """The clients of this benchmark that read nothing ask for a long keep_alive."""

        def engine(self, model: str, **how: Any) -> Any:
            if how.get("keep_alive_seconds"):
                return Talker()
            return ScriptedEngine(["Short."], model=model)

    environ = {**os.environ, "ONDOL_MODELS": str(folder / "models")}
    config = configuration.load(environ=environ, file=folder / "config.toml")
    add_models(ModelStore(config.models_dir), folder)
    with Parts(config) as parts:
        parts._built |= {"pool": Pool(), "embedder": HashEmbedder()}
        listener = listen("127.0.0.1", 0)
        told = json.dumps({"port": listener.getsockname()[1], "pid": os.getpid(), "model": CHAT})

        def end_with_stdin() -> None:
            sys.stdin.buffer.read()
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=end_with_stdin, daemon=True).start()
        run(create_app(parts), [listener], lambda: print(told, flush=True))


class Readers:
    """Sockets that asked for a stream. Every other one reads a byte a second."""

    def __init__(self, port: int, model: str, count: int) -> None:
        asked = {"model": model, "messages": [{"role": "user", "content": "x"}], "keep_alive": 9999}
        body = json.dumps(asked).encode()
        head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self.sockets = []
        for _ in range(count):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", port))
            one.sendall(head.encode() + body)
            one.setblocking(False)
            self.sockets.append(one)
        self.is_over = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while not self.is_over.wait(1):
            for one in self.sockets[::2]:
                with suppress(OSError):
                    one.recv(1)

    def close(self) -> None:
        self.is_over.set()
        for one in self.sockets:
            one.close()


def others(port: int, model: str, seconds: float) -> dict[str, float]:
    """How long a client waits that asks one short thing after the other."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "x"}]})
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", body)
        answer = connection.getresponse()
        assert answer.status == 200 and b"Short." in answer.read()
        took.append((time.perf_counter() - started) * 1000)
    found = statistics.quantiles(took, n=20)
    return {
        "requests": len(took),
        "p50_ms": round(statistics.median(took), 1),
        "p95_ms": round(found[-1], 1),
        "max_ms": round(max(took), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--readers", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--serve", type=Path)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    with tempfile.TemporaryDirectory(prefix="ondol-slow-") as name:
        process = subprocess.Popen(
            [sys.executable, __file__, "--serve", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "ONDOL_HOME": f"{name}/home"},
        )
        assert process.stdout is not None and process.stdin is not None
        where = json.loads(process.stdout.readline())
        server = psutil.Process(where["pid"])
        ask = (where["port"], where["model"], given.seconds)
        result: dict[str, Any] = {"readers": given.readers, "load": os.getloadavg()[0]}
        others(*ask[:2], 2)
        few = server.num_fds() + 5
        result["alone"] = others(*ask)
        readers = Readers(where["port"], where["model"], given.readers)
        time.sleep(5)
        result["beside_them"] = others(*ask)
        result["rss_mb"] = round(server.memory_info().rss / 2**20)
        result["threads"] = server.num_threads()
        result["fds"], waited = server.num_fds(), time.monotonic()
        while server.num_fds() > few and time.monotonic() < waited + 120:
            time.sleep(1)
        result["seconds_until_hung_up_on"] = round(time.monotonic() - waited)
        result["after_them"] = others(*ask)
        result["threads_after"] = server.num_threads()
        result["fds_after"] = server.num_fds()
        readers.close()
        process.stdin.close()
        process.wait(60)
    result["date"] = time.strftime("%Y-%m-%d %H:%M")
    print(json.dumps(result, indent=1))
    if given.write:
        (HERE / "slow.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
