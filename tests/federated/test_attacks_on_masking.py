"""What a home that does not keep to the protocol gets, or a member: nothing, and a reason."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ondol.errors import MaskingError
from ondol.federated.masking import keys, rows, shares
from ondol.federated.masking.keys import ANNOUNCEMENT_BYTES, Announcement, Secrets, announce
from ondol.federated.masking.member import Member
from ondol.federated.masking.session import Session
from tests.federated.masked_round import Round, identity, seeded, session

P = 2**255 - 19
SMALL_ORDER = [
    number.to_bytes(32, "little")
    for order in (
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        P - 1,
    )
    for number in (order, order + P)
    if number < 2**255
]


def announced(
    masked: Round, node: int, *, by: int = 0, seed: bytes = b"e" * 32, **changed: bytes
) -> bytes:
    """An announcement in the name of ``node`` with secrets of the attacker's, signed by device
    ``by`` (``node``'s own key is not the attacker's)."""
    shown = announce(
        masked.session, node, Secrets.of(seed, masked.session), identity(by or 99).sign
    )
    shown = replace(shown, **changed)
    said = keys._announced(masked.session, node, shown.to_bytes()[:-64])
    return replace(shown, signature=identity(by or 99).sign(said)).to_bytes()


def all_keys(masked: Round, **other: bytes) -> bytes:
    answers = {node: member.keys() for node, member in masked.members.items()}
    return rows.join(answers | {int(node[1:]): answer for node, answer in other.items()})


# Keys.


def test_keys_that_home_made_for_a_member_are_refused_by_all_others() -> None:
    masked = Round(session(4))
    forged = announced(masked, 12)
    with pytest.raises(MaskingError, match="not signed by it") as refused:
        masked.members[11].shares(all_keys(masked, n12=forged))
    assert refused.value.node == 12


def test_forged_keys_at_home_cost_their_sender_the_round_and_nobody_else() -> None:
    masked = Round(session(4))
    answers = {node: member.keys() for node, member in masked.members.items()}
    answers |= {12: announced(masked, 12), 99: answers[11]}
    relayed = masked.adder.relay_keys(answers)
    assert set(rows.split(relayed, ANNOUNCEMENT_BYTES, masked.session.roster, "")) == {11, 13, 14}
    assert "not signed by it" in masked.adder.refused[12]
    assert 99 in masked.adder.refused


@pytest.mark.parametrize(
    "other",
    [
        session(4, round=2),
        session(4, attempt=1),
        session(4, federation="clinic"),
        session(4, threshold=4),
        session(4, bits=13),
        session(5, threshold=3),
    ],
    ids=["round", "attempt", "federation", "threshold", "bits", "roster"],
)
def test_keys_of_another_session_are_refused(other: Session) -> None:
    masked = Round(session(4))
    replayed = Round(other).members[12].keys()
    with pytest.raises(MaskingError, match="device 12 are not signed by it for this round"):
        masked.members[11].shares(all_keys(masked, n12=replayed))


def test_a_member_whose_own_keys_home_left_out_or_replaced_goes_no_further() -> None:
    masked = Round(session(4))
    mine = announced(masked, 11, by=1)
    others = {node: masked.members[node].keys() for node in (12, 13, 14)}
    for relayed in (all_keys(masked, n11=mine), rows.join(others)):
        with pytest.raises(MaskingError, match="did not pass on the keys"):
            masked.members[11].shares(relayed)


@pytest.mark.parametrize("which", ["mask", "share"])
def test_keys_copied_from_another_member_are_refused(which: str) -> None:
    masked = Round(session(4))
    theirs = Announcement.of_bytes(masked.members[12].keys())
    for copied in (theirs.mask, theirs.share):
        copy = announced(masked, 13, by=3, **{which: copied})
        with pytest.raises(MaskingError, match="same key"):
            masked.members[11].shares(all_keys(masked, n13=copy))
        answers = {node: member.keys() for node, member in masked.members.items()} | {13: copy}
        again = Round(masked.session)
        again.adder.relay_keys(answers)
        assert "same key" in again.adder.refused[13]


@pytest.mark.parametrize("point", SMALL_ORDER, ids=lambda point: point.hex()[:8])
def test_points_of_small_order_are_refused(point: bytes) -> None:
    masked = Round(session(4))
    weak = announced(masked, 13, by=3, share=point)
    with pytest.raises(MaskingError, match="not safe to use") as refused:
        masked.members[11].shares(all_keys(masked, n13=weak))
    assert refused.value.node == 13
    weak = announced(masked, 13, by=3, mask=point)
    masked.adder.relay_keys({n: m.keys() for n, m in masked.members.items()} | {13: weak})
    assert "not safe to use" in masked.adder.refused[13]
    with pytest.raises(MaskingError, match="not safe to use"):
        keys.pair_mask(keys.private_key(b"a" * 32), point, b"s" * 32, 11, 13)


def test_members_who_were_shown_different_keys_cannot_be_made_to_mask() -> None:
    """Home shows 14 to some, so that the others' masks with it would not be known to all."""
    masked = Round(session(4, threshold=3))
    answers = {node: member.keys() for node, member in masked.members.items()}
    with_14, without = rows.join(answers), rows.join({n: answers[n] for n in (11, 12, 13)})
    sent = {11: masked.members[11].shares(with_14)}
    sent |= {node: masked.members[node].shares(without) for node in (12, 13)}
    sent |= {14: masked.members[14].shares(with_14)}
    width = shares.SHARE_BYTES * 2 + 16
    for node in (11, 12):
        boxes = {
            n: rows.split(sent[n], width, masked.session.roster, "").get(node) for n in (11, 12, 13)
        }
        bundle = rows.join({n: box for n, box in boxes.items() if box})
        with pytest.raises(MaskingError, match="cannot be read"):
            masked.members[node].mask(bundle, masked.vectors[node])


