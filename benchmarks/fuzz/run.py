"""Does anything that can be sent break the server? Mutated requests over real sockets, and
schemathesis over what the OpenAPI document promises. See README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ondol.lab.redteam.requests.fuzzing import fuzz

HERE = Path(__file__).parent


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, int]]:
    environ = {**os.environ, "ONDOL_HOME": str(folder / "home"), "ONDOL_LANGUAGE": "en"}
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, HERE / "serve.py", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environ,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError((folder / "server.log").read_text()[-3000:])
        yield json.loads(line)
    finally:
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()
        process.wait(60)


def schemathesis(port: int, examples: int, seed: int) -> dict[str, Any]:
    """schemathesis' own runner over the three dialects and ours."""
    program = Path(sys.executable).with_name("schemathesis")
    url = f"http://127.0.0.1:{port}"
    command = [
        program, "run", f"{url}/openapi.json", "--url", url,
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,"
        "response_schema_conformance",
        "--max-examples", str(examples), "--seed", str(seed),
        "--phases", "examples,coverage,fuzzing",
        "--exclude-path-regex", "pull|pairing|onboarding|/settings|browse|audio",
        "--request-timeout", "60", "--no-color",
    ]  # fmt: skip
    started = time.monotonic()
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False,
        env=os.environ | {"no_proxy": "*"},
    )  # fmt: skip
    told = done.stdout
    cases = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) generated", told)]
    return {
        "seconds": round(time.monotonic() - started),
        "cases": max(cases, default=0),
        "exit_code": done.returncode,
        "summary": told[-2500:],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--examples", type=int, default=100, help="of schemathesis, each operation")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ondol-fuzz-") as name:
        folder = Path(name)
        with serving(folder) as where:
            result: dict[str, Any] = {
                "about": {
                    "date": time.strftime("%Y-%m-%d %H:%M"),
                    "python": platform.python_version(),
                    "schemathesis": version("schemathesis"),
                    "seed": given.seed,
                    "load": os.getloadavg()[0],
                }
            }
            if given.examples:
                result["schemathesis"] = schemathesis(where["port"], given.examples, given.seed)
                print(result["schemathesis"]["summary"], flush=True)
            if given.requests:
                result["fuzzer"] = asyncio.run(
                    fuzz(
                        where["port"],
                        where["pid"],
                        given.requests,
                        given.seed,
                        given.clients,
                        lambda done, total: print(f"{done}/{total}", flush=True),
                    )
                )
        unexpected = (folder / "server.log").read_text()
        result["unexpected"] = Counter(
            line for line in unexpected.splitlines() if "unexpected" in line
        ).most_common(20)
    print(json.dumps(result, indent=1, ensure_ascii=False))
    if given.write:
        (HERE / "results.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
