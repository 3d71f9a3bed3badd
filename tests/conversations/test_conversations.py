"""Conversations as their owner finds them again: lists, search, branches, and what is erased."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from ondol import database, paths
from ondol.conversations.exporting import as_json, as_markdown
from ondol.conversations.place import Place
from ondol.conversations.store import Conversations
from ondol.conversations.titles import title_of
from ondol.errors import (
    AttachmentNotFoundError,
    ConversationNotFoundError,
    MessageNotFoundError,
    PromptNotFoundError,
    UsageError,
)
from ondol.i18n import use_language


@pytest.fixture
def kept() -> Iterator[Conversations]:
    with Conversations.open() as found:
        yield found


def said(kept: Conversations, id: str, question: str, reply: str = "Yes.", **how: Any) -> str:
    """Ask and answer at the end of what is shown; the answer's id."""
    _, message = kept.turns.ask(id, question, kept.get(id).leaf)
    kept.turns.save(message.id, reply, status="done", **how)
    return message.id


def titles(kept: Conversations, query: str = "", **how: Any) -> list[str]:
    return [one.title for one in kept.page(query, **how)[0]]


def test_the_first_question_gives_a_title_and_a_given_one_stays(kept: Conversations) -> None:
    one, two = kept.create(), kept.create(title="Rent")
    said(kept, one.id, "  When was the\tboiler serviced?\nAnd by whom?")
    said(kept, one.id, "And before?")
    said(kept, two.id, "보증금은 얼마인가요?")
    assert kept.get(one.id).title == "When was the boiler serviced?"
    assert kept.get(two.id).title == "Rent"


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("", ""),
        (" \n \t", ""),
        ("\n\n둘째 줄", "둘째 줄"),
        ("word " * 30, "word " * 11 + "word…"),
        ("가" * 80, "가" * 60 + "…"),
        ("a\u202eb\x07c", "abc"),
    ],
)
def test_a_title_is_one_short_line(question: str, title: str) -> None:
    assert title_of(question) == title


def test_pinned_ones_come_first_and_then_what_was_spoken_in_last(kept: Conversations) -> None:
    ids = [kept.create(title=name).id for name in "abc"]
    kept.change(ids[0], pinned=True)
    said(kept, ids[1], "hello")
    assert titles(kept) == ["a", "b", "c"]
    kept.change(ids[0], pinned=False)
    assert titles(kept) == ["b", "c", "a"]


def test_pages_hold_everything_once_in_order(kept: Conversations) -> None:
    for number in range(7):
        kept.create(title=str(number), pinned=number % 3 == 0)
    whole, before = titles(kept), ""
    found: list[str] = []
    while True:
        page, following = kept.page(before=before, limit=2)
        found += [one.title for one in page]
        if following is None:
            break
        before = following
    assert found == whole == ["6", "3", "0", "5", "4", "2", "1"]


@pytest.mark.parametrize("before", ["x", "2,now,id", "1,,", "0"])
def test_no_page_begins_there(kept: Conversations, before: str) -> None:
    with pytest.raises(UsageError) as caught:
        kept.page(before=before)
    assert caught.value.param == "before"


def test_search_finds_words_in_titles_and_in_what_was_said(kept: Conversations) -> None:
    one, two = kept.create(title="보일러"), kept.create(title="Garden")
    said(kept, one.id, "언제 점검했나요?", "3월에 김민수 기사가 했습니다.")
    said(kept, two.id, "What grows there?", "Kim planted TOMATOES.")
    assert titles(kept, "김민수") == titles(kept, "민수 보일러") == ["보일러"]
    assert titles(kept, unicodedata.normalize("NFD", "점검")) == ["보일러"]
    assert titles(kept, "tomatoes") == titles(kept, "  GARDEN kim ") == ["Garden"]
    assert titles(kept, "kim 보일러") == titles(kept, "100%") == titles(kept, "_") == []


def test_a_folder_holds_its_own(kept: Conversations) -> None:
    kept.create(title="a", folder=" Work  papers ")
    kept.create(title="b")
    assert titles(kept, folder="Work papers") == ["a"]
    assert titles(kept, folder="") == ["b"]


