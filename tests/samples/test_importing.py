"""Chat exports, JSON lines, mails and notes become drafts; what is broken is named."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.errors import InvalidSamplesError
from ondol.retrieval.loaders.encoding import decode
from ondol.samples import chats, forms, jsonfile, mail, notes, talk
from ondol.samples.importing import Reading, read
from ondol.samples.records import Draft
from ondol.types import Message


def node(parent: str | None, role: str, text: str, **others: Any) -> dict[str, Any]:
    content = {"content_type": "text", "parts": [text]}
    return {"parent": parent, "message": {"author": {"role": role}, "content": content, **others}}


CHATGPT = {
    "title": "Kettles",
    "conversation_id": "c-1",
    "current_node": "5",
    "mapping": {
        "0": {"parent": None, "message": None},
        "1": node("0", "system", "hidden", metadata={"is_visually_hidden_from_conversation": True}),
        "2": node("1", "user", "How do I descale a kettle?"),
        "3": node("2", "assistant", "An answer that was thrown away."),
        "4": node("2", "assistant", "search(kettle)", recipient="browser"),
        "5": node("4", "assistant", "Boil vinegar in it."),
    },
}
CLAUDE = {
    "uuid": "c-2",
    "chat_messages": [
        {"sender": "human", "text": "And rust?"},
        {"sender": "assistant", "text": "", "content": [{"type": "text", "text": "Lemon."}]},
        {"sender": "human", "text": "Thanks"},
        {"sender": "assistant", "text": "Bad joke.", "chat_feedback": {"type": "flag"}},
        "broken",
    ],
}
OPEN_WEBUI = {
    "id": "c-3",
    "chat": {
        "history": {
            "currentId": "b",
            "messages": {
                "a": {"role": "user", "content": "Name a tea.", "parentId": None},
                "b": {
                    "role": "assistant",
                    "content": '<details type="reasoning">hm</details>\nSencha.',
                    "parentId": "a",
                    "annotation": {"rating": 1},
                },
                "c": {
                    "role": "assistant",
                    "content": "As an assistant I cannot drink.",
                    "parentId": "a",
                    "annotation": {"rating": -1},
                },
            },
        }
    },
}


def from_file(tmp_path: Path, name: str, content: str | bytes, **others: Any) -> Reading:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read(file, decode=decode, **others)


def said(one: Draft) -> tuple[str, str]:
    return one.messages[-1].content, one.reply


def test_of_a_chatgpt_export_the_shown_branch_is_read(tmp_path: Path) -> None:
    reading = from_file(tmp_path, "conversations.json", json.dumps([CHATGPT]))
    assert (reading.kind, reading.form, reading.conversations) == ("chat_export", "ChatGPT", 1)
    assert [said(one) for one in reading.drafts] == [
        ("How do I descale a kettle?", "Boil vinegar in it.")
    ]
    assert reading.drafts[0].conversation == "ChatGPT:c-1"


def test_a_downloaded_zip_is_read_as_it_is_with_all_its_parts(tmp_path: Path) -> None:
    file = tmp_path / "export.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("user.json", "{}")
        archive.writestr("conversations-000.json", json.dumps([CHATGPT]))
        other = {**CHATGPT, "conversation_id": "c-9"}
        archive.writestr("conversations-001.json", json.dumps([other]))
    assert read(file, decode=decode).conversations == 2


def test_in_a_claude_export_what_was_flagged_is_a_thumb_down(tmp_path: Path) -> None:
    reading = from_file(tmp_path, "data.json", json.dumps([CLAUDE]))
    first, second = reading.drafts
    assert reading.form == "Claude"
    assert (first.kind, said(first)) == ("sft", ("And rust?", "Lemon."))
    assert (second.kind, second.is_desirable, second.reply) == ("thumb", False, "Bad joke.")
    assert [one.content for one in second.messages] == ["And rust?", "Lemon.", "Thanks"]


def test_of_two_rated_answers_in_open_webui_one_is_preferred(tmp_path: Path) -> None:
    reading = from_file(tmp_path, "chat-export-1.json", json.dumps([OPEN_WEBUI, {"odd": 1}]))
    pair, good = reading.drafts
    assert (pair.kind, pair.reply, pair.rejected) == (
        "preference",
        "Sencha.",
        "As an assistant I cannot drink.",
    )
    assert (good.kind, good.reply) == ("sft", "Sencha.")
    assert "1 in chat-export-1.json" in reading.skipped[0]


def test_a_thread_tied_into_a_knot_ends(tmp_path: Path) -> None:
    knot = {"mapping": {"a": node("b", "user", "x"), "b": node("a", "assistant", "y")}}
    (one,) = from_file(tmp_path, "k.json", json.dumps([knot])).drafts
    assert said(one) == ("x", "y")


USER = {"role": "user", "content": "Who?"}
MINA = {"role": "assistant", "content": "Mina."}
LONG = {"role": "assistant", "content": "It was, as far as I can tell, Mina."}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"messages": [USER, MINA]}, ("sft", "Mina.", None, None)),
        ({"prompt": "Who?", "completion": " Mina."}, ("sft", "Mina.", None, None)),
        ({"messages": [USER], "reply": "Mina."}, ("sft", "Mina.", None, None)),
        (
            {"messages": [USER], "reply": "Mina.", "rejected": "Her."},
            ("preference", "Mina.", "Her.", None),
        ),
        (
            {"messages": [USER], "reply": "No.", "is_desirable": False},
            ("thumb", "No.", None, False),
        ),
        ({"prompt": [USER], "completion": [MINA]}, ("sft", "Mina.", None, None)),
        (
            {"prompt": "Who?", "completion": "Mina.", "label": False},
            ("thumb", "Mina.", None, False),
        ),
        (
            {"prompt": "Who?", "chosen": "Mina.", "rejected": "Her."},
            ("preference", "Mina.", "Her.", None),
        ),
        (
            {"chosen": [USER, MINA], "rejected": [USER, LONG]},
            ("preference", "Mina.", LONG["content"], None),
        ),
        (
            {
                "input": {"messages": [USER]},
                "preferred_output": [MINA],
                "non_preferred_output": [LONG],
            },
            ("preference", "Mina.", LONG["content"], None),
        ),
        ({"instruction": "Who?", "input": "", "output": "Mina."}, ("sft", "Mina.", None, None)),
        (
            {"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "M"}]},
            ("sft", "M", None, None),
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Who?"}]}, MINA]},
            ("sft", "Mina.", None, None),
        ),
    ],
)
def test_every_usual_form_of_a_row_is_read(row: dict[str, Any], expected: tuple[Any, ...]) -> None:
    (one,) = forms.drafts_of(row)
    assert (one.kind, one.reply, one.rejected, one.is_desirable) == expected
    assert one.messages == (Message("user", "Who?"),)


def test_each_reply_of_a_chat_counts_but_those_without_weight() -> None:
    row = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            USER,
            {**MINA, "weight": 0},
            {"role": "user", "content": "When?"},
            {"role": "assistant", "content": "At noon."},
        ]
    }
    (one,) = forms.drafts_of(row)
    assert [m.role for m in one.messages] == ["system", "user", "assistant", "user"]
    assert one.reply == "At noon."


def test_rows_that_begin_alike_are_one_conversation_and_a_name_wins() -> None:
    (one,) = forms.drafts_of({"prompt": "Who?", "completion": "A"})
    (two,) = forms.drafts_of({"prompt": " Who? ", "completion": "B"})
    (named,) = forms.drafts_of({"prompt": "Who?", "completion": "C", "conversation": "x"})
    assert one.conversation == two.conversation != named.conversation == "x"


GOOD_ROW = json.dumps({"prompt": "Who?", "completion": "Mina."})


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", "", "a.jsonl is empty."),
        ("a.jsonl", " \n", "a.jsonl is empty."),
        ("a.json", "", "a.json is empty."),
        ("a.md", "", "a.md is empty."),
        ("a.jsonl", f"{GOOD_ROW}\n{{oops", "a.jsonl, line 2: "),
        ("a.jsonl", f"{GOOD_ROW}\n\n[1]", "line 3: not an object"),
        ("a.jsonl", f'{GOOD_ROW}\n{{"q": 1}}', "line 2: fields of no form that is known"),
        ("a.jsonl", '{"prompt": "x", "completion": NaN}', "line 1: "),
        ("a.jsonl", '{"prompt": "x", "completion": 7}', "no list of messages"),
        ("a.jsonl", '{"messages": [{"role": "king", "content": "x"}]}', "a role that no chat has"),
        ("a.jsonl", '{"messages": [{"role": "user", "content": "x"}]}', "no assistant's message"),
        ("a.jsonl", '{"messages": [{"role": "user", "content": 3}]}', "a content that is no text"),
        ("a.jsonl", '{"prompt": "x", "completion": "y", "label": "up"}', "neither true nor false"),
        ("a.jsonl", '{"chosen": "x", "rejected": "y"}', "no list of messages"),
        ("a.jsonl", '{"prompt": "한글"}'.encode("cp949"), "a.jsonl is not UTF-8."),
        ("a.json", "[" * 100_000, "a.json is not JSON: "),
        ("a.json", '{"a": 1}', "nothing that samples can be made from"),
        ("a.json", "[]", "nothing to learn from"),
        ("a.zip", "PK nonsense", "not a zip"),
        ("a.pdf", "%PDF", "nothing that samples can be made from"),
        ("a.txt", "too short", "nothing to learn from"),
        ("a.eml", "no mail at all", "nothing to learn from"),
    ],
)
def test_bad_data_gets_its_sentence(
    tmp_path: Path, name: str, content: str | bytes, told: str
) -> None:
    with pytest.raises(InvalidSamplesError) as caught:
        from_file(tmp_path, name, content)
    assert told in caught.value.message


def test_what_is_not_there_or_empty_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("user.json", "{}")
    for name, told in (
        ("gone.jsonl", "gone.jsonl cannot be read"),
        ("empty", "In empty is nothing"),
        ("none.zip", "no conversations.json"),
    ):
        with pytest.raises(InvalidSamplesError) as caught:
            read(tmp_path / name, decode=decode)
        assert told in caught.value.message


def test_a_zip_that_would_fill_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chats, "MOST_BYTES", 1 << 20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", b" " * (2 << 20))
    with pytest.raises(InvalidSamplesError, match="larger than 1 MB"):
        read(tmp_path / "bomb.zip", decode=decode)


def test_json_that_would_become_gigabytes_in_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonfile, "MOST_VALUES", 1000)
    file = tmp_path / "export.json"
    file.write_text("[" + "[],[{}],\n" * 500 + "[")  # not even JSON
    with pytest.raises(InvalidSamplesError, match="too many values for one file"):
        read(file, decode=decode)


def test_json_lines_in_utf_16_with_a_mark_are_read(tmp_path: Path) -> None:
    assert from_file(tmp_path, "a.jsonl", GOOD_ROW.encode("utf-16")).drafts[0].reply == "Mina."


MINE, HERS = "mina@home.example", "jo@work.example"


def letter(
    sender: str, id: str, subject: str, body: str, *, answers: str = "", charset: str = "utf-8"
) -> bytes:
    head = [
        f"From: Somebody <{sender}>",
        f"To: <{HERS if sender == MINE else MINE}>",
        f"Message-ID: <{id}>",
        f"Subject: {subject}",
        f"Content-Type: text/plain; charset={charset}",
        "Content-Transfer-Encoding: 8bit",
        *([f"In-Reply-To: <{answers}>"] if answers else []),
    ]
    return "\n".join([*head, "", body, ""]).encode(charset)


def box(tmp_path: Path, *mails: bytes) -> Path:
    file = tmp_path / "all.mbox"
    file.write_bytes(b"".join(b"From x Mon Jan  1 00:00:00 2024\n" + m + b"\n" for m in mails))
    return file


ASKED = letter(HERS, "1@x", "Boiler", "When does the plumber come?\n\nJo")
ANSWER = letter(
    MINE,
    "2@x",
    "Re: Boiler",
    "Tuesday at nine, mate.\n\nCheers, Mina\n-- \nMina Park\n+82 2 123\n",
    answers="1@x",
)


def test_only_what_the_owner_sent_is_taken_with_what_it_answers(tmp_path: Path) -> None:
    own = letter(MINE, "3@x", "Picnic", "Bring a blanket and the small stove. Cheers, Mina")
    reading = read(box(tmp_path, ASKED, ANSWER, own), decode=decode, owners=[MINE.upper()])
    reply, new = reading.drafts
    assert (reading.kind, reading.form, reading.owners) == ("writing", "mail", (MINE,))
    assert reply.messages[0].content.endswith("When does the plumber come?\n\nJo")
    assert reply.reply == "Tuesday at nine, mate.\n\nCheers, Mina"
    assert said(new)[0] == "Write a mail about: Picnic"


def test_a_reply_alone_is_paired_with_what_it_quotes(tmp_path: Path) -> None:
    body = "물론이죠. 그때 뵙겠습니다.\n\nOn Mon, 1 Jan 2024 Jo wrote:\n> 토요일 어때요?\n> 조"
    (one,) = from_file(tmp_path, "re.eml", letter(MINE, "4@x", "Re: 토요일", body)).drafts
    assert one.reply == "물론이죠. 그때 뵙겠습니다."
    assert one.messages[0].content == "이 메일에 답장을 써 줘:\n\n토요일 어때요?\n조"


def test_a_mail_in_html_gives_its_own_words_only() -> None:
    html = "<style>x</style><p>See you &amp; Jo.</p><blockquote>old</blockquote><div>Mina</div>"
    raw = f"From: <{MINE}>\nSubject: Re: x\nContent-Type: text/html\n\n{html}"
    one = mail._mail(raw.encode(), decode)
    assert one is not None and one.body == "See you & Jo.\n\nMina"


@pytest.mark.parametrize("begin", ["<div ", "<!--", "<a b='", "<![CDATA["])
def test_html_made_to_take_for_ever_is_read_at_once(begin: str) -> None:
    assert mail._prose(f"<p>Hello.</p>{begin * 200_000}").startswith("Hello.")


def test_notes_and_chats_made_to_take_for_ever_are_read_at_once() -> None:
    for text in ("# a" + " " * 300_000 + "b", "# a" + "#" * 300_000 + "b", "```a\n" * 100_000):
        assert "".join(heading + body for heading, body in notes.sections(text))
    thoughts = '<details type="reasoning">'
    assert chats._without_thoughts(f"{thoughts}x</details>\n\nHello. {thoughts * 50_000}") == (
        f"Hello. {thoughts * 50_000}"
    )


def test_a_link_in_a_folder_leads_nowhere_else(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "notes", tmp_path / "key.md"
    folder.mkdir()
    elsewhere.write_text("Of nobody's concern. " * 20, "utf-8")
    (folder / "mine.md").write_text("The heron waits at the weir until dusk. " * 5, "utf-8")
    (folder / "link.md").symlink_to(elsewhere)
    assert [one.conversation for one in read(folder, decode=decode).drafts] == ["note:mine.md"]


def test_whose_mails_they_are_is_told_or_asked(tmp_path: Path) -> None:
    third = letter("kim@other.example", "5@x", "Hello", "Are you there, Mina? I hope so.")
    assert read(box(tmp_path, ASKED, ANSWER, third), decode=decode).owners == (MINE,)
    with pytest.raises(InvalidSamplesError, match="Whose mails"):
        read(box(tmp_path, ASKED, third), decode=decode)


def test_all_mails_of_a_thread_stay_together(tmp_path: Path) -> None:
    later = letter(MINE, "6@x", "RE: re: Boiler", "He came, and it is warm again.", answers="2@x")
    reading = read(box(tmp_path, ASKED, ANSWER, later), decode=decode, owners=[MINE])
    assert len({one.conversation for one in reading.drafts}) == 1


NOTE = """---
title: x
---
# Sourdough

