"""Defaults, file, environment, flags: the later wins, and each value knows where it came from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol import paths
from ondol.config import SETTINGS, Config, load, parse, setting
from ondol.errors import ConfigError


def write(text: str) -> Path:
    file = paths.config_file()
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_defaults_hold_without_a_file() -> None:
    config = load(environ={})
    assert config["server.port"] == 11435
    assert config.source("server.port") == "default"


def test_file_environment_and_flag_win_in_that_order() -> None:
    write("[server]\nport = 1111\n")
    assert (load(environ={})["server.port"], load(environ={}).source("server.port")) == (
        1111,
        "file",
    )
    config = load(environ={"ONDOL_PORT": "2222"})
    assert (config["server.port"], config.source("server.port")) == (2222, "environment")
    flagged = config.with_flags({"server.port": 3333, "server.host": None})
    assert (flagged["server.port"], flagged.source("server.port")) == (3333, "flag")
    assert flagged.source("server.host") == "default"


def test_top_level_settings_and_lists_are_read_from_the_file() -> None:
    write('offline = true\n[server]\norigins = ["https://a.example", "https://b.example"]\n')
    config = load(environ={})
    assert config["offline"] is True
    assert config["server.origins"] == ("https://a.example", "https://b.example")


def test_lists_in_the_environment_are_comma_separated() -> None:
    assert load(environ={"ONDOL_HOSTS": "a.lan, b.lan,"})["server.hosts"] == ("a.lan", "b.lan")


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_booleans_accept_what_people_write(value: str) -> None:
    assert load(environ={"ONDOL_OFFLINE": value})["offline"] is True


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"ONDOL_PORT": "eleven"}, "server.port"),
        ({"ONDOL_PORT": "70000"}, "server.port"),
        ({"ONDOL_OFFLINE": "perhaps"}, "offline"),
        ({"ONDOL_LANGUAGE": "fr"}, "language"),
    ],
)
def test_bad_value_names_the_setting_and_what_is_accepted(
    environ: dict[str, str], name: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ=environ)
    assert name in caught.value.message
    assert next(iter(environ)) in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_unknown_setting_suggests_the_nearest_name() -> None:
    write("[server]\nprot = 1\n")
    with pytest.raises(ConfigError, match=r"server\.prot") as caught:
        load(environ={})
    assert "server.port" in caught.value.hint


def test_broken_file_is_named() -> None:
    file = write("[server\n")
    with pytest.raises(ConfigError) as caught:
        load(environ={})
    assert str(file) in caught.value.message


def test_a_secret_is_not_repeated_in_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(setting("server.api_key"), True, "config.toml")
    assert "True" not in caught.value.message


def test_names_and_environment_variables_are_unique() -> None:
    assert len({s.name for s in SETTINGS}) == len({s.env for s in SETTINGS}) == len(SETTINGS)


@given(
    st.sampled_from(SETTINGS), st.text(max_size=20) | st.integers() | st.floats() | st.booleans()
)
def test_any_value_is_accepted_with_its_type_or_refused_with_a_sentence(
    s: object, raw: object
) -> None:
    try:
        value = parse(s, raw, "test")  # type: ignore[arg-type]
    except ConfigError as error:
        assert error.message and error.hint
    else:
        assert type(value) is type(s.default)  # type: ignore[attr-defined]


def test_models_directory_can_be_moved() -> None:
    config = load(environ={"ONDOL_MODELS": "~/weights"})
    assert config.models_dir == Path("~/weights").expanduser()
    assert isinstance(config, Config)
