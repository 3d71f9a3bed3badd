"""``/v1/responses`` by OpenAI's own client: every event is what its types say it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pydantic
import pytest
from house import CHAT, REPLY, GatedEngine, House
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_item_list import ResponseItemList
from test_openai import FailingEngine
from test_openai_tools import CALLS, PICTURE, PNG, WARMTH, can, post
from test_streaming import ask_raw

from ondol.engine.scripted import Said, ScriptedEngine
from ondol.errors import ContextLengthError, EngineBusyError, EngineCrashedError
from ondol.types import ToolCall

TOOL: Any = {"type": "function", "name": "warmth", "description": "Degrees", "parameters": WARMTH}
EVENT: Any = pydantic.TypeAdapter(ResponseStreamEvent)
BODY: dict[str, Any] = {"model": CHAT, "input": "What keeps a house warm?"}


class Home(pydantic.BaseModel):
    city: str
    floors: int


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def script(house: House, *replies: str | Said) -> ScriptedEngine:
    engine = ScriptedEngine(list(replies), model=CHAT)
    house.pool.engines[CHAT] = engine
    return engine


def events(house: House, **fields: Any) -> list[dict[str, Any]]:
    """The events of a stream, each of which has its name and its number, and is of its type."""
    response = post(house, "/v1/responses", {**BODY, **fields, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream"), response.text
    found = []
    for number, block in enumerate(response.text.removesuffix("\n\n").split("\n\n")):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        EVENT.validate_python(event)
        found.append(event)
    return found


def test_a_question_is_answered(client: openai.OpenAI, house: House) -> None:
    response = client.responses.create(model=CHAT, input="What keeps a house warm?")
    Response.model_validate(response.model_dump())
    assert response.output_text == REPLY
    assert (response.status, response.object, response.error) == ("completed", "response", None)
    assert response.id.startswith("resp_") and response.model == CHAT
    (message,) = response.output
    assert (message.type, message.role, message.status) == ("message", "assistant", "completed")
    usage = response.usage
    assert usage is not None and usage.total_tokens == usage.input_tokens + usage.output_tokens > 0
    assert response.tool_choice == "auto" and response.tools == []
    assert response.text is not None and response.text.format.type == "text"


def test_an_answer_is_streamed(house: House) -> None:
    found = events(house)
    kinds = [event["type"].removeprefix("response.") for event in found]
    assert kinds[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert set(kinds[4:-4]) == {"output_text.delta"}
    assert kinds[-4:] == [
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    said = "".join(e["delta"] for e in found if e["type"] == "response.output_text.delta")
    assert said == found[-4]["text"] == REPLY
    assert found[0]["response"]["status"] == "in_progress" and not found[0]["response"]["output"]
    last = found[-1]["response"]
    assert last["output"] == [found[-2]["item"]] and last["usage"]["output_tokens"] > 0
    assert {event["item_id"] for event in found if "item_id" in event} == {last["output"][0]["id"]}


def test_the_clients_own_accumulator_reads_the_stream(client: openai.OpenAI) -> None:
    with client.responses.stream(model=CHAT, input="hi") as stream:
        response = stream.get_final_response()
    assert response.output_text == REPLY and response.status == "completed"


def test_calls_are_items(client: openai.OpenAI, house: House) -> None:
    engine = script(house, Said("Let me see.", "", CALLS))
    response = client.responses.create(model=CHAT, input="hi", tools=[TOOL])
    message, *calls = response.output
    assert message.type == "message" and message.content[0].text == "Let me see."
    assert [(c.type, c.name, c.arguments) for c in calls] == [
        ("function_call", "warmth", call.arguments) for call in CALLS
    ]
    assert all(c.call_id.startswith("call_") and c.id.startswith("fc_") for c in calls)
    assert response.tools[0].name == "warmth" and response.parallel_tool_calls is True
    assert engine.requests[-1].options.tools[0].parameters == WARMTH


def test_calls_are_streamed(house: House) -> None:
    script(house, Said("", "", CALLS))
    found = events(house, tools=[TOOL])
    added = [e["item"] for e in found if e["type"] == "response.output_item.added"]
    assert [(item["name"], item["arguments"]) for item in added] == [("warmth", "")] * 2
    for place, call in enumerate(CALLS):
        own = [e for e in found if e.get("output_index") == place]
        said = "".join(e["delta"] for e in own if e["type"].endswith("arguments.delta"))
        (done,) = (e for e in own if e["type"].endswith("arguments.done"))
        assert said == done["arguments"] == call.arguments
    assert [item["status"] for item in found[-1]["response"]["output"]] == ["completed"] * 2


def test_results_go_back_with_their_calls(client: openai.OpenAI, house: House) -> None:
    engine = script(house, Said("", "", CALLS), "Both are warm.")
    first = client.responses.create(model=CHAT, input="hi", tools=[TOOL])
    results: list[Any] = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "20"}
        for call in first.output
        if call.type == "function_call"
    ]
    # By the id of the response, or with everything told again.
    for how in (
        {"previous_response_id": first.id, "input": results},
        {"input": [{"role": "user", "content": "hi"}, *first.output, *results], "store": False},
    ):
        answer = client.responses.create(model=CHAT, tools=[TOOL], **how)
        assert answer.output_text == "Both are warm."
        user, assistant, *tools = engine.requests[-1].messages
        assert (user.content, assistant.role) == ("hi", "assistant")
        assert [call.arguments for call in assistant.tool_calls] == [c.arguments for c in CALLS]
        assert [(m.role, m.content, m.tool_name) for m in tools] == [("tool", "20", "warmth")] * 2
        assert [m.tool_call_id for m in tools] == [call.id for call in assistant.tool_calls]


def test_reasoning_is_its_own_item(client: openai.OpenAI, house: House) -> None:
    script(house, Said("Yes.", "Well, well."))
    thought, message = client.responses.create(model=CHAT, input="hi").output
    assert thought.type == "reasoning" and thought.content[0].text == "Well, well."
    assert message.type == "message" and thought.summary == []
    summed, _ = client.responses.create(
        model=CHAT, input="hi", reasoning={"summary": "auto"}
    ).output
    assert summed.summary[0].text == "Well, well."
    found = events(house)
    deltas = [e["delta"] for e in found if e["type"] == "response.reasoning_text.delta"]
    assert "".join(deltas) == "Well, well."
    assert found[-1]["response"]["usage"]["output_tokens_details"]["reasoning_tokens"] == 2
    kinds = {e["type"] for e in events(house, reasoning={"summary": "auto"})}
    assert {
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
    } <= kinds


def test_what_was_thought_is_not_told_again(client: openai.OpenAI, house: House) -> None:
    engine = script(house, Said("Yes.", "Well."))
    first = client.responses.create(model=CHAT, input="hi")
    again: Any = [
        {"role": "user", "content": "hi"},
        *first.output,
        {"role": "user", "content": "?"},
    ]
    client.responses.create(model=CHAT, input=again)
    assert [m.content for m in engine.requests[-1].messages] == ["hi", "Yes.", "?"]


def test_an_answer_is_parsed_into_a_model(client: openai.OpenAI, house: House) -> None:
    engine = script(house, '{"city": "Andong", "floors": 1}')
    response = client.responses.parse(model=CHAT, input="hi", text_format=Home)
    assert response.output_parsed == Home(city="Andong", floors=1)
    schema = engine.requests[-1].options.json_schema
    assert schema is not None and set(schema["properties"]) == {"city", "floors"}
    assert response.text is not None and response.text.format.type == "json_schema"


@pytest.mark.parametrize(
    ("form", "schema"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_schema", "name": "a", "schema": WARMTH}, WARMTH),
    ],
)
def test_a_format_becomes_a_schema(house: House, form, schema) -> None:
    engine = script(house, "{}")
    found = events(house, text={"format": form, "verbosity": "low"})
    assert engine.requests[-1].options.json_schema == schema
    assert found[-1]["response"]["text"]["format"]["type"] == form["type"]


def test_every_option_reaches_the_engine(house: House) -> None:
    engine = script(house, "yes")
    fields = {
        "instructions": "Be brief.",
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 5,
        "parallel_tool_calls": False,
        "tools": [TOOL],
        "tool_choice": {"type": "function", "name": "warmth"},
        "metadata": {"a": "b"},
        "user": "u",
        "prompt_cache_key": "k",
        "service_tier": "auto",
        "include": ["reasoning.encrypted_content"],
        "something_new": {"deep": [1]},
    }
    response = post(house, "/v1/responses", {**BODY, **fields}).json()
    request = engine.requests[-1]
    options = request.options
    assert (options.temperature, options.top_p, options.max_tokens) == (0.5, 0.9, 5)
    assert (options.tool_choice, options.parallel_tool_calls) == ("required", False)
    assert [(m.role, m.content) for m in request.messages] == [
        ("system", "Be brief."),
        ("user", BODY["input"]),
    ]
    given = ("instructions", "temperature", "top_p", "max_output_tokens", "metadata", "user")
    assert all(response[name] == fields[name] for name in (*given, "tool_choice"))


def test_items_become_messages(house: House, monkeypatch) -> None:
    can(monkeypatch, "vision")
    engine = script(house, "yes")
    items = [
        {"role": "developer", "content": "be kind"},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": PICTURE, "detail": "high"},
            ],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "A house.", "annotations": []}],
        },
        {"type": "function_call", "call_id": "c1", "name": "warmth", "arguments": "{}"},
        {
            "type": "function_call_output",
            "call_id": "c1",
            "output": [{"type": "input_text", "text": "20"}],
        },
        {"role": "user", "content": "And?"},
    ]
    response = post(house, "/v1/responses", {**BODY, "instructions": "be brief", "input": items})
    assert response.status_code == 200, response.text
    messages = engine.requests[-1].messages
    assert [(m.role, m.content) for m in messages] == [
        ("system", "be brief\n\nbe kind"),
        ("user", "look"),
        ("assistant", "A house."),
        ("tool", "20"),
        ("user", "And?"),
    ]
    assert messages[1].images == (PNG,)
    assert messages[2].tool_calls == (ToolCall("c1", "warmth", "{}"),)


def test_tools_in_a_namespace_and_plain_ones(client: openai.OpenAI, house: House) -> None:
    call = ToolCall("call_1", "mcp__warmth", "{}")
    patch = ToolCall("call_2", "apply_patch", '{"input": "*** Begin\\n"}')
    engine = script(house, Said("", "", (call, patch)), "done")
    tools: Any = [
        {"type": "namespace", "name": "mcp", "description": "d", "tools": [TOOL]},
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Edit",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: X"},
        },
        {"type": "web_search", "external_web_access": False},
    ]
    found = events(house, tools=tools)
    one, two = found[-1]["response"]["output"]
    assert (one["type"], one["namespace"], one["name"]) == ("function_call", "mcp", "warmth")
    assert (two["type"], two["input"]) == ("custom_tool_call", "*** Begin\n")
    # What nobody runs here is not among the tools that were offered.
    assert [tool["type"] for tool in found[-1]["response"]["tools"]] == ["namespace", "custom"]
    assert "start: X" in engine.requests[-1].options.tools[1].description
    results = [
        {"type": "function_call_output", "call_id": "call_1", "output": "20"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "ok"},
    ]
    previous = found[-1]["response"]["id"]
    again = {"previous_response_id": previous, "input": results, "tools": tools}
    assert post(house, "/v1/responses", {**BODY, **again}).status_code == 200
    assert engine.requests[-1].messages[1].tool_calls == (call, patch)


def test_too_few_tokens_are_incomplete(client: openai.OpenAI, house: House) -> None:
    response = client.responses.create(model=CHAT, input="hi", max_output_tokens=2)
    assert response.status == "incomplete" and response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert events(house, max_output_tokens=2)[-1]["type"] == "response.incomplete"


def test_an_answer_that_says_nothing_is_an_empty_text(house: House) -> None:
    script(house, "")
    (message,) = events(house)[-1]["response"]["output"]
    assert message["content"][0]["text"] == ""


def test_logprobs_are_included_on_request(client: openai.OpenAI) -> None:
    response = client.responses.create(
        model=CHAT, input="hi", include=["message.output_text.logprobs"], top_logprobs=2
    )
    logprobs = response.output[0].content[0].logprobs
    assert "".join(entry.token for entry in logprobs) == REPLY
    assert len(logprobs[0].top_logprobs) == 2


def test_a_conversation_that_is_too_long_is_refused_or_shortened_aloud(house: House) -> None:
    class Small(ScriptedEngine):
        def generate(self, messages, options):
            if len(messages) > 2:
                raise ContextLengthError("9000 tokens, and there is room for 4096")
            yield from super().generate(messages, options)

    house.pool.engines[CHAT] = engine = Small(["yes"], model=CHAT)
    items = [
        {"role": role, "content": f"{role} {n}"} for n in range(3) for role in ("user", "assistant")
    ]
    body = {**BODY, "input": [*items, {"role": "user", "content": "last"}]}
    for stream in (False, True):
        response = post(house, "/v1/responses", {**body, "stream": stream})
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (400, "context_length_exceeded")
        assert "9000" in error["message"] and "4096" in error["message"]
    response = post(house, "/v1/responses", {**body, "truncation": "auto"})
    assert response.json()["truncated"]["messages"] == 6
    assert response.headers["ondol-truncated"].startswith("messages=6")
    assert [m.content for m in engine.requests[-1].messages] == ["last"]


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"model": ""}, "model", "required"),
        ({"input": None}, "input", "required"),
        ({"input": []}, "input", "empty"),
        ({"input": [{"type": "item_reference", "id": "msg_x"}]}, "input[0]", "msg_x"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "input[0]", "role"),
        ({"input": [{"role": "user", "content": 7}]}, "input[0]", "content"),
        ({"input": [{"role": "user", "content": [7]}]}, "input[0]", "supported"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
            "input[0]",
            "input_file",
        ),
        ({"input": [{"type": "computer_call"}]}, "input[0]", "computer_call"),
        ({"input": [{"type": "function_call", "name": "x"}]}, "input[0]", "call_id"),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
            "input",
            "No tool call",
        ),
        ({"tools": [{"type": "web_search"}]}, "tools", "web_search"),
        ({"tools": [TOOL], "tool_choice": {"type": "file_search"}}, "tool_choice", "file_search"),
        ({"tools": [{"type": "function"}]}, "tools[0][0]", "name"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format", "schema"),
        ({"background": True}, "background", "supported"),
        ({"conversation": "conv_1"}, "conversation", "supported"),
        ({"prompt": {"id": "p"}}, "prompt", "supported"),
        ({"metadata": {"k" * 65: "v"}}, "metadata", "64"),
        ({"truncation": "some"}, "truncation", "auto"),
        ({"max_output_tokens": 0}, "max_output_tokens", "at least 1"),
        ({"reasoning": {"effort": "very"}}, "reasoning.effort", "minimal"),
        ({"previous_response_id": "resp_x"}, "previous_response_id", "resp_x"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_done_is_a_400_that_names_the_field(
    house: House, fields, param: str, words: str, stream: bool
) -> None:
    response = post(house, "/v1/responses", {**BODY, **fields, "stream": stream})
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert words in error["message"] and error["code"]


def test_a_failure_before_the_first_token_has_its_own_status(house: House) -> None:
    house.pool.engines[CHAT] = FailingEngine(EngineBusyError("busy", retry_after_seconds=7))
    for stream in (False, True):
        response = post(house, "/v1/responses", {**BODY, "stream": stream})
        assert (response.status_code, response.headers["retry-after"]) == (503, "7")


def test_a_crash_in_mid_stream_ends_in_a_failed_response(client, house: House) -> None:
    house.pool.engines[CHAT] = GatedEngine(error=EngineCrashedError("the engine is gone"))
    *_, error, failed = events(house)
    assert (error["type"], error["code"]) == ("error", "engine_crashed")
    assert failed["type"] == "response.failed"
    assert failed["response"]["error"]["message"] == "the engine is gone"
    kept = post(house, "/v1/responses/" + failed["response"]["id"], {})
    assert kept.status_code in (404, 405)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(failed["response"]["id"])


def test_what_ondol_knows_comes_on_request(house: House) -> None:
    response = post(house, "/v1/responses", BODY)
    assert response.headers["ondol-route"] == "local" and "ondol" not in response.json()
    assert events(house, ondol=True)[-1]["response"]["ondol"]["route"] == "local"


def test_sent_items_are_listed(client: openai.OpenAI, house: House) -> None:
    script(house, Said("", "", CALLS[:1]), "warm")
    first = client.responses.create(model=CHAT, input="hi", tools=[TOOL])
    output: Any = {"type": "function_call_output", "call_id": "call_a", "output": "20"}
    second = client.responses.create(model=CHAT, input=[output], previous_response_id=first.id)
    page = client.responses.input_items.list(second.id, order="asc")
    raw = post_get(house, f"/v1/responses/{second.id}/input_items?order=asc")
    ResponseItemList.model_validate(raw)
    assert [item.type for item in page] == ["message", "function_call", "function_call_output"]
    short = client.responses.input_items.list(second.id, limit=1)
    assert short.data[0].type == "function_call_output" and short.has_more
    assert len(list(short)) == 3
    assert post_get(house, f"/v1/responses/{second.id}/input_items?after=x", 400)["error"]
    assert post_get(house, f"/v1/responses/{second.id}/input_items?limit=0", 400)["error"]


def post_get(house: House, path: str, status: int = 200) -> Any:
    with house.client() as client:
        response = client.get(path)
    assert response.status_code == status, response.text
    return response.json()


def test_an_item_is_sent_by_its_id(client: openai.OpenAI, house: House) -> None:
    engine = script(house, Said("Yes.", "Well."), "And no.")
    first = client.responses.create(model=CHAT, input="hi")
    references: Any = [{"type": "item_reference", "id": item.id} for item in first.output]
    client.responses.create(model=CHAT, input=[*references, {"role": "user", "content": "Sure?"}])
    assert [m.content for m in engine.requests[-1].messages] == ["Yes.", "Sure?"]


def test_tokens_are_counted_before_they_cost(client: openai.OpenAI, house: House) -> None:
    script(house, "yes")
    short = client.responses.input_tokens.count(model=CHAT, input="a b")
    long = client.responses.input_tokens.count(model=CHAT, input="a b c d", instructions="Be.")
    assert short.object == "response.input_tokens" and 2 <= short.input_tokens < long.input_tokens
    answered = client.responses.create(model=CHAT, input="a b")
    assert answered.usage is not None and answered.usage.input_tokens == short.input_tokens


@pytest.mark.parametrize("body", [BODY, {**BODY, "stream": True}])
def test_hanging_up_stops_the_model_and_keeps_nothing(chats: House, body) -> None:
    chats.pool.engines[CHAT] = engine = GatedEngine(words=10**6)
    with ask_raw(chats, "/v1/responses", body):
        assert engine.said_a_word.wait(10)
    assert engine.closed.wait(10)
    assert chats.parts.kept.responses.erase()[0] == 0


@pytest.mark.parametrize("stream", [False, True])
def test_hanging_up_stops_all_choices(house: House, stream: bool) -> None:
    asked = 0

    class Counting(GatedEngine):
        def generate(self, messages, options):
            nonlocal asked
            asked += 1
            return super().generate(messages, options)

    house.pool.engines[CHAT] = engine = Counting(words=10**6)
    messages = [{"role": "user", "content": "hi"}]
    body = {"model": CHAT, "messages": messages, "n": 4, "stream": stream}
    with ask_raw(house, "/v1/chat/completions", body):
        assert engine.said_a_word.wait(10)
    assert engine.closed.wait(10) and asked == 1