Feed it at night and leave it on the sill, where the sun comes first; by noon it has doubled.

```python
print("no style")
```

| a | b |
|---|---|

Baking
------

Forty minutes, lid on for the first half. The crust should sing when it comes out of the oven.
"""


def test_a_folder_of_notes_is_cut_at_its_headings(tmp_path: Path) -> None:
    (tmp_path / "notes" / ".git").mkdir(parents=True)
    (tmp_path / "notes" / "bread.md").write_text(NOTE)
    (tmp_path / "notes" / ".git" / "x.md").write_text("A hidden text " * 20)
    korean = "김치는 겨울이 오기 전에 담근다. 배추를 절이고 하룻밤을 기다리면 된다. " * 2
    (tmp_path / "notes" / "김치.txt").write_bytes(korean.encode("cp949"))
    reading = read(tmp_path / "notes", decode=decode)
    assert (reading.form, reading.files, reading.conversations) == ("notes", 2, 2)
    texts = {one.messages[0].content: one.reply for one in reading.drafts}
    for title in ("Sourdough", "Baking", "김치"):
        assert any(title in asked for asked in texts), title
    assert not any("print" in reply or "|" in reply for reply in texts.values())


def test_a_long_text_goes_on_where_it_ended() -> None:
    paragraph = "The path climbs past the mill and the three old walnut trees, then it turns. " * 10
    first, second = notes.drafts_of("n", "Walk", f"{paragraph}\n\nLater. {paragraph}")
    assert second.messages[-1].content == "Go on."
    assert second.messages[1] == Message("assistant", first.reply)


FIELDS = (
    "messages role content user assistant mapping message parent author parts chat history "
    "currentId chat_messages sender text prompt completion chosen rejected label"
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS.split()),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_whatever_a_row_holds_it_is_read_or_refused(row: Any) -> None:
    found, _ = chats.conversations([row])
    drafts = [one for id, turns in found for one in talk.drafts_of(id, turns)]
    try:
        drafts += forms.drafts_of(row)
    except ValueError as error:
        assert str(error) in {
            "no_object", "unknown_form", "no_messages", "bad_role", "no_reply", "no_prompt",
            "no_text", "bad_label",
        }  # fmt: skip
    assert all(isinstance(one.reply, str) and one.messages for one in drafts)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"", ASKED, b"From: a@b\n"]))
def test_whatever_a_mail_holds_it_is_read_or_left_out(noise: bytes, begin: bytes) -> None:
    one = mail._mail(begin + noise, decode)
    assert one is None or isinstance(one.body, str)
