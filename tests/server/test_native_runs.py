"""Runs: an answer goes on whoever listens, can be stopped, and outlives its server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
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
    own_house,
    read,
    run,
)
from house import CHAT, REPLY, GatedEngine, House
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ondol.engine.scripted import ScriptedEngine
from ondol.errors import EngineCrashedError
from ondol.server.native import runs as native_runs

PATIENCE_SECONDS = 20


TEXTS = st.text(max_size=6)
ANYTHING = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.lists(TEXTS))
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "content": st.one_of(st.just("hi"), ANYTHING),
        "parent": st.one_of(st.none(), ANYTHING),
        "mode": st.one_of(st.sampled_from(["chat", "documents"]), ANYTHING),
        "wanted": st.one_of(st.sampled_from(["here", "home", "auto"]), ANYTHING),
        "model": st.one_of(st.sampled_from([CHAT, "x"]), ANYTHING),
        "filter": st.dictionaries(st.sampled_from(["in", "path", "not", "lang"]), ANYTHING),
        "options": st.dictionaries(
            st.sampled_from(["temperature", "seed", "max_tokens", "system", "top_k"]), ANYTHING
        ),
    },
)


def test_a_question_is_answered_and_kept(chats: House) -> None:
    id = begin(chats)
    begun = run(chats, id, "What keeps a house warm?")
    assert begun["user"]["content"] == "What keeps a house warm?"
    assert begun["message"]["status"] == "running"
    events = read(chats, begun["run"])
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    assert [name for _, name, _ in events[-2:]] == ["answer", "end"]
    assert "".join(data["text"] for _, name, data in events if name == "token") == REPLY
    kept = messages(chats, id)[1]
    assert events[-1][2]["message"] == kept
    assert (kept["status"], kept["content"]) == ("done", REPLY)
    assert kept["answer"]["ledger_id"] and kept["answer"]["finish_reason"] == "stop"
    found = call(chats, "GET", f"conversations/{id}").json()["conversation"]
    assert found["title"] == "What keeps a house warm?"
    assert (found["leaf"], found["running"]) == (kept["id"], None)


def test_what_was_said_before_goes_along_in_the_branch_that_is_asked(chats: House) -> None:
    chats.pool.engines[CHAT] = engine = ScriptedEngine(["One.", "Two.", "Three."])
    id = begin(chats)
    first = run(chats, id, "a")
    read(chats, first["run"])
    read(chats, run(chats, id, "b")["run"])
    read(chats, run(chats, id, "c", parent=first["message"]["id"])["run"])
    assert [m.content for m in engine.requests[1].messages] == ["a", "One.", "b"]
    assert [m.content for m in engine.requests[2].messages] == ["a", "One.", "c"]
    read(chats, run(chats, id, "d", parent=None)["run"])
    assert [m.content for m in engine.requests[3].messages] == ["d"]


def test_options_and_instructions_reach_the_model(chats: House) -> None:
    chats.pool.engines[CHAT] = engine = ScriptedEngine(["one two three four"])
    options = {"temperature": 0.5, "top_p": 0.4, "min_p": 0.1, "seed": 7, "max_tokens": 2}
    begun = run(chats, begin(chats), "a", options={**options, "system": "Be brief."})
    end = read(chats, begun["run"])[-1][2]["message"]
    asked = engine.requests[0]
    assert [(m.role, m.content) for m in asked.messages] == [("system", "Be brief."), ("user", "a")]
    assert {name: getattr(asked.options, name) for name in options} == options
    assert end["content"] == "one two" and end["answer"]["finish_reason"] == "length"


def test_what_is_remembered_goes_along_and_keeps_the_chat_here(chats: House) -> None:
    chats.pool.engines[CHAT] = engine = ScriptedEngine(["Fine."])
    call(chats, "POST", "memories", text="I am allergic to walnuts")
    read(chats, run(chats, begin(chats), "What may I eat?")["run"])
    system, asked = engine.requests[0].messages
    assert "allergic to walnuts" in system.content and asked.content == "What may I eat?"


@pytest.mark.parametrize(("facts", "label"), [([], "trusted"), (["private"], "private")])
def test_the_label_of_a_chat_takes_that_of_what_is_remembered(
    chats: House, facts: list[str], label: str
) -> None:
    for sensitivity in facts:
        call(chats, "POST", "memories", text="I like walnuts", sensitivity=sensitivity)
    begun = run(chats, begin(chats), "Hello", options={"system": "Answer in one line."})
    assert read(chats, begun["run"])[-1][2]["message"]["answer"]["sensitivity"] == label


def test_two_clients_hear_the_same(chats: House) -> None:
    long_story(chats, words=60)
    begun = run(chats, begin(chats))
    heard: list[Any] = []
    listeners = [
        threading.Thread(target=lambda: heard.append(read(chats, begun["run"]))) for _ in range(2)
    ]
    for listener in listeners:
        listener.start()
    for listener in listeners:
        listener.join(PATIENCE_SECONDS)
    assert heard[0] == heard[1] and len(heard[0]) == 62


def test_who_comes_back_hears_what_was_missed(chats: House) -> None:
    long_story(chats, words=60)
    begun = run(chats, begin(chats))
    first = read(chats, begun["run"], most=5)
    rest = read(chats, begun["run"], after=5)
    assert [number for number, _, _ in first + rest] == list(range(1, 63))
    text = "".join(data["text"] for _, name, data in first + rest if name == "token")
    assert rest[-1][2]["message"]["content"] == text.strip() or text
    with chats.client() as client:
        again = client.get(
            f"/ondol/v1/runs/{begun['run']}/events", headers={"Last-Event-ID": "61"}
        ).text
    assert again.startswith("id: 62\nevent: end\n")
    assert read(chats, begun["run"], after=999) == []


def test_a_run_goes_on_when_nobody_listens(chats: House) -> None:
    engine = long_story(chats, words=30)
    id = begin(chats)
    begun = run(chats, id)
    read(chats, begun["run"], most=1)
    assert engine.closed.wait(PATIENCE_SECONDS)
    assert read(chats, begun["run"])[-1][1] == "end"
    assert messages(chats, id)[1]["status"] == "done"


def test_a_silent_run_shows_that_it_lives(chats: House, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(GatedEngine):
        def generate(self, messages, options):
            self.gate.wait(PATIENCE_SECONDS)
            yield from super().generate(messages, options)

    monkeypatch.setattr(native_runs, "HEARTBEAT_SECONDS", 0.05)
    chats.pool.engines[CHAT] = engine = Silent(words=3)
    begun = run(chats, begin(chats))
    with (
        chats.client() as client,
        client.stream("GET", f"/ondol/v1/runs/{begun['run']}/events") as response,
    ):
        lines = response.iter_lines()
        assert next(lines).startswith(":")
        engine.gate.set()
        assert "event: end" in list(lines)


def test_stopping_keeps_what_was_said(chats: House) -> None:
    engine = long_story(chats)
    id = begin(chats)
    begun = run(chats, id)
    read(chats, begun["run"], most=3)
    assert call(chats, "GET", f"conversations/{id}").json()["conversation"]["running"]
    stopped = call(chats, "DELETE", f"runs/{begun['run']}").json()["message"]
    assert stopped["status"] == "stopped" and stopped["content"].startswith("word0 word1 word2")
    assert engine.closed.wait(PATIENCE_SECONDS)
    assert messages(chats, id)[1] == stopped
    assert read(chats, begun["run"])[-1][1] == "end"
    assert call(chats, "DELETE", f"runs/{begun['run']}").json()["message"] == stopped


def test_there_is_one_run_a_conversation(chats: House) -> None:
    long_story(chats)
    id, other = begin(chats), begin(chats)
    begun = run(chats, id)
    refused = call(chats, "POST", f"conversations/{id}/runs", content="And?")
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "already_running"
    assert len(messages(chats, id)) == 2
    again = run(chats, other)
    for one in (begun, again):
        call(chats, "DELETE", f"runs/{one['run']}")
    call(chats, "DELETE", f"runs/{run(chats, id)['run']}")


def test_deleting_a_conversation_stops_its_run(chats: House) -> None:
    engine = long_story(chats)
    id = begin(chats)
    begun = run(chats, id)
    read(chats, begun["run"], most=1)
    assert call(chats, "DELETE", f"conversations/{id}").json() == {
        "conversations": 1,
        "erased": True,
    }
    assert engine.closed.wait(PATIENCE_SECONDS)
    assert call(chats, "GET", f"conversations/{id}").status_code == 404
    assert call(chats, "GET", f"runs/{begun['run']}/events").status_code == 404


def test_a_failure_keeps_what_was_said_and_says_why(chats: House) -> None:
    chats.pool.engines[CHAT] = GatedEngine(error=EngineCrashedError("It broke.", "Mend it."))
    id = begin(chats)
    events = read(chats, run(chats, id)["run"])
    assert [name for _, name, _ in events] == ["token", "error", "end"]
    assert events[1][2]["error"]["code"] == "engine_crashed"
    failed = messages(chats, id)[1]
    assert (failed["status"], failed["content"]) == ("failed", "word0 ")
    error = {"code": "engine_crashed", "message": "It broke.", "hint": "Mend it."}
    assert failed["error"] == error
    chats.pool.engines[CHAT] = ScriptedEngine(["Better."])
    again = read(chats, run(chats, id, "", regenerate=failed["id"])["run"])
    assert again[-1][2]["message"]["siblings"][0] == failed["id"]


def test_an_edited_question_is_a_branch_beside_it(chats: House) -> None:
    chats.pool.engines[CHAT] = engine = ScriptedEngine(["One.", "Two."])
    id = begin(chats)
    first = run(chats, id, "a")
    read(chats, first["run"])
    second = run(chats, id, "b", edit=first["user"]["id"])
    read(chats, second["run"])
    assert second["user"]["siblings"] == [first["user"]["id"], second["user"]["id"]]
    assert [m.content for m in engine.requests[1].messages] == ["b"]


def test_an_answer_that_was_cut_goes_on_where_it_ended(chats: House) -> None:
    chats.pool.engines[CHAT] = engine = ScriptedEngine(["one two three four", " three four"])
    id = begin(chats)
    begun = run(chats, id, "Count.", options={"max_tokens": 2})
    read(chats, begun["run"])
    events = read(chats, run(chats, id, "", **{"continue": begun["message"]["id"]})["run"])
    asked = engine.requests[1].messages
    assert [(m.role, m.content) for m in asked] == [("user", "Count."), ("assistant", "one two")]
    kept = messages(chats, id)
    assert len(kept) == 2 and kept[1]["content"] == "one two three four"
    assert kept[1]["answer"]["answer"] == "one two three four"
    assert "".join(d["text"] for _, name, d in events if name == "token") == " three four"


def test_an_answer_from_documents_quotes_them_and_goes_on(chats: House, tmp_path: Path) -> None:
    document = add_document(chats, tmp_path)
    chats.pool.engines[CHAT] = engine = ScriptedEngine(["Dry oak logs [1].", " logs [1]."])
    id = begin(chats, mode="documents")
    begun = run(chats, id, QUESTION, options={"max_tokens": 2})
    events = read(chats, begun["run"])
    names = [name for _, name, _ in events]
    assert names[0] == "evidence" and names[-2:] == ["answer", "end"]
    kept = messages(chats, id)[1]["answer"]
    assert kept["quotes"][0]["source"] == str(document) and kept["ledger_id"]
    read(chats, run(chats, id, "", **{"continue": begun["message"]["id"]})["run"])
    end = messages(chats, id)[1]
    assert end["content"] == "Dry oak logs [1]." and end["answer"]["citations"] == [1]
    assert end["answer"]["quotes"] and end["answer"]["sensitivity"] == "private"
    assert "burns dry oak" in engine.requests[1].messages[-2].content


def test_quotes_are_there_before_the_first_word(chats: House, tmp_path: Path) -> None:
    document = add_document(chats, tmp_path)
    long_story(chats)
    id = begin(chats, mode="documents")
    begun = run(chats, id, QUESTION)
    read(chats, begun["run"], most=1)
    stopped = call(chats, "DELETE", f"runs/{begun['run']}").json()["message"]
    assert stopped["status"] == "stopped"
    assert stopped["answer"]["quotes"][0]["source"] == str(document)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"options": {}}, 422, "invalid_request"),
        ({"content": " "}, 422, "invalid_request"),
        ({"content": "a", "regenerate": "x"}, 404, "message_not_found"),
        ({"regenerate": "x", "continue": "y"}, 422, "invalid_request"),
        ({"edit": "x"}, 422, "invalid_request"),
        ({"content": "a", "parent": "x"}, 404, "message_not_found"),
        ({"content": "a", "model": "nobody"}, 404, "model_not_found"),
        ({"content": "a", "mode": "dream"}, 422, "invalid_request"),
        ({"content": "a", "options": {"temperature": "warm"}}, 422, "invalid_request"),
        ({"content": "a", "filter": {"after": "never"}}, 422, "invalid_request"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_kept(
    chats: House, body: dict[str, Any], status: int, code: str
) -> None:
    id = begin(chats)
    response = call(chats, "POST", f"conversations/{id}/runs", **body)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert messages(chats, id) == []


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=BODIES)
def test_no_body_breaks_a_run(chats: House, body: Any) -> None:
    id = begin(chats)
    with chats.client() as client:
        response = client.post(
            f"/ondol/v1/conversations/{id}/runs",
            content=json.dumps(body).encode(),
        )
    assert response.status_code < 500, response.text
    if response.status_code == 201:
        assert read(chats, response.json()["run"])[-1][1] == "end"
        assert messages(chats, id)[0]["status"] == "done"


def test_what_is_not_there_is_said_so(chats: House) -> None:
    assert call(chats, "POST", "conversations/x/runs", content="a").status_code == 404
    for method, path in (("GET", "runs/x/events"), ("DELETE", "runs/x")):
        response = call(chats, method, path)
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "run_not_found"


def test_runs_end_with_their_server(tmp_path: Path) -> None:
    with own_house(tmp_path) as house:
        engine = long_story(house)
        id = begin(house)
        run(house, id)
        assert engine.said_a_word.wait(PATIENCE_SECONDS)
    assert engine.closed.wait(PATIENCE_SECONDS)
    (tmp_path / "again").mkdir()
    with own_house(tmp_path / "again") as house:
        stopped = messages(house, id)[1]
    assert stopped["status"] == "stopped" and stopped["content"].startswith("word0 ")


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from conversing import begin, long_story, own_house, run
with own_house(Path(sys.argv[2])) as house:
    long_story(house)
    id = begin(house)
    run(house, id)
    print(id, flush=True)
    time.sleep(60)
"""


def test_what_was_said_is_kept_when_the_server_is_killed(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        assert process.stdout is not None
        id = process.stdout.readline().strip()
        assert wait_for_words(id)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (tmp_path / "again").mkdir()
    with own_house(tmp_path / "again") as house:
        found = call(house, "GET", f"conversations/{id}").json()
        assert found["conversation"]["running"] is None
        stopped = found["messages"][1]
        assert stopped["status"] == "stopped" and stopped["content"].startswith("word0 word1")
        read(house, run(house, id, "", regenerate=stopped["id"])["run"])


def wait_for_words(id: str) -> bool:
    """Until some words are in the database."""
    from ondol.conversations.store import Conversations

    with Conversations.open() as kept:
        for _ in range(PATIENCE_SECONDS * 20):
            with suppress(IndexError):
                if "word1" in kept.messages(id)[1].content:
                    return True
            time.sleep(0.05)
    return False
