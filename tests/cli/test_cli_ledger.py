"""``ondol ledger``, ``ondol report`` and ``ondol why``, as somebody types them."""

from __future__ import annotations

import csv
import io
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ondol.cli.output import Output
from ondol.cli.verdict import show_verdict
from ondol.confidence.outcomes import Outcomes
from ondol.egress.passage import Passage
from ondol.ledger.cost import Pricing
from ondol.ledger.energy import Energy
from ondol.ledger.ledger import Ledger
from ondol.types import (
    Answer,
    Confidence,
    Decision,
    Label,
    Route,
    Seconds,
    Sensitivity,
    Usage,
)

SENT = Passage("home", "attic.local:11443", Sensitivity.TRUSTED, 2310, 800, True)
KEPT = Passage("download", "evil.example:443", Sensitivity.PUBLIC, 0, 0, False, "label")


def answer(route: Route = Route.LOCAL) -> Answer:
    sure = Confidence(0.91, {}, "smollm2:135m/grounded@2026-11-21.500")
    return Answer(
        "a secret", (), (), sure, route, (), Usage(300, 40), Seconds(0.1, 0.3, 0.0), "smollm2:135m"
    )


@pytest.fixture
def ids() -> list[str]:
    """The ids of an answer from here, one from home, one egress and one refusal, as written."""
    private = Label(Sensitivity.PRIVATE, ("document",))
    with Ledger.open() as ledger:
        ledger.append_answer(
            answer(), Decision(Route.LOCAL, ("sure",), 0.85), private,
            energy=Energy(12.0, "estimated", "estimate"), price=Pricing().cloud(300, 40),
        )  # fmt: skip
        ledger.append_answer(answer(Route.HOME), Decision(Route.HOME, ("unsure",), 0.85))
        ledger.record(SENT)
        ledger.record(KEPT)
        return [entry.id for entry in ledger.entries()][::-1]


def break_it() -> None:
    with Ledger.open() as ledger, closing(ledger.connection()) as connection:
        connection.execute("DROP TRIGGER ledger_no_update")
        connection.execute("UPDATE ledger SET entry = replace(entry, '300', '299')")


def test_the_ledger_is_a_table_the_newest_first(ondol, ids: list[str]) -> None:
    done = ondol("ledger")
    assert done.code == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split()[:3] == ["ID", "TIME", "KIND"]
    assert [row.split()[0] for row in rows] == [id[:8] for id in reversed(ids)]
    assert "evil.example:443" in rows[0] and "2,310" in rows[1]
    assert ondol("ledger", "--quiet").stdout.split() == ids[::-1]


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        (["--kind", "egress"], [2]),
        (["--route", "home"], [1]),
        (["--limit", "2"], [3, 2]),
        (["--since", "1h", "--kind", "answer"], [1, 0]),
        (["--since", "2999-01-01"], []),
    ],
)
def test_flags_choose_entries(ondol, ids: list[str], flags: list[str], kept: list[int]) -> None:
    found = ondol("ledger", *flags, "--json").json["entries"]
    assert [one["id"] for one in found] == [ids[number] for number in kept]


