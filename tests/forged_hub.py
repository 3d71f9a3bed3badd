"""A hub whose every key is at hand, and a server that says whatever a test wants it to say."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from ondol.egress import Egress
from ondol.egress.connections import Pace
from ondol.hub.card import Card
from ondol.hub.client import Hub, HubRow
from ondol.hub.client.limits import Limits
from ondol.hub.fingerprint import fingerprint_of
from ondol.hub.release import Release, ReleaseFile, signed
from ondol.hub.targets import Version
from ondol.models.patience import Patience

Files = dict[str, bytes]
Say = Callable[[BaseHTTPRequestHandler], None]
SOON = timedelta(days=30)
HURRIED = Patience(read_timeout_seconds=2, attempts=2, backoff_seconds=0.01)
BRISK = Limits(Pace(0.4, 20_000), Pace(0.4, 20_000))
"""How slow a mirror may be where a test is about that."""


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def key() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


@dataclass
class ForgedHub:
    """Metadata as objects, to be changed at will; ``files()`` signs them with ``keys``. A key of
    another is put in place of one of ``keys`` and not into ``root``: that is a forgery."""

    keys: dict[str, list[CryptoSigner]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    roots: list[Metadata[Root]] = field(default_factory=list)
    publishers: dict[str, Metadata[Targets]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expires = datetime.now(UTC).replace(microsecond=0) + SOON
        self.keys["root"] = [key(), key(), key()]
        root = Root(expires=expires, consistent_snapshot=True)
        for role in ("targets", "snapshot", "timestamp"):
            self.keys[role] = [key()]
            root.add_key(self.keys[role][0].public_key, role)
        for signer in self.keys["root"]:
            root.add_key(signer.public_key, "root")
        root.roles["root"].threshold = 2
        self.roots = [Metadata(root)]
        self._sign(self.roots[0], self.keys["root"][:2])
        self.targets = Metadata(Targets(expires=expires))
        self.targets.signed.delegations = Delegations({}, {})
        self.snapshot = Metadata(Snapshot(expires=expires))
        self.timestamp = Metadata(Timestamp(expires=expires))

    @property
    def root(self) -> Root:
        return self.roots[-1].signed

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.roots[0].to_bytes())

    def add_publisher(self, name: str, paths: Sequence[str] = ()) -> None:
        """Delegate ``<name>/*/*/*``, or ``paths``, to a key of its own."""
        self.keys[name] = [key()]
        role = DelegatedRole(name, [], 1, terminating=True, paths=[*paths] or [f"{name}/*/*/*"])
        delegations = self.targets.signed.delegations
        assert delegations is not None and delegations.roles is not None
        delegations.roles[name] = role
        self.targets.signed.add_key(self.keys[name][0].public_key, name)
        self.publishers[name] = Metadata(Targets(expires=self.targets.signed.expires))
        self.targets.signed.version += 1

    def release(
        self,
        publisher: str,
        item: str,
        version: str,
        files: Mapping[str, bytes],
        by: str = "",
        **card: Any,
    ) -> Release:
        """Sign a release into the role of ``by``, by default the publisher's own."""
        roles = {name: "weights" for name in files}
        found = Release(
            publisher,
            item,
            Version.of(version),
            Card(**{"kind": "model", "name": item, "files": roles, **card}),
            tuple(
                ReleaseFile(name, roles[name], digest(content), len(content))
                for name, content in sorted(files.items())
            ),
        )
        self.blobs |= {digest(content): content for content in files.values()}
        self.publishers[by or publisher].signed.targets |= signed(found)
        self.publishers[by or publisher].signed.version += 1
        return found

    def rotate(self, role: str, signers: Sequence[CryptoSigner] | None = None) -> None:
        """A new root in which other keys sign for ``role``; signed by ``signers``, by default by as
        many root keys as it takes, old ones and new ones."""
        after: Metadata[Root] = deepcopy(self.roots[-1])
        after.signed.version += 1
        before = self.keys["root"][:2]
        for keyid in list(after.signed.roles[role].keyids):
            after.signed.revoke_key(keyid, role)
        self.keys[role] = [key() for _ in self.keys[role]]
        for signer in self.keys[role]:
            after.signed.add_key(signer.public_key, role)
        both = [*before, *(self.keys["root"][:2] if role == "root" else [])]
        self._sign(after, both if signers is None else signers)
        self.roots.append(after)

    def files(self, *, is_new: bool = True) -> Files:
        """What a server would serve now. With ``is_new`` snapshot and timestamp count one up."""
        found: Files = {}
        for root in self.roots:
            found[f"metadata/{root.signed.version}.root.json"] = root.to_bytes()
        meta: dict[str, MetaFile] = {}
        for name, metadata in {"targets": self.targets, **self.publishers}.items():
            self._sign(metadata, self.keys[name])
            content, version = metadata.to_bytes(), metadata.signed.version
            meta[f"{name}.json"] = described(version, content)
            found[f"metadata/{version}.{name}.json"] = content
        self.snapshot.signed.meta = {**self.snapshot.signed.meta, **meta}
        self.snapshot.signed.version += is_new
        self.timestamp.signed.version += is_new
        self._sign(self.snapshot, self.keys["snapshot"])
        content, version = self.snapshot.to_bytes(), self.snapshot.signed.version
        found[f"metadata/{version}.snapshot.json"] = content
        self.timestamp.signed.snapshot_meta = described(version, content)
        self._sign(self.timestamp, self.keys["timestamp"])
        found["metadata/timestamp.json"] = self.timestamp.to_bytes()
        for name, content in self.blobs.items():
            found[f"blobs/{name.replace(':', '-')}"] = content
        return found

    @staticmethod
    def _sign(metadata: Metadata[Any], signers: Sequence[CryptoSigner]) -> None:
        metadata.signatures.clear()
        for signer in signers:
            metadata.sign(signer, append=True)


