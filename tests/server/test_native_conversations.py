"""Conversations over HTTP: kept, found, changed, exported, judged, forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conversing import (
    QUESTION,
    add_document,
    begin,
    call,
    long_story,
    messages,
    read,
    run,
)
from house import CHAT, House

from ondol import database, paths
from ondol.engine.scripted import ScriptedEngine


def test_a_conversation_is_made_changed_found_and_deleted(chats: House) -> None:
    made = call(chats, "POST", "conversations", title="집", filter={"in": "default"}).json()
    path = f"conversations/{made['id']}"
    assert made["mode"] == "documents" and made["filter"] == {"in": ["default"]}
    changed = call(chats, "PATCH", path, pinned=True, draft="보증", folder="Home").json()
    assert (changed["pinned"], changed["draft"], changed["title"]) == (True, "보증", "집")
    assert call(chats, "PATCH", path, filter=None, draft="").json()["filter"] == {}
    found = call(chats, "GET", "conversations?query=집&folder=Home").json()
    assert [one["id"] for one in found["conversations"]] == [made["id"]] and found["next"] is None
    assert call(chats, "DELETE", path).json() == {"conversations": 1, "erased": True}
    assert call(chats, "GET", path).json()["error"]["code"] == "conversation_not_found"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"mode": "dream"}, 422),
        ({"filter": {"colour": "red"}}, 422),
        ({"filter": {"after": "never"}}, 422),
        ({"wanted": "cloud"}, 422),
        ({"draft": 7}, 422),
        ({"leaf": "nobody"}, 404),
    ],
)
def test_what_a_conversation_cannot_be_is_refused(
    chats: House,
    body: dict[str, Any],
    status: int,
) -> None:
    assert call(chats, "PATCH", f"conversations/{begin(chats)}", **body).status_code == status


def test_pages_follow_each_other(chats: House) -> None:
    ids = {begin(chats) for _ in range(5)}
    first = call(chats, "GET", "conversations?limit=3").json()
    with chats.client() as client:
        params = {"limit": 3, "before": first["next"]}
        second = client.get("/ondol/v1/conversations", params=params).json()
    assert {one["id"] for one in first["conversations"] + second["conversations"]} == ids
    assert second["next"] is None
    assert call(chats, "GET", "conversations?before=x").status_code == 422


def test_some_or_all_are_deleted_and_nothing_by_accident(chats: House) -> None:
    ids = [begin(chats) for _ in range(3)]
    for body in ({"ids": None}, {"ids": ids, "all": True}):
        assert call(chats, "DELETE", "conversations", **body).status_code == 422
    assert call(chats, "DELETE", "conversations", ids=[ids[0], "x"]).status_code == 404
    assert call(chats, "DELETE", "conversations", ids=ids[:1]).json()["conversations"] == 1
    assert call(chats, "DELETE", "conversations", all=True).json()["conversations"] == 2
    assert call(chats, "GET", "conversations").json()["conversations"] == []


def test_a_running_answer_does_not_outlive_its_conversation(chats: House) -> None:
    engine = long_story(chats)
    id = begin(chats)
    run(chats, id, "a walrus in the attic")
    assert engine.said_a_word.wait(20)
    call(chats, "DELETE", "conversations", all=True)
    assert engine.closed.wait(20)
    assert not holds("walrus in the attic")


def holds(words: str) -> bool:
    files = [file for file in paths.data_dir().rglob("*") if file.is_file()]
    return any(words.encode() in file.read_bytes() for file in files)


def test_an_export_is_a_file(chats: House) -> None:
    id = begin(chats, title="보일러/집")
    read(chats, run(chats, id, "Hello")["run"])
    for format, kind in (("md", "text/markdown"), ("json", "application/json")):
        found = call(chats, "GET", f"conversations/{id}/export?format={format}")
        assert found.headers["content-type"].startswith(kind)
        name = found.headers["content-disposition"]
        assert (
            name == f"attachment; filename*=UTF-8''%EB%B3%B4%EC%9D%BC%EB%9F%AC%2F%EC%A7%91.{format}"
        )
    assert len(found.json()["messages"]) == 2
    assert call(chats, "GET", f"conversations/{id}/export?format=pdf").status_code == 422
    assert call(chats, "GET", "conversations/x/export").status_code == 404


def test_feedback_is_kept_and_told_to_who_calibrates(chats: House) -> None:
    id = begin(chats)
    read(chats, run(chats, id, "Hello")["run"])
    message = messages(chats, id)[1]
    body = {"right": False, "reasons": ["wrong", "style"], "edited": "Good day."}
    given = call(chats, "PUT", f"messages/{message['id']}/feedback", **body).json()
    assert given["conversation"] == id and given["reasons"] == ["wrong", "style"]
    assert call(chats, "GET", "feedback").json()["feedback"] == [given]
    assert messages(chats, id)[1]["feedback"]["edited"] == "Good day."
    assert judged(message) is False
    taken = call(chats, "DELETE", f"messages/{message['id']}/feedback")
    assert taken.json() == {"feedback": None} and judged(message) is None
    assert call(chats, "GET", "feedback").json()["feedback"] == [] and not holds("Good day.")


def judged(message: dict[str, Any]) -> bool | None:
    """What the calibration knows of an answer."""
    connection = database.connect(paths.database_file())
    (right,) = connection.execute(
        "SELECT right FROM outcomes WHERE ledger_id = ?", (message["answer"]["ledger_id"],)
    ).fetchone()
    connection.close()
    return None if right is None else bool(right)


def test_feedback_on_an_answer_without_a_model_is_kept_too(chats: House) -> None:
    id = begin(chats, mode="documents")
    read(chats, run(chats, id, "Where is the treasure?")["run"])
    message = messages(chats, id)[1]
    assert message["answer"]["route"] == "abstain"
    given = call(chats, "PUT", f"messages/{message['id']}/feedback", right=True)
    assert given.status_code == 200 and given.json()["right"] is True


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("x", {"right": True}, 404), ("", {"reasons": ["ugly"]}, 422), ("", {"right": "yes!"}, 422)],
)
def test_feedback_that_cannot_be_is_refused(
    chats: House,
    path: str,
    body: dict[str, Any],
    status: int,
) -> None:
    id = begin(chats)
    read(chats, run(chats, id, "Hello")["run"])
    message = path or messages(chats, id)[1]["id"]
    assert call(chats, "PUT", f"messages/{message}/feedback", **body).status_code == status
    assert call(chats, "DELETE", "messages/x/feedback").status_code == 404


def test_prompts_are_kept(chats: House) -> None:
    made = call(chats, "POST", "prompts", name="Brief", text="Answer in one line.").json()
    changed = call(chats, "PATCH", f"prompts/{made['id']}", text="Be brief.").json()
    assert call(chats, "GET", "prompts").json() == {"prompts": [changed]}
    assert call(chats, "POST", "prompts", name="Brief", text="x").status_code == 422
    assert call(chats, "DELETE", f"prompts/{made['id']}").json() == {"erased": True}
    assert call(chats, "PATCH", f"prompts/{made['id']}", text="x").status_code == 404


def test_forgetting_a_document_takes_its_quotes_out_of_kept_answers(
    chats: House,
    tmp_path: Path,
) -> None:
    document = add_document(chats, tmp_path)
    said = "It says: The stove in the hall burns dry oak logs, never coal. [1]"
    chats.pool.engines[CHAT] = ScriptedEngine([said])
    id = begin(chats, mode="documents")
    read(chats, run(chats, id, QUESTION)["run"])
    assert messages(chats, id)[1]["answer"]["quotes"]
    receipt = call(chats, "DELETE", "documents", paths=[str(document)]).json()
    assert receipt["quotes"] > 0 and receipt["is_erased"]
    kept = messages(chats, id)[1]
    assert kept["content"] == "It says: […] [1]" and kept["answer"]["quotes"] == []
    assert not holds("burns dry oak")


def test_what_is_forgotten_meanwhile_is_not_kept_by_the_answer(
    chats: House,
    tmp_path: Path,
) -> None:
    document = add_document(chats, tmp_path)
    long_story(chats)
    id = begin(chats, mode="documents")
    begun = run(chats, id, QUESTION)
    read(chats, begun["run"], most=2)
    call(chats, "DELETE", "documents", paths=[str(document)])
    stopped = call(chats, "DELETE", f"runs/{begun['run']}").json()["message"]
    assert stopped["status"] == "stopped" and stopped["answer"]["quotes"] == []
    assert not holds("burns dry oak")
