"""A file of known content, over a network that does what networks do."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from drishtiksha_devcluster.download import DownloadFailed, WrongChecksum, fetch

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Heard(list[tuple[str, float | None]]):
    def __call__(self, sentence: str, done: float | None) -> None:
        self.append((sentence, done))


def get(mirror, folder: Path, sha256: str = SHA256, heard: Heard | None = None) -> Path:
    target = folder / "file"
    fetch(mirror.url, sha256, target, heard if heard is not None else Heard(), stall=0.3, pause=0.01)
    return target


def test_the_right_file_arrives_whole_with_progress_to_its_end(mirror, tmp_path: Path) -> None:
    mirror.content = CONTENT
    heard = Heard()
    assert get(mirror, tmp_path, SHA256.upper(), heard).read_bytes() == CONTENT
    fractions = [done for _, done in heard if done is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_a_wrong_checksum_leaves_nothing_and_is_not_tried_again(mirror, tmp_path: Path) -> None:
    mirror.content = CONTENT[:-1] + b"x"
    with pytest.raises(WrongChecksum, match=SHA256):
        get(mirror, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert mirror.requests == 1


@pytest.mark.parametrize("fault", ["cut", "stall", 503])
def test_a_passing_fault_is_tried_again_from_the_beginning(mirror, tmp_path: Path, fault: str | int) -> None:
    mirror.content, mirror.faults = CONTENT, [fault, fault]
    assert get(mirror, tmp_path).read_bytes() == CONTENT
    assert mirror.requests == 3


@pytest.mark.parametrize("fault", ["cut", "stall", 503])
def test_a_lasting_fault_ends_with_its_reason_and_leaves_nothing(mirror, tmp_path: Path, fault: str | int) -> None:
    mirror.content, mirror.faults = CONTENT, [fault] * 9
    with pytest.raises(DownloadFailed, match="could not be fetched: "):
        get(mirror, tmp_path)
    assert mirror.requests == 3
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_not_asked_for_again(mirror, tmp_path: Path) -> None:
    mirror.faults = [404] * 9
    with pytest.raises(DownloadFailed, match="404"):
        get(mirror, tmp_path)
    assert mirror.requests == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "not an address", "ftp://127.0.0.1/x"])
def test_an_address_that_leads_nowhere_is_a_failed_download(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadFailed):
        fetch(url, SHA256, tmp_path / "file", Heard(), pause=0.01)
    assert list(tmp_path.iterdir()) == []
