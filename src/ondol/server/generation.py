"""What both foreign dialects share: models by name, limits, embeddings, log probabilities.

Turns what a client may ask into what the parts can do, and refuses the rest in a sentence
(``UsageError`` naming the field, ``ModelNotFoundError``). Knows nothing about HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ondol.errors import ContextLengthError, ModelNotFoundError, UsageError
from ondol.i18n import t
from ondol.types import Alternative, Engine, GenerateOptions, Message, Role, Token

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
    """The model a client names, with its adapter in ``model:adapter``; no tag means ``:latest``."""
    from ondol.models.adapters import as_model

    if not name.strip():
        raise UsageError(t("server.model_required"), param="model")
    try:
        return as_model(*parts.adapters.resolve(name))
    except ModelNotFoundError:
        # Clients look for these very words.
        raise ModelNotFoundError(t("server.model_not_found", model=name)) from None


def installed(parts: Parts) -> list[tuple[Model, str]]:
    """Every model, newest first, each followed by itself with one of its adapters; with the name of
    the model that it was made from, if any.

    Many clients chat with the first of a list, so an adapter is never that, however new. Adapters
    on trial are only for who names them.
    """
    from ondol.models.adapters import as_model

    found = []
    for model in parts.store.list():
        usable = [one for one in parts.adapters.usable(model) if not one.is_candidate]
        found += [(model, ""), *((as_model(model, one), model.name) for one in usable)]
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
    return tuple(s for s in ([stop] if isinstance(stop, str) else stop or []) if s)


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


class FittingChat:
    """A chat that forgets its oldest turns until it fits, as Ollama's does by default."""

    def __init__(
        self, engine: Engine, messages: Sequence[Message], options: GenerateOptions
    ) -> None:
        self._engine = engine
        self._messages = list(messages)
        self._options = options
        self._begun = False
        self._tokens = engine.generate(self._messages, options)

    def __iter__(self) -> Iterator[Token]:
        return self

    def __next__(self) -> Token:
        while True:
            try:
                token = next(self._tokens)
            except ContextLengthError:
                if self._begun or not self._forget():
                    raise
            else:
                self._begun = True
                return token

    def close(self) -> None:
        """Stop the generation; any thread may."""
        self._tokens.close()  # type: ignore[attr-defined]

    def _forget(self) -> bool:
        turns = [i for i, m in enumerate(self._messages[:-1]) if m.role != "system"]
        if not turns:
            return False
        # The whole exchange: many templates refuse a conversation that begins with an answer.
        is_user = [self._messages[i].role == "user" for i in turns]
        length = next((n for n in range(1, len(turns)) if is_user[n]), len(turns))
        for index in reversed(turns[:length]):
            del self._messages[index]
        self._tokens = self._engine.generate(self._messages, self._options)
        return True


@dataclass(frozen=True, slots=True)
class Embedded:
    """Unit vectors of some texts, shape (n, dimensions), and what they cost."""

    vectors: npt.NDArray[np.float32]
    tokens: int


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
        if max(counts) > limit:
            if not truncate:
                raise UsageError(t("server.input_too_long", maximum=limit), param="input")
            batch = [_fitting(text, embedder, limit) for text in batch]
            counts = [min(count, limit) for count in counts]
        yield Embedded(_shorten(embedder.embed(batch), dimensions, model), sum(counts))


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
