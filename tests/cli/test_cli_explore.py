"""``ondol explore``: tokens, what else might have come, what can be had again."""

from __future__ import annotations

import pytest

PROMPT = "Name a colour."


def test_prompt_is_needed(ondol) -> None:
    result = ondol("explore")
    assert result.code == 2 and "ondol explore" in result.stderr


def test_numbers_are_checked(ondol) -> None:
    assert ondol("explore", "x", "--samples", 9).code == 2
    assert ondol("explore", "x", "--top-p", 1.5).code == 2


@pytest.mark.model
def test_each_token_stands_with_what_else_might_have_come(ondol, config) -> None:
    result = ondol("explore", PROMPT, "--max-tokens", 6, "--alternatives", 2)
    assert result.code == 0
    text, table, facts = result.stdout.split("\n\n")
    head, *rows = table.splitlines()
    assert head.split()[:4] == ["TOKEN", "P", "BITS", "KEPT"]
    assert text.strip() and 4 <= len(rows) <= 6
    assert all("%" in row for row in rows)
    assert "perplexity" in facts and "bits" in facts
    assert "top-k 40" in result.stderr


@pytest.mark.model
def test_samples_are_compared(ondol, config) -> None:
    asked = ["explore", PROMPT, "--samples", 2, "--temperature", 0, "--max-tokens", 5, "--json"]
    told = ondol(*asked).json
    assert [one["seed"] for one in told["samples"]] == [1, 2]
    # Greedily a seed decides nothing.
    assert told["summary"]["agreement"] == 1 and told["summary"]["self_bleu"] == 1
    steps = told["samples"][0]["steps"]
    assert len(steps[0]["alternatives"]) == 20 and all(step["rank"] == 1 for step in steps)


@pytest.mark.model
@pytest.mark.slow
def test_what_can_be_had_again_is_stated(ondol, config) -> None:
    asked = ["explore", PROMPT, "--determinism", "--max-tokens", 6, "--json"]
    found = {one["condition"]: one for one in ondol(*asked).json["findings"]}
    assert {"again", "cached", "restart", "batch", "parallel", "seed"} <= found.keys()
    assert found["again"]["greedy"]["is_exact"] and found["restart"]["sampled"]["is_exact"]
    assert found["seed"]["greedy"]["is_exact"]


@pytest.mark.model
def test_running_server_explores(ondol, server) -> None:
    result = ondol("explore", "Once upon", "--text", "--max-tokens", 3, "--quiet")
    assert result.code == 0 and result.stderr == "" and result.stdout.strip()
    refused = ondol("explore", "x", "--model", "nobody:here", "--json")
    assert refused.code == 3
