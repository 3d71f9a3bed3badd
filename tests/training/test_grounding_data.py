"""The grounding adapter's data: what was written for Ondol is whole, and what measures it is never
trained on."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.errors import TrainingError
from ondol.train import GroundingTask
from ondol.training import grounding
from ondol.training.dataset import Question, SourceDocument

PASSAGES = [
    {"id": f"{n}-{i}", "title": f"Article {n}", "text": f"Town {n} has {n}00{i} people."}
    for n in range(1, 6)
    for i in range(2)
]
QUESTIONS = [
    {
        "id": f"q{p['id']}",
        "question": f"How many people has the town of {p['id']}?",
        "answers": [f"{p['id'].replace('-', '00')} people", p["id"].replace("-", "00"), "many"],
        "passage": p["id"],
    }
    for p in PASSAGES
]


def lines(*rows: object) -> str:
    return "".join(x if isinstance(x, str) else json.dumps(x) + "\n" for x in rows)


def write_set(folder: Path, passages: str, questions: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "passages.jsonl").write_text(passages, "utf-8")
    (folder / "questions.jsonl").write_text(questions, "utf-8")
    return folder


@pytest.fixture
def reading_set(tmp_path: Path) -> Path:
    return write_set(tmp_path / "towns", lines(*PASSAGES), lines(*QUESTIONS))


@pytest.fixture(scope="module")
def own() -> list[SourceDocument]:
    return grounding.own_documents()


def test_own_documents_are_all_usable(own: list[SourceDocument]) -> None:
    assert len(own) >= 300
    for document in own:
        assert document.text.strip(), document.id
        assert document.questions, document.id
        assert document.language in {"en", "ko"}, document.id
        assert document.id.rpartition("-")[2].isdecimal(), document.id


def test_own_documents_are_each_there_once(own: list[SourceDocument]) -> None:
    for key in (lambda d: d.id, lambda d: " ".join(d.text.split())):
        assert [k for k, n in Counter(map(key, own)).items() if n > 1] == []


def test_no_question_is_asked_twice_of_one_document(own: list[SourceDocument]) -> None:
    asked = Counter((d.id, " ".join(q.text.split()).casefold()) for d in own for q in d.questions)
    assert [key for key, n in asked.items() if n > 1] == []


def test_own_questions_cover_what_the_data_card_promises(own: list[SourceDocument]) -> None:
    kinds = Counter(q.kind for d in own for q in d.questions)
    assert set(kinds) == {
        "span", "number", "date", "list", "yes_no", "two_answers", "unanswerable",
    }  # fmt: skip
    assert all((q.answer is None) == (q.kind == "unanswerable") for d in own for q in d.questions)
    assert 0.1 <= kinds["unanswerable"] / kinds.total() <= 0.25
    facts = grounding.facts(own)
    assert facts["documents"] == len(own)
    assert facts["questions_en"] + facts["questions_ko"] == kinds.total()


def test_own_documents_are_held_out_in_every_language(own: list[SourceDocument]) -> None:
    train, validation, test = grounding.split(own)
    assert len(train) + len(validation) + len(test) == len(own)
    for held_out in (validation, test):
        assert 0.03 <= len(held_out) / len(own) <= 0.08
        assert {d.language for d in held_out} == {d.language for d in own}


def test_reading_set_is_read_with_the_shortest_answer_that_stands_there(reading_set: Path) -> None:
    documents = grounding.reading_set(reading_set)
    assert len(documents) == len(PASSAGES)
    first = documents[0]
    assert (first.id, first.title, first.group) == ("towns/1-0", "Article 1", "Article 1")
    assert first.questions == (Question(QUESTIONS[0]["question"], "1000", ("1000",)),)


def test_answers_that_stand_nowhere_are_left_out(tmp_path: Path) -> None:
    asked = [QUESTIONS[0] | {"answers": []}, QUESTIONS[1] | {"answers": ["", "nowhere"]}]
    folder = write_set(tmp_path / "set", lines(*PASSAGES), lines(*asked))
    assert not any(d.questions for d in grounding.reading_set(folder))


@pytest.mark.parametrize(
    ("passages", "questions"),
    [
        ("{", ""),
        (lines("[]\n"), ""),
        (lines({"id": "x"}), ""),
        (lines({"id": "x", "title": "t"}), ""),
        (lines({"title": "t", "text": "x"}), ""),
        (lines({"id": ["x"], "title": "t", "text": "x"}), ""),
        (lines(*PASSAGES), "nonsense\n"),
        (lines(*PASSAGES), lines({"question": "Who?"})),
        (lines(*PASSAGES), lines(QUESTIONS[0] | {"passage": "no such"})),
        (lines(*PASSAGES), lines(QUESTIONS[0] | {"answers": [1000]})),
        (lines(*PASSAGES), lines(QUESTIONS[0] | {"answers": None})),
    ],
)
def test_damaged_reading_set_is_told_in_one_sentence(
    tmp_path: Path, passages: str, questions: str
) -> None:
    folder = write_set(tmp_path / "set", passages, questions)
    with pytest.raises(TrainingError, match=re.escape(f"{folder} cannot be read")) as error:
        grounding.reading_set(folder)
    assert error.value.hint


def test_missing_reading_set_is_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be read"):
        grounding.reading_set(tmp_path)


def test_two_sets_may_number_their_passages_alike(reading_set: Path, tmp_path: Path) -> None:
    other = write_set(tmp_path / "other", lines(*PASSAGES), lines(*QUESTIONS))
    one, two = (
        {d.id for d in documents}
        for documents in GroundingTask("m", (reading_set, other), own=False).documents()
    )
    assert len(one) == len(two) == len(PASSAGES)
    assert not one & two, "or the one's texts would replace the other's"


def test_what_is_held_out_does_not_change_with_the_sets_beside_it(
    reading_set: Path, tmp_path: Path
) -> None:
    other = write_set(
        tmp_path / "other",
        lines(*(p | {"title": f"Other {n % 7}"} for n, p in enumerate(PASSAGES))),
        lines(*QUESTIONS),
    )
    alone = grounding.split(*GroundingTask("m", (reading_set,), own=False).documents())
    beside = grounding.split(*GroundingTask("m", (reading_set, other)).documents())
    for mine, all_of_it in zip(alone, beside, strict=True):
        assert [d for d in all_of_it if d.group.startswith("Article")] == mine
    assert {d.group for d in alone.test} == set(
        grounding.unseen_titles({str(p["title"]) for p in PASSAGES})
    )


DOCUMENTS = st.builds(
    SourceDocument,
    id=st.one_of(
        st.from_regex(r"[a-z]{1,4}-[0-9]{1,3}", fullmatch=True), st.sampled_from(["x-²", "", "-"])
    ),
    text=st.just("x"),
    language=st.just("en"),
    questions=st.just(()),
    group=st.sampled_from(["", *"ABCDEFG"]),
)


@given(st.lists(st.lists(DOCUMENTS, max_size=12), max_size=4))
def test_no_group_and_no_document_is_on_both_sides(sets: list[list[SourceDocument]]) -> None:
    split = grounding.split(*sets)
    assert sum(map(Counter, split), Counter()) == Counter(d for one in sets for d in one)
    for one, other in combinations(split, 2):
        assert not {d.group or d.id for d in one} & {d.group or d.id for d in other}
    for one in sets:
        titles = {d.group for d in one if d.group}
        measured = {d.group for d in split.test}
        assert len(titles & measured) >= len(titles) // 2


def squad(*articles: tuple[str, list[dict[str, object]]]) -> str:
    """A file in SQuAD's form."""
    paragraphs = [{"title": title, "paragraphs": rows} for title, rows in articles]
    return json.dumps({"version": "1.1", "data": paragraphs})


