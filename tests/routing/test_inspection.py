"""A request is looked at as whoever receives it could read it."""

from __future__ import annotations

import base64
import codecs
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol import database
from ondol.routing.decoding import readings
from ondol.routing.inspection import Inspector
from ondol.routing.sensitivity import PromptLabeller
from ondol.routing.taint import Spoken
from ondol.types import Sensitivity

PASSAGE = "the second operation would have to wait until March, said the surgeon"
PHONE = "call 010-4821-9937"

ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "base64 after something": lambda text: "k" + base64.b64encode(text.encode()).decode(),
    "mime": lambda text: base64.encodebytes(text.encode() * 3).decode(),
    "base64 backwards": lambda text: base64.b64encode(text.encode()).decode()[::-1],
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "hex with spaces": lambda text: text.encode().hex(" "),
    "percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "gzip in base64": lambda text: base64.b64encode(gzip.compress(text.encode())).decode(),
    "zlib in hex": lambda text: zlib.compress(text.encode()).hex(),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "backwards": lambda text: text[::-1],
    "backwards in base64": lambda text: base64.b64encode(text[::-1].encode()).decode(),
    "escapes": lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    "entities": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "codes": lambda text: " ".join(str(ord(c)) for c in text),
    "json in json": lambda text: json.dumps({"arguments": json.dumps({"q": text})}),
    "in pieces": lambda text: json.dumps([text[i : i + 5] for i in range(0, len(text), 5)]),
    "unseen characters": "\u200b".join,
    "pulled apart": " ".join,
    "full width": lambda text: "".join(
        chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text
    ),
    "tags": lambda text: "".join(chr(0xE0000 + ord(c)) for c in text),
}


@pytest.fixture(scope="module")
def inspector() -> Iterator[Inspector]:
    connection = database.connect(database.IN_MEMORY)
    labeller = PromptLabeller(Spoken(connection), lambda text: False)
    labeller.remember(f"In the diary: {PASSAGE} on Thursday.", Sensitivity.PRIVATE)
    yield Inspector(labeller.holds_private)
    connection.close()


def post(body: bytes) -> bytes:
    return b"POST https://home.lan/v1/chat\r\nheader X-Request: 17\r\n\r\n" + body


@pytest.mark.parametrize("secret", [PASSAGE, PHONE])
@pytest.mark.parametrize("name", ENCODINGS)
def test_what_is_encoded_is_seen(inspector: Inspector, name: str, secret: str) -> None:
    encoded = ENCODINGS[name](secret)
    chat = {"messages": [{"role": "user", "content": f"What is this? {encoded}"}]}
    assert inspector(post(json.dumps(chat).encode())) is Sensitivity.PRIVATE
    assert inspector(post(json.dumps(chat, ensure_ascii=False).encode())) is Sensitivity.PRIVATE
    url = f"GET https://example.org/?q={quote(encoded)}\r\n\r\n"
    assert inspector(url.encode()) is Sensitivity.PRIVATE
    header = f"GET https://example.org/\r\nheader X-Tag: {encoded}\r\n\r\n"
    assert inspector(header.encode()) is Sensitivity.PRIVATE


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, zlib.compress, lambda data: data.decode().encode("utf-16")],
    ids=["gzip", "zlib", "utf-16"],
)
def test_a_packed_body_is_unpacked(inspector: Inspector, pack: Callable[[bytes], bytes]) -> None:
    body = json.dumps({"text": f"see {PASSAGE}, {PHONE}"}).encode()
    assert inspector(post(pack(body))) is Sensitivity.PRIVATE


def test_ordinary_requests_pass(inspector: Inspector) -> None:
    for request in (
        post(
            json.dumps(
                {"messages": [{"role": "user", "content": "밸브는 어디로 돌리나요?"}]}
            ).encode()
        ),
        b"GET https://hub.example/api/models/owner/name/revision/"
        b"16871dc29bfe01d9c3a5b2e7c4a86fe01d9c3a5b?blobs=true\r\nheader Accept: */*\r\n\r\n",
        b"GET https://hub.example/blobs/sha256:" + b"e3b0c44298fc1c149afbf4c8996fb924" * 2,
        b"HEAD https://hub.example/owner/name/resolve/main/model-q4_k_m.gguf\r\n"
        b"header User-Agent: ondol/0.1.0; python/3.11.9; hf_hub/2.0.1\r\n\r\n",
    ):
        assert inspector(request) is Sensitivity.PUBLIC


def test_what_is_too_large_to_unpack_does_not_leave(inspector: Inspector) -> None:
    bomb = gzip.compress(b"0" * (64 << 20))
    assert inspector(post(bomb)) is Sensitivity.PRIVATE
    # Random bytes are no archive, however they begin.
    assert inspector(post(b"\x1f\x8b\x08 nothing")) is Sensitivity.PUBLIC


@given(st.binary(max_size=400))
def test_any_bytes_can_be_read(data: bytes) -> None:
    assert next(readings(data)) is not None


@given(st.text(max_size=60), st.sampled_from(["hex", "base64", "base32", "percent"]))
def test_two_layers_around_any_text_are_taken_off(before: str, second: str) -> None:
    text = f"{before} xyzzy plugh"
    encoded = ENCODINGS[second](ENCODINGS["base64"](text))
    if text.isprintable():
        assert any("xyzzy plugh" in reading for reading in readings(encoded.encode()))
