"""What both foreign dialects share: models by name, limits, embeddings, log probabilities.

Turns what a client may ask into what the parts can do, and refuses the rest in a sentence
(``UsageError`` naming the field, ``ModelNotFoundError``). Knows nothing about HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ondol import callers
from ondol.errors import ModelNotFoundError, UsageError
from ondol.i18n import t
from ondol.models.made import LONGEST_STOP, MOST_STOPS
from ondol.types import Alternative, Role, Token

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ondol.models.store import Model
    from ondol.parts import Parts

Count = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Real = Annotated[float, Field(ge=-1e6, le=1e6)]
Stop = str | list[str] | None

MAX_TOP_LOGPROBS = 20
EMBED_BATCH = 32
# Trained so that the first values of a vector are a good vector themselves (arXiv 2205.13147).
MATRYOSHKA_FAMILIES = ("gemma-embedding", "nomic-bert", "nomic-bert-moe", "qwen3")

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


def find(parts: Parts, name: str) -> Model:
    """The model a client names, with its adapters in ``model:adapter``; no tag means ``:latest``.
    One that the caller's key is not for is not there."""
    from ondol.models import scales

    if not name.strip():
        raise UsageError(t("server.model_required"), param="model")
    try:
        found = scales.as_model(parts.adapters, name)
    except ModelNotFoundError:
        found = None
    if found is None or not callers.current().may_use(found.name) or not may_hear(parts, found):
        # Clients look for these very words.
        raise ModelNotFoundError(t("server.model_not_found", model=name))
    return found


def may_hear(parts: Parts, model: Model) -> bool:
    """Whether the caller may use an adapter of ``model`` that learned from all that its owner
    wrote: who may not read all of that may only where its key names this very model."""
    from ondol.models import scales

    caller = callers.current()
    if caller.collections is None or model.name in (caller.models or ()):
        return True
    if model.made is not None and model.made.adapter:
        here = {one.name: one for one in parts.adapters.usable(model)}
        own = here.get(model.made.adapter)
        if own is not None and own.private:
            return False
    return not any(one.private for one, scale in scales.of(parts.adapters, model.name)[1])


def installed(parts: Parts) -> list[tuple[Model, str]]:
    """Every model that the caller may use, those that can chat first, then newest first, each
    followed by itself with one of its adapters; with the name of the model that it was made from.

    Many clients chat with the first of a list, so that is never an adapter or an embedder, however
    new. Adapters on trial are only for who names them.
    """
    from ondol.models.adapters import as_model

    found = []
    for model in sorted(parts.store.list(), key=lambda one: "completion" not in one.capabilities):
        if not (callers.current().may_use(model.name) and may_hear(parts, model)):
            continue
        usable = [one for one in parts.adapters.usable(model) if not one.is_candidate]
        named = [as_model(model, one) for one in usable]
        found += [(model, ""), *((one, model.name) for one in named if may_hear(parts, one))]
    return found


def find_able(parts: Parts, name: str, capability: str, deed: str) -> Model:
    """The model a client names, if it can do what is asked."""
    model = find(parts, name)
    if capability not in model.capabilities:
        raise cannot(name, deed)
    return model


def cannot(model: str, deed: str, param: str = "model") -> UsageError:
    """``"<model>" does not support <deed>``."""
    return UsageError(t("server.unsupported", model=model, deed=deed), param=param)


def role_of(role: str, param: str = "messages") -> Role:
    """Our name of a client's role."""
    if role not in _ROLES:
        raise UsageError(t("server.bad_role", role=role[:40]), param=param)
    return _ROLES[role]


def stops(stop: Stop) -> tuple[str, ...]:
    """A string or a list as the engine wants it; an empty stop would stop everything."""
    found = tuple(s for s in ([stop] if isinstance(stop, str) else stop or []) if s)
    if len(found) > MOST_STOPS or any(len(one) > LONGEST_STOP for one in found):
        told = t("making.too_many_stops", most=MOST_STOPS, letters=LONGEST_STOP)
        raise UsageError(told, param="stop")
    return found


def limit_of(max_tokens: int | None) -> int | None:
    """No, or a negative, limit means until the model stops or its context is full."""
    return max_tokens if max_tokens is not None and max_tokens > 0 else None


