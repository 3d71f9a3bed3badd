"""What Open WebUI asks for itself under a made name: its JSON and no more, and none of its tools.

The requests are those of Open WebUI 0.12.4, shortened.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from reading import QUESTION, chat, says, text_of

from ondol.server.grounded.errands import is_errand, ordered
from ondol.types import GenerateOptions

HISTORY = f"### Chat History:\n<chat_history>\nUSER: {QUESTION}\nASSISTANT: \n</chat_history>"
TITLE = (
    "### Task:\nGenerate a concise title summarizing the chat history.\n### Output:\n"
    f'JSON format: {{ "title": "your concise title here" }}\n### Examples:\n{HISTORY}'
)
QUERIES = (
    "### Task:\nAnalyze the chat history to determine the necessity of search queries.\n"
    '- Respond in the format: { "queries": ["query1", "query2"] }\n### Output:\n'
    'Strictly return in JSON format: \n{\n  "queries": ["query1", "query2"]\n}\n\n' + HISTORY
)
COMPLETION = (
    "### Task:\nYou are an autocompletion system.\n- Respond only in JSON format: "
    '`{ "text": "<your_completion>" }`.\n### Context:\n<text>The boiler</text>'
)
FILE = (
    "### Task:\nRespond to the user query using the provided context, incorporating inline "
    'citations in the format [id].\n\n<context>\n<source id="1" name="lease.txt">The rent is 980 '
    "euros.</source>\n</context>\n\nHow much is the rent?"
)
TOOLS = [{"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize("errand", [TITLE, QUERIES, COMPLETION])
def test_errand_is_held_to_the_json_that_it_gives_an_example_of(errand: str) -> None:
    schema: Any = ordered(errand, GenerateOptions()).json_schema
    (name,) = schema["required"]
    field = schema["properties"][name]
    said = field["items"] if name == "queries" else field
    assert name in ("title", "queries", "text") and said["maxLength"] <= 200
    assert field.get("maxItems") == (2 if name == "queries" else None)


def test_errand_without_an_example_ends_soon() -> None:
    for shown in ("", "JSON format: {not json}", "JSON format: {{deep: {}}}"):
        ordered_ = ordered(f"### Task:\nSay what it is about. {shown}", GenerateOptions())
        assert ordered_.json_schema is None and ordered_.max_tokens == 256
    assert ordered("### Task:\nShort.", GenerateOptions(max_tokens=9)).max_tokens == 9


def test_request_that_says_what_it_wants_is_left_with_that() -> None:
    own = GenerateOptions(json_schema={"type": "object"})
    assert ordered(TITLE, own) == own
    forced = GenerateOptions(tool_choice="required")
    assert ordered(TITLE, forced) is forced
    assert is_errand(FILE) and ordered(FILE, GenerateOptions()) == GenerateOptions()


def test_under_a_made_name_the_programs_tools_are_left_out(library) -> None:
    engine = says(library, json.dumps({"title": "The boiler"}), "980 euros [1].")
    assert json.loads(text_of(chat(library, TITLE, tools=TOOLS))) == {"title": "The boiler"}
    assert text_of(chat(library, FILE, tools=TOOLS)) == "980 euros [1]."
    (_, titled), (asked, answered) = engine.seen
    assert titled.json_schema and not titled.tools
    assert "lease.txt" in asked[-1].content and not answered.tools and not answered.json_schema


def test_under_a_models_own_name_nothing_is_changed(library) -> None:
    engine = says(library, "A title")
    chat(library, TITLE, model="smollm2:135m", tools=TOOLS)
    assert engine.seen[-1][1].tools and engine.seen[-1][1].json_schema is None
