"""AES-256 in output feedback mode, which collectd's network plugin encrypts with."""

from __future__ import annotations

import warnings

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it moved to "decrepit" in 47; collectd knows no other mode
    try:
        from cryptography.hazmat.decrepit.ciphers.modes import OFB
    except ImportError:
        from cryptography.hazmat.primitives.ciphers.modes import OFB

__all__ = ["decrypt_ofb"]


def decrypt_ofb(key: bytes, vector: bytes, data: bytes) -> bytes:
    """Return the clear text (and of clear text the encrypted one: the mode is its own inverse)."""
    worker = Cipher(AES(key), OFB(vector)).decryptor()
    return worker.update(data) + worker.finalize()
