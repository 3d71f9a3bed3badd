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
NAMES = (
    "Ada Ben Cleo Dan Eva Finn Gus Hana Ida Jon Kim Leo Mia Noa Ole Pia Quin Rosa Sam Tea".split()
)


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


@pytest.mark.model
def test_copies_are_one_item_and_the_same_words_in_another_receipt_are_another(
    embedder: OnnxEmbedder, tmp_path: Path
) -> None:
    receipt = "Receipt no. 1\n\n- lamp: 12 EUR\n\nThank you for your visit.\n"
    texts = {
        "a.txt": receipt,
        "b.txt": receipt,  # word for word the same file
        "c.md": "> " + receipt.replace("\n\n", "\n\n> "),  # quoted in a note
        "d.txt": receipt.replace("no. 1", "no. 2"),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    library = Library(IN_MEMORY, embedder)
    library.add([tmp_path])
    quotes = library.listing("List every lamp").quotes
    assert [Path(quote.source).name for quote in quotes] == ["a.txt", "d.txt"]
    assert {Path(source).name for source in quotes[0].also_in} == {"b.txt", "c.md"}
    hits = library.search_all("lamp")
    assert sorted(Path(hit.chunk.source).name for hit in hits) == ["a.txt", "d.txt"]
    library.close()


@pytest.mark.model
def test_items_under_a_heading_and_after_a_colon_are_listed_one_by_one(
    embedder: OnnxEmbedder,
) -> None:
    library = Library(IN_MEMORY, embedder)
    library.add_text("/a.md", "# Medication\n\n- Metformin 500 mg\n- Lisinopril 10 mg\n")
    library.add_text(
        "/b.md", "The medication of Ada:\n\n- Ibuprofen\n- Codeine\n\nShe sleeps well.\n"
    )
    library.add_text("/c.md", "# Garden\n\n- Roses\n- Tomatoes\n")
    texts = [quote.text.lstrip("- ") for quote in library.listing("List all medication").quotes]
    assert texts == ["Metformin 500 mg", "Lisinopril 10 mg", "Ibuprofen", "Codeine"]
    library.close()


@pytest.mark.model
@pytest.mark.parametrize(
    "question", ["List all zeppelins", "List all contracts with a zebra", "list"]
)
def test_nothing_is_listed_where_there_is_nothing(papers: Library, question: str) -> None:
    assert papers.listing(question).quotes == ()


@pytest.mark.parametrize(
    "question",
    [
        "List all contracts with a deposit", "which of my contracts allow a cat?",
        "Please show me every receipt from May", "What are all the places we visited?",
        "which documents mention the boiler?", "Give me a complete list of my invoices",
        "보증금이 있는 계약서를 모두 나열해줘", "커피를 산 영수증을 전부 찾아줘",
        "참석자 목록을 보여줘",
        "고양이를 키울 수 있는 계약서는 어떤 것들이 있나요?", "모든 병원 예약을 알려줘",
    ],
)  # fmt: skip
def test_question_for_everything_is_recognised(question: str) -> None:
    assert asks_for_all(question)


@pytest.mark.parametrize(
    "question",
    [
        "When was the boiler serviced?", "Which team won?", "What is the list price?",
        "How many contracts are there?", "Who is on the list?", "What is all this about?",
        "보증금은 얼마인가요?", "다음 회의는 언제야?", "목록은 어디에 있나요?",
        "방과후 수업은 몇 명보다 적으면 폐강되나요?", "어떤 서류를 받아 해결했나요?",
    ],
)  # fmt: skip
def test_question_for_one_thing_is_no_listing(question: str) -> None:
    assert not asks_for_all(question)


def test_kind_of_document_and_subject_are_told_apart() -> None:
    asked = wanted("List all contracts with a deposit")
    assert (asked.documents, "lease" in asked.kind, asked.subject) == (True, True, "with a deposit")
    asked = wanted("보증금이 있는 계약서를 모두 나열해줘")
    assert (asked.documents, "계약서" in asked.kind, asked.subject) == (True, True, "보증금이")
    assert wanted("보증금이 있는 계약서를 모두 나열해 주세요").subject == "보증금이"
    assert not wanted("List every lamp I bought").documents
