"""``ondol up --phone``: the door for phones, and where to point one."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.model

PHONE = {"ONDOL_PHONE_PORT": "0", "ONDOL_PHONE_ADDRESS": "127.0.0.1"}


def test_up_shows_where_to_point_the_phone_also_when_ondol_runs_already(ondol, config) -> None:
    plain = ondol("up", "--port", 0, **PHONE)
    try:
        assert plain.code == 0 and "https://" not in plain.stdout
        shown = ondol("up", "--phone", "--json", **PHONE).json
        assert shown["started"] is False
        assert f"/#/pair?code={shown['phone']['code']}" in shown["phone"]["url"]
        told = ondol("up", "--phone", **PHONE)
        assert "https://127.0.0.1:" in told.stdout and shown["phone"]["fingerprint"] in told.stderr
    finally:
        ondol("down")


def test_a_machine_without_a_network_is_up_all_the_same(ondol, config) -> None:
    told = ondol("up", "--port", 0, "--phone", **(PHONE | {"ONDOL_PHONE_ADDRESS": "example.com"}))
    try:
        assert told.code == 0 and "http://127.0.0.1:" in told.stdout
        assert "no certificate for example.com" in told.stderr
    finally:
        ondol("down")


def test_a_setting_that_cannot_be_is_said_before_the_server_starts(ondol, config) -> None:
    bad = PHONE | {"ONDOL_PHONE": "1", "ONDOL_PHONE_ADDRESS": "example.com"}
    told = ondol("up", "--port", 0, **bad)
    assert told.code == 2 and "example.com" in told.stderr and "Traceback" not in told.stderr
