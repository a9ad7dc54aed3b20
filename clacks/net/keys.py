"""Public RSA keys of users, and whose key signed a text: for logins by key of the SysAdm dialect.

The client does the bare RSA operation on the text (PKCS #1 v1.5, type 1 padding, no hash): whoever it talks
to can have it sign anything that is short enough. Keys registered here should be used for nothing else.
"""

from __future__ import annotations

import hmac
import logging
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

__all__ = ["RegisteredKeys"]

_log = logging.getLogger(__name__)

_MOST_KEYS: Final = 1000
_MOST_BYTES: Final = 16_384
LEAST_BITS: Final = 2048
"""Keys below this size are passed over: they can be broken."""


class RegisteredKeys:
    """The keys in a folder: ``USER.pem``, or ``USER.anything.pem`` for more than one.

    The folder is read at each login, which is rare: a key that is taken away counts no more.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def signer(self, text: str, signature: bytes) -> str | None:
        """Return the user with whose key ``text`` was signed, or None. Takes a millisecond for each key."""
        for path in sorted(self._folder.glob("*.pem"))[:_MOST_KEYS]:
            key = _read(path)
            if key is None:
                continue
            try:
                found = key.recover_data_from_signature(signature, PKCS1v15(), None)
            except (InvalidSignature, ValueError):
                continue
            if hmac.compare_digest(found, text.encode()):
                return path.name.partition(".")[0]
        return None


def _read(path: Path) -> RSAPublicKey | None:
    try:
        with path.open("rb") as file:
            key = load_pem_public_key(file.read(_MOST_BYTES))
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        _log.warning("public key not used file=%s reason=%s", path, error)
        return None
    if not isinstance(key, RSAPublicKey) or key.key_size < LEAST_BITS:
        _log.warning("public key not used file=%s reason=no RSA key of %s bits", path, LEAST_BITS)
        return None
    return key
