"""Documents under a model's name, to every client: what is answered, what is shown, what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ollama
import openai
import pytest
from house import CHAT, EMBEDDING, House
from reading import NOTES, QUESTION, SAID, chat, post, says, text_of

from ondol.retrieval.filters import Filter


def test_openais_client_gets_an_answer_with_its_quotes_whole_and_streamed(library: House) -> None:
    messages = [{"role": "user", "content": QUESTION}]
    with openai.OpenAI(base_url=f"{library.url}/v1", api_key="any", max_retries=0) as client:
        made = f"{CHAT}+notes"
        whole = client.chat.completions.create(model=made, messages=messages)
        parts = list(client.chat.completions.create(model=made, messages=messages, stream=True))
    text = whole.choices[0].message.content or ""
    assert text == f"{SAID}\n\n**Quotes**\n\n- [1] “{NOTES.split('. ', maxsplit=1)[0]}.” — notes.md"
    assert whole.choices[0].finish_reason == "stop" and whole.model == made
    said = [part.choices[0].delta.content or "" for part in parts if part.choices]
    assert "".join(said) == text
    assert said[-2].startswith("\n\n**Quotes**")  # the quotes after the words, then the end
    assert len([piece for piece in said if piece]) > 2
    assert parts[-1].choices[0].finish_reason == "stop"


def test_ollamas_client_gets_the_same(library: House) -> None:
    made = f"{CHAT}+notes"
    with ollama.Client(host=library.url, trust_env=False, verify=False) as client:
        messages = [{"role": "user", "content": QUESTION}]
        whole = client.chat(model=made, messages=messages).message.content
        streamed = list(client.chat(model=made, messages=messages, stream=True))
        generated = client.generate(model=made, prompt=QUESTION).response
    assert whole == generated == "".join(part.message.content or "" for part in streamed)
    assert SAID in (whole or "") and "notes.md" in (whole or "") and streamed[-1].done


def test_what_is_known_of_an_answer_comes_with_it(library: House) -> None:
    response = chat(library, ondol=True)
    known = response.json()["ondol"]
    assert response.headers["Ondol-Route"] == "local"
    entry = library.parts.ledger.get(response.headers["Ondol-Ledger-Id"])
    assert (entry.kind, entry.task) == ("answer", "grounded")
    assert known["ledger_id"] == response.headers["Ondol-Ledger-Id"]
    quote = known["quotes"][0]
    assert (
        quote["source"].endswith("notes.md")
        and NOTES[quote["start"] : quote["end"]] == (quote["text"])
    )
    assert known["citations"] == [1]
    assert "ondol" not in chat(library).json()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat"])
def test_a_stream_says_the_same_at_its_end(library: House, path: str) -> None:
    messages = [{"role": "user", "content": QUESTION}]
    body = {"model": f"{CHAT}+notes", "messages": messages, "stream": True, "ondol": True}
    lines = [line.removeprefix("data: ") for line in post(library, path, **body).text.splitlines()]
    found = [json.loads(line) for line in lines if line.startswith("{")]
    (known,) = [line["ondol"] for line in found if "ondol" in line]
    assert known["quotes"] and library.parts.ledger.get(known["ledger_id"]).task == "grounded"


def test_only_the_collection_that_is_named_is_read(library: House) -> None:
    engine = says(library)
    for model in (f"{CHAT}+notes", f"{CHAT}+NOTES", "smollm2+notes", f"{CHAT}+notes:latest"):
        text = text_of(chat(library, model=model))
        assert "notes.md" in text and "mail" not in text, model
    assert not any("secret" in str(messages) for messages, _ in engine.seen)
    for model in (f"{CHAT}+mail+notes", f"{CHAT}+documents"):
        quotes = chat(library, model=model, ondol=True).json()["ondol"]["quotes"]
        assert {Path(quote["source"]).name for quote in quotes} == {"notes.md", "mail.md"}


def test_the_header_says_what_to_read_under_any_name(library: House) -> None:
    def asked(header: str, model: str = CHAT) -> Any:
        messages = [{"role": "user", "content": QUESTION}]
        headers = {"Ondol-Collections": header}
        return post(library, "/api/chat", headers, model=model, messages=messages, stream=False)

    assert "mail.md" in asked("mail").json()["message"]["content"]
    assert "notes.md" in asked("mail, notes").json()["message"]["content"]
    assert asked("nowhere").status_code == 404
    # Both must hold: neither widens the other.
    assert "Quotes" not in asked("mail", f"{CHAT}+notes").json()["message"]["content"]
    only = asked("documents", f"{CHAT}+notes").json()["message"]["content"]
    assert "notes.md" in only and "mail.md" not in only


@pytest.mark.parametrize("name", ["모음", "C++", "my notes", "a+b"])
def test_collections_of_every_name_can_be_asked_for(
    library: House, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "one.md"
    file.write_text("The zither was tuned on 3 June.")
    library.parts.library.add([file], collection=name)
    try:
        for model in (f"{CHAT}+{name}", f"{CHAT}+mail+{name}", f"{CHAT}+{name}+mail"):
            assert "one.md" in text_of(chat(library, "When was the zither tuned?", model)), model
        headers = {"Ondol-Collections": "%EB%AA%A8%EC%9D%8C" if name == "모음" else name}
        messages = [{"role": "user", "content": "When was the zither tuned?"}]
        body = {"model": CHAT, "messages": messages}
        assert "one.md" in text_of(post(library, "/v1/chat/completions", headers, **body))
    finally:
        library.parts.library.forget([file])
        library.parts.library.collections.remove(name)


def test_collection_called_documents_is_that_collection(library: House, tmp_path: Path) -> None:
    file = tmp_path / "one.md"
    file.write_text("The boiler was serviced on 3 June by a robot.")
    library.parts.library.add([file], collection="Documents")
    try:
        text = text_of(chat(library, model=f"{CHAT}+documents"))
        assert "one.md" in text and "notes.md" not in text
    finally:
        library.parts.library.forget([file])
        library.parts.library.collections.remove("Documents")


@pytest.mark.parametrize(
    "question",
    [
        f"{QUESTION} in:mail",
        f"{QUESTION} in:mail in:notes",
        f"{QUESTION} -in:notes",
        "What was the wire transfer? in:mail",
        "List every boiler in:mail",
        "모음:mail boiler serviced secret",
    ],
)
def test_words_of_the_question_never_reach_beyond_what_is_asked(
    library: House, question: str
) -> None:
    engine = says(library)
    response = chat(library, question, ondol=True)
    assert response.status_code == 200
    assert all("mail" not in quote["source"] for quote in response.json()["ondol"]["quotes"])
    assert not any("secret" in str(m) or "4000 euros" in str(m) for m, _ in engine.seen)
    assert "4000 euros" not in response.text and "secret on" not in response.text


def test_filters_in_the_question_narrow_it(library: House) -> None:
    assert "notes.md" in text_of(chat(library, f"{QUESTION} type:md"))
    assert "notes.md" not in text_of(chat(library, f"{QUESTION} type:pdf"))
    refused = chat(library, f"{QUESTION} type:nonsense")
    assert refused.status_code == 400 and "nonsense" in refused.json()["error"]["message"]


def test_copies_elsewhere_are_not_told_of(library: House, tmp_path: Path) -> None:
    for name in ("mail", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"copy-in-{name}.md").write_text("The lease ends on 30 September.")
        library.parts.library.add([tmp_path / name], collection=name)
    try:
        told = chat(library, "When does the lease end?", ondol=True).text
        assert "copy-in-notes.md" in told and "copy-in-mail.md" not in told
    finally:
        library.parts.library.forget([tmp_path / "mail", tmp_path / "notes"])


def test_attachments_of_conversations_are_never_found(library: House, tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("The boiler was serviced by a smuggler called Ipcress.")
    assert library.parts.library.attach(file, "abc") == ""
    try:
        for model in ("documents", "notes", "notes+mail"):
            for more in ("", " in:conversation:abc", ' in:"conversation:abc"'):
                response = chat(library, f"{QUESTION}{more}", f"{CHAT}+{model}", ondol=True)
                assert response.status_code == 200 and "Ipcress" not in response.text
        assert chat(library, model=f"{CHAT}+conversation:abc").status_code == 404
        headers = {"Ondol-Collections": "conversation:abc"}
        messages = [{"role": "user", "content": QUESTION}]
        body = {"model": CHAT, "messages": messages}
        assert post(library, "/v1/chat/completions", headers, **body).status_code == 404
    finally:
        library.parts.library.forget(
            [], matching="Ipcress", where=Filter(collections=("conversation:abc",))
        )


def test_another_page_of_this_machine_has_no_documents(library: House) -> None:
    page = {"Origin": "http://localhost:3000"}
    messages = [{"role": "user", "content": QUESTION}]
    for headers, model in (
        (page, f"{CHAT}+notes"),
        (page, f"{CHAT}+documents"),
        (page | {"Ondol-Collections": "notes"}, CHAT),
    ):
        for path in ("/v1/chat/completions", "/api/chat"):
            body = {"model": model, "messages": messages, "stream": False}
            assert post(library, path, headers, **body).status_code == 404
    with library.client(headers=page) as client:
        listed = client.get("/api/tags").json()["models"] + client.get("/v1/models").json()["data"]
    assert {one.get("name") or one["id"] for one in listed} == {CHAT, EMBEDDING}
    body = {"model": CHAT, "messages": messages}
    assert post(library, "/v1/chat/completions", page, **body).status_code == 200


@pytest.mark.parametrize("model", [f"{CHAT}+notes", f"{CHAT}+documents"])
def test_made_names_are_shown_and_cannot_be_changed(library: House, model: str) -> None:
    shown = post(library, "/api/show", model=model).json()
    assert shown["capabilities"] == ["completion"]
    assert shown["model_info"]["llama.context_length"] == 2048
    assert "tools" not in shown["template"] and ".Suffix" not in shown["template"]
    with library.client() as client:
        assert client.get(f"/v1/models/{model}").json()["id"] == model
        assert client.request("DELETE", "/api/delete", json={"model": model}).status_code == 404
        copied = client.post("/api/copy", json={"source": model, "destination": "mine"})
        assert copied.status_code in (400, 404)
        tags = {one["name"]: one["digest"] for one in client.get("/api/tags").json()["models"]}
    assert CHAT in tags and tags[model] != tags[CHAT]


def test_empty_request_loads_the_model_behind_a_made_name(library: House) -> None:
    loaded = post(library, "/api/generate", model=f"{CHAT}+notes").json()
    assert loaded["done_reason"] == "load" and library.pool.names == {CHAT}
    unloaded = post(library, "/api/chat", model=f"{CHAT}+notes", keep_alive=0).json()
    assert unloaded["done_reason"] == "unload" and library.pool.names == set()
