"""``/v1/rerank`` as programs made for Jina and Cohere call it."""

from __future__ import annotations

from typing import Any

import pytest
from house import CHAT, House

from ondol.server.openai.rerank import MOST_DOCUMENTS

DOCUMENTS = ["The roses bloom in June.", "The boiler was serviced in March.", "A cat sleeps."]
QUERY = "보일러 boiler 점검 serviced"


def post(house: House, **body: Any) -> Any:
    with house.client() as client:
        return client.post("/v1/rerank", json=body)


def test_documents_come_back_in_the_order_in_which_they_fit(house: House) -> None:
    answer = post(house, query=QUERY, documents=DOCUMENTS).json()
    assert answer["model"] == "hybrid"
    assert answer["results"][0]["index"] == 1
    assert sorted(result["index"] for result in answer["results"]) == [0, 1, 2]
    scores = [result["relevance_score"] for result in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0.0 <= score <= 1.0 for score in scores)
    assert "document" not in answer["results"][0]


def test_only_the_best_and_their_texts_when_asked_for(house: House) -> None:
    documents = [{"text": DOCUMENTS[0]}, DOCUMENTS[1]]
    answer = post(
        house, model="hybrid", query=QUERY, documents=documents, top_n=1, return_documents=True
    ).json()
    (result,) = answer["results"]
    assert (result["index"], result["document"]) == (1, {"text": DOCUMENTS[1]})


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"query": "", "documents": DOCUMENTS}, 400, "query"),
        ({"query": "x"}, 400, "documents"),
        ({"query": "x", "documents": ["a"] * (MOST_DOCUMENTS + 1)}, 400, "documents"),
        ({"query": "x", "documents": DOCUMENTS, "model": "jina-reranker"}, 404, None),
        ({"query": "x", "documents": DOCUMENTS, "model": CHAT}, 400, "model"),
        ({"query": "x", "documents": DOCUMENTS, "top_n": 0}, 400, "top_n"),
    ],
)
def test_what_cannot_be_ranked_is_refused(
    house: House, body: dict[str, Any], status: int, param: str | None
) -> None:
    response = post(house, **body)
    assert response.status_code == status
    assert response.json()["error"]["param"] == param


def test_listing_and_search_for_all_over_http(house: House) -> None:
    for number in range(15):
        house.parts.library.add_text(
            f"/bill-{number:02}.txt", f"Bill {number}: one lamp, {number} EUR"
        )
    with house.client() as client:
        found = client.post("/ondol/v1/search", json={"query": "lamp", "all": True}).json()["hits"]
        body = {"question": "List all bills with a lamp", "stream": False}
        answer = client.post("/ondol/v1/ask", json=body).json()
    assert len(found) == 15
    assert found[0]["also_in"] == []
    assert [quote["source"] for quote in answer["quotes"]] == [
        f"/bill-{number:02}.txt" for number in range(15)
    ]
    assert answer["reasons"] == ["listing"]
    assert "15" in answer["answer"]
