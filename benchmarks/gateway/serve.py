"""Ondol as ``ondol serve`` runs it, with the real model, whose engine listens on loopback TCP so
that others can ask it too. Says where both are on stdout, and ends with its stdin.

``serve.py PARALLEL``. ONDOL_HOME and ONDOL_MODELS say where.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from ondol import config as configuration
from ondol.engine import rendezvous
from ondol.parts import Parts
from ondol.server.app import create_app
from ondol.server.listening import listen, run

CHAT = "smollm2:135m"


def main() -> None:
    # A socket file is what it listens on otherwise, which a proxy cannot ask.
    rendezvous.make = lambda: None
    environ = {
        **os.environ,
        "ONDOL_NUM_PARALLEL": sys.argv[1],
        "ONDOL_CONTEXT_LENGTH": "2048",
        "ONDOL_KEEP_ALIVE": "-1",
    }
    with Parts(configuration.load(environ=environ)) as parts:
        parts.pool.load(CHAT)
        process = parts.pool._residents[CHAT].process
        listener = listen("127.0.0.1", 0)

        def tell() -> None:
            where = {
                "port": listener.getsockname()[1],
                "pid": os.getpid(),
                "engine": process.address,
                "engine_pid": process.pid,
                "key": process.key,
            }
            print(json.dumps(where), flush=True)

        threading.Thread(target=_end_with_stdin, daemon=True).start()
        run(create_app(parts), [listener], tell)


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