def seed_of(seed: int | None) -> int | None:
    """A negative seed means a random one; the engine's seeds have 31 bits."""
    return seed % 2**31 if seed is not None and seed >= 0 else None


def alternatives(wanted: bool, top: int | None) -> int | None:
    """How many alternatives per token the engine should report, if any."""
    if top is not None and not 0 <= top <= MAX_TOP_LOGPROBS:
        message = t("server.bad_top_logprobs", maximum=MAX_TOP_LOGPROBS)
        raise UsageError(message, param="top_logprobs")
    return (top or 0) if wanted else None


def logprobs_of(token: Token) -> list[dict[str, Any]]:
    """The entry for one token, as both dialects write it; none where nothing was chosen."""
    if token.logprob is None:
        return []
    chosen = _entry(Alternative(token.text, token.logprob))
    return [chosen | {"top_logprobs": [_entry(a) for a in token.top]}]


def _entry(token: Alternative) -> dict[str, Any]:
    return {
        "token": token.text,
        # Minus infinity is not JSON; OpenAI writes this instead.
        "logprob": max(token.logprob, -9999.0),
        "bytes": list(token.text.encode("utf-8", "surrogatepass")),
    }


@dataclass(frozen=True, slots=True)
class Embedded:
    """Unit vectors of some texts, shape (n, dimensions), and what they cost. ``cut`` are the places
    of the texts that were too long, and lost ``lost_tokens`` together."""

    vectors: npt.NDArray[np.float32]
    tokens: int
    cut: tuple[int, ...] = ()
    lost_tokens: int = 0


def embed(
    parts: Parts,
    name: str,
    texts: Sequence[str],
    *,
    dimensions: int | None = None,
    truncate: bool = True,
    keep_alive_seconds: float | None = None,
) -> Iterator[Embedded]:
    """Batch by batch, so that it can be stopped."""
    model = find_able(parts, name, "embedding", t("server.deed_embeddings"))
    embedder = _embedder(parts, model, keep_alive_seconds)
    for start in range(0, len(texts), EMBED_BATCH):
        batch = list(texts[start : start + EMBED_BATCH])
        counts = [embedder.count_tokens(text) for text in batch]
        limit = min(model.context_length or 2**31, parts.config["engine.num_ctx"])
        cut = tuple(start + place for place, count in enumerate(counts) if count > limit)
        lost = sum(count - limit for count in counts if count > limit)
        if cut:
            if not truncate:
                raise UsageError(t("server.input_too_long", maximum=limit), param="input")
            batch = [_fitting(text, embedder, limit) for text in batch]
            counts = [min(count, limit) for count in counts]
        vectors = _shorten(embedder.embed(batch), dimensions, model)
        yield Embedded(vectors, sum(counts), cut, lost)


def _embedder(parts: Parts, model: Model, keep_alive_seconds: float | None) -> Any:
    if model.format == "gguf":
        return parts.pool.engine(model.name, keep_alive_seconds=keep_alive_seconds)
    if model.digest == parts.store.get(parts.config["models.embedding"]).digest:
        return parts.embedder
    return parts.onnx_embedder(model)


def _fitting(text: str, embedder: Any, limit: int) -> str:
    """The longest beginning of ``text`` that a few guesses find to fit, specials included."""
    while (count := embedder.count_tokens(text) + 2) > limit and text:
        text = text[: min(len(text) - 1, len(text) * limit // count)]
    return text


def _shorten(
    vectors: npt.NDArray[np.float32], dimensions: int | None, model: Model
) -> npt.NDArray[np.float32]:
    import numpy as np

    full = vectors.shape[1]
    if dimensions is None or dimensions == full:
        return vectors
    if not 0 < dimensions < full or model.family not in MATRYOSHKA_FAMILIES:
        message = t("server.fixed_dimensions", model=model.name, dimensions=full)
        raise UsageError(message, param="dimensions")
    short = vectors[:, :dimensions]
    unit: npt.NDArray[np.float32] = short / np.maximum(
        np.linalg.norm(short, axis=1, keepdims=True), 1e-12
    )
    return unit
