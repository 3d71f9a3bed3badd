"""How often the default model calls the right tool, and whether what it calls always fits.

.venv/bin/python benchmarks/tools/run.py [--model NAME] [--write]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jsonschema

from ondol import config
from ondol.answering import gather
from ondol.parts import Parts
from ondol.types import Completion, GenerateOptions, Message, Tool

HERE = Path(__file__).parent


def tool(name: str, description: str, **properties: str) -> Tool:
    """A tool whose arguments are all texts, and all required."""
    named = {key: {"type": "string", "description": about} for key, about in properties.items()}
    schema = {"type": "object", "properties": named, "required": list(named)}
    return Tool(name, description, schema)


TOOLS = (
    tool("get_weather", "The weather forecast of a city.", city="The city"),
    tool("send_mail", "Send an e-mail.", to="The address", text="What to say"),
    tool("calculate", "Work out an arithmetic expression.", expression="Such as 2*(3+4)"),
    tool("set_reminder", "Remind the user of something.", text="Of what", time="When, as HH:MM"),
    tool("search_notes", "Search the user's own notes.", query="What to look for"),
)
SCHEMAS = {one.name: one.parameters for one in TOOLS}


def valid(said: Completion) -> bool:
    """Whether every call is one of the tools' and its arguments fit."""
    for call in said.tool_calls:
        try:
            jsonschema.validate(json.loads(call.arguments), SCHEMAS[call.name])
        except (ValueError, KeyError, jsonschema.ValidationError):
            return False
    return True


def right(said: Completion, case: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the first call is of the right tool (or there is rightly none), and whether its
    arguments hold what they should."""
    if case["tool"] is None:
        return not said.tool_calls, not said.tool_calls
    if not said.tool_calls or said.tool_calls[0].name != case["tool"]:
        return False, False
    arguments = json.loads(said.tool_calls[0].arguments)
    held = all(text.lower() in arguments[key].lower() for key, text in case["holds"].items())
    return True, held


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="smollm2:135m")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    cases = json.loads((HERE / "cases.json").read_text(encoding="utf-8"))
    figures: dict[str, dict[str, int]] = {}
    with Parts(config.load()) as parts:
        engine = parts.engine(given.model)
        for choice in ("required", "auto"):
            wanted = [case for case in cases if case["tool"] or choice == "auto"]
            counts = dict.fromkeys(("cases", "called", "right_tool", "right_arguments", "valid"), 0)
            for case in wanted:
                options = GenerateOptions(
                    200,
                    temperature=0.0,
                    seed=1,
                    tools=TOOLS,
                    tool_choice=choice,
                    parallel_tool_calls=False,
                )
                began = time.perf_counter()
                said = gather(list(engine.generate([Message("user", case["ask"])], options)))
                is_right, holds = right(said, case)
                made = [f"{call.name} {call.arguments}" for call in said.tool_calls]
                seconds = time.perf_counter() - began
                print(f"{choice:8} {'✓' if holds else '·'} {seconds:4.1f} s  {case['ask']}")
                print(f"         {made or said.text[:90]!r}")
                counts["cases"] += 1
                counts["called"] += bool(said.tool_calls)
                counts["right_tool"] += is_right
                counts["right_arguments"] += holds
                counts["valid"] += valid(said)
            figures[choice] = counts
    print(json.dumps(figures, indent=1))
    if given.write:
        result = {"model": given.model, "tools": len(TOOLS), **figures}
        (HERE / "results.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
