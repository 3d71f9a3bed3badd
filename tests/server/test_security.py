"""The gate, tried as an attacker would."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx2
import pytest
from house import CHAT, House, scripted_house
from hypothesis import given
from hypothesis import strategies as st

from ondol.config import load
from ondol.errors import ConfigError
from ondol.server.door.access import Access, check_bind
from ondol.server.door.security import spoken

LOCAL = "127.0.0.1"
KEY = "correct horse — 열쇠"


@pytest.fixture(scope="module")
def locked_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server with a key, a small body limit, and one more host and origin."""
    environ = {
        "ONDOL_API_KEY": KEY,
        "ONDOL_MAX_BODY_MB": "1",
        "ONDOL_HOSTS": "Box.Tailnet.ts.net",
        "ONDOL_ORIGINS": "https://app.example/,chrome-extension://abcdef",
    }
    with scripted_house(tmp_path_factory.mktemp("locked"), environ) as house:
        yield house


def get(house: House, path: str = "/api/tags", **headers: str) -> httpx2.Response:
    with house.client() as client:
        raw = [(name.replace("_", "-"), value.encode()) for name, value in headers.items()]
        return client.get(path, headers=raw)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:80", "[::1]:11435", "ondol.localhost"],
)
def test_local_hosts_are_let_in(house: House, host: str) -> None:
    assert get(house, Host=host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost:80@evil.example",
        "evil.example#localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "[::]",
        "192.168.0.9",
        "169.254.169.254",
        "box.tailnet.ts.net",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/tags", "/v1/models", "/ondol/v1/health"])
def test_a_rebound_name_is_refused_everywhere(house: House, host: str, path: str) -> None:
    response = get(house, path, Host=host)
    assert response.status_code == 403
    assert "Host" in response.text


def test_configured_hosts_are_let_in(locked_house: House) -> None:
    assert get(locked_house, "/", Host="box.tailnet.TS.net:11435").status_code == 200
    assert get(locked_house, "/", Host="evil.ts.net").status_code == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:3000",
        "http://127.0.0.1:8080",
        "https://[::1]:9",
        "app://obsidian.md",
        "tauri://localhost",
        "vscode-webview://1abc",
    ],
)
def test_local_apps_are_let_in_by_name(house: House, origin: str) -> None:
    response = get(house, Origin=origin)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == origin
    assert "Origin" in response.headers["vary"]


def test_another_page_of_this_machine_reads_no_conversations(house: House) -> None:
    stranger, own = "http://localhost:3000", f"http://127.0.0.1:{house.port}"
    assert get(house, "/v1/models", Origin=stranger).status_code == 200
    assert get(house, "/ondol/v1/conversations", Origin=stranger).status_code == 403
    assert get(house, "/ondol/v1/conversations", Origin=own).status_code == 200
    assert get(house, "/ondol/v1/conversations", Origin="app://obsidian.md").status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "file://",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example:11435",
        "http://localhost@evil.example",
        "http://evil.example@localhost",
        "http://[::1",
        "chrome-extension://abcdef",
        "javascript://localhost",
        "*",
    ],
)
def test_foreign_pages_are_refused_and_get_no_cors_header(house: House, origin: str) -> None:
    with house.client() as client:
        for method in ("GET", "POST", "OPTIONS"):
            response = client.request(
                method,
                "/api/chat",
                headers={"Origin": origin, "Access-Control-Request-Method": "POST"},
                content="{}",
            )
            assert response.status_code == 403
            assert not [h for h in response.headers if h.startswith("access-control")]


def test_a_refused_request_never_reaches_the_engine(house: House) -> None:
    body = {"model": CHAT, "prompt": "x"}
    with house.client() as client:
        client.post("/api/generate", json=body, headers={"Origin": "https://evil.example"})
        client.post("/api/generate", json=body, headers={"Host": "evil.example"})
    assert house.pool.calls == []


def test_configured_origins_are_let_in(locked_house: House) -> None:
    for origin in ("https://app.example", "chrome-extension://abcdef"):
        response = get(locked_house, "/", Origin=origin)
        assert response.headers["access-control-allow-origin"] == origin
    assert get(locked_house, "/", Origin="https://app.example:444").status_code == 403


def test_a_page_that_hides_its_origin_is_refused_unless_it_is_a_visit(house: House) -> None:
    assert get(house, sec_fetch_site="cross-site", sec_fetch_mode="no-cors").status_code == 403
    assert get(house, "/", sec_fetch_site="cross-site", sec_fetch_mode="navigate").is_success
    assert get(house, sec_fetch_site="same-origin").is_success


