"""What tests of the mirror share: a tiny repository with a tokenizer that transformers loads, an
upstream that has it, and a hub to bring it to. The scanner is a stub that finds what it is told."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

from pull_servers import COMMIT, Route, Server, add_repository

from ondol.hub.mirror.quarantine import Held
from ondol.hub.repository import Repository, keys
from ondol.hub.scan import Finding, Report
from ondol.models.patience import Patience

HURRIED = Patience(read_timeout_seconds=2, attempts=3, backoff_seconds=0.01, longest_wait_seconds=1)
REPOSITORY = "Some-Lab/Tiny.Model"
CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


def safetensors(num_bytes: int = 4096) -> bytes:
    """One tensor of zeros, as safetensors keeps it."""
    numbers = num_bytes // 4
    tensor = {"dtype": "F32", "shape": [numbers], "data_offsets": [0, numbers * 4]}
    header = json.dumps({"weight": tensor}).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + bytes(numbers * 4)


def tokenizer() -> bytes:
    """A tokenizer of four words, as the tokenizers library writes it."""
    vocabulary = {"[UNK]": 0, "on": 1, "dol": 2, "warm": 3}
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": [],
            "normalizer": None,
            "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": None,
            "decoder": None,
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
        }
    ).encode()


FILES: Mapping[str, bytes] = {
    ".gitattributes": b"*.safetensors filter=lfs\n",
    "README.md": b"# Tiny\n",
    "LICENSE": b"Do as you like.\n",
    "config.json": json.dumps({"model_type": "llama", "max_position_embeddings": 64}).encode(),
    "model.safetensors": safetensors(),
    "onnx/model.onnx": b"\x08\x07" + bytes(2000),
    "pytorch_model.bin": b"\x80\x02" + bytes(2000),
    "modeling_tiny.py": b"print('code')\n",
    "sub/extra.json": b"{}",
    "tokenizer.json": tokenizer(),
    "tokenizer_config.json": json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"}
    ).encode(),
}
BROUGHT = {path for path in FILES if not path.endswith((".bin", ".py", ".gitattributes", ".onnx"))}
LEFT_OUT = ("README.md", "LICENSE", "tokenizer.json", "tokenizer_config.json")
FEW = {path: content for path, content in FILES.items() if path not in LEFT_OUT}
"""The same with as few files as show everything: each is a connection."""


def add_upstream(server: Server, repository: str, files: Mapping[str, bytes]) -> dict[str, Route]:
    """Have ``server`` offer ``repository`` at ``COMMIT``, which its ``main`` is."""
    routes = add_repository(server, repository, dict(files))
    info = server.routes[f"/api/models/{repository}"]
    for revision in ("main", COMMIT):
        server.routes[f"/api/models/{repository}/revision/{revision}"] = info
    return routes


class Scanner:
    """Finds something in each file that is named in ``bad``."""

    def __init__(self, *bad: str) -> None:
        self.bad = bad
        self.seen: list[set[str]] = []

    def __call__(self, files: Mapping[str, Path], card: Any = None, **_: Any) -> Report:
        self.seen.append(set(files))
        assert all(path.is_file() for path in files.values())
        found = [Finding(one, "bad", f"{one} is not what it says.") for one in self.bad]
        found = [one for one in found if one.file in files]
        return Report(not found, tuple(found), 0.0)


class Operator:
    """A hub with the publisher ``mirror``, and whoever approves for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = Repository(folder)
        offline = self.repository.init("Ours", root_keys=1, threshold=1)
        self.keys = {name: keys.make() for name in ("mirror", "acme")}
        for name, key in self.keys.items():
            self.repository.add_publisher(name, keys.public_text(key), offline.targets)

    def approve(self, held: Held, version: str = "1") -> None:
        """Publish what waits, as ``ondol hub approve`` does."""
        self.publish("mirror", held.item, version, held.card, held.files)

    def publish(
        self, publisher: str, item: str, version: str, card: Any, files: Mapping[str, Path]
    ) -> None:
        key = self.keys[publisher]
        clean = Report(True, (), 0.0)
        self.repository.publish(publisher, item, version, card, files, key, report=clean)
