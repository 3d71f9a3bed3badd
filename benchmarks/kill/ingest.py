"""kill -9 in the middle of ``ondol add``, at many random points. See README.md."""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from ondol.config import load
from ondol.models.store import ModelStore
from tests.retrieval.ingest_kill import check, kill_once, write_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    store = ModelStore(load().models_dir)
    model = store.get("all-minilm:l6-v2")
    files = (store.path(model, "graph"), store.path(model, "tokenizer"))
    chooser = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder, number, count = Path(name) / "folder", 0, 0
        write_folder(folder, 300)
        database = Path(name) / "library-0.db"
        acknowledged: set[str] = set()
        promised, violations = 0, []
        for _ in range(arguments.points):
            before = len(acknowledged)
            acknowledged |= kill_once(database, folder, files, chooser)
            promised += len(acknowledged) - before
            try:
                count = check(database, acknowledged)
            except AssertionError as error:
                violations.append(str(error))
            if count > 250:
                number += 1
                database, acknowledged = Path(name) / f"library-{number}.db", set()
    result = {"points": arguments.points, "acknowledged": promised, "violations": violations}
    print(json.dumps(result))
    sys.exit(bool(violations))


if __name__ == "__main__":
    main()