def described(version: int, content: bytes) -> MetaFile:
    return MetaFile(version, len(content), {"sha256": hashlib.sha256(content).hexdigest()})


class Mirror:
    """A server of ``files``; ``says`` are paths that it answers in its own way. ``asked`` are the
    paths that it was asked for, with where from (Range)."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.says: dict[str, Say] = {}
        self.asked: list[tuple[str, str]] = []
        self.over = threading.Event()
        self.url = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.lstrip("/")
        self.asked.append((path, request.headers.get("Range", "")))
        if path in self.says:
            self.says[path](request)
        elif path not in self.files:
            request.send_error(404)
        else:
            _send(request, self.files[path])

    def trickle(self, request: BaseHTTPRequestHandler) -> None:
        """One byte after the other, of what would take days."""
        request.send_response(200)
        request.send_header("Content-Length", "50000")
        request.end_headers()
        while not self.over.wait(0.02):
            request.wfile.write(b" ")

    def endless(self, request: BaseHTTPRequestHandler) -> None:
        """As much as anybody takes, of no announced length."""
        request.send_response(200)
        request.end_headers()
        while not self.over.is_set():
            request.wfile.write(b"x" * 65536)


def _send(request: BaseHTTPRequestHandler, content: bytes) -> None:
    found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    start = int(found[1]) if found else 0
    request.send_response(206 if found else 200)
    if found:
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    request.send_header("Content-Length", str(len(content) - start))
    request.end_headers()
    request.wfile.write(content[start:])


@contextmanager
def mirrors(*files: Mapping[str, bytes]) -> Iterator[list[Mirror]]:
    """A server for each of ``files``."""
    found = [Mirror(one) for one in files]
    servers = []
    for mirror in found:

        class Handler(BaseHTTPRequestHandler):
            served = mirror

            def do_GET(self) -> None:
                with suppress(OSError):
                    self.served.answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        mirror.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
    try:
        yield found
    finally:
        for mirror, server in zip(found, servers, strict=True):
            mirror.over.set()
            server.shutdown()
            server.server_close()


def hub_at(
    forged: ForgedHub, folder: Path, *found: Mirror, limits: Limits | None = None, **more: Any
) -> Hub:
    """The device's view of it, as after ``ondol hub add``."""
    urls = [mirror.url for mirror in found]
    root = forged.roots[0].to_bytes()
    row = HubRow("clinic", forged.fingerprint, root, urls[0], tuple(urls[1:]), "2026-11-22")
    return Hub(row, folder, Egress(), HURRIED, limits=limits, **more)
