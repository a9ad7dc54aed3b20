from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clacks.net.keys import RegisteredKeys

TEXT = "Abcdefghij0123456789"


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def raw_signature(key: rsa.RSAPrivateKey, text: bytes) -> bytes:
    """Sign as the client does: the text itself, padded by type 1, to the power of the private exponent."""
    size = key.key_size // 8
    padded = b"\x00\x01" + b"\xff" * (size - 3 - len(text)) + b"\x00" + text
    numbers = key.private_numbers()
    return pow(int.from_bytes(padded), numbers.d, numbers.public_numbers.n).to_bytes(size)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def test_the_user_whose_key_signed_is_found(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    (tmp_path / "bob.pem").write_bytes(pem(rsa.generate_private_key(65537, 2048)))
    (tmp_path / "ann.laptop.pem").write_bytes(pem(key))
    keys = RegisteredKeys(tmp_path)
    assert keys.signer(TEXT, raw_signature(key, TEXT.encode())) == "ann"
    assert keys.signer("another text", raw_signature(key, TEXT.encode())) is None
    (tmp_path / "ann.laptop.pem").unlink()
    assert keys.signer(TEXT, raw_signature(key, TEXT.encode())) is None


@pytest.mark.parametrize("signature", [b"", b"x", b"\0" * 256, b"\xff" * 256, b"x" * 100_000])
def test_no_signature_breaks_it(tmp_path: Path, key: rsa.RSAPrivateKey, signature: bytes) -> None:
    (tmp_path / "ann.pem").write_bytes(pem(key))
    assert RegisteredKeys(tmp_path).signer(TEXT, signature) is None


def test_keys_that_are_none_or_too_small_are_passed_over(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    small = rsa.generate_private_key(65537, 1024)
    (tmp_path / "a.pem").write_bytes(b"rubbish")
    (tmp_path / "b.pem").write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    (tmp_path / "c.pem").write_bytes(pem(small))
    (tmp_path / "d.pem").write_bytes(pem(key))
    keys = RegisteredKeys(tmp_path)
    assert keys.signer(TEXT, raw_signature(small, TEXT.encode())) is None
    assert keys.signer(TEXT, raw_signature(key, TEXT.encode())) == "d"
