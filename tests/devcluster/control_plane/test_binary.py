"""Where the programs come from: which source wins, and what each leaves in the cache."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest

from drishtiksha.domain.errors import BadSettings
from drishtiksha_devcluster import binary, build
from drishtiksha_devcluster.binary import PROGRAMS, NoControlPlane, control_plane
from drishtiksha_devcluster.build import BuildFailed
from drishtiksha_devcluster.download import WrongChecksum

SCRIPT = b'#!/bin/sh\necho "called as $(basename "$0")"\n'


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(binary.URL, raising=False)
    monkeypatch.delenv(binary.SHA256, raising=False)


def offer(mirror, monkeypatch: pytest.MonkeyPatch, content: bytes, sha256: str | None = None) -> None:
    mirror.content = content
    monkeypatch.setenv(binary.URL, mirror.url)
    monkeypatch.setenv(binary.SHA256, sha256 or hashlib.sha256(content).hexdigest())


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"../../{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def left_behind() -> list[str]:
    return sorted(path.name for path in binary.cache().iterdir() if not path.name.endswith(".lock"))


def test_one_binary_becomes_all_programs(mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(mirror, monkeypatch, SCRIPT)
    folder = control_plane()
    for name in PROGRAMS:
        said = subprocess.run([folder / name], capture_output=True, text=True, timeout=10, check=True).stdout
        assert said == f"called as {name}\n"
    assert left_behind() == [folder.name]


def test_an_archive_of_five_programs_is_taken_whatever_folders_it_has(mirror, monkeypatch) -> None:
    offer(mirror, monkeypatch, archive(README=b"no program", **dict.fromkeys(PROGRAMS, SCRIPT)))
    folder = control_plane()
    assert sorted(os.listdir(folder)) == sorted(PROGRAMS)


def test_an_archive_that_lacks_a_program_never_reaches_the_cache(mirror, monkeypatch) -> None:
    offer(mirror, monkeypatch, archive(**dict.fromkeys(PROGRAMS[1:], SCRIPT)))
    with pytest.raises(NoControlPlane, match="holds no etcd"):
        control_plane()
    assert left_behind() == []


def test_a_second_call_asks_nobody(mirror, monkeypatch) -> None:
    offer(mirror, monkeypatch, SCRIPT)
    assert control_plane() == control_plane()
    assert mirror.requests == 1


def test_a_wrong_checksum_is_not_healed_by_a_build(mirror, monkeypatch, fake_go) -> None:
    calls = fake_go() / "calls"
    offer(mirror, monkeypatch, SCRIPT, "0" * 64)
    with pytest.raises(WrongChecksum):
        control_plane()
    assert left_behind() == []
    assert not calls.exists()


def test_a_checksum_that_is_none_is_a_bad_setting(mirror, monkeypatch) -> None:
    offer(mirror, monkeypatch, SCRIPT, "abc")
    with pytest.raises(BadSettings, match=binary.SHA256):
        control_plane()
    assert mirror.requests == 0


def test_an_unreachable_mirror_is_said_and_the_build_takes_over(mirror, monkeypatch, fake_go) -> None:
    fake_go()
    offer(mirror, monkeypatch, SCRIPT)
    mirror.faults = [404]
    heard: list[str] = []
    folder = control_plane(lambda sentence, done: heard.append(sentence))
    assert binary.is_whole(folder)
    assert any("404" in one and "building it instead" in one for one in heard)


def test_a_build_reports_every_package_and_says_that_it_happens_once(fake_go) -> None:
    fake_go()
    heard: list[tuple[str, float | None]] = []
    control_plane(lambda sentence, done: heard.append((sentence, done)))
    assert all("only this once" in sentence for sentence, _ in heard)
    assert any("1 modules fetched" in sentence for sentence, _ in heard)
    assert next(done for sentence, done in heard if "package 3 of 4" in sentence) == 0.75
    assert heard[-1][1] == 1.0


def test_a_build_carries_the_version_of_the_module(fake_go) -> None:
    folder = fake_go()
    control_plane()
    called = (folder / "calls").read_text()
    assert "version.gitVersion=v1.36.3" in called
    assert "version.gitMinor=36" in called
    assert "-trimpath" in called


def test_a_failed_build_shows_its_last_words_and_leaves_nothing(fake_go) -> None:
    fake_go(build='echo half > "$out"; echo "dial tcp: lookup failed" >&2; exit 1')
    with pytest.raises(BuildFailed, match=r"(?s)lookup failed.*GOPROXY"):
        control_plane()
    assert left_behind() == []


def test_a_module_proxy_that_says_nothing_is_given_up(fake_go, monkeypatch) -> None:
    fake_go(listing="sleep 60")
    monkeypatch.setattr(build, "MODULES_SILENCE", 0.2)
    monkeypatch.setattr(build, "HEARTBEAT", 0.1)
    with pytest.raises(BuildFailed, match="module proxy"):
        control_plane()
    assert left_behind() == []


def test_what_a_killed_build_left_is_in_nobodys_way(mirror, monkeypatch) -> None:
    offer(mirror, monkeypatch, SCRIPT)
    half = binary.cache() / f"{binary.module_hash(binary.source())}.part"
    half.mkdir(parents=True)
    (half / binary.MULTI_CALL).write_bytes(b"half")
    folder = control_plane()
    assert (folder / binary.MULTI_CALL).read_bytes() == SCRIPT
    assert left_behind() == [folder.name]


def test_an_interrupted_build_ends_its_compiler(fake_go, tmp_path: Path) -> None:
    fake_go(build=f"echo $$ > {tmp_path}/pid; echo k8s.io/a >&2; exec sleep 60")

    def interrupt(sentence: str, done: float | None) -> None:
        if "package 1 of" in sentence:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        control_plane(interrupt)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
    assert left_behind() == []


def test_of_two_that_come_at_once_one_makes_it_and_the_other_waits(mirror, monkeypatch) -> None:
    offer(mirror, monkeypatch, SCRIPT)
    mirror.faults = ["stall"]
    heard: list[str] = []
    waiting = threading.Event()
    found: list[Path] = []

    def progress(sentence: str, done: float | None) -> None:
        heard.append(sentence)
        if "Another process" in sentence:
            waiting.set()
            mirror.released.set()

    threads = [threading.Thread(target=lambda: found.append(control_plane(progress))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert waiting.wait(20)
    for thread in threads:
        thread.join(20)
    assert len(found) == 2
    assert found[0] == found[1]
    # The stalled request was broken off and made again by its owner; the one that waited made none.
    assert mirror.requests == 2


def test_an_emptied_cache_folder_is_made_again(mirror, monkeypatch) -> None:
    offer(mirror, monkeypatch, SCRIPT)
    folder = control_plane()
    (folder / binary.MULTI_CALL).unlink()
    assert binary.is_whole(control_plane())
    assert mirror.requests == 2


def test_another_module_has_another_place_in_the_cache(tmp_path: Path) -> None:
    for name in binary.MODULE_FILES:
        (tmp_path / name).write_bytes((binary.source() / name).read_bytes())
    assert binary.module_hash(tmp_path) == binary.module_hash(binary.source())
    (tmp_path / "go.sum").write_bytes(b"other")
    assert binary.module_hash(tmp_path) != binary.module_hash(binary.source())


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(NoControlPlane, match="XDG_CACHE_HOME"):
        control_plane()


def test_another_system_than_linux_is_told_so(monkeypatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(NoControlPlane, match="runs on Linux"):
        control_plane()


def test_every_staging_module_is_replaced_by_the_release_that_belongs_to_it() -> None:
    text = (binary.source() / "go.mod").read_text()
    replaced = [line.split() for line in text.splitlines() if "=>" in line]
    assert len(replaced) == 33
    assert all(line[0] == line[2] and line[3] == "v0.36.3" for line in replaced)