def test_preflight_is_answered_for_allowed_origins_without_a_key(locked_house: House) -> None:
    with locked_house.client() as client:
        response = client.options(
            "/v1/chat/completions",
            headers={
                "Origin": "https://app.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization, x-stainless-lang",
                "Access-Control-Request-Private-Network": "true",
            },
        )
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == "https://app.example"
    assert "POST" in response.headers["access-control-allow-methods"]
    assert "x-stainless-lang" in response.headers["access-control-allow-headers"]
    assert response.headers["access-control-allow-private-network"] == "true"
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x"]
)
@pytest.mark.parametrize("path", ["/api/tags", "/v1/models", "/ondol/v1/documents", "/nothing"])
def test_without_the_key_nothing_opens(locked_house: House, path, authorization: str) -> None:
    response = get(locked_house, path, Authorization=authorization)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["error"]


def test_with_the_key_everything_opens(locked_house: House) -> None:
    for path in ("/api/tags", "/v1/models", "/ondol/v1/documents", "/openapi.json"):
        assert get(locked_house, path, Authorization=f"bearer {KEY}").status_code == 200
    for path in ("/", "/ondol/v1/health"):
        assert get(locked_house, path).status_code == 200


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer anything"])
def test_any_key_is_welcome_when_none_is_set(house: House, authorization: str) -> None:
    assert get(house, Authorization=authorization).status_code == 200


def test_an_empty_bearer_with_its_blank_is_welcome_when_no_key_is_set(house: House) -> None:
    with socket.create_connection(("127.0.0.1", house.port), timeout=20) as connection:
        request = "GET /api/tags HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \r\n\r\n"
        connection.sendall(request.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("hosts", ["", "Host: localhost\r\nHost: evil.example\r\n"])
def test_no_host_or_two_hosts_are_refused(house: House, hosts: str) -> None:
    with socket.create_connection(("127.0.0.1", house.port), timeout=20) as connection:
        connection.sendall(f"GET /api/tags HTTP/1.0\r\n{hosts}\r\n".encode())
        assert connection.recv(100).split()[1] in (b"400", b"403")


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/ondol/v1/ask"])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_that_is_too_large_is_a_413(locked_house, path: str, is_chunked: bool) -> None:
    content = b"x" * (1024 * 1024 + 1)
    with locked_house.client() as client:
        response = client.post(
            path,
            content=iter([content[:1000], content[1000:]]) if is_chunked else content,
            headers={"Authorization": f"Bearer {KEY}".encode()},
        )
    assert response.status_code == 413
    assert "1 MB" in response.text


def test_responses_carry_security_headers_and_no_wildcard(house: House) -> None:
    for path in ("/", "/api/tags", "/nothing"):
        headers = get(house, path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert "*" not in headers.get("access-control-allow-origin", "")
        assert "server" not in headers


def test_errors_speak_the_readers_language_only_on_our_own_routes(house: House) -> None:
    korean = {"Accept_Language": "ko-KR,ko;q=0.9,en;q=0.8"}
    assert "주소" in get(house, "/ondol/v1/nothing", **korean).json()["error"]["message"]
    assert "nothing at" in get(house, "/v1/nothing", **korean).json()["error"]["message"]
    assert "nothing at" in get(house, "/api/nothing", **korean).json()["error"]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("ko", "ko"),
        ("fr, ko;q=0.5, en;q=0.4", "ko"),
        ("en-US,en;q=0.9,ko;q=0.8", "en"),
        ("ko;q=0, en;q=0.1", "en"),
        ("ko;q=x", "en"),
        ("*", "en"),
    ],
)
def test_the_preferred_language_wins(header: str, language: str) -> None:
    assert spoken(header) == language


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "box.local"])
def test_listening_beyond_this_machine_needs_a_key(host: str) -> None:
    with pytest.raises(ConfigError, match="without a key"):
        check_bind(host, "")
    check_bind(host, "key")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_listening_on_loopback_needs_none(host: str) -> None:
    check_bind(host, "")


@pytest.mark.parametrize("name", ["ONDOL_ORIGINS", "ONDOL_HOSTS"])
def test_wildcards_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="wildcard"):
        Access.from_config(load(environ={name: "ok.example,*"}))


def test_the_address_a_request_came_in_on_is_a_host_of_ours() -> None:
    access = Access(api_key="k")
    assert access.allows_host("192.168.1.5:11435", "192.168.1.5")
    assert not access.allows_host("192.168.1.6:11435", "192.168.1.5")
    assert not access.allows_host("0.0.0.0", "0.0.0.0")


def test_the_name_the_server_was_told_to_listen_on_is_a_host_of_ours() -> None:
    access = Access.from_config(load(environ={"ONDOL_HOST": "box.local"}))
    assert access.allows_host("box.local:11435", "192.168.1.5")


@given(st.text(), st.text())
def test_no_header_breaks_the_rules(host: str, origin: str) -> None:
    access = Access(api_key="k")
    access.allows_host(host, "127.0.0.1")
    access.allows_origin(origin, "http", host)
    spoken(origin)


@given(st.binary(max_size=40))
def test_only_the_very_key_opens(key: bytes) -> None:
    sent = key.decode("latin-1")
    assert Access(api_key="k").allows_key(f"Bearer {sent}") == (sent.strip(" \t") == "k")
