"""How likely a model finds a text that is given: the log-probability of each of its tokens.

llama-server tells probabilities of what it generates only. So each token is forced by a bias on its
logit, and what is reported beside it is the probability before any bias, exactly that of a pass
over the whole text (a grammar of token ids gives the same numbers at three times the cost). The
prompt's cache makes one token of work of each request. Of a token that ends within a letter, as in
scripts that a vocabulary breaks into bytes, it reports nothing; such a one is looked for among the
likeliest ``ALTERNATIVES`` beside another, and counts as the last of them where it is not there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ondol.chat_dialect import sendable
from ondol.engine.chatting import opening
from ondol.engine.dialect import llama_extras
from ondol.engine.request import Wire
from ondol.engine.wire import NO_TOKEN, Garbled, Refused
from ondol.types import Message

# Above the difference of any two logits, and far from what a float32 cannot hold.
FORCING = 1e6
ALTERNATIVES = 1000


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that could have stood in a place. ``text`` is its bytes, which may be no letter of
    their own."""

    id: int
    text: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class Scored:
    """A token of a text, its natural-log probability after those before it (None for the first,
    before which there is nothing), and the likeliest in its place, the likeliest first."""

    id: int
    text: bytes
    logprob: float | None = None
    top: tuple[Alternative, ...] = ()


Known = dict[bytes, Scored]


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


def score_tokens(
    wire: Wire,
    tokens: Sequence[int],
    top: int = 0,
    first: int = 0,
    known: Known | None = None,
) -> list[Scored]:
    """Every one of ``tokens`` from the place ``first`` on, with the ``top`` likeliest of its place.
    ``known`` has what was found for other texts that begin alike, and gets what is found here."""
    known = {} if known is None else known
    begun = hashlib.sha256(b"%d" % top)
    found = []
    for place, token in enumerate(tokens):
        wire.cancellation.check()
        begun.update(b" %d" % token)
        if place < first:
            continue
        if place == 0:
            found.append(Scored(token, _text(wire, token)))
            continue
        key = begun.digest()
        if key not in known:
            known[key] = _scored(wire, tokens[:place], token, top)
        found.append(known[key])
    return found


def prompt_tokens(wire: Wire, prompt: str) -> list[int]:
    """The token ids of a raw prompt, as ``/v1/completions`` reads it."""
    return _tokens(wire, sendable(prompt), special=True)


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
    found = _scored(wire, prompt, token, 0).logprob
    assert found is not None
    return found


def _scored(wire: Wire, prompt: Sequence[int], token: int, top: int) -> Scored:
    step = _forced(wire, prompt, token, max(1, top))
    if step is None:
        whole = _tokens(wire, ".", special=False)[0]
        step = _forced(wire, prompt, whole, max(ALTERNATIVES, top)) or {}
    try:
        others = tuple(map(_alternative, step["top_logprobs"]))
        if step["id"] == token:
            mine = _alternative(step)
        else:
            here = (one for one in others if one.id == token)
            last = min(one.logprob for one in others)
            mine = next(here, None) or Alternative(token, _text(wire, token), last)
    except (KeyError, TypeError, ValueError):
        raise Garbled from None
    return Scored(token, mine.text, mine.logprob, others[:top])


def _alternative(told: Mapping[str, Any]) -> Alternative:
    return Alternative(int(told["id"]), bytes(told["bytes"]), float(told["logprob"]))


def text_of(wire: Wire, tokens: Sequence[int]) -> str:
    """The text of token ids. Raises ``Refused`` for one that is none of the model's: llama-server
    fails at it, and does not say that it was asked for what is not there."""
    try:
        told = wire.ask("/detokenize", {"tokens": list(tokens)})
    except Refused:
        if not tokens or (len(tokens) > 1 and _is_token(wire, max(tokens))):
            raise
        raise _no_token(max(tokens)) from None
    return str(told.get("content") or "")


def _is_token(wire: Wire, id: int) -> bool:
    try:
        wire.ask("/detokenize", {"tokens": [id]})
    except Refused:
        return False
    return True


def _text(wire: Wire, token: int) -> bytes:
    return text_of(wire, [token]).encode("utf-8", "replace")


def _no_token(id: int) -> Refused:
    return Refused(400, {NO_TOKEN: id})


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
    body |= llama_extras(wire.options, wire.loaded.adapters)
    if wire.loaded.sitting is not None:
        body |= wire.loaded.sitting.stay(wire, body)
    answer = wire.ask("/completion", body)
    told = answer.get("completion_probabilities")
    if not told:
        return None
    if not isinstance(told, list) or not isinstance(told[0], dict):
        raise Garbled
    if told[0].get("id") != token:  # no bias can force what is not there
        raise _no_token(token)
    return told[0]
