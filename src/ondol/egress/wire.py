"""A request as it goes over the wire, and as the inspector is shown it.

The inspector need not look at what the protocol makes of other things: a signature, a digest of the
body, the destination's own key. Whatever else stands in such a header is shown to it under another
name, so that no header is a way out.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

_MOST_QUOTINGS = 5

_NUMBERS = re.compile(rb"[-+0-9.eE,\s]{64,}")

_DIGEST = re.compile(rb"(?<![0-9A-Za-z])(?:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9A-Za-z])")

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
    # Between a device and the home of its federation, in Flower's words: its key for that home
    # (PEM) and a time that it signs (ECDSA), and which version speaks.
    b"flwr-public-key": rb"[A-Za-z0-9+/]{200,400}={0,2}",
    b"flwr-signature": rb"[A-Za-z0-9+/]{80,200}={0,2}",
}


def as_sent(request: Any, body: bytes) -> bytes:
    """Request line, headers and body, as HTTP/1.1 writes them."""
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%b: %b" % header for header in request.headers.raw]
    return b"\r\n".join([*lines, b"", body])


def as_seen(
    request: Any,
    body: bytes,
    secrets: tuple[str, ...],
    *,
    is_numbers: bool = False,
    is_opaque: bool = False,
    names_digests: bool = False,
) -> bytes:
    """The same for the inspector, with the whole URL in the first line. ``secrets`` are the values
    of an Authorization header that are the destination's own; with ``is_numbers`` long runs of
    numbers (vectors, lists of ids) are left out, which look like anything; with ``is_opaque`` the
    whole body, which is nothing else; with ``names_digests`` digests and commits in the address."""
    if is_opaque:
        body = b""
    if is_numbers:
        body = _NUMBERS.sub(b"0", body)
    url = str(request.url).encode()
    if names_digests:
        url = _DIGEST.sub(_without_digest, url)
    lines = [b"%b %b" % (request.method.encode(), url), *_unquoted(url)]
    if b"x-www-form-urlencoded" in request.headers.get("content-type", "").encode():
        lines.append(b"form: %b" % unquote_to_bytes(body.replace(b"+", b" ")))
    own = {secret.encode() for secret in secrets}
    host = request.url.netloc
    for name, value in request.headers.raw:
        if not _is_protocol(name.lower(), value, body, own, host):
            # Apart from its name, which may look like the beginning of a code.
            lines += [b"header %b:" % name, b"\t" + value, *_unquoted(value)]
    return b"\r\n".join([*lines, b"", body])


def _without_digest(found: re.Match[bytes]) -> bytes:
    """What stands for 64 or 40 hexadecimal digits. Text in that form is no digest: the bytes of one
    are UTF-8 by chance once in a hundred million, those of a commit once in a hundred thousand."""
    try:
        bytes.fromhex(found[0].decode()).decode()
    except UnicodeDecodeError:
        return b"digest"
    return found[0]


def _unquoted(value: bytes) -> Iterator[bytes]:
    """``value`` with each layer of percent signs taken off: whoever builds a URL adds one."""
    for _ in range(_MOST_QUOTINGS):
        if value == (value := unquote_to_bytes(value)):
            return
        yield b"\t" + value.replace(b"\r", b" ").replace(b"\n", b" ")


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
