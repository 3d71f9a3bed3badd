"""Releases in the forms of others: a bundle that nobody changes unseen, and an OCI layout."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ondol.errors import (
    HubError,
    HubNotFoundError,
    InvalidModelError,
    SigningError,
    UntrustedError,
    UsageError,
)
from ondol.hub.card import Card
from ondol.hub.interop import export_bundle, export_layout, make_key, verify_bundle
from ondol.hub.interop.bundles import RELEASE, SIGNATURE
from ondol.hub.release import Release, ReleaseFile
from ondol.hub.targets import Version

FILES = {"letters.gguf": ("weights", b"GGUF" * 500), "README.md": ("readme", b"# Letters\n")}


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def blobs(tmp_path: Path) -> Callable[[str], Path | None]:
    folder = tmp_path / "blobs"
    folder.mkdir()
    for _, content in FILES.values():
        (folder / digest(content)).write_bytes(content)

    def blob(of: str) -> Path | None:
        return folder / of if (folder / of).exists() else None

    return blob


@pytest.fixture
def release() -> Release:
    files = tuple(
        ReleaseFile(name, role, digest(content), len(content))
        for name, (role, content) in FILES.items()
    )
    card = Card(
        "model",
        "letters:1b",
        {name: role for name, (role, _) in FILES.items()},
        title="Letters",
        architecture="llama",
        parameters=1_234_000_000,
        quantization="Q4_K_M",
        licence="Apache-2.0",
        released_at="2026-11-01T09:00:00+00:00",
    )
    return Release("clinic", "letters", Version.of("1.2"), card, files)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "bundle.pem"
    make_key(file)
    return file


def public(key: Path) -> Path:
    return key.with_name("bundle.pem.pub")


class TestBundles:
    """With the library ``model-signing``, from the extra ``signing``."""

    @pytest.fixture(autouse=True)
    def library(self) -> None:
        pytest.importorskip("model_signing")

    @pytest.fixture
    def bundle(self, tmp_path: Path, release: Release, blobs: Any, key: Path) -> Path:
        export_bundle(release, blobs, tmp_path / "letters", key)
        return tmp_path / "letters"

    def test_what_is_exported_is_verified_by_us_and_by_the_library_itself(
        self, bundle: Path, release: Release, key: Path
    ) -> None:
        from model_signing import verifying

        found = verify_bundle(bundle, public(key))
        assert found.name == "letters"
        assert set(found.files) == {"letters.gguf", "README.md", RELEASE}
        assert found.files["letters.gguf"] == digest(FILES["letters.gguf"][1])
        assert json.loads((bundle / RELEASE).read_text()) == release.json()
        config = verifying.Config().use_elliptic_key_verifier(public_key=public(key))
        config.verify(bundle, bundle / SIGNATURE)

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            (lambda folder: flip(folder / "letters.gguf"), "letters.gguf"),
            (lambda folder: (folder / "README.md").unlink(), "README.md"),
            (lambda folder: (folder / "README.md").rename(folder / "READ.md"), "READ.md, README"),
            (lambda folder: (folder / "more.gguf").write_bytes(b"1"), "more.gguf"),
            # What the library passes over by itself.
            (lambda folder: write(folder / ".git" / "hooks" / "post-merge"), ".git/hooks"),
            (lambda folder: write(folder / ".gitattributes"), ".gitattributes"),
            (lambda folder: flip(folder / RELEASE), RELEASE),
        ],
    )
    def test_what_was_changed_is_named(
        self, bundle: Path, key: Path, change: Callable[[Path], object], named: str
    ) -> None:
        change(bundle)
        with pytest.raises(UntrustedError, match=named.replace(".", r"\.")):
            verify_bundle(bundle, public(key))

    def test_a_link_is_no_file(self, bundle: Path, key: Path, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        (bundle / "README.md").rename(outside)
        (bundle / "README.md").symlink_to(outside)
        with pytest.raises(UntrustedError, match="README"):
            verify_bundle(bundle, public(key))
        (bundle / "README.md").unlink()
        outside.rename(bundle / "README.md")
        (bundle / "elsewhere").symlink_to(tmp_path, target_is_directory=True)
        with pytest.raises(UntrustedError, match="elsewhere"):
            verify_bundle(bundle, public(key))
        (bundle / "elsewhere").unlink()
        os.mkfifo(bundle / "pipe")
        with pytest.raises(UntrustedError, match="pipe"):
            verify_bundle(bundle, public(key))

    def test_another_key_did_not_sign_it(self, bundle: Path, tmp_path: Path) -> None:
        other = make_key(tmp_path / "other.pem")
        with pytest.raises(UntrustedError, match="not signed with that key"):
            verify_bundle(bundle, other)

    def test_a_signature_that_is_none(self, bundle: Path, key: Path) -> None:
        whole = json.loads((bundle / SIGNATURE).read_text())
        envelope = whole["dsseEnvelope"]
        wrong: list[Any] = [
            None,
            [],
            {},
            {"dsseEnvelope": None},
            {**whole, "mediaType": "text/plain"},
            {**whole, "verificationMaterial": {}},
            {**whole, "verificationMaterial": {"certificate": {"rawBytes": "MQ=="}}},
            {**whole, "dsseEnvelope": {**envelope, "signatures": []}},
            {**whole, "dsseEnvelope": {**envelope, "signatures": [{"sig": "MQ==", "keyid": ""}]}},
            {**whole, "dsseEnvelope": {**envelope, "payload": "!"}},
            {**whole, "dsseEnvelope": {**envelope, "payload": base64.b64encode(b"{}").decode()}},
        ]
        statement = json.loads(base64.b64decode(envelope["payload"]))
        for change in ("predicate", "subject", "predicateType"):
            payload = json.dumps({**statement, change: {"resources": [{"name": 1}]}}).encode()
            changed = {**envelope, "payload": base64.b64encode(payload).decode()}
            wrong.append({**whole, "dsseEnvelope": changed})
        for one in wrong:
            (bundle / SIGNATURE).write_text(json.dumps(one))
            with pytest.raises(UntrustedError):
                verify_bundle(bundle, public(key))
        (bundle / SIGNATURE).write_bytes(b"\xff" * 100)
        with pytest.raises(UntrustedError):
            verify_bundle(bundle, public(key))
        with (bundle / SIGNATURE).open("wb") as sparse:
            sparse.truncate(9 << 20)
        with pytest.raises(UntrustedError):
            verify_bundle(bundle, public(key))
        (bundle / SIGNATURE).unlink()
        with pytest.raises(UsageError, match="no signature"):
            verify_bundle(bundle, public(key))

    def test_other_hashes_are_verified_and_shards_are_not(
        self, bundle: Path, key: Path, tmp_path: Path
    ) -> None:
        from model_signing import hashing, signing

        def signed(way: hashing.Config) -> Path:
            config = signing.Config().use_elliptic_key_signer(private_key=key)
            config.set_hashing_config(way).sign(bundle, tmp_path / "aside.sig")
            return tmp_path / "aside.sig"

        (bundle / SIGNATURE).unlink()
        way = hashing.Config().use_file_serialization(hashing_algorithm="blake3")
        assert "letters.gguf" in verify_bundle(bundle, public(key), signed(way)).files
        flip(bundle / "letters.gguf")
        with pytest.raises(UntrustedError):
            verify_bundle(bundle, public(key), tmp_path / "aside.sig")
        way = hashing.Config().use_shard_serialization(shard_size=700)
        with pytest.raises(UntrustedError, match="shards"):
            verify_bundle(bundle, public(key), signed(way))

    def test_a_locked_key_signs_with_its_passphrase(
        self, tmp_path: Path, release: Release, blobs: Any
    ) -> None:
        locked = tmp_path / "locked.pem"
        its_public = make_key(locked, "a long one")
        assert stat.S_IMODE(locked.stat().st_mode) == 0o600
        for wrong in ("", "another"):
            with pytest.raises(SigningError, match="passphrase"):
                export_bundle(release, blobs, tmp_path / "out", locked, wrong)
        assert not (tmp_path / "out").exists()
        export_bundle(release, blobs, tmp_path / "out", locked, "a long one")
        assert verify_bundle(tmp_path / "out", its_public).name == "out"
        with pytest.raises(SigningError, match="already"):
            make_key(locked)

    def test_keys_of_other_kinds_are_told_from_those_that_sign(
        self, tmp_path: Path, release: Release, blobs: Any, bundle: Path
    ) -> None:
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519

        for other in (
            ed25519.Ed25519PrivateKey.generate(),
            ec.generate_private_key(ec.SECP256K1()),
        ):
            private, its_public = tmp_path / "private", tmp_path / "public"
            private.write_bytes(
                other.private_bytes(
                    form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
                )
            )
            its_public.write_bytes(
                other.public_key().public_bytes(
                    form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
                )
            )
            with pytest.raises(SigningError, match="P-256"):
                export_bundle(release, blobs, tmp_path / "out", private)
            with pytest.raises(UsageError, match="P-256"):
                verify_bundle(bundle, its_public)
        for none in (bundle / "README.md", tmp_path / "nowhere"):
            with pytest.raises(SigningError):
                export_bundle(release, blobs, tmp_path / "out", none)
            with pytest.raises(UsageError, match="public key"):
                verify_bundle(bundle, none)
        with pytest.raises(UsageError, match="no folder"):
            verify_bundle(bundle / "README.md", public_of_any(tmp_path), bundle / SIGNATURE)

    def test_what_is_not_whole_does_not_go_out(
        self, tmp_path: Path, release: Release, blobs: Any, key: Path, bundle: Path
    ) -> None:
        with pytest.raises(UsageError, match="new folder"):
            export_bundle(release, blobs, bundle, key)
        blob = blobs(release.files[0].digest)
        flip(blob)
        with pytest.raises(InvalidModelError):
            export_bundle(release, blobs, tmp_path / "out", key)
        blob.unlink()
        with pytest.raises(HubNotFoundError):
            export_bundle(release, blobs, tmp_path / "out", key)
        taken = ReleaseFile(SIGNATURE, "readme", digest(b""), 0)
        named = Release("clinic", "letters", release.version, release.card, (taken,))
        with pytest.raises(HubError, match=SIGNATURE):
            export_bundle(named, blobs, tmp_path / "out", key)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["blobs", "letters"]


def test_without_the_library_it_says_what_to_install(
    tmp_path: Path, release: Release, blobs: Any, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ondol.hub.interop.bundles.find_spec", lambda name: None)
    for attempt in (
        lambda: export_bundle(release, blobs, tmp_path / "out", key),
        lambda: verify_bundle(tmp_path, public(key)),
    ):
        with pytest.raises(UsageError) as said:
            attempt()
        assert "ondol[signing]" in said.value.hint


def test_a_layout_has_what_its_index_says_and_each_file_as_it_was_signed(
    tmp_path: Path, release: Release, blobs: Any
) -> None:
    manifest_digest = export_layout(release, blobs, tmp_path / "layout")
    folder = tmp_path / "layout"
    assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads((folder / "index.json").read_text())["manifests"]
    assert entry["digest"] == manifest_digest
    manifest = described(folder, entry)
    config = described(folder, manifest["config"])
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    kinds = {
        layer["annotations"]["org.cncf.model.filepath"]: layer["mediaType"]
        for layer in manifest["layers"]
    }
    assert kinds == {
        "letters.gguf": "application/vnd.cncf.model.weight.v1.raw",
        "README.md": "application/vnd.cncf.model.doc.v1.raw",
    }
    for layer, file in zip(manifest["layers"], release.files, strict=True):
        assert layer["digest"] == file.digest
        assert content_of(folder, layer) == FILES[file.name][1]
    assert config["modelfs"]["diffIds"] == [file.digest for file in release.files]
    assert config["descriptor"]["licenses"] == ["Apache-2.0"]
    assert config["config"]["paramSize"] == "1.2B"
    stored = {path.name for path in (folder / "blobs" / "sha256").iterdir()}
    assert len(stored) == 2 + len(release.files)
    again = export_layout(release, blobs, tmp_path / "again")
    assert again == manifest_digest, "the same release is the same manifest"


def test_a_layout_of_what_is_damaged_is_not_begun(
    tmp_path: Path, release: Release, blobs: Any
) -> None:
    flip(blobs(release.files[1].digest))
    with pytest.raises(InvalidModelError):
        export_layout(release, blobs, tmp_path / "layout")
    assert [path.name for path in tmp_path.iterdir()] == ["blobs"]


def content_of(folder: Path, descriptor: dict[str, Any]) -> bytes:
    """The blob that a descriptor names, of its size and digest."""
    content = (folder / "blobs" / "sha256" / descriptor["digest"].split(":")[1]).read_bytes()
    assert descriptor["digest"] == digest(content)
    assert descriptor["size"] == len(content)
    return content


def described(folder: Path, descriptor: dict[str, Any]) -> Any:
    return json.loads(content_of(folder, descriptor))


def public_of_any(folder: Path) -> Path:
    return make_key(folder / "any.pem")


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def write(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("not signed")
