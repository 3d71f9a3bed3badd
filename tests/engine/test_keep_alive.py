import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.config import Config, load
from ondol.engine.keep_alive import parse_keep_alive
from ondol.engine.settings import EngineSettings
from ondol.errors import ConfigError, UsageError


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (0, 0.0),
        (1800, 1800.0),
        (2.5, 2.5),
        (-1, math.inf),
        (-0.5, math.inf),
        (10**400, math.inf),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("250ms", 0.25),
        ("1h2m3.5s", 3723.5),
        ("0", 0.0),
        ("0s", 0.0),
        ("-1m", math.inf),
        ("+10s", 10.0),
        ("-0s", 0.0),
        ("100µs", 1e-4),
    ],
)
def test_keep_alive_is_read_as_ollama_reads_it(value, seconds):
    assert parse_keep_alive(value) == (seconds if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("value", ["-1", "5", "", "m", "5 m", "5m ", "1d", "h5", True, math.nan])
def test_keep_alive_refuses_what_go_refuses(value):
    with pytest.raises(UsageError) as caught:
        parse_keep_alive(value)
    assert caught.value.param == "keep_alive"
    assert caught.value.hint


@given(st.text(alphabet="0123456789.+-hmsnuµ ", max_size=20))
def test_keep_alive_is_never_negative_and_fails_only_one_way(text):
    try:
        assert parse_keep_alive(text) >= 0
    except UsageError:
        pass


def config(**flags: object) -> Config:
    return load(environ={}).with_flags({k.replace("__", "."): v for k, v in flags.items()})


def test_settings_come_from_the_configuration():
    settings = EngineSettings.from_config(config(engine__num_ctx=2048, engine__keep_alive="90s"))
    assert settings.num_ctx == 2048
    assert settings.keep_alive_seconds == 90
    assert settings.runtime == "auto"


@pytest.mark.parametrize(("text", "seconds"), [("-1", math.inf), ("0", 0), ("600", 600)])
def test_a_setting_may_be_bare_seconds_like_ollamas_variable(text, seconds):
    assert EngineSettings.from_config(config(engine__keep_alive=text)).keep_alive_seconds == seconds


@pytest.mark.parametrize("text", ["soon", "nan"])
def test_a_wrong_keep_alive_setting_is_a_config_error(text):
    with pytest.raises(ConfigError):
        EngineSettings.from_config(config(engine__keep_alive=text))
