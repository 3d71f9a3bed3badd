"""Documents and questions become honest examples: what is proven is answered and cited, what is not
is said to be missing, and a line that cannot be used is named."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.errors import TrainingError
from ondol.prompt import GROUNDING, NOT_IN_DOCUMENTS, build_prompt, citations
from ondol.training.dataset import (
    Example,
    Question,
    SourceDocument,
    build_examples,
    proof,
    read_documents,
    without_proof,
)
from ondol.types import Quote

TEXT = "The monthly rent is 940 crowns.  A deposit of 2,820 crowns\nis due. Pim is a terrier."
RENT = Question("What is the rent?", "940 crowns", ("monthly rent is 940 crowns",), "number")
DEPOSIT = Question("The deposit?", "2,820 crowns", ("deposit of 2,820 crowns is due",), "number")
BOTH = Question("Rent and deposit?", "940 and 2,820", RENT.support + DEPOSIT.support, "two_answers")
COLOUR = Question("What colour is the door?", None, (), "unanswerable")
LEASE = SourceDocument("lease", TEXT, "en", (RENT, DEPOSIT, BOTH, COLOUR))

FIELDS: dict[str, Any] = {
    "id": "lease",
    "title": "Lease",
    "language": "en",
    "text": TEXT,
    "questions": [
        {"question": "Rent?", "answer": "940 crowns", "support": ["is 940 crowns"], "kind": "span"},
        {"question": "Colour?", "answer": None, "support": [], "kind": "unanswerable"},
    ],
}
ANSWERED = FIELDS["questions"][0]


def quotes(*texts: str, source: str = "lease") -> tuple[Quote, ...]:
    return tuple(Quote(n, x, source, 0, len(x), 1.0) for n, x in enumerate(texts, start=1))


SENTENCES = quotes(
    "Pim is a terrier.", "The monthly rent is 940 crowns.", "A deposit of 2,820 crowns\nis due."
)


def examples_of(
    document: SourceDocument, found: Sequence[Quote] = SENTENCES, seed: int = 1, **how: float
) -> list[Example]:
    return build_examples([document], lambda question: found, GROUNDING, seed=seed, **how)


def write(file: Path, *lines: object) -> Path:
    texts = [x if isinstance(x, str) else json.dumps(x, ensure_ascii=False) for x in lines]
    file.write_text("".join(text + "\n" for text in texts), "utf-8")
    return file


def test_documents_are_read_with_their_questions(tmp_path: Path) -> None:
    (document,) = read_documents(write(tmp_path / "data.jsonl", FIELDS, ""))
    assert (document.id, document.title, document.text) == ("lease", "Lease", TEXT)
    assert document.questions[0] == Question("Rent?", "940 crowns", ("is 940 crowns",), "span")
    assert document.questions[1].answer is None


@pytest.mark.parametrize("rare", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e", "\r\n"])
def test_rare_line_separators_inside_a_text_end_no_line(tmp_path: Path, rare: str) -> None:
    (document,) = read_documents(write(tmp_path / "data.jsonl", FIELDS | {"text": TEXT + rare}))
    assert document.text == TEXT + rare


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "null",
        '"words"',
        {"id": "x", "text": "t", "questions": []},
        json.dumps(FIELDS | {"text": TEXT + "\ud83d"}),
        FIELDS | {"questions": None},
        FIELDS | {"questions": ["Rent?"]},
        FIELDS | {"questions": [{"question": "Rent?"}]},
        FIELDS | {"questions": [ANSWERED | {"support": []}]},
        FIELDS | {"questions": [ANSWERED | {"answer": None}]},
        FIELDS | {"questions": [ANSWERED | {"answer": ""}]},
        FIELDS | {"questions": [ANSWERED | {"answer": 940}]},
        FIELDS | {"questions": [ANSWERED | {"support": ["is 950 crowns"]}]},
        FIELDS | {"questions": [ANSWERED | {"support": "crowns"}]},
        FIELDS | {"questions": [ANSWERED | {"support": [""]}]},
        FIELDS | {"questions": [ANSWERED | {"support": [940]}]},
        FIELDS | {"questions": [ANSWERED | {"support": None}]},
    ],
    ids=str,
)
def test_line_that_is_no_document_is_named_with_its_file(tmp_path: Path, line: object) -> None:
    file = write(tmp_path / "data.jsonl", FIELDS, "", line)
    with pytest.raises(TrainingError) as error:
        read_documents(file)
    assert error.value.message.startswith(f"Line 3 of {file} is not a training document")
    assert error.value.hint


def test_support_that_is_not_in_the_text_is_quoted(tmp_path: Path) -> None:
    wrong = FIELDS | {"questions": [ANSWERED | {"support": ["the rent is a secret"]}]}
    with pytest.raises(TrainingError, match="not in the text: the rent is a secret"):
        read_documents(write(tmp_path / "data.jsonl", wrong))


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "data.jsonl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(TrainingError, match=re.escape(f"{file} cannot be read")):
        read_documents(file)


def test_proof_is_found_across_line_breaks_and_capitals() -> None:
    assert proof(LEASE, RENT, SENTENCES) == (2,)
    assert proof(LEASE, DEPOSIT, quotes("a DEPOSIT of  2,820 crowns\tis due")) == (1,)


def test_two_supports_need_both_their_sentences() -> None:
    assert proof(LEASE, BOTH, SENTENCES) == (2, 3)
    assert proof(LEASE, BOTH, SENTENCES[:2]) == ()
    assert proof(LEASE, BOTH, quotes(TEXT)) == (1,)


def test_sentence_of_another_document_proves_nothing() -> None:
    other = tuple(replace(quote, source="other") for quote in SENTENCES)
    assert proof(LEASE, RENT, other) == ()


def test_what_has_no_answer_has_no_proof() -> None:
    assert proof(LEASE, COLOUR, SENTENCES) == ()


def test_example_is_the_prompt_really_sent_and_a_cited_answer() -> None:
    by_question = {e.messages[-1].content.splitlines()[0]: e for e in examples_of(LEASE)}
    rent = by_question[RENT.text]
    assert list(rent.messages) == build_prompt(RENT.text, SENTENCES, template=GROUNDING)
    assert rent.reply == "940 crowns [2]"
    assert by_question[BOTH.text].reply == "940 and 2,820 [2][3]"
    assert by_question[COLOUR.text].reply == NOT_IN_DOCUMENTS["en"]
    assert [by_question[q.text].abstains for q in LEASE.questions] == [False, False, False, True]


def test_proof_that_retrieval_missed_teaches_to_abstain() -> None:
    missed = examples_of(replace(LEASE, questions=(RENT,)), SENTENCES[:1])
    assert [e.reply for e in missed] == [NOT_IN_DOCUMENTS["en"]]


def test_question_without_any_evidence_makes_no_example() -> None:
    assert examples_of(LEASE, ()) == []


@pytest.mark.parametrize(
    ("question", "language"), [("문은 무슨 색인가요?", "ko"), ("What colour is the door?", "en")]
)
def test_abstention_is_in_the_language_of_the_question(question: str, language: str) -> None:
    (example,) = examples_of(replace(LEASE, questions=(Question(question, None),)))
    assert example.reply == NOT_IN_DOCUMENTS[language]


def test_documents_without_a_group_are_their_own() -> None:
    assert {e.group for e in examples_of(LEASE)} == {"lease"}
    assert {e.group for e in examples_of(replace(LEASE, group="Osier Row"))} == {"Osier Row"}


def test_hard_negative_is_the_same_question_without_its_proof() -> None:
    answered, missing = sorted(
        examples_of(replace(LEASE, questions=(RENT,)), hard_negatives=1.0),
        key=lambda e: e.abstains,
    )
    assert answered.reply == "940 crowns [2]"
    assert missing.reply == NOT_IN_DOCUMENTS["en"]
    assert "940" not in missing.messages[-1].content
    assert "[1] Pim is a terrier.\n[2] A deposit" in missing.messages[-1].content


def test_hard_negative_of_nothing_else_is_left_out() -> None:
    only = examples_of(replace(LEASE, questions=(RENT,)), SENTENCES[1:2], hard_negatives=1.0)
    assert [e.abstains for e in only] == [False]


WORDS = st.lists(
    st.sampled_from(["the rent is", "940 crowns", "a dog", "due", "Pim", "each month"]),
    min_size=1,
    max_size=4,
).map(" ".join)


@given(st.lists(WORDS, max_size=8))
def test_hard_negative_holds_neither_the_proof_nor_the_answer(texts: list[str]) -> None:
    question = Question("Rent?", "940 Crowns", ("rent is 940 crowns", "Pim due"))
    kept = without_proof(LEASE, question, quotes(*texts))
    assert [quote.number for quote in kept] == list(range(1, len(kept) + 1))
    for quote in kept:
        assert "940 crowns" not in quote.text
        assert "Pim due" not in quote.text
    assert proof(LEASE, question, kept) == ()
    free = [x for x in texts if "940 crowns" not in x and "Pim due" not in x]
    assert [quote.text for quote in kept] == free, "no more is taken away than need be"


@st.composite
def libraries(draw: st.DrawFn) -> list[SourceDocument]:
    """Documents of which the first sentence is always found, and every second question's proof."""
    counts = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=6))
    return [
        SourceDocument(
            f"d{n}",
            "Alpha beta. Gamma delta.",
            "en",
            tuple(Question(f"d{n} q{i}?", "gamma", ("Gamma delta",)) for i in range(answered))
            + tuple(Question(f"d{n} u{i}?", None) for i in range(unanswered)),
        )
        for n, (answered, unanswered) in enumerate(counts)
    ]


