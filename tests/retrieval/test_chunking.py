"""Chunks: whole sentences, honest offsets, pages and headings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ondol.retrieval.chunking import TARGET_CHARACTERS, chunk
from ondol.retrieval.sentences import MAX_CHARACTERS
from ondol.types import Document, Page, Sensitivity


def document(text: str, **fields: object) -> Document:
    return Document(source="/x.md", text=text, media_type="text/markdown", **fields)  # type: ignore[arg-type]


def test_chunk_does_not_cross_a_heading_and_knows_its_path() -> None:
    text = "# House\n\nIntro.\n\n## Roof\n\nTiles.\n\n## Floor\n\nOndol.\n"
    found = [(p.chunk.heading, p.chunk.text.split("\n")[-1]) for p in chunk(document(text))]
    assert found == [
        ("House", "Intro."),
        ("House › Roof", "Tiles."),
        ("House › Floor", "Ondol."),
    ]


def test_comment_in_a_code_block_is_no_heading() -> None:
    text = "# Use\n\n```sh\npip install x\n# then run it\n~~~\nx\n```\n\n## More\n\nRead on.\n"
    assert [p.chunk.heading for p in chunk(document(text))] == ["Use", "Use › More"]


def test_every_sentence_stands_in_a_chunk_of_its_own_page() -> None:
    texts = ["It opens at six. ", "It is closed in August.\n\n", "Adults pay 12 pounds. "]
    starts = [sum(map(len, texts[:index])) for index in range(3)]
    pages = tuple(Page(number, start) for number, start in enumerate(starts, 1))
    passages = chunk(document("".join(texts), pages=pages))
    assert [(p.chunk.page, p.chunk.text) for p in passages] == [
        (number, text.strip()) for number, text in enumerate(texts, 1)
    ]


def test_chunk_carries_source_collection_and_sensitivity() -> None:
    (passage,) = chunk(document("Text.", collection="work", sensitivity=Sensitivity.TRUSTED))
    assert passage.chunk.source == "/x.md"
    assert (passage.chunk.collection, passage.chunk.sensitivity) == ("work", Sensitivity.TRUSTED)


def test_chunk_ends_with_a_paragraph_when_it_is_nearly_full() -> None:
    paragraph = "A sentence of some length stands here. " * 16
    passages = chunk(document(f"{paragraph}\n\n{paragraph}"))
    assert [p.chunk.text.strip() for p in passages] == [paragraph.strip()] * 2


def test_chunk_of_nothing_is_nothing() -> None:
    assert chunk(document(" \n ")) == []


@given(st.text(alphabet="abc .?\n#가나다,-", max_size=6000))
def test_chunks_hold_every_sentence_once_within_the_size(text: str) -> None:
    end = 0
    for passage in chunk(document(text)):
        c = passage.chunk
        assert text[c.start : c.end] == c.text
        assert c.start >= end
        assert text[end : c.start].strip() == ""
        assert len(c.text) <= max(TARGET_CHARACTERS, MAX_CHARACTERS)
        assert (passage.sentences[0][0], passage.sentences[-1][1]) == (c.start, c.end)
        end = c.end
    assert text[end:].strip() == ""
