"""Do the clients that others made pull the default model from a hub of ours?

A hub with the default model is served as `ondol hub serve` does; Ollama's own client and the real
huggingface_hub each pull it, and what they have is compared with what was published. See README.md;
--write keeps results.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from ondol import config
from ondol.hub.card import Card
from ondol.hub.mirror import hf, registry
from ondol.hub.mirror.shelf import Shelf
from ondol.hub.repository import Repository, keys
from ondol.hub.serving import create_app
from ondol.models.store import ModelStore
from tests.hub.served import served

HERE = Path(__file__).parent
PUBLISHER, ITEM, VERSION, FILE = "clinic", "triage", "1.2", "model.gguf"
OUTSIDE = """
import sys
from huggingface_hub import snapshot_download
print(snapshot_download(sys.argv[1], cache_dir=sys.argv[2], token=False))
"""


@contextmanager
def hub(folder: Path, weights: Path) -> Iterator[str]:
    """The address of a hub that offers ``weights``."""
    repository, key = Repository(folder), keys.make()
    offline = repository.init("Bench", root_keys=1, threshold=1)
    repository.add_publisher(PUBLISHER, keys.public_text(key), offline.targets)
    card = Card("model", "triage:135m", {FILE: "weights"}, licence="apache-2.0")
    repository.publish(PUBLISHER, ITEM, VERSION, card, {FILE: weights}, key)
    shelf = Shelf(folder)
    with served(create_app(folder, [*registry.routes(shelf), *hf.routes(shelf)])) as url:
        yield url


def ollama(client: str, url: str, models: Path) -> dict[str, Any]:
    """``client`` is ``ollama`` itself, or its pull alone as README.md builds it."""
    address = url.removeprefix("http://")
    environ = os.environ | {"OLLAMA_MODELS": str(models), "HOME": str(models.parent)}
    pull = [client, "pull", "--insecure"] if Path(client).name == "ollama" else [client]
    server = None
    if Path(client).name == "ollama":
        server = subprocess.Popen([client, "serve"], env=environ, stderr=subprocess.DEVNULL)
        time.sleep(3)
    found: dict[str, Any] = {}
    try:
        for tag in (VERSION, "latest"):
            began = time.monotonic()
            done = subprocess.run(
                [*pull, f"{address}/{PUBLISHER}/{ITEM}:{tag}"],
                env=environ,
                capture_output=True,
                text=True,
                check=False,
            )
            found[tag] = {"code": done.returncode, "seconds": round(time.monotonic() - began, 2)}
            if done.returncode:
                found[tag]["said"] = (done.stdout + done.stderr)[-400:]
    finally:
        if server is not None:
            server.terminate()
            server.wait()
    return found


def digests(folder: Path) -> set[str]:
    return {
        hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and not file.is_symlink()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", help="Ollama, or its pull alone; default: ollama on the PATH")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    client = arguments.client or shutil.which("ollama")
    store = ModelStore(config.load().models_dir)
    weights = store.path(store.get(config.load()["models.chat"]))
    published = hashlib.sha256(weights.read_bytes()).hexdigest()
    results: dict[str, Any] = {"bytes": weights.stat().st_size}
    with tempfile.TemporaryDirectory() as name, hub(Path(name, "hub"), weights) as url:
        if client:
            models = Path(name, "ollama", "models")
            models.mkdir(parents=True)
            results["ollama"] = ollama(client, url, models)
            results["ollama"]["client"] = Path(client).name
            results["ollama"]["is_whole"] = published in digests(models)
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-c", OUTSIDE, f"{PUBLISHER}/{ITEM}", str(Path(name, "cache"))],
            env=os.environ | {"HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1"},
            check=True,
            capture_output=True,
        )
        seconds = round(time.monotonic() - began, 2)
        whole = published in digests(Path(name, "cache"))
        results["huggingface_hub"] = {"seconds": seconds, "is_whole": whole}
    print(json.dumps(results, indent=1))
    if not client:
        print("No ollama on the PATH, and no --client: it was not tried.", file=sys.stderr)
    if arguments.write:
        (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