LAKE = "The lake is 12 m deep. It froze in 1902, when 12 boats were lost."


def asked(question: str, text: str, start: int) -> dict[str, object]:
    return {"question": question, "answers": [{"text": text, "answer_start": start}]}


def test_file_in_squads_form_is_learned_whole_with_the_sentence_that_was_meant(
    tmp_path: Path,
) -> None:
    file = tmp_path / "train.json"
    boats = asked("How many boats were lost?", "12", LAKE.rindex("12"))
    nothing = {"question": "Who owns it?", "answers": [], "is_impossible": True}
    file.write_text(squad(("Lake", [{"context": LAKE, "qas": [boats, nothing]}])), "utf-8")
    (document,) = grounding.learned_whole(file)
    assert (document.id, document.group, document.language) == ("train/0/0", "Lake", "en")
    first, second = document.questions
    assert first.answer == "12"
    (proof,) = first.support
    assert proof in LAKE and "froze in 1902, when 12 boats" in proof, "not the depth"
    assert (second.answer, second.support, second.kind) == (None, (), "unanswerable")


def test_article_that_is_measured_is_not_learned_from_a_file_either(
    reading_set: Path, tmp_path: Path
) -> None:
    file = tmp_path / "train.json"
    titles = [f"Article {n}" for n in range(1, 6)] + ["Lake"]
    depth = asked("How deep?", "12 m", LAKE.index("12 m"))
    file.write_text(squad(*((t, [{"context": LAKE, "qas": [depth]}]) for t in titles)), "utf-8")
    split = GroundingTask("m", (reading_set,), (file,), own=False).split()
    measured = {d.group for d in split.test}
    assert measured == set(grounding.unseen_titles(titles[:5]))
    assert {d.group for d in split.train} == set(titles) - measured


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        json.dumps({"data": [{"title": "t"}]}),
        squad(("t", [{"context": LAKE}])),
        squad(("t", [{"context": LAKE, "qas": [{"question": "Who?"}]}])),
        squad(("t", [{"context": LAKE, "qas": [asked("How deep?", "13 m", 12)]}])),
        squad(("t", [{"context": LAKE, "qas": [asked("How deep?", " ", 3)]}])),
        squad(("t", [{"context": 3, "qas": [asked("How deep?", "12 m", 12)]}])),
    ],
)
def test_damaged_file_in_squads_form_is_told_in_one_sentence(tmp_path: Path, content: str) -> None:
    file = tmp_path / "train.json"
    file.write_text(content, "utf-8")
    with pytest.raises(TrainingError, match=re.escape(f"{file} cannot be read")) as error:
        grounding.learned_whole(file)
    assert error.value.hint


