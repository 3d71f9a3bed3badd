"""What the OpenAPI document promises is what the server does: schemathesis, some seconds of it.

``benchmarks/fuzz`` runs it for long.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from house import House, scripted_house
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# They reach out, open a door, read folders or wait for what never comes.
ELSEWHERE = (
    r"/blobs/|pull|pairing|onboarding|/settings|browse|audio|folders|sync|/documents$|events$"
    r"|engines/build"
)

# An honest 501.
ABSENT = ("/v1/images/generations", "/v1/moderations", "/v1/audio/speech")


@pytest.fixture(scope="module")
def whole_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with scripted_house(tmp_path_factory.mktemp("house")) as house:
        yield house


def operations(house: House) -> list[schemathesis.APIOperation]:
    loaded = schemathesis.openapi.from_url(f"{house.url}/openapi.json")
    return [found.ok() for found in loaded.exclude(path_regex=ELSEWHERE).get_all_operations()]


def told_wrong(operation: schemathesis.APIOperation) -> str:
    """What the server did otherwise than ``operation`` says."""
    checks = CHECKS if operation.path in ABSENT else [not_a_server_error, *CHECKS]

    @settings(
        max_examples=3,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def does_what_it_says(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=checks)

    try:
        does_what_it_says()
    except (FailureGroup, Failure) as failure:
        told = getattr(failure, "exceptions", [failure])
        return f"{operation.label}: {[str(one)[:300] for one in told]}"
    return ""


def test_every_endpoint_does_what_its_description_says(whole_house: House) -> None:
    tried = operations(whole_house)
    assert len(tried) > 60
    failures = [told for operation in tried if (told := told_wrong(operation))]
    assert not failures, "\n\n".join(failures)


def test_the_document_knows_every_failure_by_its_dialects_shape(whole_house: House) -> None:
    with whole_house.client() as client:
        document = client.get("/openapi.json").json()
    assert "HTTPValidationError" not in str(document)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            told = str(operation["responses"]["default"])
            assert ("OndolError" in told) == path.startswith("/ondol/")
            is_never_done = path == "/api/push"
            assert is_never_done or any(code[0] == "2" for code in operation["responses"])
