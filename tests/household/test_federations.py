"""What a device keeps of its federations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ondol.errors import FederationNotFoundError, UsageError
from ondol.federated.members import Member, keys_of, safety_number
from ondol.federated.plan import Plan
from ondol.household.federations import Federation, Federations, Round
from ondol.kept import Kept
from ondol.samples.records import Draft
from ondol.types import Message


def member(number: int, federation: str = "f1") -> Member:
    return Member(federation, bytes([number]) * 32, "2026-11-22T00:00:00+00:00")


def membership(id: str = "f1abcd", name: str = "family") -> Federation:
    plan = Plan(id, name, "qwen3:0.6b", "a" * 64, "b" * 64, "style", epsilon_budget=8.0)
    members = tuple(member(number, id) for number in (1, 2, 3))
    return Federation(id, name, b"\x05" * 32, "https://home:1", plan, members, members[0])


@pytest.fixture
def federations() -> Iterator[Federations]:
    with Federations.open() as found:
        yield found


def test_membership_is_kept_as_it_was_agreed(federations: Federations) -> None:
    added = federations.add(membership())
    assert federations.get("family") == federations.get("f1ab") == federations.get() == added
    assert added.plan.digest == membership().plan.digest
    told = added.json()
    assert told["state"] == "active"
    assert [one["is_me"] for one in told["members"]] == [True, False, False]
    assert told["pseudonym"] == added.me.pseudonym


def test_name_that_is_taken_gets_a_number(federations: Federations) -> None:
    federations.add(membership())
    assert federations.add(membership("other1")).name == "family-2"
    with pytest.raises(UsageError):
        federations.add(membership())


@pytest.mark.parametrize("wanted", ["", "nobody", "f1"])
def test_unclear_name_is_an_error(federations: Federations, wanted: str) -> None:
    with pytest.raises(FederationNotFoundError):
        federations.get(wanted)
    federations.add(membership())
    federations.add(membership("f1other", "clinic"))
    with pytest.raises(FederationNotFoundError):
        federations.get(wanted)


def test_spent_privacy_never_comes_back(federations: Federations) -> None:
    federations.add(membership())
    assert federations.spend("f1abcd", 3.0).epsilon == 3.0
    assert federations.spend("f1abcd", 1.0).epsilon == 3.0
    assert federations.spend("f1abcd", None).epsilon == 3.0


def test_round_keeps_homes_record_and_ones_own_part(federations: Federations) -> None:
    federations.add(membership())
    mine = Round(1, took_part=True, num_examples=7, bytes_up=100, loss_before=2.0, digest="d")
    federations.note("f1abcd", mine)
    federations.note("f1abcd", replace(federations.round("f1abcd", 1), record={"clients": [1, 2]}))
    told = federations.rounds("f1abcd")[0].json()
    assert told["clients"] == [1, 2]
    assert told["mine"]["took_part"] is True
    assert told["mine"]["num_examples"] == 7
    assert federations.round("f1abcd", 2) == Round(2)


def test_only_a_set_of_members_with_this_device_is_pinned(federations: Federations) -> None:
    one = federations.add(membership())
    grown = federations.pin(one.id, (*one.members, member(4, one.id)))
    assert len(grown.members) == 4
    assert grown.safety_number != one.safety_number
    with pytest.raises(UsageError):
        federations.pin(one.id, (member(4, one.id), member(5, one.id)))


def test_erased_source_teaches_no_more(federations: Federations) -> None:
    kept = Kept(lambda: pytest.fail("no adapter is looked for"))
    source = kept.samples.add_source("file", "letters")
    draft = Draft("sft", "c", (Message("user", "Who?"),), "Me, of course.")
    (sample,) = kept.samples.add(source.id, [draft]).added
    one = federations.add(replace(membership(), sources=(source.id,), folders=("/data",)))
    federations.note_learned(one.id, 1, [sample])
    assert federations.get().sources == (source.id,)
    kept.samples.erase(source=source.id)
    assert federations.get().sources == ()
    assert federations.get().folders == ("/data",)
    # What was shared stays named.
    assert kept.samples.federations_of([sample]) == ["family"]
    kept.close()


def test_leaving_keeps_nothing(federations: Federations) -> None:
    one = federations.add(replace(membership(), folders=("/data",)))
    federations.note(one.id, Round(1))
    federations.remove(one.id)
    assert federations.all() == []
    assert federations.rounds(one.id) == []


def test_members_are_known_by_their_keys_alone() -> None:
    one, other = member(1), member(1, "f2")
    assert one.node != other.node
    assert one.pseudonym != other.pseudonym
    assert 0 < one.node < 2**48
    assert keys_of([one, member(2)]) == {one.node: one.public_key, member(2).node: b"\x02" * 32}
    assert Member.of("f1", one.json()) == one
    with pytest.raises(ValueError, match="public_key"):
        Member.of("f1", {"public_key": "00"})


def test_safety_number_changes_with_any_key_and_the_plan() -> None:
    three = [member(1), member(2), member(3)]
    number = safety_number("plan", three)
    assert [len(group) for group in number.split()] == [5] * 6
    assert safety_number("plan", reversed(three)) == number
    assert safety_number("plan", three[:2]) != number
    assert safety_number("other", three) != number
