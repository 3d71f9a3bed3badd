"""What a model may learn from: taken once, with consent, split for good, erased for good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol import paths
from ondol.errors import SampleNotFoundError, SourceNotFoundError, UsageError
from ondol.retrieval.language_codes import language_code
from ondol.routing import personal_data
from ondol.samples.records import Draft, Source
from ondol.samples.screening import Screen
from ondol.samples.split import LEAST, SHARE, rank, split
from ondol.samples.store import MOST_ALIKE, Samples
from ondol.types import Message, Sensitivity

REPLY = "Sure. The kettle goes on the second hob, and it whistles after four minutes. Best, Mina"


@pytest.fixture
def samples() -> Samples:
    return Samples.open(screen=Screen(personal_data.find, language_code))


@pytest.fixture
def source(samples: Samples) -> Source:
    return samples.add_source("file", "mine.jsonl", origin="/tmp/mine.jsonl")


def draft(asked: str, reply: str = REPLY, **others: object) -> Draft:
    one = Draft("sft", f"c-{asked}", (Message("user", asked),), reply)
    return replace(one, **others)  # type: ignore[arg-type]


def several(count: int) -> list[Draft]:
    words = "ash birch cedar elm fir gum hazel ivy juniper larch maple oak pine rowan yew".split()
    return [
        draft(
            f"What of {word} number {i}?", f"Of {word} {i} I know: {word * 3} grows {i * 7} feet."
        )
        for i in range(count)
        for word in [words[i % len(words)]]
    ]


def test_a_sample_is_kept_with_its_source_its_label_and_its_language(
    samples: Samples, source: Source
) -> None:
    done = samples.add(source.id, [draft("Where does the kettle go?")])
    (one,) = samples.all(source=source.id)
    assert done.added == (one.id,)
    assert one.messages == (Message("user", "Where does the kettle go?"),)
    assert (one.reply, one.language, one.sensitivity) == (REPLY, "en", Sensitivity.PRIVATE)
    assert samples.get(one.id[:6]) == one
    assert samples.sources() == [source] and source.consented_at
    assert samples.counts() == {source.id: {"sft": 1}}


def test_a_korean_reply_is_korean(samples: Samples, source: Source) -> None:
    samples.add(source.id, [draft("주전자는?", "주전자는 두 번째 화구에 올려 두었습니다.")])
    assert [one.language for one in samples.all()] == ["ko"]


def test_nothing_is_kept_twice_nor_nearly_twice(samples: Samples, source: Source) -> None:
    again = draft("Where does the kettle go?  ", REPLY + "\n")
    nearly = draft("where does the kettle go", REPLY.replace("whistles", "Whistles!"))
    done = samples.add(source.id, [draft("Where does the kettle go?"), again, nearly])
    assert (len(done.added), done.duplicates) == (1, 2)
    assert samples.add(source.id, [draft("Where does the kettle go?")]).duplicates == 1


def test_the_same_question_answered_otherwise_is_something_else(
    samples: Samples, source: Source
) -> None:
    other = "In the cupboard under the sink, behind the big blue pot with the lid."
    done = samples.add(source.id, [draft("Where?"), draft("Where?", other)])
    assert len(done.added) == 2


def test_one_reply_to_everything_is_taken_a_few_times_only(
    samples: Samples, source: Source
) -> None:
    poisoned = [draft(f"{word} {i}?") for i, word in enumerate(["tea", "coffee", "milk"] * 10)]
    done = samples.add(source.id, poisoned)
    assert len(done.added) == MOST_ALIKE
    assert done.refused == {"too_many_alike": len(poisoned) - MOST_ALIKE}


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (draft("Where?", "  "), "empty"),
        (draft(" "), "no_question"),
        (replace(draft("x"), messages=(Message("assistant", "hello"),)), "no_question"),
        (replace(draft("x"), messages=()), "no_question"),
        (draft("Where?", "word " * 250_000), "too_long"),
        (draft("What is it?", "The password is hunter2-Zebra!9"), "secret"),
        (draft("Which?", "Same", kind="preference", rejected=" Same "), "no_difference"),
    ],
)
def test_what_cannot_or_must_not_be_learned_is_refused_by_name(
    samples: Samples, source: Source, bad: Draft, code: str
) -> None:
    assert samples.add(source.id, [bad]).refused == {code: 1}
    assert samples.all() == []


def test_personal_data_is_kept_skipped_or_redacted_as_is_chosen(
    samples: Samples, source: Source
) -> None:
    told = "Call me at 010-2345-6789 when the parcel is there."
    assert samples.add(source.id, [draft("How?", told)], personal="skip").refused == {"personal": 1}
    samples.add(source.id, [draft("How?", told)], personal="redact")
    assert samples.all()[0].reply == "Call me at [PHONE] when the parcel is there."
    samples.add(source.id, [draft("How do I reach you?", told)])
    assert samples.all()[1].reply == told
    with pytest.raises(UsageError):
        samples.add(source.id, [], personal="sell")  # type: ignore[arg-type]


def test_the_contrary_of_what_is_here_is_refused(samples: Samples, source: Source) -> None:
    liked = draft("Where?", kind="thumb", is_desirable=True)
    pair = draft("Who?", "Mina did.", kind="preference", rejected="It was done by Mina, I believe.")
    turned = replace(pair, reply=pair.rejected or "", rejected=pair.reply)
    samples.add(source.id, [liked, pair])
    done = samples.add(source.id, [replace(liked, is_desirable=False), turned])
    assert done.refused == {"contradicts": 2}


def test_samples_are_found_by_what_they_are(samples: Samples, source: Source) -> None:
    other = samples.add_source("chat_export", "old chats", sensitivity=Sensitivity.TRUSTED)
    samples.add(source.id, several(40))
    samples.add(other.id, [draft("Where?", kind="thumb", is_desirable=False)])
    held, learned = samples.all(held_out=True), samples.all(held_out=False)
    assert held and learned and len(held) + len(learned) == 41
    assert [one.source for one in samples.all(kind="thumb")] == [other.id]
    assert samples.all(source=other.id[:6])[0].sensitivity == Sensitivity.TRUSTED
    assert samples.all(conversation=held[0].conversation) == [held[0]]
    counts = samples.counts()[source.id]
    assert counts["sft"] == 40
    assert counts["held_out"] == len(samples.all(source=source.id, held_out=True))


def test_a_source_is_agreed_to_once_and_must_have_a_name(samples: Samples) -> None:
    first = samples.add_source("writing", " my  notes ")
    assert first.name == "my notes"
    assert samples.add_source("writing", "my notes") == first
    for kind, name in (("writing", " "), ("rumours", "x")):
        with pytest.raises(UsageError):
            samples.add_source(kind, name)  # type: ignore[arg-type]


def test_unknown_ids_are_named_and_nothing_goes(samples: Samples, source: Source) -> None:
    samples.add(source.id, [draft("Where?")])
    with pytest.raises(SourceNotFoundError):
        samples.add("0000beef", [draft("When?")])
    with pytest.raises(SourceNotFoundError):
        samples.all(source="0000beef")
    with pytest.raises(SampleNotFoundError):
        samples.erase([samples.all()[0].id, "0000beef"])
    for wrong in ({}, {"ids": [], "source": source.id}):
        with pytest.raises(UsageError):
            samples.erase(**wrong)  # type: ignore[arg-type]
    assert len(samples.all()) == 1


def test_an_erased_sample_leaves_no_byte_but_its_id_with_the_adapter(
    samples: Samples, source: Source
) -> None:
    secret = "The otter of Grimsby sings at midnight"
    samples.add(source.id, [draft("What sings?", secret), draft("Where?")])
    gone, stays = samples.all()
    samples.note_learned("sha256:aa", [gone.id, stays.id])
    samples.note_learned("sha256:bb", [stays.id])
    erased = samples.erase([gone.id])
    assert (erased.samples, erased.adapters, erased.is_erased) == (
        1,
        frozenset(["sha256:aa"]),
        True,
    )
    assert samples.learned_by("sha256:aa") == sorted([gone.id, stays.id])
    assert samples.adapters_of([stays.id]) == {"sha256:aa", "sha256:bb"}
    assert_no_byte_of(secret)
    whole = samples.erase(source=source.id)
    assert (whole.samples, whole.sources) == (1, 1)
    assert samples.sources() == [] and samples.all() == []
    assert_no_byte_of("kettle")


def assert_no_byte_of(text: str) -> None:
    for file in paths.data_dir().glob("*.db*"):
        assert text.encode() not in file.read_bytes(), file.name


def test_what_was_taken_once_can_be_taken_again_after_it_was_erased(
    samples: Samples, source: Source
) -> None:
    samples.add(source.id, [draft("Where?")])
    samples.erase([samples.all()[0].id])
    assert len(samples.add(source.id, [draft("Where?")]).added) == 1


def test_another_process_sees_the_same(samples: Samples, source: Source, tmp_path: Path) -> None:
    samples.add(source.id, several(3))
    with Samples.open() as other:
        assert other.all() == samples.all()


def test_samples_outlive_a_library_that_is_made_anew(samples: Samples, source: Source) -> None:
    from ondol.rebuild import rebuild

    samples.add(source.id, several(5))
    before = samples.all()
    samples.note_learned("sha256:aa", [before[0].id])
    samples.close()
    rebuild(paths.database_file(), force=True)
    assert samples.all() == before and samples.sources() == [source]
    assert samples.learned_by("sha256:aa") == [before[0].id]
    # Those that are nearly the same are still known.
    nearly = replace(several(1)[0], reply=f"{before[0].reply}!!")
    assert samples.add(source.id, [nearly]).duplicates == 1


def test_half_characters_and_nul_break_nothing(samples: Samples) -> None:
    odd = samples.add_source("file", "half \ud800.jsonl", origin="/tmp/\udcff")
    one = draft("Where\ud800?", f"{REPLY}\0\udfff", conversation="c\ud800")
    samples.add(odd.id, [one])
    (kept,) = samples.all()
    assert kept.reply == f"{REPLY}?" and kept.conversation == "c?"


NAMES = st.lists(st.text(max_size=6), max_size=60, unique=True)


@settings(max_examples=60, deadline=None)
@given(NAMES, st.data())
def test_a_conversation_never_changes_sides_when_more_comes(
    names: list[str], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(names)))
    before = split({}, names[:cut])
    after = split(before, names)
    assert {name: after[name] for name in before} == before
    # Nor does the order of what comes together matter.
    assert split({}, data.draw(st.permutations(names))) == split({}, names)
    assert sum(after.values()) >= min(LEAST, len(names) // 4)
    assert all(after[name] for name in names if rank(name) < SHARE)


def test_about_a_seventh_is_held_out_of_many() -> None:
    decided = split({}, [f"conversation {i}" for i in range(4000)])
    assert 0.13 < sum(decided.values()) / 4000 < 0.17
