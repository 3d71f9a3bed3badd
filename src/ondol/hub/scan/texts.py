"""Texts and JSON: sizes, characters, and what configurations and tokenizers may say.

A configuration is data, but some of its fields name code that libraries import: those are refused.
Raises ``Refused``.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any

from ondol.hub.scan import imports, kinds, templates
from ondol.hub.scan.refused import Refused
from ondol.models.gguf_reader import shown

MAX_TEXT_BYTES = 64 * 2**20
MAX_TOML_BYTES = 2**20
MAX_LINE_BYTES = 2**20
MAX_TOKENIZER_BYTES = 48 * 2**20
"""That of a vocabulary of 260 000 tokens has 33 MB."""
MAX_JSON_BYTES = 16 * 2**20
MAX_PATTERN_CHARACTERS = 8192
_TOKENS = re.compile(r"\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|\{\d*,?\d*\}|.", re.DOTALL)
"""An escape, a class, a count, or one character of a regular expression."""
_ENDLESS = re.compile(r"\{\d*,\}")
MAX_TOKENS = 2**22
MAX_RANK = 4096
MAX_ALPHA = 2.0**20

# A terminal obeys these; tabs, ends of lines and pages are what texts are made of.
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_LIBRARIES = ("transformers", "diffusers")
# Numbers of a configuration of transformers that sizes and divisors come from.
_SIZES = {
    "hidden_size": (1, 2**20),
    "num_hidden_layers": (1, 4096),
    "num_attention_heads": (1, 2**14),
    "num_key_value_heads": (1, 2**14),
    "head_dim": (1, 2**16),
    "intermediate_size": (0, 2**24),
    "vocab_size": (1, 2**24),
    "max_position_embeddings": (1, 2**31 - 1),
    "num_experts": (0, 2**12),
    "num_local_experts": (0, 2**12),
}

Facts = dict[str, Any]


def read(descriptor: int, most_bytes: int) -> str:
    """The text in the file: UTF-8, without signs that steer a terminal, and no pickle."""
    size = os.fstat(descriptor).st_size
    if size > most_bytes:
        raise Refused("too_large", megabytes=most_bytes // 2**20)
    data = b"".join(_pieces(descriptor))
    if _CONTROLS.search(data):
        raise Refused("not_text")
    if kinds.is_pickle(data):
        raise Refused("kind_pickle", what="pickle")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("not_text") from None


def look(kind: str, name: str, descriptor: int) -> Facts:
    """What is known of the file ``name`` of the kind "text", "toml", "jsonl", "template" or
    "json"."""
    match kind:
        case "json":
            return _json(name, descriptor)
        case "toml":
            _toml(read(descriptor, MAX_TOML_BYTES))
        case "jsonl":
            for line in read(descriptor, MAX_TEXT_BYTES).splitlines():
                if len(line) > MAX_LINE_BYTES:
                    raise Refused("bad_json")
                if line.strip():
                    _parsed(line)
        case "template":
            if refused := templates.look(read(descriptor, MAX_TEXT_BYTES)):
                raise refused
        case _:
            read(descriptor, MAX_TEXT_BYTES)
    return {}


def _toml(text: str) -> None:
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError):
        raise Refused("bad_toml") from None


def _json(name: str, descriptor: int) -> Facts:
    base = kinds.plain(name)
    is_tokenizer = base in ("tokenizer.json", "vocab.json")
    content = _parsed(read(descriptor, MAX_TOKENIZER_BYTES if is_tokenizer else MAX_JSON_BYTES))
    if is_tokenizer:
        _tokenizer(content if base == "tokenizer.json" else {"model": {"vocab": content}})
        return {}
    imports.check(base, content)
    match base:
        case "config.json":
            _sizes(_object(content))
        case "adapter_config.json":
            return _adapter(_object(content))
        case _ if base.endswith(".safetensors.index.json"):
            return {"shards": _shards(_object(content))}
        case "tokenizer_config.json" | "chat_template.json" | "processor_config.json":
            for main, source in _sources(_object(content).get("chat_template")):
                if refused := templates.look(source, is_main=main):
                    raise refused
        case _:
            pass
    return {}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise Refused("bad_json") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate")
    return found


def _object(content: Any) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise Refused("bad_json")
    return content


def _sizes(content: Mapping[str, Any]) -> None:
    parts = [content, *(value for value in content.values() if isinstance(value, dict))]
    for part in parts:
        for field, (least, most) in _SIZES.items():
            value = part.get(field)
            if value is None:
                continue
            values = value if isinstance(value, list) else [value]
            if not all(type(one) is int and least <= one <= most for one in values):
                raise Refused("bad_number", field=field, least=least, most=most)


def _adapter(content: Mapping[str, Any]) -> Facts:
    """PEFT's: it imports what ``megatron_core`` and ``parent_library`` name."""
    if content.get("peft_type") != "LORA":
        raise Refused("bad_adapter_config", field="peft_type")
    library = (content.get("auto_mapping") or {}).get("parent_library") or "transformers"
    if content.get("megatron_config") or str(library).split(".")[0] not in _LIBRARIES:
        raise Refused("remote_code", field="megatron_config, auto_mapping")
    r, alpha = content.get("r"), content.get("lora_alpha")
    pattern = content.get("rank_pattern") or {}
    ranks = [r, *pattern.values()] if isinstance(pattern, dict) else [None]
    if not all(type(one) is int and 0 < one <= MAX_RANK for one in ranks):
        raise Refused("bad_number", field="r", least=1, most=MAX_RANK)
    if type(alpha) not in (int, float) or not 0 < float(alpha or 0) <= MAX_ALPHA:
        raise Refused("bad_number", field="lora_alpha", least=0, most=int(MAX_ALPHA))
    return {"config_ranks": sorted(set(ranks)), "lora_alpha": float(alpha or 0)}


