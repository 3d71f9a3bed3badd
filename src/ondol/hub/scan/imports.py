"""Fields of configurations that name code: libraries import what stands there, or fetch it first.

transformers reads ``auto_map`` and takes an attention of the form ``owner/name`` from the internet;
diffusers imports the library of every part in ``model_index.json``, sentence-transformers each type
in ``modules.json``. Raises ``Refused``.
"""

from __future__ import annotations

import re
from typing import Any

from ondol.hub.scan.refused import Refused

_FIELDS = frozenset(
    ("auto_map", "custom_pipelines", "trust_remote_code", "custom_code", "custom_generate")
)
_ATTENTION = re.compile(r"_?(?:attn|experts)_implementation(?:_internal)?")
_PARTS = frozenset((None, "diffusers", "transformers", "stable_diffusion", "onnxruntime"))
"""Libraries of the parts of a pipeline; the third is diffusers' old name of its own checker."""
_TYPE = re.compile(r"sentence_transformers(?:\.[A-Za-z_]\w*)+", re.ASCII)
_FOLDER = re.compile(r"(?:[A-Za-z0-9][\w.-]*)?", re.ASCII)


def check(name: str, content: Any) -> None:
    """Refuse ``content``, the JSON of the file ``name`` (without its folder), if it names code."""
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            for key, value in one.items():
                if (key in _FIELDS and value) or (_ATTENTION.fullmatch(key) and _is_away(value)):
                    raise Refused("remote_code", field=key)
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    if name == "model_index.json":
        _pipeline(content)
    elif name == "modules.json":
        _modules(content)


def _is_away(value: Any) -> bool:
    """Whether it is a repository's name: such a kernel would be fetched and loaded."""
    found = value.values() if isinstance(value, dict) else [value]
    return any(isinstance(one, str) and ("/" in one or ":" in one) for one in found)


def _pipeline(content: Any) -> None:
    """Parts are pairs of a library and a class."""
    if not isinstance(content, dict):
        raise Refused("bad_json")
    for key, value in content.items():
        if isinstance(value, list) and (key == "_class_name" or _is_foreign(value)):
            raise Refused("remote_code", field=key if key.isidentifier() else "model_index.json")


def _is_foreign(part: list[Any]) -> bool:
    is_pair = len(part) == 2 and all(one is None or isinstance(one, str) for one in part)
    return is_pair and part[0] not in _PARTS


def _modules(content: Any) -> None:
    if not isinstance(content, list):
        raise Refused("bad_json")
    for one in content:
        said = one if isinstance(one, dict) else {}
        kind, folder = said.get("type"), said.get("path", "")
        if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
            raise Refused("remote_code", field="type")
        if not isinstance(folder, str) or not _FOLDER.fullmatch(folder) or ".." in folder:
            raise Refused("remote_code", field="path")