def test_what_is_changed_is_kept_and_the_rest_stays(kept: Conversations) -> None:
    id = kept.create(title="a", mode="chat", filter={"in": ["work"]}).id
    before = kept.get(id)
    after = kept.change(id, draft="half a sent", wanted="here", folder="x")
    assert (after.draft, after.wanted, after.folder) == ("half a sent", "here", "x")
    assert (after.title, after.mode, after.filter) == ("a", "chat", {"in": ["work"]})
    assert after.updated_at == before.updated_at
    said(kept, id, "half a sentence")
    assert kept.get(id).draft == ""


def test_a_leaf_is_a_message_of_the_conversation(kept: Conversations) -> None:
    one, two = kept.create(), kept.create()
    first = said(kept, one.id, "a")
    said(kept, one.id, "b")
    kept.change(one.id, leaf=first)
    assert [m.content for m in kept.turns.path(one.id, kept.get(one.id).leaf)] == ["a", "Yes."]
    for wrong in (lambda: kept.change(two.id, leaf=first), lambda: kept.turns.path(two.id, first)):
        with pytest.raises(MessageNotFoundError):
            wrong()
    with pytest.raises(UsageError):
        kept.create(leaf=first)


def test_an_edited_question_stands_beside_the_first_one(kept: Conversations) -> None:
    id = kept.create().id
    said(kept, id, "a")
    second = kept.turns.get(id, kept.get(id).leaf or "").parent or ""
    asked, answer = kept.turns.edit(id, second, "b")
    kept.turns.save(answer.id, "No.", status="done")
    again, another = kept.turns.regenerate(id, answer.id)
    assert again.id == asked.id and asked.siblings == (second, asked.id)
    assert another.siblings == (answer.id, another.id)
    path = [m.content for m in kept.turns.path(id, kept.get(id).leaf)]
    assert path == ["b", ""] and len(kept.messages(id)) == 5


def test_what_cannot_be_asked_is_refused_and_nothing_is_kept(kept: Conversations) -> None:
    id = kept.create().id
    answer = said(kept, id, "a")
    question = kept.turns.get(id, answer).parent or ""
    _, running = kept.turns.regenerate(id, answer)
    refused = [
        (lambda: kept.turns.ask(id, " \n", None), UsageError),
        (lambda: kept.turns.ask(id, "b", "nobody"), MessageNotFoundError),
        (lambda: kept.turns.ask("nowhere", "b", None), ConversationNotFoundError),
        (lambda: kept.turns.edit(id, answer, "b"), UsageError),
        (lambda: kept.turns.resume(id, question), UsageError),
        (lambda: kept.turns.resume(id, running.id), UsageError),
        (lambda: kept.messages("nowhere"), ConversationNotFoundError),
        (lambda: kept.delete([id, "nowhere"]), ConversationNotFoundError),
    ]
    for deed, error in refused:
        with pytest.raises(error):
            deed()
    assert len(kept.messages(id)) == 3


def test_what_was_running_when_the_process_died_has_stopped(kept: Conversations) -> None:
    id = kept.create().id
    _, answer = kept.turns.ask(id, "a", None)
    kept.turns.save(answer.id, "half")
    assert kept.turns.recover() == 1 and kept.turns.recover() == 0
    found = kept.turns.get(id, answer.id)
    assert (found.status, found.content) == ("stopped", "half")


def test_a_very_long_conversation_is_read_and_erased(kept: Conversations) -> None:
    id = kept.create().id
    for number in range(600):
        said(kept, id, str(number))
    assert len(kept.turns.path(id, kept.get(id).leaf)) == 1200
    assert kept.delete([id]).is_erased and kept.ids() == []


def test_what_is_no_text_is_kept_as_near_as_can_be(kept: Conversations) -> None:
    id = kept.create(title="a\ud800b").id
    said(kept, id, "c\udfffd\0e")
    assert kept.get(id).title == "a?b"
    assert kept.messages(id)[0].content == "c?d\0e"


@pytest.mark.parametrize("marker", ["walrus-in-the-attic", "다락방바다코끼리"])
def test_no_byte_of_a_deleted_conversation_is_left(kept: Conversations, marker: str) -> None:
    stays = kept.create(title="stays").id
    said(kept, stays, "kept words")
    id = kept.create(folder=marker, draft=marker, filter={"in": [marker]}).id
    for number in range(40):
        answer = said(kept, id, f"{marker} {number}", marker * 9, answer={"answer": marker})
    kept.opinions.give(answer, False, ["other"], edited=marker)
    assert marker.encode() in everything(paths.data_dir())
    assert kept.delete([id]).is_erased
    assert marker.encode() not in everything(paths.data_dir())
    assert titles(kept, "kept words") == ["stays"]


