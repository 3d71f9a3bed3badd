import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.chat_dialect import LineTooLong, lines
from ondol.engine.dialect import chat_body, llama_extras, prompt_body, tokens_of
from ondol.engine.generation import Cancellation
from ondol.engine.wire import Garbled, Refused, error_of, parse_events
from ondol.errors import UsageError
from ondol.types import GenerateOptions, Message


def events(*objects):
    return [{"choices": [o]} for o in objects]


def run(stream, **options):
    return list(tokens_of(stream, GenerateOptions(**options), Cancellation()))


@given(st.lists(st.text(max_size=30), max_size=10), st.integers(1, 7))
def test_events_survive_any_split_of_their_bytes(texts, size):
    # U+2028 and U+0085 end a line for str.splitlines, but not in an event stream.
    stream = b"".join(
        b": ping\n\ndata: " + json.dumps({"t": text}, ensure_ascii=False).encode() + b"\r\n\r\n"
        for text in [*texts, "\u2028\u0085"]
    )
    parts = (stream[i : i + size] for i in range(0, len(stream), size))
    assert [e["t"] for e in parse_events(lines(parts, 1 << 20))] == [*texts, "\u2028\u0085"]


@pytest.mark.parametrize("data", [b"{", b"[]", b"1", b"<html>", b"[" * 100_000])
def test_an_event_that_is_no_json_object_is_garbled(data):
    with pytest.raises(Garbled):
        list(parse_events([b"data: " + data]))


def test_a_line_without_end_is_garbled():
    with pytest.raises(LineTooLong):
        list(lines(iter([b"x" * 17, b"x" * 17]), 20))


@pytest.mark.parametrize("line", [b'error: {"code":500}', b'data: {"error":{"code":500}}'])
def test_an_error_among_the_events_is_raised(line):
    with pytest.raises(Refused) as caught:
        run(parse_events([line]))
    assert caught.value.status == 500


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error":{"message":"m"}}', {"message": "m"}),
        (b'{"error":"m"}', {"message": "m"}),
        (b"<html>", {}),
        (b'"m"', {"message": "m"}),
    ],
)
def test_an_error_body_of_any_shape_is_read(body, error):
    assert error_of(body) == error


def test_a_stream_that_ends_too_early_is_garbled():
    with pytest.raises(Garbled):
        run(events({"delta": {"content": "a"}, "finish_reason": None}))


@pytest.mark.parametrize(
    "event", [{"choices": 1}, {"choices": [{"logprobs": {"content": [1]}}]}, {"choices": [[]]}]
)
def test_an_event_of_a_wrong_shape_is_garbled(event):
    with pytest.raises(Garbled):
        run([event, *events({"delta": {}, "finish_reason": "stop"})])


END = {"delta": {}, "finish_reason": "stop"}


def step(token, logprob, **more):
    return {"token": token, "logprob": logprob, "top_logprobs": [], **more}


def test_reasoning_is_marked_under_either_name():
    tokens = run(
        events(
            {"delta": {"reasoning_content": "hm"}},
            {"delta": {"reasoning": "so"}},
            {"delta": {"content": "yes"}},
            END,
        )
    )
    assert [(t.text, t.reasoning) for t in tokens] == [
        ("hm", True),
        ("so", True),
        ("yes", False),
        ("", False),
    ]


def test_text_that_was_held_back_is_split_by_its_own_tokens():
    logprobs = {"content": [step("a", -1.0), step("b", -2.0)]}
    tokens = run(events({"delta": {"content": "ab"}, "logprobs": logprobs}, END), logprobs=0)
    assert [(t.text, t.logprob) for t in tokens[:-1]] == [("a", -1.0), ("b", -2.0)]


def test_a_character_of_several_tokens_comes_out_whole_with_the_last():
    logprobs = {"content": [step("�", -1.0), step("�", -2.0)]}
    tokens = run(events({"delta": {"content": "é"}, "logprobs": logprobs}, END), logprobs=0)
    assert [(t.text, t.logprob) for t in tokens[:-1]] == [("", -1.0), ("é", -2.0)]


def test_old_completions_logprobs_are_understood():
    logprobs = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{"a": -0.5, "b": -1}]}
    token, _ = run(events({"text": "a", "logprobs": logprobs}, END), logprobs=2)
    assert token.logprob == -0.5
    assert [a.text for a in token.top] == ["a", "b"]


def test_no_tokens_asked_for_gives_none():
    (last,) = run(events({"delta": {"content": "a"}}, END), max_tokens=0)
    assert last.usage.completion_tokens == 0


def test_only_options_that_are_given_are_sent():
    body = chat_body([Message("user", "x")], GenerateOptions())
    assert set(body) == {"messages", "stream", "stream_options"}


def test_every_option_is_sent_under_its_name():
    options = GenerateOptions(
        max_tokens=5, temperature=0.5, top_k=3, top_p=0.9, min_p=0.1, typical_p=0.8,
        repeat_penalty=1.1, repeat_last_n=32, presence_penalty=0.2, frequency_penalty=0.3,
        seed=-1, stop=("a",), json_schema={"type": "object"}, logprobs=3,
    )  # fmt: skip
    body = prompt_body("p", options)
    assert body["seed"] == 2**32 - 1
    assert body["logprobs"] == 3
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    for name in ("max_tokens", "temperature", "top_k", "top_p", "min_p", "typical_p",
                 "repeat_penalty", "repeat_last_n",
                 "presence_penalty", "frequency_penalty"):  # fmt: skip
        assert body[name] == getattr(options, name)


def test_the_full_adapter_list_is_sent_every_time():
    loaded = ["a", "b"]
    assert llama_extras(GenerateOptions(), loaded)["lora"] == [
        {"id": 0, "scale": 0.0},
        {"id": 1, "scale": 0.0},
    ]
    chosen = llama_extras(GenerateOptions(adapters={"b": 0.5}), loaded)["lora"]
    assert chosen == [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 0.5}]
    assert "lora" not in llama_extras(GenerateOptions())


def test_a_scale_that_is_none_is_refused():
    with pytest.raises(UsageError) as caught:
        llama_extras(GenerateOptions(adapters={"x": float("inf")}), ["x"])
    assert caught.value.param == "adapters"


def test_half_a_character_is_not_sent():
    body = chat_body([Message("user", "a\ud800b 🎉")], GenerateOptions(stop=("\udcff",)))
    assert body["messages"][0]["content"] == "a?b 🎉"
    assert body["stop"] == ["?"]


def test_a_number_that_is_none_is_refused():
    with pytest.raises(UsageError) as caught:
        prompt_body("p", GenerateOptions(temperature=float("nan")))
    assert caught.value.param == "temperature"


def test_a_bias_is_sent_by_the_text_it_is_for() -> None:
    assert llama_extras(GenerateOptions(logit_bias={"Not": -1.5}))["logit_bias"] == [["Not", -1.5]]
    assert "logit_bias" not in llama_extras(GenerateOptions())
    with pytest.raises(UsageError):
        llama_extras(GenerateOptions(logit_bias={"Not": float("nan")}))
