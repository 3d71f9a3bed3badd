"""Settings are listed with their sources, changed as the command line changes them, and taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import House, scripted_house

from ondol import i18n
from ondol.config import SETTINGS, load
from ondol.server.native.settings import is_guarded, when
from ondol.types import Confidence, Label, Route, Sensitivity

ALL = "/ondol/v1/settings"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A house whose settings a test may change."""
    with scripted_house(tmp_path, {"ONDOL_QUOTES": "4"}) as house:
        yield house
    i18n.speak("auto")


def listed(house: House, **headers: str) -> dict[str, dict[str, Any]]:
    with house.client(headers=headers) as client:
        response = client.get(ALL)
    assert response.status_code == 200
    return {one["name"]: one for one in response.json()["settings"]}


def change(house: House, changes: Any, **headers: str) -> Any:
    with house.client(headers=headers) as client:
        return client.patch(ALL, json=changes)


def test_every_setting_is_listed_as_the_table_has_it(own: House) -> None:
    settings = listed(own)
    assert list(settings) == [one.name for one in SETTINGS]
    port = settings["server.port"]
    assert (port["value"], port["default"], port["source"], port["type"]) == (
        11435,
        11435,
        "default",
        "integer",
    )
    assert (port["minimum"], port["maximum"], port["restart"]) == (0, 65535, True)
    assert port["variable"] == "ONDOL_PORT" and port["description"].startswith("Port")
    assert settings["language"]["type"] == "choice"
    assert settings["language"]["choices"] == ["auto", "en", "ko"]
    assert (
        settings["server.origins"]["type"] == "list" and settings["server.origins"]["value"] == []
    )
    quotes = settings["retrieval.quotes"]
    assert (quotes["value"], quotes["source"]) == (4, "environment")


def test_settings_explain_themselves_in_the_language_of_the_request(own: House) -> None:
    korean = listed(own, **{"Accept-Language": "ko"})["offline"]["description"]
    assert korean and korean != listed(own)["offline"]["description"]


def test_change_is_written_where_the_command_line_writes_and_keeps_comments(own: House) -> None:
    file = own.parts.config.file
    file.write_text("# mine\n[models]\nchat = 'other'  # tiny\n", encoding="utf-8")
    answer = change(own, {"engine.num_ctx": 8192, "server.origins": ["https://a.example"]})
    assert answer.status_code == 200, answer.text
    text = file.read_text("utf-8")
    assert "# mine" in text and "# tiny" in text
    read = load(environ={}, file=file)
    assert (read["engine.num_ctx"], read["models.chat"]) == (8192, "other")
    assert read["server.origins"] == ("https://a.example",)
    found = {one["name"]: one for one in answer.json()["settings"]}
    assert found["engine.num_ctx"]["source"] == "file"


def test_what_holds_from_the_next_start_on_says_so_and_what_does_not_is_taken(own: House) -> None:
    change(own, {"server.max_body_mb": 64, "retrieval.limit": 3})
    settings = listed(own)
    body = settings["server.max_body_mb"]
    assert (body["restart"], body["when"], body["pending"]) == (True, "restart", True)
    assert (settings["retrieval.limit"]["restart"], settings["retrieval.limit"]["pending"]) == (
        False,
        False,
    )
    assert own.parts.config["retrieval.limit"] == 3
    assert own.parts.config["server.max_body_mb"] == 32


def test_engine_goes_by_new_settings_without_a_restart(own: House) -> None:
    change(own, {"engine.num_ctx": 8192, "engine.keep_alive": "1h", "engine.threads": 1})
    settings = listed(own)
    told = {name: settings[f"engine.{name}"]["when"] for name in ("num_ctx", "threads")}
    assert told == {"num_ctx": "now", "threads": "loading"}
    engine = own.pool.settings
    assert (engine.num_ctx, engine.keep_alive_seconds, engine.threads) == (8192, 3600, 1)
    assert not settings["engine.threads"]["restart"] and not settings["engine.threads"]["pending"]
    assert settings["engine.max_queue"]["restart"]


def test_null_takes_a_setting_back_to_its_default(own: House) -> None:
    change(own, {"retrieval.limit": 3})
    back = change(own, {"retrieval.limit": None}).json()["settings"]
    found = next(one for one in back if one["name"] == "retrieval.limit")
    assert (found["value"], found["source"]) == (10, "default")
    assert own.parts.config["retrieval.limit"] == 10


def test_environment_still_wins_and_is_named(own: House) -> None:
    change(own, {"retrieval.quotes": 9})
    quotes = listed(own)["retrieval.quotes"]
    assert (quotes["value"], quotes["source"], quotes["variable"]) == (
        4,
        "environment",
        "ONDOL_QUOTES",
    )


