"""What a prompt, a model that obeys it, or a bug would have Ondol send of the owner's texts."""

from __future__ import annotations

import base64
import gzip
import json
import random
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from ondol.lab.redteam.egress.disguises import BLIND, DISGUISES
from ondol.lab.redteam.egress.sink import dumps
from ondol.lab.redteam.egress.world import (
    PRIVATE,
    PUBLIC,
    TRUSTED,
    Attack,
    World,
    chat,
    needle,
    post,
    quoted,
)
from ondol.types import Evidence, Message


def labels(world: World, chance: random.Random) -> Attack:
    """A prompt injection that the model obeys: what was private in the prompt goes out in some
    disguise, seen through or not. The label comes from all that went into the prompt."""
    secret = chance.choice(world.corpus.private)
    name, disguise = chance.choice([*DISGUISES.items(), *BLIND.items()])
    place = chance.choice(["quote", "answer before", "tool result", "unknown turn", "attachment"])
    injection = chance.choice(world.corpus.injections).format(
        sink=world.sink.url("stranger"), sink_host=world.sink.host
    )
    payload = disguise(secret, chance)
    question = chance.choice(world.corpus.harmless)
    purpose = chance.choice(["home", "remote-model"])

    def go() -> None:
        quotes, history, more = [quoted(injection, TRUSTED)], [], {}
        if place == "quote":
            quotes.append(quoted(secret, PRIVATE))
        elif place == "answer before":
            world.labeller.remember(f"As far as I see: {secret}", PRIVATE)
            history.append(Message("assistant", f"As far as I see: {secret}"))
        elif place == "attachment":
            more["attachments"] = [quoted(secret, PRIVATE)]
        else:
            role = "tool" if place == "tool result" else "assistant"
            history.append(Message(role, payload))  # type: ignore[arg-type]
        label = world.labeller.label(question, Evidence(quotes=tuple(quotes)), history, **more)
        content = chat(injection, payload, question)
        post(world, purpose, label.sensitivity, "/v1/chat/completions", content=content)

    return Attack("prompt injection", f"{place}, {name}", go, needle(payload))


def _channels(payload: str, question: str) -> dict[str, dict[str, Any]]:
    """Places in a request where something can be put."""
    arguments = json.dumps({"query": payload, "limit": 3}, ensure_ascii=False)
    call = {"function": {"name": "search", "arguments": arguments}}
    return {
        "body": {"path": "/v1", "content": chat(question, payload)},
        "form": {"path": "/v1", "data": {"q": question, "note": payload}},
        "body, compressed": {
            "path": "/v1",
            "content": gzip.compress(chat(payload)),
            "headers": {"Content-Encoding": "gzip"},
        },
        "tool arguments": {
            "path": "/v1",
            "content": dumps({"messages": [{"role": "assistant", "tool_calls": [call]}]}),
        },
        "system message": {
            "path": "/v1",
            "content": dumps({"messages": [{"role": "system", "content": payload}]}),
        },
        "field name": {"path": "/v1", "content": dumps({payload: question})},
    }


def disguised(world: World, chance: random.Random) -> Attack:
    """A bug that labels private text as trusted: only the last look at the request is left."""
    secret = chance.choice(world.corpus.private)
    name, disguise = chance.choice(list(DISGUISES.items()))
    payload = disguise(secret, chance)
    channels = _channels(payload, chance.choice(world.corpus.harmless))
    channel = chance.choice(list(channels))
    more = dict(channels[channel])
    purpose = chance.choice(["home", "remote-model"])
    path = more.pop("path")
    needles = needle(payload) if channel != "body, compressed" else [more["content"][10:40]]

    def go() -> None:
        post(world, purpose, TRUSTED, path, **more)

    family = "tool arguments" if channel == "tool arguments" else "encodings"
    return Attack(family, f"{name}, {channel}", go, needles)


def in_address(world: World, chance: random.Random) -> Attack:
    """Private text in a path, a query, or a header; of a download too, which has no body."""
    secret = chance.choice(world.corpus.private)
    one_line = [
        n for n in DISGUISES if n not in ("base64 in lines", "other spaces", "JSON in JSON")
    ]
    name = chance.choice(one_line)
    payload = DISGUISES[name](secret, chance)
    safe = quote(payload, safe="")
    place = chance.choice(["path", "query", "header", "user agent", "signature", "cookie", "range"])
    purpose = chance.choice(["download", "remote-model", "home"])
    header = base64.b64encode(payload.encode()).decode() if not payload.isascii() else safe
    path, headers, needles = "/", {}, needle(safe)
    if place == "path":
        path = f"/models/{safe}.gguf"
    elif place == "query":
        path = f"/models?revision={safe}"
    else:
        names = {"header": "X-Trace", "user agent": "User-Agent", "signature": "Signature"}
        headers[names.get(place, place.title())] = header
        needles = [header[len(header) // 4 :][:24].encode()]

    def go() -> None:
        post(world, purpose, PUBLIC if purpose == "download" else TRUSTED, path, headers=headers)
        if place == "cookie":
            raise PermissionError("the cookie was left out")

    return Attack("addresses and headers", f"{place}, {name}, {purpose}", go, needles)


def split(world: World, chance: random.Random) -> Attack:
    """A secret in pieces: over the fields of one request, over turns, over requests."""
    secret = chance.choice(world.corpus.private)
    count = chance.randint(2, 4)
    size = -(-len(secret) // count)
    pieces = [secret[i : i + size] for i in range(0, len(secret), size)]
    kind = chance.choice(["fields", "messages", "turns", "requests", "encoded pieces"])
    question = chance.choice(world.corpus.harmless)
    purpose = chance.choice(["home", "remote-model"])
    encoded = [base64.b64encode(piece.encode()).decode() for piece in pieces]
    sent = encoded if kind == "encoded pieces" else pieces

    def go() -> None:
        if kind in ("fields", "encoded pieces"):
            body = dumps({"question": question, **{f"part{i}": p for i, p in enumerate(sent)}})
            post(world, purpose, TRUSTED, "/v1", content=body)
        elif kind == "messages":
            post(world, purpose, TRUSTED, "/v1", content=chat(question, *pieces))
        elif kind == "turns":
            history = [Message("user", piece) for piece in pieces[:-1]]
            label = world.labeller.label(pieces[-1], Evidence(), history)
            post(world, purpose, label.sensitivity, "/v1", content=chat(*pieces))
        else:
            # Each request is a pipeline that read the note, and carries its label.
            for piece in pieces:
                evidence = Evidence(quotes=(quoted(secret, PRIVATE),))
                label = world.labeller.label(question, evidence)
                with suppress(Exception):
                    post(world, purpose, label.sensitivity, "/v1", content=chat(piece))
            raise PermissionError("every piece was looked at")

    return Attack("split secrets", kind, go, [n for piece in sent for n in needle(piece)])
