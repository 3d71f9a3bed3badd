"""``ondol up --tls``: everything by TLS, from the command line on."""

from __future__ import annotations

import ssl

import httpx2
import pytest

from ondol import paths
from ondol.server.door.tls import AUTHORITY_NAME

pytestmark = pytest.mark.model


def test_up_with_tls_is_found_trusted_and_asked_by_the_other_commands(ondol, config) -> None:
    told = ondol("up", "--tls", "--port", 0)
    try:
        assert told.code == 0, told.stderr
        address = next(word for word in told.stdout.split() if word.startswith("https://"))
        assert "SHA-256" in told.stderr and "authority.crt" in told.stderr
        assert httpx2.get(f"{address}/ondol/v1/health", verify=False).json()["name"] == "ondol"
        assert ondol("up", "--quiet").stdout == f"{address}\n"
        assert ondol("ps", "--json").json == {"loaded": []}
        assert httpx2.get(address.replace("https", "http"), timeout=20).status_code == 400
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(address)
        trusted = ssl.create_default_context(cafile=paths.data_dir() / AUTHORITY_NAME)
        assert httpx2.get(address, verify=trusted).status_code == 200
    finally:
        assert ondol("down").code == 0


def test_half_a_certificate_is_said_before_anything_starts(ondol, config, tmp_path) -> None:
    for command in ("up", "serve"):
        told = ondol(command, "--tls-cert", tmp_path / "box.crt", "--port", 0)
        assert told.code == 2 and "server.tls_key" in told.stderr
        assert "Traceback" not in told.stderr
