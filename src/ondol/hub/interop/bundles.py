"""OpenSSF model-signing bundles: a folder of files and one signature over all of their hashes.

The signature is a Sigstore bundle around a DSSE envelope around an in-toto statement
(https://github.com/ossf/model-signing-spec); the library ``model-signing`` makes and reads it,
with a key and without Sigstore's servers. It says who signed which bytes, and nothing about their
age: no update is taken by it. Beside what the library checks, nothing unsigned may lie in the
folder: the library itself passes over ``.git`` and whatever a signature tells it to ignore.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ondol.errors import HubError, UntrustedError, UsageError
from ondol.hub.interop import bundle_keys
from ondol.hub.interop.gathering import BlobOf, copy, new_folder
from ondol.hub.release import Release
from ondol.i18n import t
from ondol.models.blobs import digest_of

SIGNATURE = "model.sig"
RELEASE = "ondol-release.json"
LONGEST_SIGNATURE_BYTES = 8 << 20
NAMED = 3


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that is whole: its folder, the name that was signed (a folder's name, no more than
    a hint), and the files by their paths within it, with their digests (``sha256:…``)."""

    folder: Path
    name: str
    files: Mapping[str, str]


def export_bundle(
    release: Release, blob_of: BlobOf, folder: Path, key: Path, passphrase: str = ""
) -> Bundle:
    """Put the files of ``release``, what its publisher said of them and a signature made with
    ``key`` into the new ``folder``; HubError, UsageError, SigningError, StorageError."""
    _require_library()
    bundle_keys.check_private(key, passphrase)
    taken = {SIGNATURE, RELEASE} & {file.name for file in release.files}
    if taken:
        raise HubError(t("hub_interop.name_taken", file=taken.pop()))
    with new_folder(folder) as gathering:
        # The library takes the name of the folder for the model's.
        inside = gathering / folder.absolute().name
        inside.mkdir()
        for file in release.files:
            copy(file, blob_of, inside / file.name)
        (inside / RELEASE).write_text(
            json.dumps(release.json(), ensure_ascii=False, indent=1, sort_keys=True) + "\n",
            encoding="utf-8",
        )
        _sign(inside, key, passphrase)
        for part in list(inside.iterdir()):
            part.rename(gathering / part.name)
        inside.rmdir()
    signed = _statement((folder / SIGNATURE).read_bytes())
    return Bundle(folder, str(signed["subject"][0]["name"]), _digests(signed))


def verify_bundle(folder: Path, public_key: Path, signature: Path | None = None) -> Bundle:
    """The bundle in ``folder`` if the owner of ``public_key`` signed exactly what lies there; else
    UntrustedError that says what is wrong. ``signature`` is the file ``model.sig`` in it unless it
    is said."""
    _require_library()
    bundle_keys.check_public(public_key)
    signature = signature or folder / SIGNATURE
    content = _read(signature)
    present = set(_files(folder))
    if signature.absolute().is_relative_to(folder.absolute()):
        present.discard(signature.absolute().relative_to(folder.absolute()).as_posix())
    trouble = _trouble(folder, content, public_key)
    signed = _statement(content)
    digests = _digests(signed)
    wrong = sorted(
        {name for name in digests if name not in present}
        | {name for name in present if name not in digests}
        | {
            name
            for name, digest in digests.items()
            if trouble and name in present and digest and digest_of(folder / name) != digest
        }
    )
    if wrong:
        shown = ", ".join(wrong[:NAMED]) + (" …" if len(wrong) > NAMED else "")
        raise UntrustedError(t("hub_interop.changed", files=shown), t("hub_interop.not_taken"))
    if trouble:
        raise UntrustedError(
            t("hub_interop.not_signed"), t("hub_interop.not_signed_hint")
        ) from trouble
    return Bundle(folder, str(signed["subject"][0]["name"]), digests)


def _sign(folder: Path, key: Path, passphrase: str) -> None:
    from model_signing import hashing, signing

    # The signature cannot sign itself; and nothing else is passed over, as .git is by default.
    hashed = hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)
    # It says that a passphrase is text, and hands it on to what takes bytes.
    secret: Any = passphrase.encode() or None
    config = signing.Config().use_elliptic_key_signer(private_key=key, password=secret)
    config.set_hashing_config(hashed).sign(folder, folder / SIGNATURE)


def _trouble(folder: Path, content: bytes, public_key: Path) -> Exception | None:
    """What the library finds wrong with a signature over ``folder``."""
    from model_signing import verifying

    with TemporaryDirectory() as aside:
        # It reads a file, and what is judged afterwards must be what it read.
        file = Path(aside) / SIGNATURE
        file.write_bytes(content)
        try:
            config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
            config.verify(folder, file)
        except Exception as error:
            # It says ValueError, and raises whatever a malformed signature leads it to.
            return error
    return None


def _statement(content: bytes) -> dict[str, Any]:
    """What a signature is over, which is not yet believed; UntrustedError where it is nothing."""
    try:
        envelope = json.loads(content)["dsseEnvelope"]
        statement = json.loads(base64.b64decode(envelope["payload"], validate=True))
        if not statement["subject"][0]["name"] or not statement["predicate"]["resources"]:
            raise ValueError("empty")
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise _malformed() from error
    return dict(statement)


def _digests(statement: Mapping[str, Any]) -> dict[str, str]:
    """The digest of each signed file; empty where another hash than SHA-256 was used."""
    try:
        predicate = statement["predicate"]
        if predicate["serialization"]["method"] != "files":
            # model-signing 1.1.1 cannot verify what it signed by shards: their length comes back
            # from JSON as a fraction.
            raise UntrustedError(t("hub_interop.in_shards"), t("hub_interop.in_shards_hint"))
        return {
            one["name"]: f"sha256:{one['digest']}" if one["algorithm"] == "sha256" else ""
            for one in predicate["resources"]
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise _malformed() from error


def _files(folder: Path) -> Iterator[str]:
    """All that lies in ``folder``; UntrustedError where something is neither a file nor a folder
    of files, for a link would be followed by whoever loads it."""
    if not folder.is_dir():
        raise UsageError(t("hub_interop.no_bundle", folder=folder))
    for directory, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(directory) / name
            plain = path.is_file() or (name in folders and path.is_dir())
            if path.is_symlink() or not plain:
                raise UntrustedError(
                    t("hub_interop.no_plain_file", file=path.relative_to(folder)),
                    t("hub_interop.not_taken"),
                )
        for name in files:
            yield (Path(directory) / name).relative_to(folder).as_posix()


def _read(signature: Path) -> bytes:
    try:
        with signature.open("rb") as stream:
            content = stream.read(LONGEST_SIGNATURE_BYTES + 1)
    except OSError as error:
        raise UsageError(t("hub_interop.no_signature", file=signature)) from error
    if len(content) > LONGEST_SIGNATURE_BYTES:
        raise _malformed()
    return content


def _malformed() -> UntrustedError:
    return UntrustedError(t("hub_interop.malformed"), t("hub_interop.not_taken"))


def _require_library() -> None:
    if find_spec("model_signing") is None:
        raise UsageError(t("hub_interop.no_library"), t("hub_interop.no_library_hint"))
