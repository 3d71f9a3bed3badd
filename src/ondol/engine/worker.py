"""The child process of one model: ``python -m ondol.engine.worker``.

Reads its parameters as one JSON line on stdin, writes ``{"address": …}`` or ``{"error": …}`` as one
JSON line on stdout, and serves llama-server's HTTP until stdin ends. It runs the bundled runtime
itself, or a binary under its eyes; either way nothing of it outlives the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

from ondol.egress import guard
from ondol.egress.native import deny_internet
from ondol.engine import applying

PR_SET_PDEATHSIG = 1
NICENESS = 5
FIRST_TO_GO = 900
REFUSED = b"ondol: refused "
"""Begins a line on stderr that names whom the guard did not let something speak to."""


def main() -> None:
    """Serve until the parent goes away."""
    guard.install()
    replies = _claim_stdout()
    parameters = json.loads(sys.stdin.buffer.readline())
    step_back()
    die_with_parent(parameters["parent_pid"])
    guard.report_to(lambda destination: os.write(2, REFUSED + destination.encode() + b"\n"))
    serve = serve_binary if parameters["binary"] else serve_bundled
    try:
        serve(parameters, replies)
    except Exception as error:
        _reply(replies, error=str(error))
        time.sleep(0.3)  # llama.cpp logs from a thread of its own; the reason must get out
        os._exit(1)


def step_back() -> None:
    """The machine stays its owner's while a model thinks, and when its file wants all memory."""
    os.nice(NICENESS)
    # Where memory runs out, Linux ends this process, and nobody's unsaved work.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write(str(FIRST_TO_GO))
    if os.getsid(0) == os.getpid():
        # Linux weighs sessions against each other, where it groups them: nice counts within one.
        with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as group:
            group.write(str(NICENESS))


def die_with_parent(parent_pid: int) -> None:
    """Let the kernel end this process with its parent (Linux; elsewhere stdin's end does)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def watch_stdin() -> None:
    """End the whole process group when the parent closes the pipe, by will or by death."""
    while os.read(0, 4096):
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def serve_bundled(parameters: dict[str, Any], replies: int) -> None:
    """Host llama.cpp in this process."""
    if parameters["socket"]:
        deny_internet()
    _end_on_sigio()
    threading.Thread(target=watch_stdin, daemon=True).start()
    import xllamacpp

    server = xllamacpp.Server(_params(xllamacpp, parameters))
    path = parameters["socket"]
    _reply(replies, address=f"unix:{path}" if path else server.listening_address)
    # Never returns: destroying a server that has answered nothing yet can block for ever.
    threading.Event().wait()


def serve_binary(parameters: dict[str, Any], replies: int) -> None:
    """Run a llama-server-compatible binary and share its fate. One that serves at a socket file has
    no need of any other socket."""
    path = parameters["socket"]
    if path:
        deny_internet()
    port = 0 if path else _free_port()
    command = [parameters["binary"], *arguments(parameters, port)]
    me = os.getpid()
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        env=os.environ | environment(parameters),
        preexec_fn=lambda: die_with_parent(me),  # noqa: PLW1509 - this process has one thread yet
    )
    threading.Thread(target=watch_stdin, daemon=True).start()
    _reply(replies, address=f"unix:{path}" if path else f"http://127.0.0.1:{port}")
    code = child.wait()
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code or 1)


def arguments(parameters: dict[str, Any], port: int) -> list[str]:
    """llama-server's flags; only those that every build of the last years understands."""
    flags = {
        "--model": parameters["model"],
        "--host": parameters["socket"] or "127.0.0.1",
        "--port": port,
        "--ctx-size": parameters["num_ctx"] * parameters["num_parallel"],
        "--parallel": parameters["num_parallel"],
        "--threads": parameters["threads"],
    }
    if parameters["gpu_layers"] >= 0:
        flags["--n-gpu-layers"] = parameters["gpu_layers"]
    if parameters["embedding"]:
        flags |= {"--batch-size": parameters["num_ctx"], "--ubatch-size": parameters["num_ctx"]}
    if parameters["pooling"]:
        flags["--pooling"] = parameters["pooling"]
    flags |= applying.flags(parameters["running"])
    if parameters["mmproj"]:
        flags["--mmproj"] = parameters["mmproj"]
    switches = ["--no-webui", "--jinja"] + ["--embedding"] * parameters["embedding"]
    for _, path in parameters["adapters"]:
        switches += ["--lora", path]
    switches += ["--lora-init-without-apply"] * bool(parameters["adapters"])
    return [str(part) for flag in flags.items() for part in flag] + switches


