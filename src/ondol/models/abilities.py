"""What a GGUF model can do beyond answering, read from its own files: its capabilities, in Ollama's
words ("completion", "tools", "thinking", "vision", "insert").

Only what is served is named. Tools are called under constraint by every model that has a chat
template; an image needs a projector, insertion the tokens that a model was trained with for it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from ondol import chat_template
from ondol.errors import OndolError
from ondol.models.fim import WORDS
from ondol.models.gguf import GgufHeader, read_header
from ondol.models.manifest import CAPABILITIES, Model

# llama.cpp's keys, the older ones too.
_IDS = (("fim_pre", "prefix"), ("fim_suf", "suffix"), ("fim_mid", "middle"))


def capabilities(header: GgufHeader, projector: GgufHeader | None = None) -> tuple[str, ...]:
    """Of the model with ``header`` and, where it has one, its ``projector``."""
    if header.kind != "chat":
        return (CAPABILITIES["embedding" if header.kind == "embedding" else "reranker"],)
    found = ["completion"]
    if source := header.chat_template:
        found.append("tools")
        if chat_template.read(source).thinks:
            found.append("thinking")
    if projector is not None:
        found += ["vision"] if _sees(projector) else []
    words = _words(header)
    if all(_declares(header, names) or names[0] in words for names in _IDS):
        found.append("insert")
    return tuple(found)


def able(model: Model, weights: Path) -> Model:
    """``model`` with what it can do, where it was installed before that was written down."""
    if model.format != "gguf" or model.capabilities != ("completion",):
        return model
    return replace(model, capabilities=_read(weights))


@lru_cache(maxsize=256)
def _read(weights: Path) -> tuple[str, ...]:
    # A blob is named after its content, so it is read once.
    try:
        found = capabilities(read_header(weights))
    except OndolError:
        return ("completion",)
    return found if "completion" in found else ("completion",)


def _declares(header: GgufHeader, names: tuple[str, ...]) -> bool:
    return any(f"tokenizer.ggml.{name}_token_id" in header.metadata for name in names)


def _words(header: GgufHeader) -> set[str]:
    """The tokens for filling in that its vocabulary has, by their texts."""
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    short = tokens if isinstance(tokens, tuple) else ()
    return set(header.fim_words) | {WORDS.get(str(token).encode(), "") for token in short}


def _sees(projector: GgufHeader) -> bool:
    """Whether it translates images, and not only sound; older ones do not say, and see."""
    says = [projector.metadata.get(f"clip.has_{one}_encoder") for one in ("vision", "audio")]
    return bool(says[0]) or not any(says)
