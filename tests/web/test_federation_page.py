"""The Federation page: joining after what it costs was shown, rounds, what may teach, the way out.
Memberships and rounds are rows as a device keeps them; what home says to a code is made up here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from house import CHAT, House, scripted_house
from playwright.sync_api import Page, expect
from test_accessible import violations
from visiting import Visitor

from ondol.federated.members import Member
from ondol.federated.plan import Plan
from ondol.household.federations import Federation, Federations, Round
from ondol.samples.records import Draft
from ondol.types import Message

# A machine that does much at once takes its time; a page that is wrong stays wrong.
expect.set_options(timeout=20_000)

Look = Callable[[Page, str], None]

ID = "f0a1b2c3"
AT = "2026-11-22T0{}:00:00+00:00"
ROW = {
    "name": "reply_loss",
    "label": "",
    "unit": "nats",
    "before": 3.2,
    "after": 2.4,
    "is_ok": True,
}
SIGHT = {
    "words": ["At 5 devices no noise can hide one of them and keep what was learned."],
    "seen": ["That this device takes part, and when.", "The sum of all updates."],
    "unseen": ["Your samples.", "What this device alone has learned."],
}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A house of the test's own, in no federation."""
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path))
    with scripted_house(tmp_path) as house:
        yield house


def plan(**fields: Any) -> Plan:
    told = {"epsilon_budget": 8.0, "noise_multiplier": 1.1, "min_clients": 4, "threshold": 3}
    return Plan(ID, "family", CHAT, "a" * 64, "b" * 64, "style", **told | fields)


def family(house: House, rounds: int = 3) -> Federation:
    """A membership with two sources, one of which may teach, and what its rounds were."""
    samples = house.parts.kept.samples
    ids = []
    for kind, name in (("writing", "letters"), ("chat_export", "chats")):
        source = samples.add_source(kind, name)  # type: ignore[arg-type]
        ids.append(source.id)
        samples.add(
            source.id,
            [
                Draft("sft", name, (Message("user", f"What of {name}, {n}?"),), f"{name} {n}.")
                for n in range(6)
            ],
        )
    everybody = tuple(Member(ID, bytes([n]) * 32, AT.format(1)) for n in range(1, 6))
    here = Federation(
        ID,
        "family",
        b"\x05" * 32,
        "https://home.example:11436",
        plan(),
        everybody,
        everybody[0],
        sources=(ids[0],),
    )
    nodes = [one.node for one in everybody]
    with Federations.open() as found:
        made = found.add(here)
        for n in range(1, rounds + 1):
            record = {
                "number": n,
                "at": AT.format(n + 1),
                "clients": nodes if n != 2 else nodes[:3],
                "dropped": {} if n != 2 else {str(nodes[4]): "shares"},
                "refused": {} if n != 2 else {str(nodes[3]): "Its update was not a number."},
                "bytes_up": 1_900_000,
                "bytes_down": 2_500_000,
                "epsilon": 1.2 * n,
                "loss_shared": 3.4 / n**0.3,
                "loss_local": 3.3 / n**0.1,
                "rolled_back": n == 3,
                "failed": "",
            }
            mine = Round(
                n,
                record,
                True,
                "",
                12,
                380_000,
                500_000,
                3.6 / n**0.25,
                3.6 / (n + 1) ** 0.25,
                "d" * 64,
                AT.format(n),
            )
            found.note(ID, mine)
        return found.spend(ID, 1.2 * rounds if rounds else None) or made


def test_joining_shows_what_it_costs_before_the_yes(
    own: House, laptop: Visitor, look: Look
) -> None:
    source = own.parts.kept.samples.add_source("writing", "letters")
    page, sent = laptop.page, []
    told = {"whole": 7.4, "spent": None, "delta": 1e-5, "budget": 8.0}
    offer = {
        "plan": plan().json() | {"digest": plan().digest},
        "name": "family",
        "home": {"url": "https://home.example:11436"},
        "num_members": 4,
        "epsilon": told,
        "is_model_here": True,
        **SIGHT,
    }
    page.route("**/federations/look", lambda route: route.fulfill(json=offer))

    def join(route: Any) -> None:
        if route.request.method == "POST":
            sent.append(route.request.post_data_json)
            route.fulfill(json={"id": ID}, status=201)
        else:
            route.fallback()

    page.route("**/ondol/v1/federations", join)
    laptop.visit(own, "federation")
    expect(page.get_by_role("heading", name="This device learns on its own")).to_be_visible()
    expect(page.get_by_role("button", name="Look at it")).to_be_disabled()
    look(page, "federation-empty")
    page.get_by_label("Code of the federation").fill(" ONDOL1ABC ")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Join “family”?")
    expect(dialog).to_contain_text("ε = 7.4 at δ = 1e-5")
    expect(dialog).to_contain_text("no noise can hide one of them")
    expect(dialog).to_contain_text("What this device alone has learned.")
    expect(dialog.get_by_role("switch", name="letters")).not_to_be_checked()
    look(page, "federation-joining")
    assert violations(page) == []
    dialog.get_by_role("button", name="No").click()
    assert sent == []
    page.keyboard.press("Enter")
    dialog.get_by_text("letters").click()
    dialog.get_by_role("button", name="Yes, take part").click()
    expect(dialog).to_have_count(0)
    assert sent == [{"code": "ONDOL1ABC", "sources": [source.id], "plan": plan().digest}]


