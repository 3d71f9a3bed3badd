"""The only door: shut means shut, redirects included."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ondol.egress import Egress, is_loopback
from ondol.egress.addresses import resolve
from ondol.errors import EgressError
from ondol.types import Sensitivity


class Redirect(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", "http://models.example.org/weights.gguf")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def redirecting() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Redirect)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_offline_refuses_before_anything_is_sent() -> None:
    with pytest.raises(EgressError, match=r"example\.org") as caught:
        Egress(offline=True).check("https://example.org/x", "download")
    assert "offline" in caught.value.hint
    assert caught.value.exit_code == 6


def test_online_and_loopback_are_allowed() -> None:
    Egress().check("https://example.org/x", "download")
    Egress(offline=True).check("http://127.0.0.1:11435/x", "remote-model")


def test_redirect_out_of_the_house_is_refused_when_offline(redirecting: str) -> None:
    with (
        pytest.raises(EgressError, match=r"models\.example\.org"),
        Egress(offline=True).client(redirecting, "download") as client,
    ):
        client.get(redirecting)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9", "203.0.113.9"),
    ],
)
def test_address_has_one_spelling_and_is_asked_of_nobody(host: str, address: str) -> None:
    assert resolve(host, 443) == (address,)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("api.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("", False),
        ("127.0.0.1.example.org", False),
        ("localhost.example.org", False),
        ("notlocalhost", False),
        ("192.168.0.1", False),
        ("0.0.0.0", False),
        ("2130706433", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_offline_shuts_the_way_home_too_where_a_tunnel_may_begin() -> None:
    with pytest.raises(EgressError) as caught:
        Egress(offline=True).check(
            "https://127.0.0.1:11436/x", "home", sensitivity=Sensitivity.TRUSTED, pinned="00" * 32
        )
    assert "offline" in caught.value.hint
