"""``ondol key``, as the owner uses it."""

from __future__ import annotations

import pytest

from ondol import paths


def test_a_key_is_shown_once_and_never_again(ondol) -> None:
    made = ondol("key", "create", "editor", "--expires", "90d", "--collection", "notes")
    assert made.code == 0
    secret = made.stdout.strip()
    assert secret.startswith("ondol-key-") and "\n" not in secret
    assert secret not in made.stderr and "notes" in made.stderr and "server.api_key" in made.stderr
    hidden = secret.split("-", 3)[3]
    for arguments in (["list"], ["show", "editor"], ["list", "--json"], ["revoke", "editor"]):
        told = ondol("key", *arguments)
        assert told.code == 0 and hidden not in told.stdout + told.stderr, arguments
    everything = b"".join(f.read_bytes() for f in paths.data_dir().rglob("*") if f.is_file())
    assert hidden.encode() not in everything


def test_what_a_key_opens_is_listed(ondol) -> None:
    ondol("key", "create", "a b", "--dialect", "openai", "--model", "x:1b", "--all-collections")
    ondol("key", "create", "bot", "--max-running", 2, "--per-minute", 30, "--manage-models")
    newest, oldest = ondol("key", "list", "--json").json["keys"]
    assert (newest["name"], oldest["name"]) == ("bot", "a b")
    assert (oldest["dialects"], oldest["models"], oldest["collections"]) == (
        ["openai"],
        ["x:1b"],
        None,
    )
    assert newest["collections"] == [] and newest["manages_models"]
    shown = ondol("key", "show", newest["prefix"]).stdout
    assert "30" in shown and "2" in shown and "valid" in shown
    assert ondol("key", "list", "--quiet").stdout == "bot\na b\n"


def test_a_key_is_revoked_and_forgotten_and_its_name_is_free(ondol) -> None:
    ondol("key", "create", "editor")
    taken = ondol("key", "create", "editor")
    assert taken.code == 2 and "editor" in taken.stderr
    assert ondol("key", "revoke", "editor", "--json").json["state"] == "revoked"
    assert ondol("key", "create", "editor").code == 2
    assert ondol("key", "rm", "editor").code == 0
    assert ondol("key", "create", "editor").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["create"],
        ["create", " "],
        ["create", "x", "--dialect", "smtp"],
        ["create", "x", "--expires", "tomorrow"],
        ["create", "x", "--max-running", "0"],
        ["create", "x", "--collection", "a", "--all-collections"],
    ],
)
def test_what_no_key_can_be_is_a_sentence(ondol, arguments: list[str]) -> None:
    refused = ondol("key", *arguments)
    assert refused.code == 2 and refused.stderr and "Traceback" not in refused.stderr
    assert ondol("key", "list", "--json").json == {"keys": []}


def test_an_unknown_key_is_not_repeated(ondol) -> None:
    secret = "ondol-key-0123456789ab-" + "s" * 43
    for word in ("show", "revoke", "rm"):
        refused = ondol("key", word, secret)
        assert refused.code == 1 and secret not in refused.stderr and "key list" in refused.stderr


def test_the_first_list_says_how_to_make_one(ondol) -> None:
    assert "ondol key create" in ondol("key", "list").stderr
    assert "ondol key create" in ondol("key", "list", ONDOL_LANGUAGE="ko").stderr
