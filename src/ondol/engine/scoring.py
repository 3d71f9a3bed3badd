"""How likely a model finds a text that is given: the log-probability of each of its tokens.

llama-server tells probabilities of what it generates only. So each token is forced by a bias on its
logit, and what is reported beside it is the probability before any bias, exactly that of a pass
over the whole text (a grammar of token ids gives the same numbers at three times the cost). The
prompt's cache makes one token of work of each request. Of a token that ends within a letter, as in
scripts that a vocabulary breaks into bytes, it reports nothing; such a one is looked for among the
likeliest ``ALTERNATIVES`` beside another, and counts as the last of them where it is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ondol.chat_dialect import sendable
from ondol.engine.chatting import opening
from ondol.engine.dialect import llama_extras
from ondol.engine.request import Wire
from ondol.engine.wire import Garbled
from ondol.types import Message

# Above the difference of any two logits, and far from what a float32 cannot hold.
FORCING = 1e6
ALTERNATIVES = 1000


def score(wire: Wire, messages: Sequence[Message], reply: str) -> list[float]:
    """The natural-log probability of each token of ``reply``, and of its end, as the model's turn
    after ``messages``, with the adapters of the wire's options. Raises what the wire raises."""
    prompt = _tokens(wire, opening(wire, messages).prompt, special=True)
    said = _tokens(wire, sendable(reply), special=False) + _end(wire)
    return [_logprob(wire, [*prompt, *said[:place]], token) for place, token in enumerate(said)]


def score_text(wire: Wire, text: str, every: int = 1) -> list[float]:
    """The same for plain text, without a template: of every so many of its tokens."""
    said = _tokens(wire, sendable(text), special=True)
    return [_logprob(wire, said[:place], said[place]) for place in range(every, len(said), every)]


def _tokens(wire: Wire, text: str, *, special: bool) -> list[int]:
    body = {"content": text, "add_special": special, "parse_special": special}
    return [int(token) for token in wire.ask("/tokenize", body)["tokens"]]


def _end(wire: Wire) -> list[int]:
    """The token that ends a turn; none where it is not one token."""
    text = str(wire.ask("/props").get("eos_token") or "")
    body = {"content": text, "add_special": False, "parse_special": True}
    found = [int(token) for token in wire.ask("/tokenize", body)["tokens"]] if text else []
    return found if len(found) == 1 else []


def _logprob(wire: Wire, prompt: Sequence[int], token: int) -> float:
    step = _forced(wire, prompt, token, 1)
    if step is None:
        whole = _tokens(wire, ".", special=False)[0]
        step = _forced(wire, prompt, whole, ALTERNATIVES) or {}
    try:
        if step["id"] == token:
            return float(step["logprob"])
        known = {int(other["id"]): float(other["logprob"]) for other in step["top_logprobs"]}
        return known.get(token, min(known.values()))
    except (KeyError, TypeError, ValueError):
        raise Garbled from None


def _forced(wire: Wire, prompt: Sequence[int], token: int, top: int) -> dict[str, Any] | None:
    """What is told of the next token when it has to be ``token``: its probability without that, and
    those of the ``top`` likeliest. None where nothing is told."""
    body: dict[str, Any] = {
        "prompt": prompt,
        "n_predict": 1,
        "n_probs": top,
        "temperature": 0.0,
        "logit_bias": [[token, FORCING]],
    }
    answer = wire.ask("/completion", body | llama_extras(wire.options, wire.loaded.adapters))
    told = answer.get("completion_probabilities")
    if not told:
        return None
    if not isinstance(told, list) or not isinstance(told[0], dict) or told[0].get("id") != token:
        raise Garbled
    return told[0]
