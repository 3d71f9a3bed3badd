"""The ledger over HTTP: pages, filters, one in words, the check, the month."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from house import House

from ondol.egress.passage import Passage
from ondol.ledger.entries import Entry
from ondol.types import Sensitivity

SENT = Passage("home", "attic.local:11443", Sensitivity.TRUSTED, 2310, 800, True)


@pytest.fixture
def ledger_house(house: House) -> Iterator[House]:
    """With an owner's ledger of ten entries: five answers, each after what left for it."""
    ledger = house.parts.ledger
    ledger.close()
    for _ in range(5):
        ledger.record(SENT)
        ledger.append(Entry("answer", route="local", model="smollm2:135m", seconds=0.5))
    yield house
    ledger.close()


def numbers(body: dict) -> list[int]:
    return [one["number"] for one in body["entries"]]


def test_entries_come_in_pages(ledger_house: House) -> None:
    with ledger_house.client() as client:
        everything = client.get("/ondol/v1/ledger?limit=1000").json()
        seen, before = [], ""
        while True:
            page = client.get(f"/ondol/v1/ledger?limit=3{before}").json()
            seen += numbers(page)
            if page["next_before"] is None:
                break
            before = f"&before={page['next_before']}"
    assert seen == numbers(everything) == sorted(seen, reverse=True)
    assert everything["next_before"] is None


def test_filters_choose_entries(ledger_house: House) -> None:
    with ledger_house.client() as client:

        def kinds(query: str) -> set[str]:
            body = client.get(f"/ondol/v1/ledger?{query}").json()
            return {one["kind"] for one in body["entries"]}

        assert kinds("kind=egress") == {"egress"}
        assert kinds("route=local") == {"answer"}
        assert kinds("since=2999-01-01T00:00:00Z") == set()
        assert kinds("until=2000-01-01T00:00:00Z") == set()
        assert kinds("since=2000-01-01T00:00:00%2B09:00") == {"answer", "egress"}


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "before=0", "since=yesterday", "route=moon", "kind=", "before=x"],
)
def test_a_wrong_parameter_is_named(ledger_house: House, query: str) -> None:
    with ledger_house.client() as client:
        answer = client.get(f"/ondol/v1/ledger?{query}")
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == query.partition("=")[0]


def test_one_entry_is_given_in_fields_and_in_the_readers_words(ledger_house: House) -> None:
    with ledger_house.client() as client:
        found = client.get("/ondol/v1/ledger/last").json()
        id = found["entry"]["id"]
        assert client.get(f"/ondol/v1/ledger/{id[:10]}").json() == found
        korean = client.get(f"/ondol/v1/ledger/{id}", headers={"Accept-Language": "ko"}).json()
        assert found["entry"]["kind"] == "answer" and "This device" in found["explanation"]
        assert "이 기기" in korean["explanation"]
        missing = client.get(f"/ondol/v1/ledger/{'0' * 12}")
        assert missing.status_code == 404
        assert missing.json()["error"]["code"] == "ledger_entry_not_found"
        assert client.get("/ondol/v1/ledger/nonsense!").status_code == 422


def test_the_month_is_summed_up(ledger_house: House) -> None:
    with ledger_house.client() as client:
        found = client.get("/ondol/v1/ledger/report").json()
        assert found["answers"]["local"] >= 5 and found["bytes_out"]["home"] >= 5 * 2310
        assert client.get("/ondol/v1/ledger/report?month=2020-01").json()["num_answers"] == 0
        assert client.get("/ondol/v1/ledger/report?month=2020-13").status_code == 422


def test_the_check_says_what_is_wrong(ledger_house: House) -> None:
    with ledger_house.client() as client:
        assert client.get("/ondol/v1/ledger/verify").json()["intact"] is True
        with closing(ledger_house.parts.ledger.connection()) as connection:
            connection.execute("DROP TRIGGER ledger_no_update")
            connection.execute("UPDATE ledger SET kind = 'x' WHERE number = 2")
        found = client.get("/ondol/v1/ledger/verify").json()
    assert found["intact"] is False and found["findings"][0]["first"] == 2
    assert found["findings"][0]["message"] and found["findings"][0]["hint"]
