"""Receipts of forgetting: what was removed and what the search found, signed by the workspace (Ed25519).

A receipt holds no user id, only keyed hashes. It proves that this workspace said so and that nobody changed
it since; not that the workspace told the truth: whoever holds its key can sign anything.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from freshet.core.errors import ArtifactError, ConfigError, InputError
from freshet.storage.durable import read_json, write_json
from freshet.storage.secrets import PRIVACY, RECEIPTS, secret_file

FORMAT = 1
_SIGNATURE = "signature"
_KEY = "signing-key"


def sign(root: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content as a receipt of this workspace."""
    key = _key(root)
    receipt = {"format": FORMAT, **content}
    return {
        **receipt,
        _SIGNATURE: {
            "algorithm": "Ed25519",
            "public_key": _text(_public(key.public_key())),
            "value": _text(key.sign(_signed(receipt))),
        },
    }


def keep(root: Path, receipt: Mapping[str, Any], name: str) -> Path:
    """Store a receipt; returns where."""
    path = root / PRIVACY / RECEIPTS / f"{name}.json"
    write_json(path, receipt)
    return path


def verify(root: Path, path: Path) -> dict[str, Any]:
    """The content of a receipt that this workspace has signed.

    Raises:
        InputError: there is none, it is no receipt, was changed, or another workspace signed it.
    """
    try:
        receipt = read_json(path)
        signature = receipt[_SIGNATURE]
        public = base64.b64decode(signature["public_key"], validate=True)
        value = base64.b64decode(signature["value"], validate=True)
        rest = {name: part for name, part in receipt.items() if name != _SIGNATURE}
        if rest["format"] != FORMAT or signature["algorithm"] != "Ed25519":
            raise KeyError("format")
        Ed25519PublicKey.from_public_bytes(public).verify(value, _signed(rest))
    except InvalidSignature:
        raise InputError(
            f"{path}: the signature is wrong: the receipt was changed after it was signed",
            hint="privacy/receipts/ of the workspace has it as it was",
        ) from None
    except (KeyError, TypeError, ValueError, AttributeError, ArtifactError) as error:
        why = f": {error.message}" if isinstance(error, ArtifactError) else ""
        raise InputError(
            f"{path} is no receipt of forgetting{why}",
            hint="`freshet forget` writes them to privacy/receipts/",
        ) from None
    if not (root / PRIVACY / _KEY).exists() or public != _public(_key(root).public_key()):
        raise InputError(
            f"{path} is sound, but another workspace signed it: its public key is {signature['public_key']}",
            hint="verify it with `-w` and the workspace that it is of",
        )
    return rest


def _key(root: Path) -> Ed25519PrivateKey:
    """Raises ConfigError where it is damaged."""
    raw = secret_file(root / PRIVACY / _KEY, _new_key)
    try:
        return Ed25519PrivateKey.from_private_bytes(raw)
    except ValueError as error:
        raise ConfigError(
            f"{root / PRIVACY / _KEY} is no key: {error}",
            hint="restore it from a copy; moved aside, a new one signs from then on, and earlier receipts "
            "are another key's",
        ) from None


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


def _public(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _signed(receipt: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: JSON with sorted keys, without blanks."""
    return json.dumps(receipt, sort_keys=True, separators=(",", ":")).encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