def test_rounds_are_shown_with_who_took_part_and_what_they_cost(
    own: House, laptop: Visitor, look: Look
) -> None:
    one = family(own)
    page = laptop.visit(own, "federation")
    standing = page.get_by_role("region", name="family")
    expect(standing.get_by_role("listitem").filter(has_text="rounds you were in")).to_have_text(
        "3rounds you were in"
    )
    expect(standing.get_by_role("listitem").filter(has_text="sent")).to_contain_text("1.1 MB")
    budget = page.get_by_role("progressbar", name="Share of the privacy budget that is spent")
    expect(budget).to_have_attribute("aria-valuenow", "45")
    expect(page.get_by_text("ε 3.6 of 8")).to_be_visible()
    rounds = page.get_by_role("table", name="Rounds")
    second = rounds.get_by_role("row").filter(has_text="Its update was not a number.")
    expect(second).to_contain_text(f"Gone on the way: {one.members[4].pseudonym}")
    expect(second).to_contain_text("4.4 MB")
    expect(rounds.get_by_role("row").nth(1)).to_contain_text("taken back")
    # The last round's shared adapter is measured on one's own data, too.
    expect(rounds.get_by_role("row").nth(1).get_by_role("cell").last).to_have_text("2.55")
    expect(rounds.get_by_role("row").nth(1).locator("code").first).to_have_text("you")
    members = page.get_by_role("region", name="Members")
    expect(members).to_contain_text(one.safety_number)
    members.get_by_text("What everybody agreed to").click()
    expect(members).to_contain_text("4 or more; 3 must stay to the end")
    look(page, "federation-rounds")
    assert violations(page) == []


def test_what_may_teach_is_switched_pausing_holds_and_leaving_erases(
    own: House, laptop: Visitor
) -> None:
    family(own)
    page = laptop.visit(own, "federation")
    chats = page.get_by_role("switch", name="chats")
    expect(chats).not_to_be_checked()
    page.get_by_text("chats · chats from elsewhere").click()
    expect(chats).to_be_checked()
    expect(chats).to_be_enabled()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Take part again")).to_be_visible()
    with Federations.open() as found:
        kept = found.get(ID)
    assert kept.state == "paused" and len(kept.sources) == 2
    page.get_by_role("button", name="Take part again").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    (letters,) = [one for one in own.parts.kept.samples.sources() if one.name == "letters"]
    with Federations.open() as found:
        found.note_learned(ID, 1, [one.id for one in own.parts.kept.samples.all(source=letters.id)])
    page = laptop.visit(own, "personal")
    page.get_by_role("button", name="Erase: letters").click()
    page.get_by_role("dialog").get_by_role("button", name="Erase").click()
    receipt = page.get_by_role("dialog", name="The source is erased.")
    expect(receipt).to_contain_text("These federations learned from it: family.")
    receipt.get_by_role("button", name="Done").click()
    page = laptop.visit(own, "federation")
    page.get_by_role("button", name="Leave and erase").click()
    dialog = page.get_by_role("dialog", name="Leave “family”?")
    expect(dialog).to_contain_text("cannot be taken back")
    dialog.get_by_role("button", name="Leave and erase").click()
    expect(page.get_by_role("heading", name="This device learns on its own")).to_be_visible()
    expect(page.get_by_text("You left “family”")).to_be_visible()
    with Federations.open() as found:
        assert found.all() == [] and found.rounds(ID) == []


