"""A listing names everything that fits, nothing twice and nothing else, in English and Korean."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ondol.database import IN_MEMORY
from ondol.retrieval.asked import asks_for_all, wanted
from ondol.retrieval.embedding import OnnxEmbedder
from ondol.retrieval.library import Library
from ondol.types import Evidence

CLAUSES = {
    "cat": "The tenant may keep one cat in the flat.",
    "deposit": "A deposit of {sum} euros is due before the tenant moves in.",
    "garden": "The garden behind the house is shared with the neighbours.",
    "parking": "Parking space {number} belongs to the flat.",
    "notice": "Either side may end the lease with a notice of three months.",
    "heating": "Heating costs are paid in advance every month.",
}
GOODS = ("coffee beans", "printer paper", "light bulbs", "garden hose", "olive oil", "batteries")
SHOPS = ("Alder & Sons", "Bright Market", "Corner Store", "Dover Trading")
KOREAN_GOODS = ("커피 원두", "복사 용지", "전구", "우산", "건전지")
NAMES = "Ada Ben Cleo Dan Eva Finn Gus Hana Ida Jon Kim Leo Mia Noa Ole Pia Quin Rosa Sam Tea".split()


class Written:
    """60 documents, 20 of each kind, and which of them hold what."""

    def __init__(self, folder: Path) -> None:
        self.holding: dict[str, set[str]] = {}
        chance = random.Random(4)
        for number in range(20):
            self._lease(folder / f"lease-{number:02}.md", number, chance)
            self._receipt(folder / f"receipt-{number:02}.txt", number, chance)
            self._korean(folder / f"영수증-{number:02}.txt", number, chance)

    def _write(self, file: Path, text: str, holds: list[str]) -> None:
        file.write_text(text, encoding="utf-8")
        for what in holds:
            self.holding.setdefault(what, set()).add(file.name)

    def _lease(self, file: Path, number: int, chance: random.Random) -> None:
        chosen = chance.sample(sorted(CLAUSES), 3)
        body = "\n\n".join(
            CLAUSES[name].format(sum=1000 + number * 50, number=number) for name in chosen
        )
        text = (
            f"# Lease {number}\n\nThis contract is between the landlord and {NAMES[number]} Smith. "
            f"The rent is {700 + number * 10} euros a month.\n\n{body}\n"
        )
        self._write(file, text, [f"lease:{name}" for name in chosen])

    def _receipt(self, file: Path, number: int, chance: random.Random) -> None:
        bought, shop = chance.sample(GOODS, 2), SHOPS[number % 4]
        lines = "\n".join(f"- {good}: {3 + number}.{number:02} EUR" for good in bought)
        text = f"Receipt no. {number}\n\n{shop}\n\n{lines}\n\nThank you for your visit.\n"
        self._write(file, text, [f"receipt:{g}" for g in bought] + [f"receipt:{shop}"])

    def _korean(self, file: Path, number: int, chance: random.Random) -> None:
        bought = chance.sample(KOREAN_GOODS, 2)
        lines = "\n".join(f"- {good} {3 + number},{number:02}0원" for good in bought)
        text = f"영수증 제{number}호\n\n{lines}\n\n이용해 주셔서 감사합니다.\n"
        self._write(file, text, [f"영수증:{good}" for good in bought])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Written]:
    folder = tmp_path_factory.mktemp("papers")
    return folder, Written(folder)


@pytest.fixture(scope="module")
def papers(written: tuple[Path, Written], embedder: OnnxEmbedder) -> Library:
    library = Library(IN_MEMORY, embedder)
    report = library.add([written[0]])
    assert report.added == 60
    return library


def names(evidence: Evidence) -> list[str]:
    return [Path(quote.source).name for quote in evidence.quotes]


@pytest.mark.model
@pytest.mark.parametrize(
    ("question", "what"),
    [
        ("List all contracts that allow a cat.", "lease:cat"),
        ("Which of my leases have a deposit?", "lease:deposit"),
        ("Which contracts mention a garden?", "lease:garden"),
        ("Show me every lease with a parking space", "lease:parking"),
        ("Give me a list of the contracts with a notice of three months", "lease:notice"),
        ("List all receipts with coffee beans", "receipt:coffee beans"),
        ("which of my receipts have printer paper?", "receipt:printer paper"),
        ("Find all receipts from Dover Trading", "receipt:Dover Trading"),
        ("List every garden hose I bought", "receipt:garden hose"),
        ("List all olive oil", "receipt:olive oil"),
        ("커피 원두를 산 영수증을 모두 나열해줘", "영수증:커피 원두"),
        ("우산이 있는 영수증을 전부 찾아줘", "영수증:우산"),
        ("건전지 산 것 목록 보여줘", "영수증:건전지"),
        ("내 영수증 중에서 복사 용지가 나오는 것은?", "영수증:복사 용지"),
    ],
)
def test_listing_names_all_and_nothing_twice_and_no_others(
    papers: Library, written: tuple[Path, Written], question: str, what: str
) -> None:
    assert papers.asks_for_all(question)
    found = names(papers.listing(question))
    assert len(found) == len(set(found))
    assert set(found) == written[1].holding[what]
    assert found == sorted(found)
