"""The rules of the house that a machine can check: edges, sizes, and what an import loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "ondol"
MODULES = sorted(p.relative_to(SOURCE) for p in SOURCE.rglob("*.py"))
MAX_LINES = 300

FOUNDATION = {"types", "errors", "i18n", "folding", "role_marks", "winnowing"}
FIRST_FLOOR = {"config", "paths", "database", "schema", "egress"} | {
    "backup",
    "callers",
    "carrying",
    "chat_dialect",
    "chat_template",
    "cipher",
    "confinement",
    "rebuild",
    "schema3",
    "schema4",
    "schema5",
    "schema6",
    "schema7",
    "schema8",
    "schema9",
    "encryption",
    "erasing",
    "exchange",
    "fairness",
    "identity",
    "idle",
    "keychain",
    "keys",
    "leftovers",
    "once",
    "place",
    "settings_file",
    "signatures",
    "uploads",
    "whole_file",
}
ROOMS = {"models", "engine", "retrieval", "confidence", "routing", "ledger", "homes"} | {
    "connections",
    "conversations",
    "memory",
    "samples",
}
# Who may import whom, beside itself and everything below it.
ALLOWED = {
    "types": set(),
    "i18n": set(),
    "errors": set(),
    "folding": set(),
    "role_marks": set(),
    "winnowing": set(),
    **{name: FOUNDATION | FIRST_FLOOR for name in FIRST_FLOOR},
    **{name: FOUNDATION | FIRST_FLOOR for name in ROOMS},
    "confidence": FOUNDATION | FIRST_FLOOR | {"prompt"},
    "prompt": FOUNDATION,
    "training": FOUNDATION | FIRST_FLOOR | {"prompt"},
    "federated": FOUNDATION | FIRST_FLOOR | {"training", "prompt"},
    "json": FOUNDATION | {"models"},
    "answering": FOUNDATION | {"prompt"},
    "trust": FOUNDATION,
    "ask": FOUNDATION | {"answering", "prompt", "trust"},
    "chat": FOUNDATION | {"answering", "trust"},
    # What of a chat stays where not all of it fits: sentences, by words alone.
    "excerpts": FOUNDATION | {"retrieval"},
    "long_chat": FOUNDATION | {"answering", "excerpts"},
    # What is pinned, and the engine that has read it, meet here.
    "pinned": FOUNDATION | FIRST_FLOOR | ROOMS | {"answering", "ask", "prompt", "trust"},
    # Rounds of a reply and of what its calls gave; whose tools they are it does not see.
    "tooling": FOUNDATION | {"answering", "ask"},
    # The owner's MCP servers, the labels and the ledger meet here.
    "toolbox": FOUNDATION | FIRST_FLOOR | ROOMS | {"tooling"},
    "manners": FOUNDATION | FIRST_FLOOR | {"models", "ask", "prompt"},
    "kept": FOUNDATION | FIRST_FLOOR | ROOMS,
    "located": FOUNDATION | FIRST_FLOOR | {"engine", "models"},
    "oversight": FOUNDATION | FIRST_FLOOR | ROOMS | {"trust"},
    "parts": FOUNDATION
    | FIRST_FLOOR
    | ROOMS
    | {"ask", "kept", "located", "manners", "oversight", "preset", "prompt", "trust"},
    "preset": FOUNDATION | {"answering", "models", "prompt"},
    "forget": FOUNDATION | FIRST_FLOOR | ROOMS | {"parts", "personal", "trainable"},
    "trainable": FOUNDATION | FIRST_FLOOR | {"models", "training"},
    "train": FOUNDATION
    | FIRST_FLOOR
    | ROOMS
    | {"answering", "training", "prompt", "ask", "parts", "trainable", "trust"},
    # Samples, training, the gate and what is in use meet here.
    "personal": FOUNDATION
    | FIRST_FLOOR
    | ROOMS
    | {"answering", "ask", "calibrate", "lab", "parts", "prompt"}
    | {"train", "trainable", "training", "trust"},
    # A device's samples, its training, its gate and the federation it belongs to meet here.
    "household": FOUNDATION
    | FIRST_FLOOR
    | ROOMS
    | {"federated", "forget", "parts", "personal", "prompt"}
    | {"train", "trainable", "training", "trust"},
    # The engine, the models, the library and the gates meet here, to be looked at.
    "lab": FOUNDATION
    | FIRST_FLOOR
    | ROOMS
    | {
        "answering",
        "ask",
        "chat",
        "excerpts",
        "long_chat",
        "located",
        "parts",
        "preset",
        "prompt",
        "trust",
    }
    | {"calibrate", "hub", "toolbox", "train", "trainable", "training"},
    # What a hub signs are models: it reads their headers, and nothing else of the house.
    "hub": FOUNDATION | FIRST_FLOOR | {"models"},
    # A hub's releases, the stores of models and adapters, the gate and packs meet here.
    "updating": FOUNDATION
    | FIRST_FLOOR
    | ROOMS
    | {"ask", "hub", "lab", "parts", "personal", "preset", "prompt"}
    | {"train", "trainable", "training", "trust"},
    "calibrate": FOUNDATION
    | FIRST_FLOOR
    | ROOMS
    | {"answering", "ask", "parts", "train", "training", "trust"},
    "server": FOUNDATION
    | FIRST_FLOOR
    | ROOMS
    | {
        "answering",
        "ask",
        "chat",
        "long_chat",
        "trust",
        "forget",
        "household",
        "hub",
        "lab",
        "located",
        "parts",
        "json",
        "personal",
        "pinned",
        "preset",
        "prompt",
        "updating",
    }
    | {"tooling", "toolbox"},
    "cli": FOUNDATION
    | FIRST_FLOOR
    | ROOMS
    | {
        "answering",
        "ask",
        "calibrate",
        "chat",
        "long_chat",
        "federated",
        "forget",
        "home",
        "household",
        "hub",
        "lab",
        "located",
        "parts",
        "pinned",
        "preset",
        "trust",
        "json",
        "personal",
        "prompt",
        "server",
        "toolbox",
        "tooling",
        "train",
        "training",
        "updating",
    },
    "home": FOUNDATION
    | FIRST_FLOOR
    | ROOMS
    | {"answering", "ask", "chat", "trust", "parts", "json", "prompt", "server"}
    | {"federated", "hub"},
    "__main__": {"cli"},
    "__init__": {"errors"},
}
HEAVY = (
    "argon2 av backports cryptography docx dp_accounting fastapi fastcdc faster_whisper flwr "
    "gguf httpx2 huggingface_hub jinja2 jsonschema keyring kiwipiepy lxml markupsafe "
    "matplotlib mcp model_signing numpy onnx onnxruntime peft pydantic pypdfium2 "
    "python_calamine qdrant_client ray safetensors securesystemslib segno selectolax sigstore "
    "sklearn sqlcipher3 Stemmer tokenizers torch transformers tuf uvicorn watchfiles "
    "xllamacpp zstandard"
).split()


def imports(module: Path) -> Iterator[str]:
    """The ondol names that ``module`` imports, anywhere in it."""
    for node in ast.walk(ast.parse((SOURCE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("ondol"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ondol"):
            if node.module == "ondol":
                yield from (f"ondol.{alias.name}" for alias in node.names)
            else:
                yield str(node.module)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_module_imports_only_what_is_below_it(module: Path) -> None:
    room = module.parts[0].removesuffix(".py")
    targets = {name.split(".")[1] for name in imports(module) if "." in name}
    forbidden = targets - ALLOWED[room] - {room, "__version__"}
    assert not forbidden, f"{module} may not import {sorted(forbidden)}"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_module_has_a_readable_length(module: Path) -> None:
    lines = len((SOURCE / module).read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{module} has {lines} lines: split it by idea"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_module_says_what_it_is(module: Path) -> None:
    text = (SOURCE / module).read_text(encoding="utf-8")
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), f"{module} has no docstring"


@pytest.mark.parametrize(
    "statement",
    ["import ondol", "import ondol.cli.main, ondol.parts, ondol.ask, ondol.training.export"],
)
def test_import_loads_no_heavy_library(statement: str) -> None:
    script = f"import sys; {statement}; print(*(set({HEAVY!r}) & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == ""


def test_public_names_are_exactly_the_importable_ones() -> None:
    import ondol

    assert sorted(ondol.__all__) == list(ondol.__all__)
    assert all(hasattr(ondol, name) for name in ondol.__all__)