@given(libraries(), st.integers(0, 99), st.floats(0, 1), st.floats(0, 1))
def test_abstentions_stay_below_their_bound_and_a_seed_says_all(
    documents: list[SourceDocument], seed: int, hard: float, most: float
) -> None:
    def evidence(question: str) -> tuple[Quote, ...]:
        return quotes("Alpha beta.", "Gamma delta.", source=question.split(maxsplit=1)[0])

    def built(**how: float) -> list[Example]:
        return build_examples(documents, evidence, GROUNDING, seed=seed, **how)

    examples = built(hard_negatives=hard, most_abstentions=most)
    assert examples == built(hard_negatives=hard, most_abstentions=most)
    assert sum(e.abstains for e in examples) <= most * len(examples) + 1e-9
    everything = built(hard_negatives=hard)
    assert [e for e in examples if not e.abstains] == [e for e in everything if not e.abstains]
    for example in examples:
        numbers = citations(example.reply, quotes("", ""))
        assert numbers == (() if example.abstains else (2,))


def test_another_seed_is_another_order() -> None:
    many = replace(LEASE, questions=(RENT, DEPOSIT, BOTH, COLOUR) * 5)
    assert examples_of(many, seed=1) != examples_of(many, seed=2)
    assert sorted(map(repr, examples_of(many, seed=1))) == sorted(
        map(repr, examples_of(many, seed=2))
    )
