"""``echo`` with ``logprobs``: the prompt's own tokens and how likely each was, before the answer's.

That is what lm-evaluation-harness reads log-likelihoods from. Every token of a prompt costs the
engine a step, so a request may have so many only. Raises ``UsageError``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.server.openai.requests import CompletionRequest

if TYPE_CHECKING:
    from ondol.engine.scoring import Known, Scored
    from ondol.types import GenerateOptions, Token

MOST_TOKENS = 16384
"""At 30 to 60 a second on two cores, four to nine minutes."""

LEAST = -9999.0
"""Minus infinity is not JSON; OpenAI writes this instead."""

Prompt = str | list[int]


@dataclass(slots=True)
class Echo:
    """One prompt, ``scored`` once its answer begins, with at most ``top`` alternatives each."""

    prompt: Prompt
    top: int
    known: Known
    scored: list[Scored] = field(default_factory=list)

    def start(self, engine: Any, options: GenerateOptions) -> Iterator[Token]:
        """The answer's tokens; what comes before them goes to ``scored``."""
        answered: Iterator[Token] = engine.echo(self.prompt, options, self.scored, self.known)
        return answered

    def logprobs(self, text: str) -> dict[str, list[Any]]:
        """In OpenAI's legacy shape; ``text`` is the prompt's."""
        offsets = _offsets([one.text for one in self.scored], text)
        return {
            "tokens": [shown(one.text) for one in self.scored],
            "token_logprobs": [_finite(one.logprob) for one in self.scored],
            "top_logprobs": [_tops(one, self.top) for one in self.scored],
            "text_offset": offsets,
        }


def wants_scores(body: CompletionRequest) -> bool:
    """Whether the request asks for more than the prompt's text before the answer's."""
    return body.echo and body.logprobs is not None


def echoes(
    body: CompletionRequest,
    prompts: Sequence[Prompt],
    each: int,
    count_tokens: Callable[[str], int],
) -> list[Echo]:
    """One for each answer to each prompt. What several prompts begin with is scored once."""
    for name in ("stream", "suffix"):
        if getattr(body, name):
            raise UsageError(t("openai.echo_alone", field=name), param=name)
    counts = (count_tokens(one) if isinstance(one, str) else len(one) for one in prompts)
    total = sum(counts) * each
    if total > MOST_TOKENS:
        told = t("openai.echo_too_long", tokens=total, most=MOST_TOKENS)
        raise UsageError(told, t("openai.echo_too_long_hint"), param="prompt")
    known: Known = {}
    return [Echo(one, body.logprobs or 0, known) for one in prompts for _ in range(each)]


def shown(text: bytes) -> str:
    """A token as text, or, where it is no letter of its own, as OpenAI writes its bytes."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in text)


def _tops(scored: Scored, top: int) -> Mapping[str, float] | None:
    """The likeliest, and always the token itself: who asks whether it was the likeliest compares
    its own figure with theirs."""
    if scored.logprob is None:
        return None
    own = {shown(scored.text): _finite(scored.logprob)}
    others = {shown(one.text): _finite(one.logprob) for one in scored.top[:top]}
    return {**others, **own}


def _finite(logprob: float | None) -> Any:
    return None if logprob is None else max(logprob, LEAST)


def _offsets(pieces: Sequence[bytes], text: str) -> list[int]:
    """Where each token begins in ``text``. Some vocabularies begin every text with a space that is
    not in it, and a mark of a text's beginning is no letter of it."""
    joined, found = b"", []
    for piece in pieces:
        found.append(len(joined.decode("utf-8", "ignore")))
        joined += piece
    whole = joined.decode("utf-8", "ignore")
    shift = 1 if whole.startswith(" ") and whole[1:] == text else 0
    return [min(max(0, offset - shift), len(text)) for offset in found]
