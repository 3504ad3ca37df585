"""The upload benchmark's words about its figures, and the files that it sends."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import av
import pytest

from uploads import files, report

FOUND: dict[str, Any] = {
    "taken": "2026-11-25",
    "machine": {"cpus": 2, "memory_gib": 24, "system": "Linux", "python": "3.11.7", "load_before": 0.1},
    "alone": {
        "bytes": 400_000_000, "rounds": 5, "upload_seconds": 2.0, "copy_seconds": 1.8, "hashed_copy_seconds": 2.2, "share_of_copy": 0.9, "cpu_seconds": 1.3,
        "idle_mib": 130.0, "peak_mib": 150.0,
    },
    "together": {"bytes": 104_857_600, "many": 20, "seconds": 12.0, "peak_mib": 200.0},
    "reads": [{"what": "health", "requests": 30_000, "per_second": 2000.0, "per_cpu_second": 2100.0, "clients": 8}],
    "sockets": {
        "sockets": 1000, "users": 50, "before_mib": 130.0, "idle_mib": 180.0, "kib_per_socket": 51.2,
        "events_per_second": 100.0, "told": 3000, "deliveries": 60_000, "lost": 0, "late_p50_seconds": 0.004,
        "late_p99_seconds": 0.03, "cpu_share": 0.4, "peak_mib": 185.0,
    },
}  # fmt: skip


def test_the_page_says_what_was_measured_and_that_all_was_met() -> None:
    assert report.held(FOUND)
    page = report.page(FOUND)
    assert "| Its rate, of a plain copy's with a flush | ≥ 80 % | 90% (200 MB/s, median of 5); 110% of a copy" in page
    assert "| 100 events a second to them | none lost | 60000 of 60000 told, 4 ms late (p50), 30 ms (p99);" in page
    assert "missed" not in page
    assert "MISSED" not in report.table(FOUND)


@pytest.mark.parametrize(
    ("part", "figure", "value"),
    [
        ("alone", "peak_mib", 150.1),
        ("alone", "share_of_copy", 0.79),
        ("together", "peak_mib", 200.1),
        ("sockets", "lost", 1),
    ],
)
def test_a_target_that_was_missed_is_said_to_be(part: str, figure: str, value: float) -> None:
    found = deepcopy(FOUND)
    found[part][figure] = value
    assert not report.held(found)
    assert report.page(found).count("**missed**") == 1
    assert report.table(found).count("MISSED") == 1


def test_a_large_film_has_exactly_its_size_and_is_a_film(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    files.film(path, 3_000_001)
    assert path.stat().st_size == 3_000_001
    with av.open(str(path)) as film:
        assert len(list(film.decode(video=0))) == 6