def test_a_member_answers_for_one_list_of_keys_only() -> None:
    masked = Round(session(4))
    masked.shares()
    others = rows.join({node: masked.members[node].keys() for node in (11, 12, 13)})
    with pytest.raises(MaskingError, match="different words"):
        masked.members[11].shares(others)


def test_keys_of_too_few_members_are_not_answered() -> None:
    masked = Round(session(5, threshold=4))
    some = rows.join({node: masked.members[node].keys() for node in (11, 12, 13)})
    with pytest.raises(MaskingError, match="3 devices are left in the round, and 4 are needed"):
        masked.members[11].shares(some)


# Shares.


def test_changed_swapped_foreign_and_returned_shares_are_refused() -> None:
    masked = Round(session(4))
    bundles = masked.shares()
    good = rows.split(bundles[11], 82, masked.session.roster, "")
    changed = bytes([good[12][0] ^ 1]) + good[12][1:]
    theirs = rows.split(bundles[13], 82, masked.session.roster, "")[12]
    mine = masked.members[11].shares(masked.adder.relay_keys({}))
    sent_back = rows.split(mine, 82, masked.session.roster, "")[12]
    for bad in (changed, good[13], theirs, sent_back):
        with pytest.raises(MaskingError, match="shares from device 12 cannot be read") as refused:
            masked.members[11].mask(rows.join({**good, 12: bad}), masked.vectors[11])
        assert refused.value.node == 12
    # A refusal leaves nothing behind: the right ones are still taken.
    masked.members[11].mask(bundles[11], masked.vectors[11])


def test_too_few_shares_are_not_masked_for() -> None:
    masked = Round(session(4, threshold=3))
    good = rows.split(masked.shares()[11], 82, masked.session.roster, "")
    with pytest.raises(MaskingError, match="2 devices are left in the round, and 3 are needed"):
        masked.members[11].mask(rows.join({12: good[12]}), masked.vectors[11])


# The vector.


def test_no_second_vector_is_masked_with_the_same_keys() -> None:
    masked = Round(session(4))
    first = masked.mask()[11]
    bundle = masked.adder.relay_shares({})[11]
    assert np.array_equal(masked.members[11].mask(bundle, masked.vectors[11]), first)
    other = masked.vectors[11].copy()
    other[0] ^= 1
    with pytest.raises(MaskingError, match="different words"):
        masked.members[11].mask(bundle, other)
    # Nor with fewer neighbours' masks on it: the difference of the two would be their masks.
    fewer = rows.split(bundle, 82, masked.session.roster, "")
    fewer.pop(14)
    with pytest.raises(MaskingError, match="different words"):
        masked.members[11].mask(rows.join(fewer), masked.vectors[11])
    assert np.array_equal(masked.members[11].masked(), first)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros(7, np.uint32),
        np.zeros((8, 1), np.uint32),
        np.full(8, 1 << 12, np.uint32),
        np.full(8, -1, np.int64),
        np.zeros(8, np.float32),
    ],
    ids=["short", "shape", "large", "negative", "float"],
)
def test_vector_that_does_not_fit_the_ring_is_refused(bad: Any) -> None:
    masked = Round(session(4))
    bundles = masked.shares()
    with pytest.raises(MaskingError, match="length and the range"):
        masked.members[11].mask(bundles[11], bad)
    assert masked.members[11].masked() is None


