"""Programs that find their way here are seen, and what they said is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from house import House, scripted_house

from ondol.server.clients import MOST, Clients, family_of


@pytest.mark.parametrize(
    ("user_agent", "family"),
    [
        ("OpenAI/Python 1.51.0", "openai-python"),
        ("AsyncOpenAI/Python 2.1.0", "openai-python"),
        ("OpenAI/JS 4.67.3", "openai-node"),
        ("ollama-python/0.4.7 (x86_64 linux) Python/3.12.3", "ollama-python"),
        ("ollama/0.5.1 (amd64 linux) Go/go1.23", "ollama"),
        ("Continue/1.2.0", "continue"),
        ("Python/3.11 aiohttp/3.11.8", "aiohttp"),
        ("open-webui/0.6", "open-webui"),
        ("n8n", "n8n"),
        ("claude-cli/2.1.330 (external, sdk-cli)", "claude-code"),
        ("codex_cli_rs/0.50.0 (Linux)", "codex"),
        ("Anthropic/Python 2.12.0", "anthropic-python"),
        ("AsyncAnthropic/Python 2.12.0", "anthropic-python"),
        ("Anthropic/JS 0.70.0", "anthropic-node"),
        ("llm/0.27", "llm"),
        ("curl/8.5.0", "curl"),
        ("Mozilla/5.0 (X11; Linux x86_64)", "browser"),
        ("MyTool/7.0 (secret machine)", "mytool"),
        ("", "unknown"),
        ("한글", "unknown"),
    ],
)
def test_program_is_known_by_what_it_calls_itself(user_agent: str, family: str) -> None:
    assert family_of(user_agent) == family


def test_each_program_and_dialect_is_one_line_and_the_latest_comes_first(tmp_path: Path) -> None:
    with scripted_house(tmp_path) as house:
        for path, agent in (
            ("/v1/models", "OpenAI/Python 1.51.0"),
            ("/api/tags", "curl/8.5.0"),
            ("/v1/models", "OpenAI/Python 1.52.0"),
        ):
            with house.client(headers={"User-Agent": agent}) as client:
                assert client.get(path).status_code == 200
        with house.client(headers={"Sec-Fetch-Site": "same-origin"}) as client:
            clients = client.get("/ondol/v1/clients").json()["clients"]
    assert [(one["family"], one["dialect"], one["count"]) for one in clients] == [
        ("openai-python", "openai", 2),
        ("curl", "ollama", 1),
    ]
    assert clients[0]["first_at"] <= clients[0]["last_at"]
    assert clients[0]["is_here"] is True
    assert set(clients[0]) == {
        *("family", "dialect", "first_at", "last_at", "count", "last_path", "is_here"),
    }


def test_nothing_that_was_said_is_kept(house: House) -> None:
    said = "periwinkle"
    with house.client(headers={"User-Agent": "curl/8"}) as client:
        client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": said}]})
        client.get(f"/ondol/v1/ledger/{said}?since={said}")
        client.get(f"/ondol/v1/memories?query={said}")
        assert said not in client.get("/ondol/v1/clients").text


def test_who_is_refused_is_no_client(tmp_path: Path) -> None:
    with scripted_house(tmp_path, {"ONDOL_API_KEY": "sesame"}) as house:
        with house.client(headers={"User-Agent": "curl/8"}) as client:
            assert client.get("/api/tags").status_code == 401
        allowed = {"Authorization": "Bearer sesame", "User-Agent": "wget/1"}
        with house.client(headers=allowed) as client:
            clients = client.get("/ondol/v1/clients").json()["clients"]
    assert [one["family"] for one in clients] == ["wget"]


def test_list_stays_short() -> None:
    clients = Clients()
    for number in range(MOST + 5):
        clients.note(f"tool{number}/1", "/v1/models")
    assert len(clients.all()) == MOST
    assert clients.all()[0].family == f"tool{MOST + 4}"
