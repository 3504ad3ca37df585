"""The page of what detectors cost says what was measured, and the page in docs/ is made from the results beside it."""

from __future__ import annotations

import json
from pathlib import Path

from detectors import page

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_in_docs_is_made_from_the_results() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "detectors.json").read_text())
    assert (ROOT / "docs" / "detectors" / "cost.md").read_text() == page.page(results)


def test_a_goal_that_is_missed_is_called_missed() -> None:
    one = {"cpu_s": 6.0, "status": "COMPLETED", "finding": "NONE", "reason": None}
    alone = {"file": "clip", "detectors": {"A-V1": one}, "load_cpu_s": 0.2, "peak_mib": 301}
    together = {"detectors": {"A-V1": one}, "cpu_s": 10.1, "peak_mib": 301, "face_passes": 1, "faces_recalled": 1}
    machine = {"cpus": 2, "system": "Linux", "python": "3.11", "load": 0.1}
    text = page.page({"taken": "2026-11-25", "machine": machine, "alone": [alone], "together": together})
    assert "10.1 CPU s (goal: 10; missed)" in text
    assert "at most 301 MiB (goal: 300; missed)" in text