# The survivors.


def signed_by(masked: Round, nodes: tuple[int, ...], survivors: bytes) -> dict[int, bytes]:
    """The signatures of ``nodes`` under a set of survivors."""
    return {node: masked.members[node].survivors(survivors) for node in nodes}


def test_a_member_signs_one_set_of_survivors_only() -> None:
    masked = Round(session(5, threshold=3))
    masked.mask()
    everybody, some = (rows.join(dict.fromkeys(n, b"")) for n in (range(11, 16), (11, 12, 13)))
    assert masked.members[11].survivors(everybody) == masked.members[11].survivors(everybody)
    with pytest.raises(MaskingError, match="different words"):
        masked.members[11].survivors(some)


def test_two_sets_of_survivors_get_home_no_shares() -> None:
    """14 stayed for some and left for others."""
    masked = Round(session(5, threshold=3))
    masked.mask()
    stayed, left = (rows.join(dict.fromkeys(n, b"")) for n in (range(11, 16), (11, 12, 13)))
    said_stayed = signed_by(masked, (13, 14), stayed)
    said_left = signed_by(masked, (11, 12), left)
    for node in (11, 12, 13, 14):
        for signatures in (said_stayed, said_left, said_stayed | said_left):
            with pytest.raises(MaskingError):
                masked.members[node].unmask(rows.join(signatures))


def test_shares_withheld_from_one_member_do_not_strip_its_masks() -> None:
    """Home keeps the shares of 14 and 15 from 11, whose masks are in common with 12 and 13 only,
    and then says that those two left. 11 would not sign that; it is not asked."""
    masked = Round(session(5, threshold=3))
    bundles = masked.shares()
    received = rows.split(bundles[11], 82, masked.session.roster, "")
    few = rows.join({node: received[node] for node in (12, 13)})
    masked.members[11].mask(few, masked.vectors[11])
    for node in (12, 13, 14, 15):
        masked.members[node].mask(bundles[node], masked.vectors[node])
    said = rows.join(dict.fromkeys((11, 14, 15), b""))
    signed = signed_by(masked, (14, 15), said)
    with pytest.raises(MaskingError, match="does not fit what this device saw"):
        masked.members[11].survivors(said)
    for node in (14, 15):
        with pytest.raises(MaskingError, match="2 devices are left in the round, and 3 are needed"):
            masked.members[node].unmask(rows.join(signed))


def test_with_one_member_on_homes_side_the_default_threshold_still_lets_no_two_sets_pass() -> None:
    """13 signs whatever home likes. Two thirds of four: three of four must have signed a set."""
    masked = Round(session(4))
    assert masked.session.threshold == 3
    masked.mask()
    sets = [rows.join(dict.fromkeys(n, b"")) for n in ((11, 12, 13, 14), (11, 12, 13))]
    helper = [identity(3).sign(masked.adder._circle().agreement(said)) for said in sets]
    stayed = signed_by(masked, (12, 14), sets[0]) | {13: helper[0]}
    left = signed_by(masked, (11,), sets[1]) | {13: helper[1]}
    assert 14 in rows.split(masked.members[12].unmask(rows.join(stayed)), 33, range(99), "")
    with pytest.raises(MaskingError):
        masked.members[11].unmask(rows.join(left))


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ((12, 13, 14), "does not fit what this device saw"),
        ((11, 12), "2 devices are left in the round, and 3 are needed"),
        ((11, 12, 13, 15), "cannot be read"),
        ((11, 12, 13, 14), "does not fit what this device saw"),
    ],
    ids=["without me", "too few", "a stranger", "one whose shares never came"],
)
def test_survivors_that_cannot_be_are_not_signed(nodes: tuple[int, ...], reason: str) -> None:
    masked = Round(session(4, threshold=3), leaves={14: 1})
    masked.mask()
    with pytest.raises(MaskingError, match=reason):
        masked.members[11].survivors(rows.join(dict.fromkeys(nodes, b"")))


def test_shares_are_given_for_enough_good_signatures_only() -> None:
    masked = Round(session(4))
    masked.mask()
    survivors = masked.adder.ask_survivors(masked.masked)
    good = signed_by(masked, (11, 12, 13, 14), survivors)
    with pytest.raises(MaskingError, match="2 devices are left in the round, and 3 are needed"):
        masked.members[11].unmask(rows.join({node: good[node] for node in (11, 12)}))
    with pytest.raises(MaskingError, match="did not sign") as refused:
        masked.members[11].unmask(rows.join({**good, 13: good[12]}))
    assert refused.value.node == 13
    twice = rows.id_bytes(11) + good[11]
    with pytest.raises(MaskingError, match="cannot be read"):
        masked.members[11].unmask(twice * 3)