def test_what_is_said_to_be_taken_at_once_is(own: House, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = own.parts
    oversight = parts.oversight
    before, policy = oversight.labeller, oversight.policy
    changed = {
        "offline": True,
        "language": "ko",
        "models.chat": "all-minilm:l6-v2",
        "answer.max_tokens": 7,
        "answer.adapter": "",
        "routing.question_sensitivity": "private",
        "routing.abstain_below": 0.5,
        "routing.redact": True,
        "ledger.watts_per_core": 3.0,
        "retrieval.parse_seconds": 5,
    }
    assert change(own, changed).status_code == 200
    assert parts.egress.offline is True
    monkeypatch.delenv("ONDOL_LANGUAGE")
    assert i18n.language() == "ko"
    assert parts.config["models.chat"] == "all-minilm:l6-v2"
    assert parts.manner("smollm2:135m").options.max_tokens == 7
    assert oversight.labeller is before
    assert before.question_sensitivity is Sensitivity.PRIVATE
    unsure = Confidence(0.3)
    label = Label(Sensitivity.PRIVATE, ())
    assert policy.choose(unsure, label, lambda: None).route is Route.LOCAL
    assert oversight.policy.choose(unsure, label, lambda: None).route is Route.ABSTAIN
    assert not any(one["pending"] for one in listed(own).values() if not one["restart"])
    assert {when(name) for name in changed} == {"now"}
    change(own, {"offline": False})
    assert parts.egress.offline is False


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"retrieval.limit": 0}, "retrieval.limit"),
        ({"retrieval.limit": "many"}, "retrieval.limit"),
        ({"retrieval.limit": True}, "retrieval.limit"),
        ({"language": "fr"}, "language"),
        ({"retrieval.limt": 3}, "retrieval.limt"),
        ({"engine.keep_alive": "soon"}, "engine.keep_alive"),
        ({"server.hosts": ["*.lan"]}, "server.hosts"),
        ({"server.host": "0.0.0.0"}, "server.host"),
        ({"retrieval.quotes": 3, "retrieval.limit": -1}, "retrieval.limit"),
    ],
)
def test_value_that_cannot_be_is_named_and_nothing_is_changed(
    own: House, changes: dict[str, Any], param: str
) -> None:
    refused = change(own, changes)
    assert refused.status_code == 422
    error = refused.json()["error"]
    assert error["param"] == param and error["message"]
    assert not own.parts.config.file.exists()


@pytest.mark.parametrize("body", [{}, [], {"retrieval.limit": {"x": 1}}, "x"])
def test_body_that_is_no_change_is_refused(own: House, body: Any) -> None:
    assert change(own, body).status_code in (400, 422)


def test_secret_goes_in_and_never_comes_out(own: House) -> None:
    answer = change(own, {"server.api_key": "a-secret-of-mine"})
    assert answer.status_code == 200 and "a-secret-of-mine" not in answer.text
    key = listed(own)["server.api_key"]
    assert (key["value"], key["secret"], key["is_set"], key["pending"]) == (None, True, True, True)
    assert own.parts.config.file.stat().st_mode & 0o077 == 0
    assert "…" in change(own, {"server.api_key": True}).json()["error"]["message"]


def test_a_password_in_an_address_stays_at_the_machine(own: House) -> None:
    address = "http://me:hunter2@10.0.0.5:8000/v1"
    assert "hunter2" in change(own, {"home.upstreams": [address]}).text
    elsewhere = {"Forwarded": "for=10.0.0.9"}
    with own.client(headers=elsewhere) as client:
        told = client.get("/ondol/v1/settings")
    assert "hunter2" not in told.text and "http://10.0.0.5:8000/v1" in told.text
    assert "hunter2" not in change(own, {"retrieval.limit": 3}, **elsewhere).text


@pytest.mark.parametrize("headers", [{"X-Forwarded-For": "10.0.0.9"}, {"Host": "own.lan"}])
def test_what_opens_the_house_is_changed_only_at_the_machine_itself(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    with scripted_house(tmp_path, {"ONDOL_HOSTS": "own.lan"}) as house:
        refused = change(house, {"offline": True, "retrieval.limit": 3}, **headers)
        assert refused.status_code == 403
        assert not house.parts.config.file.exists()
        assert change(house, {"retrieval.limit": 3}, **headers).status_code == 200
        assert change(house, {"offline": True}).status_code == 200


def test_whatever_decides_who_comes_in_or_what_leaves_is_guarded() -> None:
    names = {one.name for one in SETTINGS if is_guarded(one.name)}
    assert {"offline", "server.host", "server.api_key", "routing.redact", "home.host"} <= names
    assert {"engine.runtime", "models.directory", "retrieval.vectors"} <= names
    assert not {"language", "models.chat", "retrieval.limit"} & names


def test_file_that_cannot_be_read_is_named(own: House) -> None:
    own.parts.config.file.write_text("[server\n", encoding="utf-8")
    refused = change(own, {"retrieval.limit": 3})
    assert refused.status_code == 422
    assert str(own.parts.config.file) in refused.json()["error"]["message"]
