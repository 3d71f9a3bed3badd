"""The exception tree is what its docstring draws."""

from __future__ import annotations

import inspect
import re

import pytest

from ondol import errors
from ondol.errors import OndolError

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, OndolError)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda c: c.__name__)
def test_drawn_tree_tells_each_status_and_exit_code(kind: type[OndolError]) -> None:
    line = next(
        x for x in (errors.__doc__ or "").splitlines() if re.search(rf"\b{kind.__name__}\b", x)
    )
    status = re.search(r"\b[45]\d\d\b", line)
    assert status is not None
    assert int(status.group()) == kind.status
    if "exit" in line:
        assert int(line.split("exit")[1]) == kind.exit_code


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in CLASSES]
    assert len(set(codes)) == len(codes)


def test_error_carries_message_and_hint() -> None:
    error = OndolError("It broke.", "Mend it.")
    assert (str(error), error.message, error.hint) == ("It broke.", "It broke.", "Mend it.")
