"""The trust of a state folder: made once, filled up, never half."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509

from drishtiksha_devcluster import pki
from drishtiksha_devcluster.pki import Identity


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_second_preparation_changes_no_file(tmp_path: Path) -> None:
    pki.prepare(tmp_path)
    before = files(tmp_path)
    pki.prepare(tmp_path)
    assert files(tmp_path) == before


def test_everything_in_the_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    pki.prepare(folder)
    assert all(path.stat().st_mode & 0o077 == 0 for path in [folder, *folder.iterdir()])


@pytest.mark.parametrize("lost", ["ca.crt", "ca.key"])
def test_a_lost_authority_takes_its_certificates_with_it(tmp_path: Path, lost: str) -> None:
    pki.prepare(tmp_path)
    before = files(tmp_path)
    (tmp_path / lost).unlink()
    pki.prepare(tmp_path)
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes())
    for path in tmp_path.glob("*.crt"):
        assert path.read_bytes() != before[path.name]
        x509.load_pem_x509_certificate(path.read_bytes()).verify_directly_issued_by(authority)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_damaged_certificate_is_made_again(tmp_path: Path, content: bytes) -> None:
    pki.prepare(tmp_path)
    (tmp_path / "apiserver.crt").write_bytes(content)
    pki.prepare(tmp_path)
    assert x509.load_pem_x509_certificate((tmp_path / "apiserver.crt").read_bytes())


def test_a_new_identity_leaves_the_tokens_of_the_others_alone(tmp_path: Path) -> None:
    pki.prepare(tmp_path, [Identity("a", "a")])
    before = pki.tokens(tmp_path)
    pki.prepare(tmp_path, [Identity("a", "a"), Identity("b", "b", ("one", "two"))])
    assert pki.tokens(tmp_path)["a"] == before["a"]
    assert (tmp_path / "tokens.csv").read_text().splitlines()[1].endswith(',b,b,"one,two"')


def test_two_state_folders_share_no_token(tmp_path: Path) -> None:
    pki.prepare(tmp_path / "one")
    pki.prepare(tmp_path / "two")
    one, two = pki.tokens(tmp_path / "one"), pki.tokens(tmp_path / "two")
    assert not set(one.values()) & set(two.values())
    assert len(set(one.values())) == len(pki.IDENTITIES)
