"""Which requests ask for drafts, what a process is told of them, and the change that makes them
possible."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ondol.engine import applying, drafting
from ondol.engine.native import changes
from ondol.engine.running import Running

LONG = "The boiler was serviced in May. " * 50


def chat(text: str, **more: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}], **more}


def ask(client: object, body: dict[str, object], drafted: float, plain: float = 20.0) -> str:
    """Whether the request asked for drafts; a token takes so many milliseconds with them (none
    were made at 0), and so many without."""
    drafts = drafting.of(client, body)  # type: ignore[arg-type]
    asked = drafts.asked["ondol_drafts"]
    makes = asked == "on" and drafted > 0
    timings = {"predicted_n": 50, "predicted_ms": 50 * (drafted if makes else plain)}
    event = {"timings": timings | ({"draft_n": 12, "draft_n_accepted": 9} if makes else {})}
    assert list(drafts.learning([event])) == [event]
    return asked


def process() -> SimpleNamespace:
    class Client(SimpleNamespace):
        __hash__ = object.__hash__

    return Client()


def test_drafts_that_save_time_are_asked_for_again() -> None:
    client = process()
    asked = [ask(client, chat(LONG), 10) for _ in range(2 * drafting.TRY_AGAIN - 1)]
    assert asked[:2] == ["on", "off"]  # then both are known
    assert asked[2:].count("off") == 1


def test_drafts_that_cost_time_are_tried_again_seldom() -> None:
    client = process()
    asked = [ask(client, chat(LONG), 30) for _ in range(2 * drafting.TRY_AGAIN - 1)]
    assert asked[0] == "on"
    assert asked[1:].count("on") == 1


def test_a_rule_that_was_wrong_is_corrected() -> None:
    client = process()
    for _ in range(drafting.TRY_AGAIN - 1):
        ask(client, chat(LONG), 60)
    asked = [ask(client, chat(LONG), 5) for _ in range(6 * drafting.TRY_AGAIN)]
    assert asked[-8:].count("on") >= 7


def test_a_request_that_found_nothing_to_guess_from_is_no_reason_against_drafts() -> None:
    client = process()
    asked = [ask(client, chat("Tell a story."), 0) for _ in range(drafting.TRY_AGAIN - 1)]
    assert set(asked) == {"on"}


def test_a_short_answer_says_nothing_of_speed() -> None:
    drafts = drafting.of(client := process(), chat(LONG))  # type: ignore[arg-type]
    few = {"timings": {"predicted_n": 2, "predicted_ms": 900.0, "draft_n": 12}}
    assert list(drafts.learning([few]))
    assert ask(client, chat(LONG), 10) == "on"


def test_quoting_prose_and_forms_are_learned_apart_and_so_are_processes() -> None:
    client = process()
    form = {"json_schema": {"type": "object"}}
    for _ in range(3):
        ask(client, chat("Tell a story."), 30)
    assert ask(client, chat("Tell a story."), 30) == "off"
    assert ask(client, chat(LONG), 10) == "on"
    assert ask(client, chat("Tell a story.", **form), 10) == "on"
    assert ask(process(), chat("Tell a story."), 30) == "on"


def test_a_single_token_and_what_has_to_be_the_same_again_are_never_drafted() -> None:
    for body in ({"prompt": LONG, "n_predict": 1}, chat(LONG, max_tokens=1), chat(LONG, seed=0)):
        drafts = drafting.of(process(), body)  # type: ignore[arg-type]
        assert drafts.asked == {"ondol_drafts": "off"}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"prompt": LONG}, "quoting"),
        ({"prompt": [1] * 400}, "quoting"),
        ({"prompt": "Hello"}, "prose"),
        (chat(LONG), "quoting"),
        (chat("Hello"), "prose"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "prose"),
        (chat(LONG, grammar="root ::= x"), "held"),
        ({}, "prose"),
    ],
)
def test_the_kind_of_a_request_is_what_can_be_quoted(body: dict[str, object], kind: str) -> None:
    assert drafting.kind_of(body) == kind


@pytest.mark.parametrize("timings", [None, 1, [], {}, {"draft_n": "x"}, {"draft_n": 3}])
def test_whatever_a_server_answers_is_passed_on(timings: object) -> None:
    drafts = drafting.of(process(), chat(LONG))  # type: ignore[arg-type]
    assert list(drafts.learning([{"timings": timings}])) == [{"timings": timings}]


def test_a_binary_hears_of_drafts_in_a_way_that_others_leave_be() -> None:
    running = {**vars_of(Running(draft="4,12"))}
    assert applying.variables(running) == {"ONDOL_ENGINE_DRAFTS": "4,12"}
    assert not any("spec" in flag or "draft" in flag for flag in applying.flags(running))
    assert applying.variables(vars_of(Running())) == {}
    with_model = applying.variables(vars_of(Running(draft="4,12", draft_model="small.gguf")))
    assert with_model["ONDOL_ENGINE_DRAFT_MODEL"] == "small.gguf"


def vars_of(running: Running) -> dict[str, object]:
    return {name: getattr(running, name) for name in Running.__dataclass_fields__}


def test_the_source_is_changed_as_a_whole_or_not_at_all(tmp_path) -> None:
    folder = tmp_path / "tools" / "server"
    folder.mkdir(parents=True)
    names = sorted({name for name, _, _ in changes.CHANGES})
    for name in names:
        wanted = [before for file, before, _ in changes.CHANGES if file == name]
        (folder / name).write_text("// other\n".join(wanted))
    changes.apply(tmp_path)
    for name, before, after in changes.CHANGES:
        text = (folder / name).read_text()
        assert after in text and (before in after or before not in text)
    unchanged = {name: (folder / name).read_text() for name in names}
    with pytest.raises(ValueError, match="is not the source"):
        changes.apply(tmp_path)
    assert {name: (folder / name).read_text() for name in names} == unchanged


def test_the_bundled_engine_is_never_asked_for_drafts(pool) -> None:
    with pool._lease("smollm2:135m", None, None, _never(), False, {}) as loaded:
        assert loaded.drafts is False


def _never():
    from ondol.engine.generation import Cancellation

    return Cancellation()
