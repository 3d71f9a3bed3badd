"""The documentation and the OpenAPI document say what the server does."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import FastAPI
from house import House

from ondol.server.anthropic import routes as anthropic
from ondol.server.app import create_app
from ondol.server.native import routes as native
from ondol.server.ollama import embed as ollama_embed
from ondol.server.ollama import models as ollama_models
from ondol.server.ollama import routes as ollama
from ondol.server.ollama.models import OLLAMA_VERSION
from ondol.server.openai import rerank
from ondol.server.openai import routes as openai

DOCS = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
DOCUMENTED = set(re.findall(r"`((?:GET|HEAD|POST|PUT|PATCH|DELETE) /[^`\s]*)`", DOCS))


def routes_of(app: FastAPI) -> set[str]:
    """``GET /api/tags`` and so on, from the OpenAPI document."""
    return {
        f"{method.upper()} {path}"
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }


def test_every_route_is_in_the_docs_and_nothing_else(house: House) -> None:
    assert routes_of(create_app(house.parts)) == DOCUMENTED - {"GET /openapi.json"}


def test_every_route_explains_itself_in_the_openapi_document(house: House) -> None:
    app = create_app(house.parts)
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), f"{method} {path}"


def test_every_route_is_in_the_openapi_document(house: House) -> None:
    served = {"GET /"}
    for module in (ollama, ollama_embed, ollama_models, openai, anthropic, rerank, native):
        for route in module.router(house.parts).routes:
            path = re.sub(r":\w+}", "}", route.path)
            if route.include_in_schema:
                served |= {f"{method} {path}" for method in route.methods}
    assert served == routes_of(create_app(house.parts))


def test_the_documented_ollama_version_is_the_one_reported() -> None:
    assert f"Ollama {OLLAMA_VERSION}" in DOCS


def test_the_openapi_document_is_served(house: House) -> None:
    with house.client() as client:
        assert client.get("/openapi.json").json()["info"]["title"] == "Ondol"
        assert client.get("/docs").status_code == 404
