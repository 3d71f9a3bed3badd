"""Money: every figure is dated, nothing is made up, and what is not known is not counted."""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import KEPT, PRIVATE, SENT, SURE, an_answer

from ondol import config as configuration
from ondol.errors import ConfigError
from ondol.ledger import cost
from ondol.ledger.cost import Pricing
from ondol.ledger.energy import Energy, EnergyMeter
from ondol.ledger.entries import Entry, as_time
from ondol.ledger.ledger import Ledger
from ondol.ledger.recording import LedgerRecorder
from ondol.ledger.report import Report, month_of, report
from ondol.types import Decision, Route

TABLE = Path(cost.__file__).with_name("prices.toml")


def test_the_table_is_small_dated_and_says_where_it_is_from() -> None:
    table = tomllib.loads(TABLE.read_text("utf-8"))
    assert date.fromisoformat(table["date"]) and table["source"]
    assert 10 <= len(cost.models()) <= 20
    for model in cost.models().values():
        assert 0 < model.input <= model.output <= 100
        assert model.page.startswith("https://")
    assert cost.CLOUD_MODEL in cost.models()


def test_the_settings_have_the_defaults_that_the_constants_document() -> None:
    assert Pricing.from_config(configuration.load()) == Pricing()


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "much"])
def test_a_tariff_that_is_no_price_is_refused(value: str) -> None:
    with pytest.raises(ConfigError):
        configuration.load(environ={"ONDOL_TARIFF_KRW_PER_KWH": value})


def test_a_cloud_model_without_a_price_is_refused_with_those_there_are() -> None:
    config = configuration.load().with_flags({"ledger.cloud_model": "gpt-5.5-imaginary"})
    with pytest.raises(ConfigError) as raised:
        Pricing.from_config(config)
    assert "gpt-4o-mini" in raised.value.hint


def test_tokens_cost_what_the_table_says() -> None:
    pricing = Pricing(cloud_model="gpt-4o", krw_per_usd=1400.0)
    price = pricing.cloud(1_000_000, 100_000)
    assert price is not None
    assert (price.usd, price.krw) == (pytest.approx(3.5), pytest.approx(4900.0))
    assert (price.model, price.date) == ("gpt-4o", cost.table_date())
    assert pricing.cloud(0, 0) is None


def test_a_kilowatt_hour_costs_the_tariff_and_the_hardware_nothing_until_its_price_is_set() -> None:
    assert Pricing().here_krw(3.6e6, 3600.0) == pytest.approx(228.6)
    assert Pricing().here_krw(None, 3600.0) == 0.0
    owned = Pricing(hardware_price_krw=1_461_000, hardware_years=1, hardware_hours_per_day=4)
    assert owned.here_krw(None, 3600.0) == pytest.approx(1000.0)


@given(st.floats(0, 1e9), st.floats(0, 1e6), st.floats(0, 1e9))
def test_more_energy_or_time_never_costs_less(joules: float, seconds: float, price: float) -> None:
    pricing = Pricing(hardware_price_krw=price)
    here = pricing.here_krw(joules, seconds)
    assert here >= 0
    assert pricing.here_krw(joules * 2, seconds) >= here
    assert pricing.here_krw(joules, seconds * 2) >= here


class Counter:
    name, needs_samples = "rapl", False

    def __init__(self, source: str = "measured") -> None:
        self.source, self.joules = source, 0.0

    def read(self) -> float:
        return self.joules


def test_a_recorded_answer_carries_its_id_and_its_cost(tmp_path: Path) -> None:
    counter = Counter()
    with Ledger.open(tmp_path / "a.db") as ledger:
        recorder = LedgerRecorder(ledger, EnergyMeter(lambda: [counter]), Pricing())
        recording = recorder.start("grounded")
        counter.joules = 36.0
        answer = recording.finish(an_answer(), SURE, PRIVATE)
        entry = ledger.get("last")
    assert answer.ledger_id == entry.id and answer.cost is not None
    assert (answer.cost.energy_joules, answer.cost.energy_source) == (36.0, "measured")
    assert answer.cost.here_krw == pytest.approx(0.002286)
    assert answer.cost.cloud_krw == pytest.approx((300 * 0.15 + 40 * 0.6) / 1e6 * 1422.16)
    assert (entry.energy_joules, entry.energy_source, entry.energy_meter) == (
        36.0,
        "measured",
        "rapl",
    )
    assert entry.cost_krw == pytest.approx(0.002286)
    assert (entry.cloud_model, entry.prices) == ("gpt-4o-mini", cost.table_date())
    assert answer.text == an_answer().text


