"""Hundreds of malformed releases, the published holes among them: each is refused for its own
reason, and none of them takes the process that looks down."""

from __future__ import annotations

from collections import defaultdict

import pytest

from ondol.hub.scan import Finding, scan
from ondol.lab.redteam.releases.collected import all_cases, written
from ondol.lab.redteam.releases.makers import Case

HELPLESS = {"ended_child", "not_looked", "too_slow", "too_much_memory", "unreadable"}
"""Refused, but only because something gave in."""


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Case, list[Finding]]]:
    folder = tmp_path_factory.mktemp("corpus")
    cases = {str(number): case for number, case in enumerate(all_cases())}
    findings = defaultdict(list)
    for finding in scan(written(cases, folder)).findings:
        findings[finding.file.partition("/")[0]].append(finding)
    return {case.name: (case, findings[number]) for number, case in cases.items()}


Looked = dict[str, tuple[Case, list[Finding]]]


def test_there_are_enough(looked_at: Looked) -> None:
    assert len(looked_at) == len(list(all_cases())) >= 800
    assert len({case.shape for case, _ in looked_at.values()}) >= 12


def test_all_are_refused(looked_at: Looked) -> None:
    assert [name for name, (_, found) in looked_at.items() if not found] == []


def test_each_for_its_reason(looked_at: Looked) -> None:
    wrong = {
        name: [one.code for one in found]
        for name, (case, found) in looked_at.items()
        if case.codes and not case.codes & {one.code for one in found}
    }
    assert wrong == {}


def test_none_takes_the_process_down(looked_at: Looked) -> None:
    assert [
        (name, one.code)
        for name, (_, found) in looked_at.items()
        for one in found
        if one.code in HELPLESS
    ] == []


def test_every_finding_is_a_sentence(looked_at: Looked) -> None:
    for _, found in looked_at.values():
        for one in found:
            assert one.message.endswith(".") and one.message.isprintable()
            assert len(one.message) < 1000
