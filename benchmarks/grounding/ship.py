"""Take the adapter that results.json was measured with into the package, if the gate let it pass.

Copies its file and its manifest to src/ondol/models/shipped; the manifest gets the table.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from ondol import config
from ondol.models import adapter_manifest
from ondol.models.adapters import SHIPPED
from ondol.parts import Parts

HERE = Path(__file__).parent
SETS = {"unseen articles", "passage missing", "article missing", "held-out documents", "Korean"}
KEPT = ("accuracy", "f1", "citation_correctness", "wrongly_abstains", "abstention_recall")


def main() -> None:
    results = json.loads((HERE / "results.json").read_text("utf-8"))
    if not results["verdict"]["ships"]:
        sys.exit("The gate did not let it pass: " + " ".join(results["verdict"]["reasons"]))
    if results["limit"] or not SETS <= results["sets"].keys() or "drift" not in results:
        sys.exit("results.json was only a look: measure all sets, the unseen articles whole.")
    with Parts(config.load()) as parts:
        adapter = parts.adapters.find(results["adapter"]["name"])
        if adapter.name != parts.config["answer.adapter"]:
            sys.exit(f"ondol ask would not switch {adapter.name} on.")
        if adapter.digest != results["adapter"]["digest"]:
            sys.exit("results.json was measured with another adapter: run run.py --write first.")
        source = parts.adapters.path(adapter)
        evaluation = {
            name: {side: {metric: sides[side][metric] for metric in KEPT} for side in ("off", "on")}
            for name, sides in results["sets"].items()
        }
        evaluation |= {name: results[name] for name in ("date", "drift")}
        evaluation["chat_ok"] = results["verdict"]["chat_ok"]
        stem = adapter.full_name.replace(":", "-")
        SHIPPED.mkdir(exist_ok=True)
        shutil.copyfile(source, SHIPPED / f"{stem}.gguf")
        manifest = adapter_manifest.to_json(replace(adapter, evaluation=evaluation))
        (SHIPPED / f"{stem}.json").write_bytes(manifest + b"\n")
    print(f"{stem}.gguf: {adapter.size_bytes:,} bytes")


if __name__ == "__main__":
    main()