def month() -> tuple[datetime, datetime]:
    return month_of(datetime.now(UTC))


def test_a_month_adds_up_and_never_adds_measured_to_estimated(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "a.db") as ledger:
        for joules in (10.0, 20.0):
            ledger.append_answer(an_answer(), SURE, energy=Energy(joules, "measured", "rapl"))
        ledger.append_answer(an_answer(), SURE, energy=Energy(5.0, "estimated", "estimate"))
        home = Decision(Route.HOME, ("unsure",))
        ledger.append_answer(an_answer(Route.HOME), home)
        fallen = Decision(Route.LOCAL, ("unsure", "home_failed"))
        ledger.append_answer(an_answer(), fallen)
        ledger.append_answer(an_answer(Route.ABSTAIN), SURE)
        ledger.record(SENT)
        ledger.record(SENT)
        ledger.record(KEPT)
        made = report(ledger, Pricing(), *month())
    assert made.answers == {"local": 4, "home": 1, "abstain": 1}
    # The one that home failed to answer left all the same.
    assert (made.num_answers, made.asked_home) == (6, 2)
    assert made.share_here == pytest.approx(4 / 6)
    assert made.bytes_out == {"home": 4620} and made.refused == 1
    assert made.joules == {"measured": 30.0, "estimated": 5.0} and made.unmeasured == 3
    assert (made.prompt_tokens, made.completion_tokens) == (1800, 240)
    said = made.json()
    assert said["energy_joules"] == {"measured": 30.0, "estimated": 5.0}
    assert 35.0 not in said.values()


def test_other_months_do_not_count(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "a.db") as ledger:
        ledger.append_answer(an_answer())
        begin, end = month()
        later = report(ledger, Pricing(), end, end + timedelta(days=31))
        before = report(ledger, Pricing(), begin - timedelta(days=31), begin)
        empty = later.num_answers + before.num_answers
    assert empty == 0 and before.share_here is None


@pytest.mark.parametrize(
    ("moment", "begin", "end"),
    [
        ("2026-12-31T23:59:59+09:00", "2026-12-01", "2027-01-01"),
        ("2028-02-29T00:00:00+00:00", "2028-02-01", "2028-03-01"),
    ],
)
def test_a_month_begins_with_its_first_day(moment: str, begin: str, end: str) -> None:
    found = month_of(datetime.fromisoformat(moment))
    assert [one.date().isoformat() for one in found] == [begin, end]


def of_a_month(pricing: Pricing, **fields: float) -> Report:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    until = since + timedelta(days=365.25 / 12)
    made = Report(as_time(since), as_time(until), pricing)
    made.add(Entry("answer", route="local", energy_source="measured", krw_per_usd=1000.0, **fields))
    return made


def test_hardware_pays_for_itself_by_what_the_cloud_would_have_cost_beyond_electricity() -> None:
    pricing = Pricing(tariff_krw_per_kwh=100.0, hardware_price_krw=900_000.0)
    made = of_a_month(pricing, cloud_usd=10.0, energy_joules=3.6e6 * 10)
    # 10,000 won at the cloud, 1,000 for electricity.
    assert made.break_even_months == pytest.approx(100.0, rel=1e-6)


def test_hardware_never_pays_when_electricity_costs_more_and_says_nothing_without_a_price() -> None:
    pricing = Pricing(tariff_krw_per_kwh=100.0, hardware_price_krw=900_000.0)
    assert of_a_month(pricing, cloud_usd=0.1, energy_joules=3.6e6 * 10).break_even_months is None
    assert of_a_month(Pricing(), cloud_usd=10.0, energy_joules=1.0).break_even_months is None
