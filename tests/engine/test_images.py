"""Images: what is taken, what is refused and why, and that a model with a projector sees them.

The projector is tiny and random, so what is seen is noise; that it is seen shows in what follows.
"""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from projector_gguf import write_projector

from ondol.answering import gather
from ondol.chat_dialect import image_type, messages_body
from ondol.engine.images import MOST_IMAGES, check, dimensions
from ondol.engine.pool import EnginePool, ModelSpec
from ondol.errors import UsageError
from ondol.types import Completion, GenerateOptions, Message, Tool


def png(width: int, height: int, colour: tuple[int, int, int], rows: int | None = None) -> bytes:
    row = b"\0" + bytes(colour) * min(width, 100)
    body = row * (height if rows is None else rows)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


RED, BLUE = png(64, 64, (255, 0, 0)), png(64, 64, (0, 0, 255))
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
BMP = b"BM" + struct.pack("<IHHI", 58, 0, 0, 54) + struct.pack("<Iii", 40, 3, -2) + bytes(28)
JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    b"\xff\xc0\x00\x11\x08\x00\x07\x00\x09\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"
)
WEBP = b"RIFF\x22\x00\x00\x00WEBPVP8 " + bytes(20)


@pytest.mark.parametrize(
    ("image", "size"),
    [(RED, (64, 64)), (GIF, (1, 1)), (BMP, (3, 2)), (JPEG, (9, 7)), (WEBP, None), (b"", None)],
)
def test_size_is_read_from_the_header(image: bytes, size: tuple[int, int] | None) -> None:
    assert dimensions(image) == size


@given(st.sampled_from([RED, GIF, BMP, JPEG]), st.data())
def test_damaged_image_has_a_size_or_none(image: bytes, data: st.DataObject) -> None:
    cut = image[: data.draw(st.integers(0, len(image)))]
    torn = bytearray(cut)
    for at in data.draw(st.sets(st.integers(0, max(0, len(torn) - 1)), max_size=5)):
        if at < len(torn):
            torn[at] = data.draw(st.integers(0, 255))
    found = dimensions(bytes(torn))
    assert found is None or min(found) > 0


@pytest.mark.parametrize(
    ("images", "sees", "told"),
    [
        ([RED], False, "does not support images"),
        ([RED] * (MOST_IMAGES + 1), True, "No more than 16"),
        ([b"\x89PNG\r\n\x1a\n" + bytes(21 * 1024**2)], True, "larger than 20 MB"),
        ([b"plain text"], True, "neither PNG"),
        ([WEBP], True, "neither PNG"),
        ([RED[:20]], True, "damaged"),
        ([png(50_000, 50_000, (1, 1, 1), rows=1)], True, "64 million pixels"),
    ],
)
def test_image_that_is_not_taken_is_refused_before_any_model(
    images: list[bytes], sees: bool, told: str
) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        check([Message("user", "Look.", images=tuple(images))], sees)
    assert caught.value.param == "messages"


def test_image_travels_as_a_data_url_after_the_words() -> None:
    (body,) = messages_body([Message("user", "Look.", images=(RED, GIF))])
    words, first, second = body["content"]
    assert words == {"type": "text", "text": "Look."}
    assert first["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(RED).decode()}"
    assert second["image_url"]["url"].startswith("data:image/gif;base64,")
    assert image_type(WEBP) == "image/webp"


@pytest.fixture(scope="module")
def seeing(make_pool, spec: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> EnginePool:
    projector: Path = write_projector(tmp_path_factory.mktemp("projector") / "mmproj.gguf")

    def locate(name: str) -> ModelSpec:
        return replace(spec, name=name, digest=name, projector=projector if name == "m" else None)

    return make_pool(locate=locate, num_parallel=1)


def look(pool: EnginePool, *images: bytes, model: str = "m", **how: object) -> Completion:
    options = GenerateOptions(**{"max_tokens": 4, "temperature": 0.0, "logprobs": 1, **how})  # type: ignore[arg-type]
    asked = [Message("user", "What is this?", images=images)]
    return gather(list(pool.engine(model).generate(asked, options)))


def chances(said: Completion) -> list[float | None]:
    return [token.logprob for token in said.tokens if token.text]


@pytest.mark.model
def test_model_with_a_projector_sees(seeing: EnginePool) -> None:
    blind, red, blue = look(seeing), look(seeing, RED), look(seeing, BLUE)
    assert red.usage.prompt_tokens > blind.usage.prompt_tokens + 10
    assert chances(red) != chances(blue)
    assert look(seeing, RED, BLUE).usage.prompt_tokens > red.usage.prompt_tokens + 10


@pytest.mark.model
def test_model_sees_also_where_it_must_call(seeing: EnginePool) -> None:
    tool = Tool(
        "describe",
        "",
        {"type": "object", "properties": {"dark": {"type": "boolean"}}, "required": ["dark"]},
    )
    how = {"tools": (tool,), "tool_choice": "required", "parallel_tool_calls": False}
    seen = look(seeing, RED, max_tokens=60, **how)
    blind = look(seeing, max_tokens=60, **how)
    assert [call.name for call in seen.tool_calls] == ["describe"]
    assert seen.usage.prompt_tokens > blind.usage.prompt_tokens + 10


@pytest.mark.model
def test_model_without_one_says_so_in_the_words_clients_know(seeing: EnginePool) -> None:
    with pytest.raises(UsageError, match="does not support images"):
        look(seeing, RED, model="blind")


@pytest.mark.model
def test_image_that_cannot_be_decoded_is_an_error_and_no_crash(seeing: EnginePool) -> None:
    look(seeing, RED)
    pid = seeing.loaded()[0].pid
    with pytest.raises(UsageError):
        look(seeing, RED[:60])
    assert seeing.loaded()[0].pid == pid
