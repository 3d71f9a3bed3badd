"""What must be the same for a saved state to fit: the model, the engine and how both compute.

Pure but for a look at the engine's file. The names that are made of it tell nobody without the
library's key whether a text that he guesses was saved.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ondol.engine.process import Launch
    from ondol.engine.settings import ModelSpec

NOBODY = "0" * 16


@dataclass(frozen=True, slots=True)
class Identity:
    """``model`` is a digest, ``file`` what of it is served, ``adapters`` its adapters with their
    scales, ``ways`` the engine's build, the template and how a cache is laid out."""

    model: str
    file: str
    adapters: str
    ways: str


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a saved state: tags of its model, its adapters, of what it begins with, of its
    tokens, and of the pin that it belongs to (``NOBODY``: to none)."""

    model: str
    adapters: str
    head: str
    key: str
    owner: str

    def __str__(self) -> str:
        return "-".join(asdict(self).values())

    @classmethod
    def read(cls, text: str) -> Name | None:
        """The name in a file's; None for another file."""
        parts = text.split("-")
        if len(parts) != 5 or any(len(p) < 16 or p.strip("0123456789abcdef") for p in parts):
            return None
        return cls(*parts)


def identify(
    spec: ModelSpec, launch: Launch, props: Mapping[str, Any], lora: Sequence[Mapping[str, Any]]
) -> Identity:
    """Of a process that says ``props`` of itself, for requests with the scales ``lora``."""
    on = [(spec.adapters[one["id"]].digest, one["scale"]) for one in lora if one["scale"]]
    running = launch.running
    ways = [
        build_of(launch.binary),
        props.get("build_info"),
        hashlib.sha256(str(props.get("chat_template")).encode()).hexdigest(),
        running.cache_type,
        running.flash_attention,
        launch.gpu_layers,
    ]
    # Another format of the same weights answers under the same digest from another file.
    file = Path(spec.path)
    served = f"{file.name} {file.stat().st_size}"
    return Identity(spec.digest, served, json.dumps(sorted(on)) if on else "", json.dumps(ways))


@cache
def build_of(binary: str) -> str:
    """Which build of the engine it is; a binary that is built anew is another one."""
    if not binary:
        from importlib.metadata import version

        return f"xllamacpp {version('xllamacpp')}"
    found = Path(binary).stat()
    return f"{binary} {found.st_size} {found.st_mtime_ns}"


def tag(secret: bytes, *of: object) -> str:
    """32 characters that only ``of`` gives, and only with ``secret``."""
    said = json.dumps(of, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if not secret:
        return hashlib.sha256(said).hexdigest()[:32]
    return hmac.new(secret, said, hashlib.sha256).hexdigest()[:32]


def name(secret: bytes, identity: Identity, head: str, tokens: Sequence[int], owner: str) -> Name:
    """The name of the state of ``tokens``, with which a prompt that has ``head`` begins."""
    return Name(
        model_tag(secret, identity.model),
        tag(secret, "adapters", identity.adapters) if identity.adapters else NOBODY,
        head_tag(secret, identity, head),
        tag(secret, "tokens", *asdict(identity).values(), list(tokens)),
        owner_tag(secret, owner) if owner else NOBODY,
    )


def head_tag(secret: bytes, identity: Identity, head: str) -> str:
    """The tag of what a state begins with."""
    return tag(secret, "head", *asdict(identity).values(), head)


def model_tag(secret: bytes, digest: str) -> str:
    """The tag of a model, in whatever format it is served."""
    return tag(secret, "model", digest)


def owner_tag(secret: bytes, pin: str) -> str:
    """The tag of a pin."""
    return tag(secret, "owner", pin)
