"""Packed request bodies: what comes out is what went in, and a bomb does not go off."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import zstandard
from house import CHAT, House, scripted_house
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from ondol.errors import UsageError
from ondol.server.door import encodings
from ondol.server.door.encodings import PIECE_BYTES, Unpacking, opened
from ondol.server.errors import UnsupportedEncodingError

MEGABYTE = 1024 * 1024


def naked(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def zstd_unsized(data: bytes) -> bytes:
    """A frame that does not say how much is in it, as a client that streams sends it."""
    packer = zstandard.ZstdCompressor(level=1).compressobj()
    return packer.compress(data) + packer.flush()


PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", naked),
    ("zstd", zstandard.ZstdCompressor().compress),
    ("zstd", zstd_unsized),
]
NAMES = ["gzip", "x-gzip", "deflate", "naked deflate", "zstd", "zstd of unknown size"]
IN_PARTS = [one for one in PACKERS if one[0] in ("gzip", "zstd")]
packed_in_all_ways = pytest.mark.parametrize(("encoding", "pack"), PACKERS, ids=NAMES)


def unpack(encoding: str, chunks: Iterable[bytes]) -> bytes:
    """What comes out of ``chunks``; no piece of it is larger than it may be."""
    unpacking, found = Unpacking(encoding), bytearray()
    *before, last = list(chunks) or [b""]
    for chunk in before:
        for piece in unpacking.feed(chunk, is_last=False):
            assert 0 < len(piece) <= PIECE_BYTES
            found += piece
    for piece in unpacking.feed(last, is_last=True):
        found += piece
    return bytes(found)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


BODIES = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda part, times: part * times, st.binary(min_size=1, max_size=20), st.integers(1, 20_000)
    ),
)


@packed_in_all_ways
@settings(max_examples=40, deadline=None)
@given(data=BODIES, cuts=st.lists(st.integers(0, 10**6), max_size=8))
def test_however_a_packed_body_is_split_the_same_bytes_come_out(
    encoding: str, pack: Callable[[bytes], bytes], data: bytes, cuts: list[int]
) -> None:
    assert unpack(encoding, split(pack(data), cuts)) == data


@packed_in_all_ways
def test_a_body_may_come_byte_by_byte(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(b"a house is warm " * 50)
    assert (
        unpack(encoding, [packed[i : i + 1] for i in range(len(packed))])
        == b"a house is warm " * 50
    )


@packed_in_all_ways
def test_what_fills_whole_pieces_comes_out_whole(
    encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    for size in (PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, MEGABYTE):
        data = random.Random(size).randbytes(size // 2) + b"x" * (size - size // 2)
        assert unpack(encoding, [pack(data)]) == data


@pytest.mark.parametrize(("encoding", "pack"), IN_PARTS)
@settings(max_examples=25, deadline=None)
@given(
    parts=st.lists(st.binary(max_size=60), min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 10**6), max_size=6),
)
def test_a_body_in_several_members_or_frames_is_one_body(
    encoding: str, pack: Callable[[bytes], bytes], parts: list[bytes], cuts: list[int]
) -> None:
    packed = b"".join(pack(part) for part in parts)
    assert unpack(encoding, split(packed, cuts)) == b"".join(parts)


def test_a_zstd_frame_that_is_to_be_skipped_is() -> None:
    skipped = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"note"
    packed = zstandard.compress(b"warm")
    assert unpack("zstd", [skipped + packed + skipped]) == b"warm"


@packed_in_all_ways
@settings(max_examples=25, deadline=None)
@given(data=st.binary(min_size=1, max_size=200), cut=st.integers(1, 10**6))
def test_a_body_that_is_cut_short_is_refused(
    encoding: str, pack: Callable[[bytes], bytes], data: bytes, cut: int
) -> None:
    packed = pack(data)
    kept = packed[: max(1, len(packed) - 1 - cut % len(packed))]
    with pytest.raises(UsageError, match="damaged, cut short"):
        unpack(encoding, [kept])


@packed_in_all_ways
@pytest.mark.parametrize("rest", [b"x", b"\0" * 40, b"{}"])
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "later"])
def test_what_follows_a_packed_body_is_refused(
    encoding: str, pack: Callable[[bytes], bytes], rest: bytes, apart: bool
) -> None:
    packed = pack(b"warm")
    with pytest.raises(UsageError, match="damaged"):
        unpack(encoding, [packed, rest] if apart else [packed + rest])


@settings(max_examples=60, deadline=None)
@given(encoding=st.sampled_from(["gzip", "deflate", "zstd"]), data=st.binary(max_size=200))
def test_no_bytes_at_all_break_it(encoding: str, data: bytes) -> None:
    try:
        unpack(encoding, [data])
    except UsageError as error:
        assert encoding in str(error)


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_a_changed_byte_never_changes_the_body_unseen(place: int, flip: int) -> None:
    data = b"a house is warm " * 20
    packed = bytearray(gzip.compress(data))
    packed[place % len(packed)] ^= flip
    try:
        # Some bytes of a gzip header say nothing of the body.
        assert unpack("gzip", [bytes(packed)]) == data
    except UsageError:
        pass


def bombs() -> Iterator[tuple[str, bytes, int]]:
    zeros = bytes(10 * MEGABYTE)
    yield "gzip", gzip.compress(zeros, 9), len(zeros)
    yield "deflate", zlib.compress(zeros, 9), len(zeros)
    yield "zstd", zstandard.compress(zeros), len(zeros)
    # 128 KiB from four bytes, again and again: a gigabyte from 32 KiB.
    block = (1 | 1 << 1 | 128 * 1024 << 3).to_bytes(3, "little") + b"\0"
    frame = b"\x28\xb5\x2f\xfd\x00\x38" + block.replace(b"\x03", b"\x02") * 8192
    yield "zstd", frame, 8192 * 128 * 1024


@pytest.mark.parametrize(
    ("encoding", "bomb", "size"), list(bombs()), ids=["gzip", "deflate", "zstd", "blocks"]
)
def test_a_bomb_is_stopped_before_it_fills_the_memory(
    encoding: str, bomb: bytes, size: int
) -> None:
    assert size > 900 * len(bomb)
    unpacking, seen = Unpacking(encoding), 0
    tracemalloc.start()
    try:
        with pytest.raises(HTTPException) as refusal:
            for piece in unpacking.feed(bomb, is_last=True):
                seen += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refusal.value.status_code == 413
    most = max(encodings.FREE_BYTES, encodings.MOST_RATIO * len(bomb))
    assert seen <= most + PIECE_BYTES
    assert peak < 16 * MEGABYTE


def test_a_long_repetitive_prompt_is_no_bomb() -> None:
    prompt = json.dumps({"prompt": "The grass is green. The sky is blue. " * 100_000}).encode()
    assert unpack("zstd", [zstandard.compress(prompt)]) == prompt


def test_a_zstd_window_larger_than_the_web_allows_is_refused() -> None:
    wide = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    with pytest.raises(UsageError):
        unpack("zstd", [packer.compress(b"warm") + packer.flush()])


@pytest.mark.parametrize(
    ("encoding", "part"),
    [
        ("gzip", gzip.compress(b"")),
        ("zstd", zstandard.compress(b"")),
        ("zstd", b"\x50\x2a\x4d\x18\x00\x00\x00\x00"),
        ("zstd", b"\x50\x2a\x4d\x18" + (32 * 1024).to_bytes(4, "little") + bytes(32 * 1024)),
        # A file's name that never ends.
        ("gzip", b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03"),
        ("gzip", b"n" * 32 * 1024),
    ],
    ids=["members", "frames", "skipped", "large skipped", "headers", "no gzip"],
)
def test_an_endless_body_with_nothing_in_it_is_refused(encoding: str, part: bytes) -> None:
    unpacking = Unpacking(encoding)
    name = b"n" * 32 * 1024 if part.endswith(b"\x03") else part
    with pytest.raises(UsageError):
        list(unpacking.feed(part, is_last=False))
        for _ in range(10_000):
            list(unpacking.feed(name, is_last=False))


class Sent:
    """The messages of one request, in order; then the client hangs up."""

    def __init__(self, *chunks: bytes) -> None:
        self.messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": chunk, "more_body": i + 1 < len(chunks)}
            for i, chunk in enumerate(chunks)
        ]

    async def __call__(self) -> Any:
        return self.messages.pop(0) if self.messages else {"type": "http.disconnect"}


def scope_of(*headers: tuple[str, str]) -> dict[str, Any]:
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    return {"type": "http", "headers": encoded}


def body_of(receive: Any) -> bytes:
    async def read() -> bytes:
        found = b""
        while True:
            message = await receive()
            found += message["body"]
            if not message["more_body"]:
                assert (await receive())["type"] == "http.disconnect"
                return found

    return asyncio.run(read())


@pytest.mark.parametrize("value", ["", "identity", "Identity, identity"])
def test_what_is_not_packed_is_left_alone(value: str) -> None:
    scope, sent = scope_of(("content-encoding", value)), Sent(b"warm")
    assert opened(scope, sent) == (scope, sent)


def test_an_opened_request_looks_as_if_it_had_never_been_packed() -> None:
    packed = gzip.compress(b"warm")
    scope = scope_of(("content-encoding", "GZip"), ("content-length", str(len(packed))), ("a", "b"))
    unpacked, receive = opened(scope, Sent(packed[:5], packed[5:]))
    assert unpacked["headers"] == [(b"a", b"b")]
    assert body_of(receive) == b"warm"


def test_a_request_without_a_body_may_say_that_it_is_packed() -> None:
    assert body_of(opened(scope_of(("content-encoding", "zstd")), Sent(b""))[1]) == b""


@pytest.mark.parametrize(
    "value", ["br", "compress", "gzip, zstd", "gzip, gzip", "zstd,br", "x" * 99]
)
def test_other_encodings_and_chains_are_refused(value: str) -> None:
    with pytest.raises(UnsupportedEncodingError):
        opened(scope_of(("content-encoding", value)), Sent(b""))


def test_encodings_in_several_headers_are_a_chain() -> None:
    with pytest.raises(UnsupportedEncodingError):
        opened(scope_of(("content-encoding", "gzip"), ("content-encoding", "zstd")), Sent(b""))


def test_a_client_that_hangs_up_in_the_middle_is_noticed() -> None:
    async def read() -> list[str]:
        sent = Sent(gzip.compress(b"warm")[:9], b"never sent")
        del sent.messages[1:]
        _, receive = opened(scope_of(("content-encoding", "gzip")), sent)
        return [(await receive())["type"] for _ in range(2)]

    assert "http.disconnect" in asyncio.run(read())


CHAT_BODY = {"model": CHAT, "messages": [{"role": "user", "content": "What keeps a house warm?"}]}
PATHS = [
    ("/v1/chat/completions", CHAT_BODY),
    ("/v1/messages", CHAT_BODY | {"max_tokens": 50}),
    ("/api/chat", CHAT_BODY | {"stream": False}),
    ("/ondol/v1/search", {"query": "warm"}),
]


def send(house: House, path: str, content: Any, encoding: str) -> Any:
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    with house.client() as client:
        return client.post(path, content=content, headers=headers)


@packed_in_all_ways
@pytest.mark.parametrize(("path", "body"), PATHS)
def test_every_dialect_reads_packed_bodies(
    house: House, path: str, body: Any, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    response = send(house, path, pack(json.dumps(body).encode()), encoding)
    assert response.status_code == 200, response.text


def test_a_packed_body_may_be_sent_in_chunks(house: House) -> None:
    packed = zstandard.compress(json.dumps(CHAT_BODY).encode())
    chunks = (packed[at : at + 7] for at in range(0, len(packed), 7))
    assert send(house, "/v1/chat/completions", chunks, "zstd").status_code == 200


@pytest.mark.parametrize(("path", "body"), PATHS)
def test_what_cannot_be_unpacked_is_refused_in_each_dialect(
    house: House, path: str, body: Any
) -> None:
    packed = gzip.compress(json.dumps(body).encode())
    for content, encoding, status in (
        (packed, "br", 415),
        (packed, "gzip, zstd", 415),
        (packed[:-5], "gzip", 400),
        (b"{}", "zstd", 400),
        (gzip.compress(b"{"), "gzip", 400),
        (gzip.compress(bytes(10 * MEGABYTE)), "gzip", 413),
        (zstandard.compress(bytes(10 * MEGABYTE)), "zstd", 413),
    ):
        response = send(house, path, content, encoding)
        # Ours alone says 422 where a body was understood and is wrong.
        expected = (status, 422) if status == 400 else (status,)
        assert response.status_code in expected, (encoding, response.text)
        assert response.json()["error"]
        accepted = response.headers.get("accept-encoding")
        assert accepted == ("gzip, deflate, zstd" if status == 415 else None)


def test_what_is_unpacked_may_be_no_larger_than_what_is_not(tmp_path: Path) -> None:
    text = base64.b64encode(random.Random(7).randbytes(1_200_000)).decode()
    body = json.dumps(CHAT_BODY | {"user": text}).encode()
    assert len(body) > MEGABYTE
    with scripted_house(tmp_path, {"ONDOL_MAX_BODY_MB": "1"}) as house:
        for encoding, content in (
            ("identity", body),
            ("gzip", gzip.compress(body)),
            ("zstd", zstandard.compress(body)),
        ):
            response = send(house, "/v1/chat/completions", content, encoding)
            assert (encoding, response.status_code) == (encoding, 413), response.text
        small = json.dumps(CHAT_BODY).encode()
        assert send(house, "/v1/chat/completions", gzip.compress(small), "gzip").status_code == 200


def test_a_stranger_has_nothing_unpacked(tmp_path: Path) -> None:
    """Who shows no key is told so before a byte of the body is looked at."""
    with scripted_house(tmp_path, {"ONDOL_API_KEY": "secret"}) as house:
        response = send(house, "/v1/messages", b"no gzip at all", "br")
    assert (response.status_code, response.json()["error"]["type"]) == (401, "authentication_error")


def test_a_body_of_countless_empty_parts_is_refused(house: House) -> None:
    for encoding, part in (("gzip", gzip.compress(b"")), ("zstd", zstandard.compress(b""))):
        response = send(house, "/v1/chat/completions", part * 20_000, encoding)
        assert response.status_code == 400, response.text
