"""Money: what an answer cost here, and what its tokens would have cost at a public API.

Here: energy times the tariff, and the hardware's price spread over the hours of its life (not
counted until the owner says what it cost). There: the dated table ``prices.toml``. Every constant
is a setting, or stands there with its date. Won are KRW, dollars USD.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ondol.errors import ConfigError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.config import Config

JOULES_PER_KWH = 3.6e6

# KEPCO's residential low-voltage tariff: 214.6 for the energy of the second tier (201 to 400 kWh a
# month, since 2023-05-16), 9.0 for climate, 5.0 for fuel (fourth quarter of 2025), without VAT.
TARIFF_KRW_PER_KWH = 228.6
# The mean of all trading days of 2025, as News1 reported it on 2026-01-04.
KRW_PER_USD = 1422.16
CLOUD_MODEL = "gpt-4o-mini"

DAYS_PER_YEAR = 365.25


@dataclass(frozen=True, slots=True)
class Model:
    """A public API's prices: USD for a million tokens."""

    name: str
    input: float
    output: float
    page: str


@dataclass(frozen=True, slots=True)
class Price:
    """What tokens would have cost at ``model``, by the prices of the day ``date``."""

    usd: float
    model: str
    date: str
    krw_per_usd: float

    @property
    def krw(self) -> float:
        return self.usd * self.krw_per_usd


@dataclass(frozen=True, slots=True)
class Pricing:
    """The owner's own figures."""

    tariff_krw_per_kwh: float = TARIFF_KRW_PER_KWH
    krw_per_usd: float = KRW_PER_USD
    cloud_model: str = CLOUD_MODEL
    hardware_price_krw: float = 0.0
    hardware_years: float = 4.0
    hardware_hours_per_day: float = 8.0

    @classmethod
    def from_config(cls, config: Config) -> Pricing:
        """Raises ``ConfigError`` for a cloud model that the table lacks."""
        values: dict[str, Any] = {name: config[f"ledger.{name}"] for name in cls.__slots__}
        model(values["cloud_model"])
        return cls(**values)

    def energy_krw(self, joules: float | None) -> float:
        """What electricity costs."""
        return (joules or 0.0) / JOULES_PER_KWH * self.tariff_krw_per_kwh

    def hardware_krw(self, seconds: float) -> float:
        """The share of the hardware's price in ``seconds`` of its life."""
        hours = self.hardware_years * DAYS_PER_YEAR * self.hardware_hours_per_day
        return self.hardware_price_krw * seconds / 3600 / hours

    def here_krw(self, joules: float | None, seconds: float) -> float:
        """What an answer cost here."""
        return self.energy_krw(joules) + self.hardware_krw(seconds)

    def cloud(self, prompt_tokens: int, completion_tokens: int) -> Price | None:
        """What the tokens would have cost; ``None`` for none at all."""
        if not prompt_tokens and not completion_tokens:
            return None
        at = model(self.cloud_model)
        usd = (prompt_tokens * at.input + completion_tokens * at.output) / 1e6
        return Price(usd, at.name, table_date(), self.krw_per_usd)


def models() -> dict[str, Model]:
    """All models of the table, by name."""
    return {name: Model(name, **values) for name, values in _table()["models"].items()}


def model(name: str) -> Model:
    """The model ``name``; raises ``ConfigError`` with those there are."""
    found = models().get(name)
    if found is None:
        known = ", ".join(models())
        raise ConfigError(t("ledger.no_price", name=name), t("ledger.no_price_hint", known=known))
    return found


def table_date() -> str:
    """The day of the prices: "2026-10-21"."""
    return str(_table()["date"])


def table_source() -> str:
    """Where the prices are from."""
    return str(_table()["source"])


@cache
def _table() -> dict[str, Any]:
    text = files("ondol.ledger").joinpath("prices.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