def test_adapter_that_does_not_pass_ones_own_gate_is_not_used(
    own: House, laptop: Visitor, korean: Visitor, phone: Visitor, look: Look
) -> None:
    family(own)
    reasons = ["It answers fewer everyday questions soundly: 11 of 15."]
    refused = {"activates": False, "reasons": reasons, "rows": [ROW], "notes": []}
    with Federations.open() as found:
        found.adopt(ID, None, refused)
    laptop.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page = laptop.visit(own, "federation")
    expect(page.get_by_text("It did not pass your own gate.")).to_be_visible()
    expect(page.get_by_text(reasons[0])).to_be_visible()
    look(page, "federation-dark")
    assert violations(page) == []
    page = korean.visit(own, "federation")
    expect(page.get_by_role("heading", name="연합 학습")).to_be_visible()
    expect(page.get_by_text("내 평가를 통과하지 못했습니다.")).to_be_visible()
    look(page, "federation-korean")
    page = phone.visit(own, "federation")
    expect(page.get_by_role("table", name="Rounds")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    look(page, "federation-phone")


def test_round_that_is_held_now_is_shown_on_a_device_and_at_its_home(
    own: House, laptop: Visitor, phone: Visitor, look: Look
) -> None:
    one = family(own)
    with Federations.open() as found:
        found.note(ID, Round(4, {}, False, "", 12, 200, 300, 2.3, 2.2))
    now: dict[str, Any] = {"under_way": {"number": 4, "doing": "learns"}}
    nodes = [each.node for each in one.members]
    members = [
        {
            "pseudonym": each.pseudonym,
            "node": each.node,
            "device": f"{name}'s laptop",
            "joined_at": AT.format(1),
            "left_at": None,
        }
        for each, name in zip(one.members, ("Ann", "Bo", "Cy", "Di", "Ed"), strict=True)
    ]
    coordinated = {
        "id": "c" * 16,
        "name": "our clinic",
        "plan": plan().json() | {"digest": plan().digest},
        "state": "running",
        "is_running": True,
        "epsilon": {"spent": 1_610_981.72, "delta": 1e-5, "budget": None},
        "members": members,
        "safety_number": one.safety_number,
        "rounds": [
            {"number": 1, "at": AT.format(1), "clients": [], "failed": "Too few answered."},
            {"number": 2, "at": AT.format(2), "clients": nodes, "bytes_up": 5, "epsilon": 2.5},
        ],
        "under_way": {"number": 3, "doing": "adds", "clients": nodes},
    }

    def told(route: Any) -> None:
        said = route.fetch().json()
        said["federations"][0] |= now
        route.fulfill(json=said | {"coordinated": [coordinated]})

    for visitor in (laptop, phone):
        visitor.page.route("**/ondol/v1/federations", told)
    page = laptop.visit(own, "federation")
    expect(page.get_by_text("Round 4 is under way: this device is learning.")).to_be_visible()
    rounds = page.get_by_role("region", name="Rounds")
    expect(rounds).to_contain_text("3 of 5")
    expect(rounds.get_by_role("row").nth(1)).to_contain_text("under way")
    look(page, "federation-now")
    now = {"gate": {"state": "judging", "done": 40, "total": 160}}
    page.reload()
    gate = page.get_by_role("progressbar", name="Questions that the gate has asked")
    expect(gate).to_have_attribute("aria-valuenow", "25")
    expect(rounds.get_by_role("row").nth(1)).to_contain_text("home has not told yet")
    page.get_by_role("tab", name="our clinic (home)").click()
    expect(page.get_by_text("the updates of 5 devices are being added up")).to_be_visible()
    expect(page.get_by_text("ε = 1,610,982 so far")).to_be_visible()
    expect(rounds).to_contain_text("1 of 5")
    expect(rounds.get_by_role("row").nth(1)).to_contain_text("Bo's laptop")
    look(page, "federation-home")
    assert violations(page) == []
    coordinated |= {"is_running": False, "under_way": None}
    page = phone.visit(own, "federation")
    page.get_by_role("tab", name="our clinic (home)").click()
    expect(page.get_by_text("ondol home federation start 'our clinic'")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    look(page, "federation-home-phone")


def test_what_would_be_sent_is_shown_before_it_is(own: House, laptop: Visitor, look: Look) -> None:
    family(own, 0)
    told = {
        "num_examples": 12,
        "sources": [{"name": "letters", "num_examples": 12}],
        "length": 430_080,
        "bytes_up": 860_160,
        "bytes_down": 860_160,
        "epsilon": {"whole": 7.4, "spent": None, "delta": 1e-5, "budget": 8.0},
        "encoded": {"edges": [0, 128, 256, 384, 512], "counts": [1, 30, 28, 2]},
        "histogram": {"edges": [0, 128, 256, 384, 512], "counts": [15, 16, 14, 16]},
        **SIGHT,
    }
    page = laptop.page
    page.route("**/federations/*/preview", lambda route: route.fulfill(json=told))
    laptop.visit(own, "federation")
    expect(page.get_by_text("None yet. The first one begins")).to_be_visible()
    page.get_by_role("button", name="What would be sent").click()
    dialog = page.get_by_role("dialog", name="What the next round would send")
    expect(dialog.locator("dl")).to_contain_text("Numbers in one update430,080")
    expect(dialog).to_contain_text("The sum of all updates.")
    expect(dialog.get_by_role("figure")).to_have_count(2)
    look(page, "federation-preview")
    assert violations(page) == []
