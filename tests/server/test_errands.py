"""What Open WebUI asks for itself under a made name: its JSON and no more, and none of its tools.

The requests are those of Open WebUI 0.12.4, shortened.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from house import CHAT
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


@pytest.mark.parametrize(("errand", "name"), [(TITLE, "title"), (COMPLETION, "text")])
def test_errand_for_a_text_is_held_to_its_json(errand: str, name: str) -> None:
    schema: Any = ordered(errand, GenerateOptions()).json_schema
    assert schema["required"] == [name] and schema["properties"][name]["maxLength"] <= 200


def test_errand_for_a_list_is_left_to_the_model_and_ends_soon() -> None:
    for shown in (QUERIES, "### Task:\nJSON format: {not json}", "### Task:\nJSON format: {}"):
        options = ordered(shown, GenerateOptions())
        assert (options.json_schema, options.max_tokens) == (None, 400)
    assert ordered(QUERIES, GenerateOptions(max_tokens=9)).max_tokens == 9


def test_request_that_says_what_it_wants_is_left_with_that() -> None:
    own = GenerateOptions(json_schema={"type": "object"})
    forced = GenerateOptions(tool_choice="required")
    assert ordered(TITLE, own) == own and ordered(TITLE, forced) == forced
    assert is_errand(FILE) and ordered(FILE, GenerateOptions()) == GenerateOptions()


def test_under_a_made_name_the_programs_tools_are_left_out(library) -> None:
    engine = says(library, json.dumps({"title": "The boiler"}), "980 euros [1].")
    assert json.loads(text_of(chat(library, TITLE, tools=TOOLS))) == {"title": "The boiler"}
    assert text_of(chat(library, FILE, tools=TOOLS)) == "980 euros [1]."
    (_, titled), (asked, answered) = engine.seen
    assert titled.json_schema and not titled.tools
    assert asked[-1].content == FILE and not answered.tools and not answered.json_schema


def test_under_a_models_own_name_nothing_is_changed(library) -> None:
    engine = says(library, "A title")
    chat(library, TITLE, model=CHAT, tools=TOOLS)
    asked, options = engine.seen[-1]
    assert options.tools and options.json_schema is None and asked[-1].content == TITLE
