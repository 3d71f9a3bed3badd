"""What schemathesis and the fuzzer found, each once."""

from __future__ import annotations

import pytest
from house import House


@pytest.mark.parametrize("month", ["0000-01", "9999-12", "٢٠٢٦-01"])
def test_a_month_that_no_calendar_has_is_refused(house: House, month: str) -> None:
    with house.client() as client:
        assert client.get("/ondol/v1/ledger/report", params={"month": month}).status_code == 422


def test_a_file_of_a_time_that_no_clock_shows_is_refused(house: House) -> None:
    with house.client() as client:
        asked = {"name": "a.txt", "modified": 2**53 - 1}
        refused = client.post("/ondol/v1/uploads", params=asked, content=b"oak")
        assert refused.status_code == 422
        kept = client.post(
            "/ondol/v1/uploads", params=asked | {"modified": 2**43 - 1}, content=b"oak"
        )
        assert kept.status_code == 201, kept.text


def test_null_beside_a_filter_is_nothing_said(chats: House) -> None:
    with chats.client() as client:
        body = {"filter": {}, "pinned": None, "title": None}
        made = client.post("/ondol/v1/conversations", json=body)
    assert made.status_code == 201, made.text