def test_a_bad_signature_at_home_costs_its_sender_only() -> None:
    masked = Round(session(5, threshold=3))
    masked.mask()
    survivors = masked.adder.ask_survivors(masked.masked)
    good = signed_by(masked, (11, 12, 13, 14, 15), survivors)
    request = masked.adder.ask_unmask({**good, 13: good[12], 14: b"short"})
    assert list(rows.split(request, 64, masked.session.roster, "")) == [11, 12, 15]
    assert set(masked.adder.refused) == {13, 14}
    answers = {node: member.unmask(request) for node, member in masked.members.items()}
    assert np.array_equal(masked.adder.sum(masked.masked, answers), masked.plain_sum())


def test_steps_cannot_be_skipped() -> None:
    masked = Round(session(4))
    member = masked.members[11]
    fresh = Member(
        masked.session, identity(1), set(masked.session.roster.values()), seeded(session(5), 11)
    )
    with pytest.raises(MaskingError, match="earlier one is missing"):
        fresh.shares(all_keys(masked))
    with pytest.raises(MaskingError, match="earlier one is missing"):
        member.mask(b"", masked.vectors[11])
    bundle = masked.shares()[11]
    everybody = rows.join(dict.fromkeys(masked.session.roster, b""))
    with pytest.raises(MaskingError, match="earlier one is missing"):
        member.survivors(everybody)
    member.mask(bundle, masked.vectors[11])
    with pytest.raises(MaskingError, match="earlier one is missing"):
        member.unmask(b"")


# A sum of what the members agreed to, whatever home asks.


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.integers(11, 15), unique=True, max_size=5), min_size=1, max_size=5),
    st.lists(st.integers(0, 4), min_size=5, max_size=5),
)
# Each member is told a set of three, itself among them. Without signatures home could put together
# the sum of 11 and 12 alone: three members say of each other one that it left.
@example([[11, 12, 13], [11, 12, 14], [11, 12, 15]], [0, 1, 0, 1, 2])
@example([[11, 12, 13, 14, 15], [11, 12, 13]], [0, 0, 0, 1, 1])
def test_whatever_home_tells_each_it_can_unmask_a_set_that_they_signed_or_none(
    sets: list[list[int]], whom: list[int]
) -> None:
    masked = Round(session(5, threshold=3))
    masked.mask()
    told = [rows.join(dict.fromkeys(one, b"")) for one in sets]
    signed: list[dict[int, bytes]] = [{} for _ in told]
    for node, which in zip(masked.members, whom, strict=True):
        with suppress(MaskingError):
            asked = which % len(told)
            signed[asked][node] = masked.members[node].survivors(told[asked])
    own: dict[int, set[int]] = {node: set() for node in masked.members}
    common: dict[int, set[int]] = {node: set() for node in masked.members}
    for which, signatures in enumerate(signed):
        for node in signatures:
            with suppress(MaskingError):
                answer = masked.members[node].unmask(rows.join(signatures))
                for owner in rows.split(answer, shares.SHARE_BYTES, own, ""):
                    (own if owner in sets[which] else common)[owner].add(node)
    threshold = masked.session.threshold
    unmasked = [node for node in own if len(own[node]) >= threshold]
    removed = [node for node in own if len(common[node]) >= threshold]
    assert not set(unmasked) & set(removed)
    assert not unmasked or unmasked in [sorted(one) for one in sets]
    assert not unmasked or len(unmasked) >= masked.session.least


# What home adds up.


def lying(masked: Round, liar: int, about: int) -> dict[int, bytes]:
    request = masked.survivors()
    answers = {n: m.unmask(request) for n, m in masked.members.items() if n in masked.masked}
    told = rows.split(answers[liar], shares.SHARE_BYTES, masked.session.roster, "")
    told[about] = bytes([0, told[about][1] ^ 1]) + told[about][2:]
    return answers | {liar: rows.join(told)}


@pytest.mark.parametrize("about", [13, 15], ids=["who stayed", "who left"])
def test_a_wrong_share_is_made_up_for_where_more_answered_than_needed(about: int) -> None:
    masked = Round(session(5, threshold=3), leaves={15: 2})
    answers = lying(masked, liar=11, about=about)
    assert np.array_equal(masked.adder.sum(masked.masked, answers), masked.plain_sum())


@pytest.mark.parametrize("about", [13, 15], ids=["who stayed", "who left"])
def test_a_wrong_share_never_makes_a_wrong_sum(about: int) -> None:
    masked = Round(session(5, threshold=4), leaves={15: 2})
    answers = lying(masked, liar=11, about=about)
    with pytest.raises(MaskingError, match=f"mask of device {about}") as refused:
        masked.adder.sum(masked.masked, answers)
    assert refused.value.node == about