@pytest.mark.parametrize(
    "arguments",
    [
        ["ledger", "--since", "yesterday"],
        ["ledger", "--since", "99999999d"],
        ["ledger", "--kind", "gossip"],
        ["report", "--month", "2026-13"],
        ["why", "nonsense"],
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(ondol, arguments: list[str]) -> None:
    done = ondol(*arguments)
    assert done.code == 2 and done.stderr.startswith("error:")
    assert "Traceback" not in done.stderr


def test_an_empty_ledger_says_so_and_is_intact(ondol) -> None:
    done = ondol("ledger")
    assert done.code == 0 and "nothing" in done.stderr
    assert ondol("ledger", "verify").code == 0
    missing = ondol("why", "--json")
    assert missing.code == 7 and missing.json["error"]["code"] == "ledger_entry_not_found"
    assert "No answers" in ondol("report").stdout


def test_verify_says_that_all_is_well(ondol, ids: list[str]) -> None:
    done = ondol("ledger", "verify")
    assert (done.code, done.stderr) == (0, "") and "4 entries" in done.stdout
    found = ondol("ledger", "verify", "--json").json
    assert found["intact"] and found["head"] == ids[-1] and len(found["public_key"]) == 64


def test_verify_names_what_was_changed_and_ends_with_7(ondol, ids: list[str]) -> None:
    break_it()
    done = ondol("ledger", "verify")
    assert done.code == 7
    assert "Entry 1 " in done.stdout and "Entry 2 " in done.stdout
    assert done.stderr.splitlines()[-2].startswith("error:")
    as_json = ondol("ledger", "verify", "--json")
    assert as_json.code == 7 and not as_json.json["intact"]
    assert [one["first"] for one in as_json.json["findings"]] == [1, 2]


def test_export_writes_lines_or_a_table_and_replaces_no_file(
    ondol, ids: list[str], tmp_path: Path
) -> None:
    lines = [json.loads(line) for line in ondol("ledger", "export").stdout.splitlines()]
    assert [line["hash"] for line in lines[:-1]] == ids and "head" in lines[-1]
    table = ondol("ledger", "export", "--format", "csv").stdout
    assert [row["id"] for row in csv.DictReader(io.StringIO(table))] == ids
    file = tmp_path / "ledger.jsonl"
    assert ondol("ledger", "export", "--output", file).code == 0
    assert len(file.read_text("utf-8").splitlines()) == 5
    again = ondol("ledger", "export", "--output", file)
    assert again.code == 2 and "there already" in again.stderr


def test_why_explains_the_last_answer_or_any_entry(ondol, ids: list[str]) -> None:
    last = ondol("why")
    assert last.code == 0 and "Your home answered" in last.stdout
    here = ondol("why", ids[0][:8], ONDOL_LANGUAGE="ko")
    assert "이 기기가 답했습니다" in here.stdout and "추정" in here.stdout
    kept = ondol("why", ids[3], "--json").json
    assert kept["entry"]["id"] == ids[3] and "evil.example" in kept["explanation"]
    assert kept["passages"] == [] and kept["calibration"] is None


def test_report_sums_up_the_month(ondol, ids: list[str]) -> None:
    said = ondol("report", ONDOL_HARDWARE_PRICE_KRW="1000000").stdout
    for figure in ("Answers: 2", "50.0 %", "2,310", "12.0 J (estimated)", "gpt-4o-mini", "months"):
        assert figure in said, figure
    found = ondol("ledger", "report", "--json").json
    assert found["answers"] == {"local": 1, "home": 1} and found["refused"] == 1
    assert found["energy_joules"] == {"estimated": 12.0} and found["answers_without_energy"] == 1
    assert ondol("report", "--json", "--month", "2020-01").json["num_answers"] == 0


def test_a_cloud_without_prices_is_refused_with_those_that_have_them(ondol) -> None:
    done = ondol("report", ONDOL_CLOUD_MODEL="my-cloud")
    assert done.code == 2 and "my-cloud" in done.stderr and "gpt-4o-mini" in done.stderr


def test_a_restore_is_noted_and_takes_nothing_back(ondol, ids: list[str], tmp_path: Path) -> None:
    words = {"ONDOL_PASSPHRASE": "korrekt Pferd Batterie"}
    assert ondol("backup", tmp_path / "a.backup", **words).code == 0
    with Ledger.open() as ledger:
        ledger.record(SENT)
    done = ondol("restore", tmp_path / "a.backup", "--force", **words)
    assert done.code == 0, done.stderr
    kinds = [one["kind"] for one in ondol("ledger", "--json", **words).json["entries"]]
    assert kinds == ["restored", "egress", "refused", "egress", "answer", "answer"]
    assert ondol("ledger", "verify", **words).code == 0


def test_a_locked_ledger_needs_the_passphrase(ondol, ids: list[str]) -> None:
    words = {"ONDOL_PASSPHRASE": "korrekt Pferd Batterie"}
    assert ondol("lock", **words).code == 0
    assert ondol("ledger").code == 5
    assert ondol("ledger", "verify", **words).code == 0


@pytest.mark.model
def test_a_real_answer_stands_in_the_ledger_and_forgetting_leaves_it_there(
    ondol, config, papers: Path
) -> None:
    assert ondol("add", papers).code == 0
    asked = ondol("ask", "When does the warranty of the washing machine end?", "--json")
    assert asked.code == 0, asked.stderr
    entry = ondol("why", "--json").json["entry"]
    assert entry["id"] == asked.json["ledger_id"] and entry["kind"] == "answer"
    assert entry["model"] == asked.json["model"] and entry["sensitivity"] == "private"
    assert entry["energy_source"] in ("measured", "estimated") and entry["energy_joules"] > 0
    assert ondol("forget", papers).code == 0
    assert ondol("ledger", "verify").code == 0
    written = ondol("ledger", "export").stdout
    assert entry["id"] in written
    for word in ("warranty", "washing", str(papers), "washer.md"):
        assert word not in written


def test_a_thumb_never_falls_back_to_an_answer_before_the_latest(ondol, ids: list[str]) -> None:
    with Outcomes.open() as outcomes:
        signals = Confidence(None, {"mean_logprob": -0.5})
        outcomes.note(replace(answer(), confidence=signals, ledger_id=ids[0]), "sha256:1", "chat")
    result = ondol("thumb", "down")
    assert result.code == 2 and ids[1][:8] in result.stderr
    assert ids[0][:8] in ondol("thumb", "down", ids[0][:8]).stdout


def test_who_wants_home_hears_why_it_was_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    show_verdict(replace(answer(), reasons=("asked_home", "no_home")), Output())
    assert "Home was not asked. This device has joined no home." in capsys.readouterr().err
