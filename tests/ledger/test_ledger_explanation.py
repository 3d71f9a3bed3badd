"""Why an answer came from where it came, in words."""

from __future__ import annotations

import time
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from ledgers import KEPT, MODEL, PRIVATE, SECRET, SENT, SURE, an_answer

from ondol.i18n import LANGUAGES, use_language
from ondol.ledger.cost import Pricing
from ondol.ledger.energy import Energy
from ondol.ledger.entries import Entry
from ondol.ledger.explanation import Quality, energy, explain, money, passages_of, sentence
from ondol.ledger.ledger import Ledger
from ondol.types import Confidence, Decision, Label, Route, Sensitivity


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger.open(tmp_path / "a.db") as opened:
        yield opened


def told(ledger: Ledger, language: str = "en", quality: Quality | None = None) -> str:
    entry = ledger.get("last")
    with use_language(language):
        return explain(entry, passages_of(ledger, entry), quality)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_local_answer_is_explained_with_everything_that_counts(
    ledger: Ledger, language: str
) -> None:
    price = Pricing().cloud(300, 40)
    ledger.append_answer(
        an_answer(seconds=0.0),
        SURE,
        PRIVATE,
        energy=Energy(5400.0, "measured", "rapl"),
        price=price,
    )
    said = told(ledger, language, Quality(500, 0.031))
    space = {"en": " ", "ko": ""}[language]
    shares = (f"91{space}%", f"85{space}%")
    for figure in (MODEL, *shares, "500", "3.1", "300", "40", "1.50 Wh", "rapl", "0.0981",
                   "gpt-4o-mini", "2026-10-21", "1,422.16"):  # fmt: skip
        # Korean writes no space before the sign.
        assert figure.replace(" %", "%") in said.replace(" %", "%"), figure
    assert SECRET not in said and "{" not in said
    measured = {"en": "measured", "ko": "측정"}[language]
    private = {"en": "never leaves this device", "ko": "이 기기를 떠나지 않습니다"}[language]
    assert measured in said and private in said


def test_what_left_for_home_is_told_and_what_left_before_is_not(ledger: Ledger) -> None:
    ledger.record(KEPT)
    time.sleep(0.02)
    begun = time.monotonic()
    ledger.record(SENT)
    took = time.monotonic() - begun + 0.005
    answer = an_answer(Route.HOME, took, model="attic/llama:8b", draft=an_answer())
    trusted = Label(Sensitivity.TRUSTED)
    ledger.append_answer(answer, Decision(Route.HOME, ("unsure",), 0.85, 4.0), trusted)
    said = told(ledger)
    assert "Your home answered (attic/llama:8b)" in said and MODEL in said
    assert "2,310 bytes left for attic.local:11443" in said
    assert "evil.example" not in said and "Nothing left" not in said


def test_an_uncalibrated_answer_says_so_and_makes_up_no_number(ledger: Ledger) -> None:
    unsure = Confidence(None, {"mean_logprob": -0.2})
    answer = an_answer(confidence=unsure, seconds=0.0)
    ledger.append_answer(answer, Decision(Route.LOCAL, ("uncalibrated",)))
    said = told(ledger)
    assert "not known" in said and "%" not in said
    assert "Energy: not known" in said


def test_no_answer_is_explained_too(ledger: Ledger) -> None:
    nothing = an_answer(Route.ABSTAIN, 0.0, model="", confidence=None, reasons=("no_evidence",))
    ledger.append_answer(nothing)
    said = told(ledger)
    assert "Nothing was answered" in said and "Nothing in the library" in said
    assert "calibrated" not in said


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "entry",
    [
        Entry("refused", destination="evil.example", purpose="x", reasons=("label", "new_code")),
        Entry("break", reasons=("cut_off",)),
        Entry("restored", count=3),
        Entry("enrolment", device="abc"),
        Entry("something_newer", verdict="up"),
    ],
)
def test_every_kind_of_entry_is_explained(ledger: Ledger, entry: Entry, language: str) -> None:
    found = ledger.get(ledger.append(entry))
    with use_language(language):
        said = explain(found)
    assert said.strip() and "{" not in said
    for kept in ("evil.example", "new_code", "abc", "something_newer"):
        assert (kept in said) == (kept in str(entry.json()))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_code_with_a_detail_has_a_sentence_with_it(language: str) -> None:
    with use_language(language):
        said = sentence("reason", "personal_data:kr_rrn")
    assert "kr_rrn" in said and "personal_data" not in said
    assert sentence("reason", "of_tomorrow:x") == "of_tomorrow:x"


def test_every_sentence_about_a_code_holds_no_other_placeholder_than_its_detail() -> None:
    for language in LANGUAGES:
        text = files("ondol.i18n").joinpath(language, "ledger.toml").read_text("utf-8")
        for key, said in tomllib.loads(text).items():
            if key.startswith(("reason_", "label_", "where_", "kind_")):
                assert "{" not in said.replace("{detail}", ""), key


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0.0, "0.0000"), (0.00001, "< 0.0001"), (0.0981, "0.0981"), (1234.5, "1,234.50")],
)
def test_small_money_is_not_shown_as_nothing(amount: float, shown: str) -> None:
    assert money(amount) == shown


def test_an_estimate_is_called_one() -> None:
    assert energy(12.0, "estimated", "estimate") == "12.0 J (estimated)"
    assert energy(12.0, "measured", "rapl+nvml") == "12.0 J (measured, rapl+nvml)"
