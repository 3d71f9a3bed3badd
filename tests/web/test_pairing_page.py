"""Pairing as it happens: a computer with the page open, and a phone that comes by TLS."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from app_pages import wait_for
from house import House, scripted_house
from playwright.sync_api import Page, Playwright, expect
from test_accessible import violations
from visiting import PHONE, Visitor, chromium, visitor

from ondol import paths
from ondol.server.door.authority import CERTIFICATE_NAME

KEEPS_APP = True

NAME = "box.local"
ANDROID = (
    "Mozilla/5.0 (Linux; Android 14; SM-S921N) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/150.0.0.0 Mobile Safari/537.36"
)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    environ = {"ONDOL_PHONE_PORT": "0", "ONDOL_PHONE_ADDRESS": NAME}
    with scripted_house(tmp_path, environ) as house:
        yield house


@contextmanager
def handset(playwright: Playwright, *, trusts: bool) -> Iterator[Visitor]:
    """A phone in the same network, which trusts the certificate or went past the warning."""
    arguments = ["--no-sandbox", f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]
    if trusts:
        arguments.append(f"--ignore-certificate-errors-spki-list={key_of_certificate()}")
    browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
    how = {"viewport": PHONE, "has_touch": True, "is_mobile": True, "user_agent": ANDROID}
    visitors = visitor(browser, keeps_app=True, ignore_https_errors=not trusts, **how)
    yield next(visitors)
    for _ in visitors:
        pass
    browser.close()


def key_of_certificate() -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    certificate = x509.load_pem_x509_certificate((paths.data_dir() / CERTIFICATE_NAME).read_bytes())
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


def open_door(laptop: Visitor, house: House) -> tuple[Page, str]:
    """The page at the computer, and the code that it shows."""
    page = laptop.visit(house, "pair")
    page.get_by_role("button", name="Let my phone in").click()
    code = page.get_by_label("Code", exact=True).text_content()
    assert code
    return page, code


def test_a_phone_is_paired_by_the_code_and_removed_again(
    house: House, laptop: Visitor, playwright: Playwright, look: Callable[[Page, str], None]
) -> None:
    page, code = open_door(laptop, house)
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    look(page, "pair")
    assert not (found := violations(page)), "\n".join(found)
    port = house_port(house)
    with handset(playwright, trusts=True) as phone:
        phone.allowed.append("401")
        phone.origin = f"https://{NAME}:{port}"
        other = phone.page
        other.goto(f"{phone.origin}/#/pair?code={code}")
        expect(other.get_by_role("heading", name="This device is paired")).to_be_visible()
        # The code is neither in the address nor one step back.
        assert other.url.endswith("#/pair")
        look(other, "paired")
        assert not (found := violations(other)), "\n".join(found)
        # At the computer it is seen without doing anything, and another code is shown.
        expect(page.get_by_role("listitem").filter(has_text="SM-S921N")).to_be_visible()
        expect(page.get_by_label("Code", exact=True)).not_to_have_text(code)
        # The phone's app works, and keeps its key.
        other.reload()
        expect(other.get_by_role("button", name="Unpair")).to_be_visible()
        # With a certificate that it trusts, it keeps the app too.
        other.wait_for_function("navigator.serviceWorker.ready.then(() => true)")

        page.get_by_role("button", name="Remove SM-S921N").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        expect(page.get_by_text("SM-S921N")).to_have_count(0)
        told = other.evaluate(
            "fetch('/ondol/v1/models', { headers: { Authorization:"
            " 'Bearer ' + JSON.parse(localStorage['ondol.key']) } }).then((r) => r.status)"
        )
        assert told == 401


def test_a_code_that_was_used_is_said_on_the_phone_and_typed_anew(
    house: House, laptop: Visitor, playwright: Playwright
) -> None:
    _, code = open_door(laptop, house)
    with handset(playwright, trusts=False) as phone:
        phone.allowed += ["403", "401", "SSL certificate error"]
        phone.origin = f"https://{NAME}:{house_port(house)}"
        other = phone.page
        other.goto(f"{phone.origin}/#/pair?code=AAAAA-AAAAA")
        expect(other.get_by_role("alert")).to_contain_text("never made")
        other.get_by_label("Code", exact=True).fill(code.lower())
        other.get_by_role("button", name="Pair", exact=True).click()
        expect(other.get_by_role("heading", name="This device is paired")).to_be_visible()
        # It went past the warning, so that it cannot be installed: it says what to do.
        link = other.get_by_role("link", name="Get the certificate")
        expect(link).to_be_visible()
        assert link.get_attribute("href") == "/ondol/v1/pairing/certificate"
        expect(other.get_by_text("CA certificate")).to_be_visible()
        other.get_by_role("button", name="Unpair").click()
        expect(other.get_by_label("Code", exact=True)).to_be_visible()


def test_a_phone_without_a_key_is_led_to_the_code(
    house: House, laptop: Visitor, playwright: Playwright
) -> None:
    open_door(laptop, house)
    with handset(playwright, trusts=True) as phone:
        phone.allowed.append("401")
        phone.origin = f"https://{NAME}:{house_port(house)}"
        other = phone.page
        other.goto(f"{phone.origin}/#/settings")
        other.get_by_role("link", name="I have a code").click()
        wait_for(other, "pair")
        expect(other.get_by_label("Code", exact=True)).to_be_visible()


def test_the_door_is_closed_again(house: House, laptop: Visitor) -> None:
    page, _ = open_door(laptop, house)
    page.get_by_role("button", name="Let no phone in").click()
    expect(page.get_by_role("button", name="Let my phone in")).to_be_visible()
    with house.client() as client:
        assert client.get("/ondol/v1/pairing").json() == {"open": False}


def house_port(house: House) -> int:
    with house.client() as client:
        address = client.get("/ondol/v1/pairing").json()["address"]
    return int(address.rpartition(":")[2])
