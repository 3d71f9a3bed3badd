"""Engines of models that were made from others: what such a model was made with goes into every
request, whoever sends it and in whatever dialect.

Its options are defaults under those of a request. Its system message and its examples stand before
a conversation that brings no system message of its own. Where it has a glossary, what that says of
the terms in the last question stands before the question; where documents are asked, the documents
say what there is to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ondol.answering import about_tokens, merge
from ondol.models import glossary
from ondol.models.glossary import Glossary
from ondol.models.made import Made
from ondol.prompt import is_grounded
from ondol.types import Engine, GenerateOptions, Message, Role, Token

if TYPE_CHECKING:
    from pathlib import Path

    from ondol.models.store import Model, ModelStore

E = TypeVar("E", bound=Engine)

NO_TERMS = Glossary()


def options_of(made: Made) -> GenerateOptions:
    """The options that a model was made with."""
    given = dict(made.parameters)
    given.pop("num_ctx", None)  # how it is loaded, not how it answers
    limit = given.pop("num_predict", None)
    seed = given.pop("seed", -1)
    return GenerateOptions(
        **{**given, "stop": tuple(given.get("stop", ()))},
        max_tokens=limit if limit is not None and limit > 0 else None,
        seed=seed % 2**31 if seed >= 0 else None,
    )


def messages_of(made: Made) -> tuple[Message, ...]:
    """What stands before a conversation."""
    system = [Message("system", made.system)] if made.system else []
    return (*system, *(Message(cast(Role, role), text) for role, text in made.messages))


def laid_over(engine: E, name: str, model: Model, store: ModelStore, glossary_tokens: int) -> E:
    """``engine`` as ``model`` was made from it; the engine itself where it was not."""
    if model.made is None:
        return engine
    file = model.file(glossary.ROLE)
    terms = terms_in(store.blobs.path(file.digest)) if file and glossary_tokens else NO_TERMS
    return cast(E, PresetEngine(engine, name, model.made, terms, glossary_tokens))


@lru_cache(maxsize=16)
def terms_in(blob: Path) -> Glossary:
    """The glossary in a blob, which is named after its content and so read once."""
    return glossary.read(blob)


class PresetEngine:
    """``engine`` with what the model ``name`` was made with; all else is the engine's own. Of the
    glossary ``terms`` at most ``glossary_tokens`` go into a prompt."""

    def __init__(
        self,
        engine: Engine,
        name: str,
        made: Made,
        terms: Glossary = NO_TERMS,
        glossary_tokens: int = 0,
    ) -> None:
        self._engine = engine
        self._terms = terms
        self._glossary_tokens = glossary_tokens
        self._options = options_of(made)
        self._before = messages_of(made)
        self.model = name

    def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[Token]:
        return self._engine.generate(self._begun(messages), self._over(options))

    def complete(self, prompt: str, options: GenerateOptions) -> Iterator[Token]:
        return self._engine.complete(prompt, self._over(options))

    def score(
        self, messages: Sequence[Message], reply: str, options: GenerateOptions | None = None
    ) -> list[float]:
        return cast(list[float], self._own.score(self._begun(messages), reply, options))

    def infill(self, prefix: str, suffix: str, options: GenerateOptions) -> Any:
        return self._own.infill(prefix, suffix, self._over(options))

    def echo(self, prompt: Any, options: GenerateOptions, *how: Any) -> Any:
        return self._own.echo(prompt, self._over(options), *how)

    def prompt_tokens(self, messages: Sequence[Message], *how: Any) -> Any:
        return self._own.prompt_tokens(self._begun(messages), *how)

    def apply_template(self, messages: Sequence[Message], *how: Any) -> Any:
        return self._own.apply_template(self._begun(messages), *how)

    @property
    def prepare(self) -> Callable[..., Any] | None:
        """Reads ahead what its chats begin with; None where the engine keeps nothing."""
        reads = getattr(self._engine, "prepare", None)
        return None if reads is None else partial(self._prepare, reads)

    def _prepare(
        self,
        reads: Callable[..., Any],
        messages: Sequence[Message],
        options: GenerateOptions | None = None,
        **how: Any,
    ) -> Any:
        return reads(self._begun(messages), self._over(options or GenerateOptions()), **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    @property
    def _own(self) -> Any:
        return self._engine

    def _over(self, options: GenerateOptions) -> GenerateOptions:
        # What a request stops at stands in the place of what the model was made to stop at.
        stop = options.stop or self._options.stop
        return replace(merge(self._options, options), stop=stop)

    def _begun(self, messages: Sequence[Message]) -> list[Message]:
        has_system = any(message.role == "system" for message in messages)
        return self._explained([*(() if has_system else self._before), *messages])

    def _explained(self, messages: list[Message]) -> list[Message]:
        """With what the glossary says before the last question. There and not at the beginning:
        what was said before stays in the cache, and small models read it better."""
        asked = [place for place, one in enumerate(messages) if one.role == "user"]
        if not self._terms.terms or not asked or is_grounded(messages):
            return messages
        question = messages[asked[-1]]
        said = self._terms.for_prompt(
            question.content, max_tokens=self._glossary_tokens, count_tokens=about_tokens
        )
        if said:
            messages[asked[-1]] = replace(question, content=f"{said}\n\n{question.content}")
        return messages