def everything(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def test_bytes_that_a_reader_kept_go_when_it_is_gone(kept: Conversations) -> None:
    id = kept.create(title="walrus").id
    said(kept, id, "walrus " * 200)
    reader = database.connect(paths.database_file())
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM messages").fetchone()
    assert not kept.delete([id]).is_erased
    reader.execute("ROLLBACK")
    reader.close()
    with pytest.raises(ConversationNotFoundError):
        kept.get(id)
    assert kept.place.erase()
    assert b"walrus" not in everything(paths.data_dir())


def test_feedback_is_given_changed_and_taken_back(kept: Conversations) -> None:
    id = kept.create().id
    answer = said(kept, id, "a")
    kept.opinions.give(answer, False, ["wrong", "style", "wrong"], edited="secret wording")
    found = kept.opinions.give(answer, None, ["too_long"]).feedback
    assert found is not None and (found.right, found.reasons) == (None, ("too_long",))
    assert b"secret wording" not in everything(paths.data_dir())
    assert [one.id for one in kept.opinions.all()] == [answer]
    kept.opinions.take_back(answer)
    assert kept.opinions.all() == [] and kept.turns.get(id, answer).feedback is None


def test_feedback_is_about_an_answer_in_known_words(kept: Conversations) -> None:
    id = kept.create().id
    answer = said(kept, id, "a")
    question = kept.turns.get(id, answer).parent or ""
    with pytest.raises(UsageError) as caught:
        kept.opinions.give(answer, False, ["ugly"])
    assert caught.value.param == "reasons" and "not_in_documents" in caught.value.hint
    for wrong in (question, "nobody"):
        with pytest.raises(MessageNotFoundError):
            kept.opinions.give(wrong, True)


def test_prompts_are_kept_changed_and_erased(kept: Conversations) -> None:
    one = kept.prompts.add(" short  answer ", "Answer in one line, please.")
    kept.prompts.add("반말", "반말로 해 줘")
    assert [p.name for p in kept.prompts.all()] == ["short answer", "반말"]
    assert kept.prompts.change(one.id, text="Be brief.").name == "short answer"
    assert b"one line, please" not in everything(paths.data_dir())
    assert kept.prompts.remove(one.id)
    assert [p.name for p in kept.prompts.all()] == ["반말"]
    assert b"Be brief." not in everything(paths.data_dir())


def test_a_prompt_has_a_name_of_its_own_and_a_text(kept: Conversations) -> None:
    kept.prompts.add("a", "text")
    for name, text, param in (("a", "x", "name"), (" ", "x", "name"), ("b", " ", "text")):
        with pytest.raises(UsageError) as caught:
            kept.prompts.add(name, text)
        assert caught.value.param == param
    for deed in (lambda: kept.prompts.change("x", "y"), lambda: kept.prompts.remove("x")):
        with pytest.raises(PromptNotFoundError):
            deed()


def test_an_attachment_that_is_not_there_is_said_so(kept: Conversations) -> None:
    with pytest.raises(AttachmentNotFoundError):
        kept.attachments.get(kept.create().id, "a.txt")


QUOTE = {"number": 1, "text": "The boiler was  serviced in March.", "source": "/a.txt"}
OTHER = {**QUOTE, "number": 2, "text": "Another one.", "source": "/b.txt", "also_in": ["/a.txt"]}


def test_quotes_of_a_forgotten_document_leave_the_answer(kept: Conversations) -> None:
    id = kept.create().id
    text = "You said: The boiler was serviced in\nMarch. [1] Another one. [2]"
    answer = {
        "answer": text,
        "quotes": [QUOTE, OTHER],
        "citations": [1, 2],
        "support": [{"start": 0, "end": 5, "quote": 1, "score": 1.0}],
        "draft": {"answer": "x", "quotes": [QUOTE], "citations": [1], "support": []},
    }
    message = said(kept, id, "When?", text, answer=answer)
    assert kept.quoting.forget({"/c.txt"}) == 0
    assert kept.quoting.forget({"/a.txt"}) == 2
    found = kept.turns.get(id, message)
    assert found.content == "You said: […] [1] Another one. [2]"
    assert found.answer is not None and found.answer["answer"] == found.content
    assert found.answer["quotes"] == [{**OTHER, "also_in": []}]
    assert found.answer["citations"] == [2] and found.answer["draft"]["quotes"] == []
    assert kept.place.erase() and b"serviced in" not in everything(paths.data_dir())


def test_an_export_is_readable_and_whole(kept: Conversations) -> None:
    id = kept.create().id
    answer = {"answer": "In March [1].", "quotes": [{**QUOTE, "page": 2}], "model": "tiny"}
    said(kept, id, "When was the boiler serviced?", "In March [1].", answer=answer)
    _, other = kept.turns.regenerate(id, kept.get(id).leaf or "")
    kept.turns.save(other.id, "I do not know.", status="done")
    one = kept.change(id, leaf=other.siblings[0])
    text = as_markdown(one, kept.turns.path(id, one.leaf))
    assert text.startswith("# When was the boiler serviced?\n\n**You** (")
    assert "**Ondol, tiny**" in text and "I do not know." not in text
    assert "> [1] The boiler was serviced in March. (a.txt, page 2)" in text
    with use_language("ko"):
        assert "**나**" in as_markdown(one, kept.turns.path(id, one.leaf))
    assert len(as_json(one, kept.messages(id))["messages"]) == 3


class AnyOrder(RuleBasedStateMachine):
    """Whatever is asked, edited, answered again and deleted: one tree a conversation."""

    conversations = Bundle("conversations")
    answers = Bundle("answers")

    def __init__(self) -> None:
        super().__init__()
        self.kept = Conversations(Place(lambda: database.connect(database.IN_MEMORY)))
        self.known: dict[str, int] = {}

    def teardown(self) -> None:
        self.kept.close()

    @rule(target=conversations)
    def begin(self) -> str:
        id = self.kept.create().id
        self.known[id] = 0
        return id

    @rule(target=answers, id=conversations, text=st.text("ab\n ", max_size=4))
    def ask(self, id: str, text: str):
        return self._try(id, lambda: self.kept.turns.ask(id, text, self.kept.get(id).leaf), 2)

    @rule(target=answers, place=answers, text=st.text("ab", min_size=1, max_size=4))
    def branch(self, place: tuple[str, str], text: str):
        id, answer = place
        return self._try(id, lambda: self.kept.turns.ask(id, text, answer), 2)

    @rule(target=answers, place=answers)
    def edit(self, place: tuple[str, str]):
        id, answer = place

        def deed():
            return self.kept.turns.edit(id, self.kept.turns.get(id, answer).parent or "", "c")

        return self._try(id, deed, 2)

    @rule(target=answers, place=answers)
    def regenerate(self, place: tuple[str, str]):
        id, answer = place
        return self._try(id, lambda: self.kept.turns.regenerate(id, answer), 1)

    @rule(place=answers)
    def show(self, place: tuple[str, str]) -> None:
        id, answer = place
        if id in self.known:
            self.kept.change(id, leaf=answer)

    @rule(id=conversations)
    def delete(self, id: str) -> None:
        if self.known.pop(id, None) is not None:
            self.kept.delete([id])

    def _try(self, id: str, deed, count: int):
        try:
            _, answer = deed()
        except UsageError:
            return multiple()
        except (ConversationNotFoundError, MessageNotFoundError):
            assert id not in self.known
            return multiple()
        self.known[id] += count
        self.kept.turns.save(answer.id, "said", status="done")
        return id, answer.id

    @invariant()
    def every_conversation_is_one_whole_tree(self) -> None:
        assert set(self.kept.ids()) == set(self.known)
        for id, count in self.known.items():
            messages = {one.id: one for one in self.kept.messages(id)}
            assert len(messages) == count
            for one in messages.values():
                assert one.id in one.siblings
                assert one.parent is None or messages[one.parent].role != one.role
                path = self.kept.turns.path(id, one.id)
                assert path[-1].id == one.id and path[0].parent is None
                assert all(b.parent == a.id for a, b in pairwise(path))
            leaf = self.kept.get(id).leaf
            assert leaf in messages if messages else leaf is None


AnyOrder.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestAnyOrder = AnyOrder.TestCase
