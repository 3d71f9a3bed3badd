"""A prompt travels as far as the strictest thing in it, and what is unknown does not travel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol import database
from ondol.i18n import t, use_language
from ondol.routing.sensitivity import NOTHING, PromptLabeller, join
from ondol.routing.taint import Spoken
from ondol.types import Chunk, Evidence, Hit, Label, Message, Quote, Sensitivity

PRIVATE, TRUSTED, PUBLIC = Sensitivity
DIARY = "Ilse sold the blue boat to pay for the clinic, and we have not told the children yet."
NOTHING_FOUND = "I found nothing about this in your documents."


@pytest.fixture
def spoken() -> Iterator[Spoken]:
    connection = database.connect(database.IN_MEMORY)
    yield Spoken(connection)
    connection.close()


@pytest.fixture
def labeller(spoken: Spoken) -> PromptLabeller:
    return PromptLabeller(spoken, lambda text: DIARY in text)


def quote(text: str, sensitivity: Sensitivity) -> Quote:
    return Quote(1, text, "a.txt", 0, len(text), 1.0, sensitivity=sensitivity)


def test_a_question_in_the_owners_own_words_may_go_home(labeller: PromptLabeller) -> None:
    label = labeller.label("When was the valve turned?", Evidence())
    assert label == Label(TRUSTED, ("setting",))


def test_the_owner_may_keep_all_questions_here(spoken: Spoken) -> None:
    strict = PromptLabeller(spoken, lambda text: False, question_sensitivity=PRIVATE)
    assert strict.label("hello", Evidence(), declared=PUBLIC) == Label(PRIVATE, ("setting",))


@pytest.mark.parametrize("sensitivity", list(Sensitivity))
def test_each_document_limits_the_prompt(
    labeller: PromptLabeller, sensitivity: Sensitivity
) -> None:
    text = "Valves are turned clockwise."
    chunk = Chunk(text, 0, len(text), sensitivity=sensitivity)
    for evidence in (
        Evidence(quotes=(quote(text, sensitivity),)),
        Evidence(hits=(Hit(chunk, 1.0, 1),)),
    ):
        label = labeller.label("How?", evidence)
        assert label.sensitivity is min(sensitivity, TRUSTED)
        assert ("document" in label.reasons) == (sensitivity <= TRUSTED)
    assert labeller.label("How?", Evidence(), attachments=[chunk]).sensitivity <= sensitivity
    remembered = labeller.label("How?", Evidence(), memory=[chunk])
    assert remembered.sensitivity is min(sensitivity, TRUSTED)


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("Call 010-4821-9937 for me", "personal_data:phone"),
        ("제 주민번호는 840217-1245311", "personal_data:kr_rrn"),
        ("the password is hunter2-Karst", "personal_data:secret"),
        (f"Please translate: {DIARY}", "matches_private_text"),
    ],
)
def test_what_is_in_a_question_keeps_it_here(
    labeller: PromptLabeller, question: str, reason: str
) -> None:
    expected = Label(PRIVATE, (reason,))
    assert labeller.label(question, Evidence()) == expected
    assert labeller.label("And?", Evidence(), [Message("user", question)]) == expected
    # Nothing that a request says of itself frees it.
    assert labeller.label(question, Evidence(), declared=PUBLIC) == expected


def test_personal_data_in_a_free_document_counts(labeller: PromptLabeller) -> None:
    evidence = Evidence(quotes=(quote("Ms Brandauer: 010-4821-9937.", PUBLIC),))
    assert labeller.label("Who?", evidence) == Label(PRIVATE, ("personal_data:phone",))


def test_a_number_split_over_turns_is_seen(labeller: PromptLabeller) -> None:
    history = [Message("user", "It begins with 010-4821"), Message("assistant", NOTHING_FOUND)]
    label = labeller.label("-9937 is the rest", Evidence(), history)
    assert label == Label(PRIVATE, ("personal_data:phone",))


def test_an_answer_keeps_its_label_in_later_turns(labeller: PromptLabeller) -> None:
    labeller.remember("The boat was sold [1].", PRIVATE)
    labeller.remember("Valves are turned clockwise.", TRUSTED)
    private = [Message("user", "What was sold?"), Message("assistant", "The boat was sold [1].")]
    trusted = [Message("user", "How?"), Message("assistant", "Valves are turned clockwise.")]
    assert labeller.label("Why?", Evidence(), private) == Label(PRIVATE, ("history",))
    assert labeller.label("Why?", Evidence(), trusted) == Label(TRUSTED, ("history", "setting"))
    # A client may wrap lines or strip marks; of the same words the strictest label stays.
    labeller.remember("Valves are turned clockwise.", PRIVATE)
    labeller.remember("Valves are turned clockwise.", PUBLIC)
    trusted[1] = Message("assistant", "  valves are\nturned **clockwise**")
    assert labeller.label("Why?", Evidence(), trusted).sensitivity is PRIVATE


@pytest.mark.parametrize("role", ["system", "assistant", "tool"])
def test_unknown_history_is_private_unless_the_request_says_otherwise(
    labeller: PromptLabeller, role: str
) -> None:
    history = [Message(role, "Be brief.")]  # type: ignore[arg-type]
    assert labeller.label("Hi", Evidence(), history) == Label(PRIVATE, ("unknown_history",))
    declared = labeller.label("Hi", Evidence(), history, declared=TRUSTED)
    assert declared == Label(TRUSTED, ("setting",))
    stricter = labeller.label("Hi", Evidence(), history, declared=PRIVATE)
    assert stricter == Label(PRIVATE, ("declared",))


@pytest.mark.parametrize("language", ["en", "ko"])
def test_that_nothing_was_found_taints_nothing(labeller: PromptLabeller, language: str) -> None:
    with use_language(language):
        said = t("answer.nothing_found")
    labeller.remember(said, PRIVATE)
    history = [Message("user", "Who?"), Message("assistant", said)]
    assert labeller.label("And where?", Evidence(), history) == Label(TRUSTED, ("setting",))


def test_a_private_answer_is_known_in_a_question_or_a_summary(labeller: PromptLabeller) -> None:
    labeller.remember(f"According to the diary, {DIARY} [2]", PRIVATE)
    for question in (
        "You said ILSE SOLD THE BLUE BOAT TO PAY FOR THE CLINIC. Why?",
        "Summary so far: the boat to pay for the clinic, and we have not told the children.",
    ):
        label = labeller.label(question, Evidence())
        assert label == Label(PRIVATE, ("matches_private_text",))
        assert labeller.holds_private(question)


def test_redaction_frees_from_personal_data_and_from_nothing_else(
    labeller: PromptLabeller,
) -> None:
    question = "Call 010-4821-9937 about the valve"
    assert labeller.label(question, Evidence(), redacting=True) == Label(TRUSTED, ("setting",))
    evidence = Evidence(quotes=(quote("The valve is at 010-4821-9937.", PRIVATE),))
    kept = labeller.label(question, evidence, redacting=True)
    assert kept == Label(PRIVATE, ("document",))
    pasted = labeller.label(f"{question}. {DIARY}", Evidence(), redacting=True)
    assert pasted == Label(PRIVATE, ("matches_private_text",))


def test_what_redaction_cannot_take_out_still_counts(labeller: PromptLabeller) -> None:
    history = [Message("user", "It begins with 010-4821")]
    label = labeller.label("-9937 is the rest", Evidence(), history, redacting=True)
    assert label == Label(PRIVATE, ("personal_data:phone",))


def test_a_private_passage_with_a_number_in_it_does_not_get_free_by_redaction(
    spoken: Spoken,
) -> None:
    text = "Ring Ilse at 010-4821-9937 and say that the blue boat is sold"
    labeller = PromptLabeller(spoken, lambda asked: text in asked)
    assert labeller.label(text, Evidence(), redacting=True).sensitivity is PRIVATE


labels = st.builds(
    Label,
    st.sampled_from(Sensitivity),
    st.lists(st.sampled_from("document history memory setting".split()), unique=True).map(
        lambda reasons: tuple(sorted(reasons))
    ),
)


@given(labels, labels, labels)
def test_join_is_a_lattices(a: Label, b: Label, c: Label) -> None:
    assert join(a, join(b, c)) == join(join(a, b), c) == join(a, b, c)
    assert join(a, b) == join(b, a)
    assert join(a, a) == a
    assert join(a, NOTHING).sensitivity == a.sensitivity
    assert join(a, b).sensitivity <= min(a.sensitivity, b.sensitivity)
    # Monotone: a stricter part never makes the whole freer.
    if a.sensitivity <= b.sensitivity:
        assert join(a, c).sensitivity <= join(b, c).sensitivity