def _shards(content: Mapping[str, Any]) -> list[str]:
    """The files that the weights lie in: beside this one, and nowhere else."""
    found = content.get("weight_map")
    if not isinstance(found, dict) or not found:
        raise Refused("bad_index")
    shards = {one for one in found.values() if isinstance(one, str)}
    plain = all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors", one) for one in shards)
    if not plain or not all(isinstance(one, str) for one in found.values()):
        raise Refused("bad_index")
    return sorted(shards)


def _sources(template: Any) -> Iterator[tuple[bool, str]]:
    """Whether it is the main one, and the source, of all templates of a tokenizer."""
    if isinstance(template, str):
        yield True, template
    elif isinstance(template, list):
        for one in template:
            if not isinstance(one, dict) or not isinstance(one.get("template"), str):
                raise Refused("bad_json")
            yield one.get("name") == "default", one["template"]
    elif template is not None:
        raise Refused("bad_json")


def _tokenizer(content: Any) -> None:
    model = _object(content).get("model")
    if not isinstance(model, dict):
        raise Refused("bad_tokenizer", field="model")
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        _numbers(vocabulary.values(), "vocab")
    elif isinstance(vocabulary, list):
        if not all(_is_scored(one) for one in vocabulary) or len(vocabulary) > MAX_TOKENS:
            raise Refused("bad_tokenizer", field="vocab")
    else:
        raise Refused("bad_tokenizer", field="vocab")
    added = content.get("added_tokens") or []
    if not isinstance(added, list) or not all(isinstance(one, dict) for one in added):
        raise Refused("bad_tokenizer", field="added_tokens")
    _numbers([one.get("id") for one in added], "added_tokens")
    for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        _patterns(content.get(name), name)


def _numbers(found: Iterable[Any], field: str) -> None:
    """Tokens' numbers: as many, and none of them twice."""
    numbers = list(found)
    sane = all(type(one) is int and 0 <= one < MAX_TOKENS for one in numbers)
    if not sane or len(set(numbers)) != len(numbers):
        raise Refused("bad_tokenizer", field=field)


def _is_scored(one: Any) -> bool:
    return (
        isinstance(one, list)
        and len(one) == 2
        and isinstance(one[0], str)
        and isinstance(one[1], int | float)
        and isfinite(one[1])
    )


def _patterns(part: Any, field: str) -> None:
    """Regular expressions run on all that is asked; no published one has a tenth of that."""
    waiting = [part]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            pattern = one.get("Regex")
            if isinstance(pattern, str) and (
                len(pattern) > MAX_PATTERN_CHARACTERS or repeats_a_repeat(pattern)
            ):
                raise Refused("bad_tokenizer", field=shown(field))
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def repeats_a_repeat(pattern: str) -> bool:
    """Whether ``pattern`` has a group that repeats without end and holds what does too, like
    ``(a+)+``: such may take a time that doubles with each character. No published tokenizer has
    one; possessive repeats and atomic groups, which cannot, are taken for others all the same."""
    holds = [False]  # of each group that is open, whether it holds an endless repeat
    closed = False  # whether what was read last is a group that does
    for token in _TOKENS.findall(pattern):
        if token.startswith("("):
            holds.append(False)
        elif token == ")" and len(holds) > 1:
            closed = holds.pop()
            holds[-1] |= closed
            continue
        elif token in ("*", "+") or _ENDLESS.fullmatch(token):
            if closed:
                return True
            holds[-1] = True
        closed = False
    return False


def _pieces(descriptor: int) -> Iterator[bytes]:
    at = 0
    while piece := os.pread(descriptor, 1 << 20, at):
        yield piece
        at += len(piece)
