"""A request as it goes over the wire, and as the inspector is shown it.

The inspector need not look at what the protocol makes of other things: a signature, a digest of the
body, the destination's own key. Whatever else stands in such a header is shown to it under another
name, so that no header is a way out.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any
from urllib.parse import unquote

_MOST_QUOTINGS = 5

_SHAPES = {
    b"signature": rb"[\w-]+=:[A-Za-z0-9+/]{86}==:",
    b"signature-input": rb'[\w-]+=\((?:"[\w@-]+" ?)*\)(?:;\w+=(?:"[\w:+/=.-]{0,128}"|\d{1,12}))*',
    b"if-range": rb'(?:W/)?"[\x21\x23-\x7e]{0,128}"',
    b"range": rb"bytes=\d{1,20}-\d{0,20}",
    b"content-length": rb"\d{1,20}",
    # Between a device and its home (``ondol.homes.client``): random numbers, keys and hashes.
    b"ondol-home": rb"[0-9a-f]{64}",
    b"ondol-request": rb"[0-9a-f]{32}",
    b"ondol-ledger": rb"\d{1,18}:[0-9a-f]{64}",
    b"ondol-key": rb"[A-Za-z0-9+/]{43}=",
    b"ondol-invite": rb"[A-Za-z0-9+/]{22}==",
}


def as_sent(request: Any, body: bytes) -> bytes:
    """Request line, headers and body, as HTTP/1.1 writes them."""
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%b: %b" % header for header in request.headers.raw]
    return b"\r\n".join([*lines, b"", body])


def as_seen(request: Any, body: bytes, secrets: tuple[str, ...]) -> bytes:
    """The same for the inspector, with the whole URL in the first line. ``secrets`` are the values
    of an Authorization header that are the destination's own."""
    url = str(request.url)
    lines = [b"%b %b" % (request.method.encode(), url.encode())]
    for _ in range(_MOST_QUOTINGS):  # a URL is quoted once more by whoever builds it
        if url == (url := unquote(url)):
            break
        lines.append(b"url: %b" % url.replace("\n", " ").encode())
    own = {secret.encode() for secret in secrets}
    host = request.url.netloc
    for name, value in request.headers.raw:
        if not _is_protocol(name.lower(), value, body, own, host):
            lines.append(b"header %b: %b" % (name, value))
    return b"\r\n".join([*lines, b"", body])


def _is_protocol(name: bytes, value: bytes, body: bytes, own: set[bytes], host: bytes) -> bool:
    """Whether ``value`` is nothing but what the protocol wants there."""
    if name == b"authorization":
        return value in own
    if name == b"host":
        return value == host
    if name == b"content-digest":
        return value == b"sha-256=:%b:" % base64.b64encode(hashlib.sha256(body).digest())
    shape = _SHAPES.get(name)
    return shape is not None and re.fullmatch(shape, value) is not None