def test_a_masked_vector_of_another_shape_makes_no_sum() -> None:
    masked = Round(session(4))
    request = masked.survivors()
    answers = {node: member.unmask(request) for node, member in masked.members.items()}
    with pytest.raises(MaskingError, match="length and the range"):
        masked.adder.sum({**masked.masked, 12: np.zeros(9, np.uint32)}, answers)


def test_incomplete_shares_at_home_cost_their_sender_only() -> None:
    masked = Round(session(5, threshold=3))
    relayed = masked.keys()
    sent = {node: member.shares(relayed) for node, member in masked.members.items()}
    bundles = masked.adder.relay_shares({**sent, 12: sent[12][:-90], 13: b"?"})
    assert set(bundles) == {11, 14, 15}
    assert {12, 13} <= set(masked.adder.refused)


# Who takes part.


def test_a_round_with_somebody_who_never_enrolled_is_refused() -> None:
    """Home adds a device that it made up: the others pinned the keys of those who enrolled."""
    asked = session(4)
    pinned = {identity(number).public_key for number in (1, 2, 3)}
    with pytest.raises(MaskingError, match="Device 14 is in this round, but was never") as refused:
        Member(asked, identity(1), pinned, seeded(asked, 11))
    assert refused.value.node == 14


def test_a_device_that_is_not_in_the_round_takes_no_part() -> None:
    asked = session(4)
    pinned = {*asked.roster.values(), identity(9).public_key}
    with pytest.raises(MaskingError, match="not one of this round"):
        Member(asked, identity(9), pinned, seeded(asked, 11))


@pytest.mark.parametrize(("count", "threshold"), [(3, 1), (4, 2), (5, 2), (6, 3), (4, 5)], ids=str)
def test_threshold_of_half_or_less_or_more_than_all_is_refused(count: int, threshold: int) -> None:
    with pytest.raises(MaskingError, match="more than half"):
        session(count, threshold=threshold)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_devices_have_no_sum_that_hides_them(count: int) -> None:
    with pytest.raises(MaskingError, match="too few for a sum that hides each") as refused:
        session(count, threshold=2)
    assert "Invite another device" in refused.value.hint


@pytest.mark.parametrize(
    "changed",
    [
        {"bits": 0},
        {"bits": 33},
        {"length": 0},
        {"length": (1 << 28) + 1},
        {"round": -1},
        {"round": True},
        {"attempt": 1 << 60},
        {"federation": 7},
        {"plan_digest": None},
        {"threshold": 2.5},
        {"roster": {1: b"k" * 32, 2: b"k" * 32, 3: b"l" * 32}},
        {"roster": {0: b"k" * 32, 2: b"m" * 32, 3: b"l" * 32}},
        {"roster": {1: b"k" * 31, 2: b"m" * 32, 3: b"l" * 32}},
        {"roster": {n: n.to_bytes(32) for n in range(1, 1002)}, "threshold": 668},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_sessions_that_cannot_be_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(MaskingError, match="cannot be read"):
        replace(session(4), **changed)


def test_session_is_read_as_it_was_written_and_nothing_else_is() -> None:
    asked = session(4)
    said = asked.json()
    assert Session.of(said) == asked and Session.of(said).digest == asked.digest
    roster = dict(said["roster"])
    roster["0011"] = roster.pop("11")
    wrong = [{**said, "roster": roster}, {**said, "more": 1}, {"round": 1}, {**said, "roster": [1]}]
    for other in wrong:
        with pytest.raises(MaskingError, match="cannot be read"):
            Session.of(other)


def test_sessions_differ_in_their_digest_by_each_field() -> None:
    asked = session(4)
    others = [
        replace(asked, **{name: value})
        for name, value in {
            "federation": "f",
            "plan_digest": "cd",
            "round": 3,
            "attempt": 2,
            "threshold": 4,
            "bits": 13,
            "length": 9,
            "roster": dict(session(5).roster),
        }.items()
    ]
    assert len({asked.digest, *(other.digest for other in others)}) == 9


# Anything at all.


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["shares", "mask", "survivors", "unmask"]))
def test_any_bytes_get_a_refusal_and_no_other_error(data: bytes, step: str) -> None:
    masked = Round(session(3))
    masked.survivors()
    question = getattr(masked.members[11], step)
    with pytest.raises(MaskingError):
        question(data, masked.vectors[11]) if step == "mask" else question(data)
