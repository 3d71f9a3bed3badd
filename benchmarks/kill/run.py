"""Does anything get lost when a process is killed? Each script beside this one asks it of its own.

Runs the scripts beside it; --write keeps what they print as results.json, with --only beside what
the others gave before. See README.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import date
from pathlib import Path

from ondol import __version__
from ondol.config import load
from ondol.models.store import ModelStore

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=60)
    parser.add_argument("--only", action="append", help="a script's name; may be given again")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    store, points = ModelStore(load().models_dir), str(arguments.points)
    model = str(store.path(store.get("smollm2:135m")))
    commands = {
        "engine": ["engine.py", model, "--points", points],
        "pull": ["pull.py", points],
        "ingest": ["ingest.py", "--points", points],
        "encryption": ["encryption.py", "--points", points],
        "library": ["library.py", "--points", points],
        "training": ["training.py", "--points", points],
        "activation": ["activation.py", "--points", points],
        "federated": ["federated.py", "--points", points],
        "updating": ["updating.py", "--points", points],
    }
    wanted = arguments.only or list(commands)
    if unknown := set(wanted) - commands.keys():
        sys.exit(f"no such script: {', '.join(sorted(unknown))}")
    kept = HERE / "results.json"
    results: dict[str, object] = json.loads(kept.read_text("utf-8")) if arguments.only else {}
    for name in wanted:
        script, *rest = commands[name]
        command = [sys.executable, str(HERE / script), *rest]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        about = {"date": date.today().isoformat(), "ondol": __version__}
        results[name] = about | json.loads(done.stdout)
        print(name, json.dumps(results[name], indent=2))
    if arguments.write:
        kept.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
