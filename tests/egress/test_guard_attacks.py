"""Ways round the guard that were found by looking for them."""

from __future__ import annotations

import pytest
from test_guard import NAME, SOMEBODY, run


def test_no_name_is_looked_up_to_be_listened_on() -> None:
    """Every name that is looked up tells a server of it, what for does not matter."""
    script = """
try:
    socket.socket().bind((sys.argv[1], 0))
except OSError as error:
    kind = type(error).__name__
say(kind=kind)
"""
    said = run(script, NAME)
    assert said["kind"] == "UnpermittedError"
    assert said["passages"] == [[f"{NAME}:0", False, "no_permit", 0]]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "localhost", ""])
def test_own_addresses_may_be_listened_on(host: str) -> None:
    script = """
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family) as one:
    one.bind((sys.argv[1], 0))
    say(port=one.getsockname()[1])
"""
    said = run(script, host)
    assert said["port"] and said["passages"] == []


def test_own_server_is_on_this_machine_whatever_a_file_says() -> None:
    """The address of the running server is read from a file; questions must not follow it out."""
    script = """
with guard.own_server(f"http://{sys.argv[1]}:9"):
    try:
        socket.create_connection((sys.argv[1], 9), 2)
    except OSError as error:
        kind = type(error).__name__
say(kind=kind)
"""
    said = run(script, SOMEBODY)
    assert said["kind"] == "UnpermittedError"
    assert said["passages"] == [[f"{SOMEBODY}:9", False, "no_permit", 0]]
