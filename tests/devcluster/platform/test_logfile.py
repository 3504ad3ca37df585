"""A log never grows beyond three files of its limit."""

from __future__ import annotations

from pathlib import Path

from drishtiksha_devcluster.logfile import LogFile, last_lines


def test_it_turns_over_and_keeps_three_files_with_the_newest_lines(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "logs/api.log", limit=100)
    for number in range(60):
        log.write(f"line {number:02}\n".encode())
    log.close()
    files = sorted(tmp_path.glob("logs/*"))
    assert [file.name for file in files] == ["api.log", "api.log.1", "api.log.2"]
    assert all(file.stat().st_size <= 100 for file in files)
    kept = "".join(file.read_text() for file in reversed(files)).split("\n")[:-1]
    assert kept == [f"line {number:02}" for number in range(60 - len(kept), 60)]


def test_the_last_lines_are_read_from_the_end_and_a_missing_log_has_none(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("".join(f"{n}\n" for n in range(1000)))
    assert last_lines(tmp_path / "x.log", 2) == ["998", "999"]
    assert last_lines(tmp_path / "x.log", 3, most=7) == ["98", "999"]
    assert last_lines(tmp_path / "none.log", 5) == []