def environment(parameters: dict[str, Any]) -> dict[str, str]:
    """The key, which must not show in a process list, and settings older builds do not know."""
    return {
        "LLAMA_API_KEY": parameters["key"],
        "LLAMA_ARG_CACHE_RAM": "0",
        "LLAMA_ARG_ENDPOINT_SLOTS": "1",
        "LLAMA_ARG_KV_UNIFIED": "0",
        "LLAMA_ARG_OFFLINE": "1",
        # It would look for a second how much of the model a graphics card takes.
        **({"LLAMA_ARG_FIT": "off"} if parameters["gpu_layers"] == 0 else {}),
        # Of tokens from a draft a plain build tells no probabilities; see native.changes.
        "LLAMA_ARG_SPEC_TYPE": "none",
        **applying.variables(parameters["running"]),
    }


def _params(xllamacpp: Any, parameters: dict[str, Any]) -> Any:
    p = xllamacpp.CommonParams()
    p.model.path = parameters["model"]
    p.n_parallel = parameters["num_parallel"]
    p.n_ctx = parameters["num_ctx"] * parameters["num_parallel"]
    p.kv_unified = False  # every request has its whole context, whatever the others do
    p.cpuparams.n_threads = parameters["threads"]
    p.n_gpu_layers = parameters["gpu_layers"]
    # Lets the runtime decide how many layers its graphics card takes; without one it costs time.
    p.fit_params = parameters["gpu_layers"] < 0 and _has_gpu(xllamacpp)
    p.verbosity = 1  # errors only: more would log prompts
    p.cache_ram_mib = 0  # its default may take 8 GiB that no memory plan knows about
    p.hostnames = [parameters["socket"] or "127.0.0.1"]
    p.port = 0
    p.api_keys = [parameters["key"]]
    p.cors_origins = ""
    p.ui = False
    p.use_jinja = True
    p.endpoint_slots = True
    p.endpoint_metrics = True
    applying.apply(xllamacpp, p, parameters["running"])
    if parameters["mmproj"]:
        p.mmproj.path = parameters["mmproj"]
    if parameters["adapters"]:
        p.lora_adapters = [_adapter(xllamacpp, path) for _, path in parameters["adapters"]]
        p.lora_init_without_apply = True
    if parameters["embedding"]:
        p.embedding = True
        p.n_batch = p.n_ubatch = parameters["num_ctx"]
    if parameters["pooling"]:
        name = f"LLAMA_POOLING_TYPE_{parameters['pooling'].upper()}"
        p.pooling_type = getattr(xllamacpp.llama_pooling_type, name)
    return p


def _adapter(xllamacpp: Any, path: str) -> Any:
    """An adapter in memory, off until a request switches it on. Every request says which are on:
    one that says nothing, or a switch for all, would continue from a cache of the other kind."""
    adapter = xllamacpp.CommonAdapterLoraInfo()
    adapter.path, adapter.scale = path, 0.0
    return adapter


def _has_gpu(xllamacpp: Any) -> bool:
    cpu = xllamacpp.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_CPU
    return any(device["type"] != cpu for device in xllamacpp.get_device_info())


def _claim_stdout() -> int:
    """A private copy of stdout for replies; whatever a library prints goes to stderr instead."""
    replies = os.dup(1)
    os.dup2(2, 1)
    return replies


def _reply(replies: int, **fields: str) -> None:
    os.write(replies, json.dumps(fields).encode() + b"\n")


def _end_on_sigio() -> None:
    """Die at once when stdin ends, even while llama.cpp loads with the interpreter lock held."""
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
