"""``ondol config``: what is set, where from, and config.toml as its owner wrote it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ondol.config import SETTINGS, load


def test_list_says_where_each_value_comes_from(ondol) -> None:
    ondol("config", "set", "server.port", 1234)
    settings = ondol("config", "list", "--json", ONDOL_OFFLINE="1").json
    assert set(settings) == {setting.name for setting in SETTINGS}
    assert settings["server.port"] == {"value": 1234, "source": "file"}
    assert settings["offline"] == {"value": True, "source": "environment"}
    assert settings["engine.num_ctx"]["source"] == "default"


def test_list_for_people_is_a_table(ondol) -> None:
    lines = ondol("config", "list").stdout.splitlines()
    assert len(lines) == len(SETTINGS) + 1
    assert lines[0].split() == ["SETTING", "VALUE", "SOURCE"]


def test_quiet_list_is_names_only(ondol) -> None:
    lines = ondol("config", "list", "--quiet").stdout.splitlines()
    assert lines == [setting.name for setting in SETTINGS]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("offline", "yes", True),
        ("server.port", "8000", 8000),
        ("models.chat", "qwen3:4b", "qwen3:4b"),
        ("server.origins", "http://a, http://b", ("http://a", "http://b")),
        ("server.origins", "", ()),
    ],
)
def test_set_writes_what_will_be_read(
    ondol, home: Path, name: str, value: str, expected: object
) -> None:
    result = ondol("config", "set", name, value)
    assert result.code == 0 and result.stdout.startswith(f"{name} = ")
    assert load(environ={}, file=home / "config" / "config.toml")[name] == expected


def test_set_keeps_comments_and_everything_else(ondol, home: Path) -> None:
    file = home / "config" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('# mine\nlanguage = "en" # why\n\n[engine]\n# slow disk\nkeep_alive = "1h"\n')
    ondol("config", "set", "engine.num_ctx", 8192)
    ondol("config", "set", "offline", "true")
    text = file.read_text()
    assert "# mine" in text and "# why" in text and "# slow disk" in text
    settings = load(environ={}, file=file)
    assert settings["engine.keep_alive"] == "1h" and settings["engine.num_ctx"] == 8192
    assert settings["offline"] is True


@pytest.mark.parametrize(
    ("name", "value"), [("server.port", "99999"), ("offline", "perhaps"), ("language", "fr")]
)
def test_set_refuses_what_could_not_be_read(ondol, home: Path, name: str, value: str) -> None:
    result = ondol("config", "set", name, value)
    assert result.code == 2 and name in result.stderr and value in result.stderr
    assert not (home / "config" / "config.toml").exists()


@pytest.mark.parametrize("command", [["get"], ["unset"], ["set"]])
def test_unknown_setting_names_the_nearest(ondol, command: list[str]) -> None:
    value = ["1"] if command == ["set"] else []
    result = ondol("config", *command, "server.prot", *value)
    assert result.code == 2 and "server.port" in result.stderr


def test_unset_goes_back_to_the_default(ondol) -> None:
    ondol("config", "set", "server.port", 1234)
    assert ondol("config", "get", "server.port").stdout == "1234\n"
    assert ondol("config", "unset", "server.port").code == 0
    assert ondol("config", "get", "server.port").stdout == "11435\n"
    assert ondol("config", "unset", "server.port").code == 0


def test_key_is_private_and_shown_only_to_who_asks_for_it(ondol, home: Path) -> None:
    said = ondol("config", "set", "server.api_key", "s3cret")
    listed = ondol("config", "list")
    as_json = ondol("config", "list", "--json")
    assert all("s3cret" not in r.stdout + r.stderr for r in (said, listed, as_json))
    assert ondol("config", "get", "server.api_key").stdout == "s3cret\n"
    assert stat.S_IMODE((home / "config" / "config.toml").stat().st_mode) == 0o600


def test_set_says_when_the_environment_wins(ondol) -> None:
    result = ondol("config", "set", "server.port", 1234, ONDOL_PORT="5678")
    assert "ONDOL_PORT" in result.stderr