def test_missing_file_to_learn_is_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be read"):
        grounding.learned_whole(tmp_path / "none.json")


@given(st.lists(st.integers(0, 5), max_size=12), st.integers(0, 40))
def test_sample_keeps_every_document_and_as_many_questions_as_told(
    counts: list[int], most: int
) -> None:
    documents = [
        SourceDocument(f"d-{n}", "x", "en", tuple(Question(f"q{i}", None) for i in range(count)))
        for n, count in enumerate(counts)
    ]
    sampled = grounding.sample(documents, most)
    assert [d.id for d in sampled] == [d.id for d in documents]
    assert sum(len(d.questions) for d in sampled) == min(most, sum(counts))
    assert all(
        set(s.questions) <= set(d.questions) for s, d in zip(sampled, documents, strict=True)
    )
    assert sampled == grounding.sample(documents, most)


def test_where_there_is_too_much_only_what_was_written_for_ondol_gives_way(
    own: list[SourceDocument], reading_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = grounding.reading_set(reading_set)
    monkeypatch.setattr(grounding, "LEAST_OURS", 20)
    given = sum(len(d.questions) for d in others)
    for most, of_ours in ((100, 100 - given), (given + 1, 20), (1, 20)):
        monkeypatch.setattr(grounding, "MOST_QUESTIONS", most)
        lessons = grounding.lessons([*own, *others])
        assert sum(len(d.questions) for d in lessons if not d.group) == of_ours
        assert [d for d in lessons if d.group] == others
