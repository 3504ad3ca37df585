"""Strange, broken and hostile files against every detector: a refusal or an honest answer, in bounded time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import bad_media as media
import pytest

pytestmark = [pytest.mark.timeout(600), pytest.mark.long]
MOST_CPU_S = 30.0
"""Of one detector on one of these files, slow machines included; on a quick one none takes two."""
MOST_GROWN_MB = 300.0
"""Beyond what the process held before."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What each detector said of each case, by case."""
    folder = tmp_path_factory.mktemp("bad-input")
    for name, case in media.CASES.items():
        (folder / name).write_bytes(case.make())
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("child.py")), str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    assert ran.returncode == 0, f"ended with {ran.returncode} at {lines[-1:]}: {ran.stderr[-800:]}"
    assert not any(lines[0]["loaded"].values()), lines[0]
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        if "case" in line:
            found[line["case"]].append(line)
    return found


@pytest.mark.parametrize("name", sorted(media.CASES))
def test_each_detector_refuses_or_answers_honestly_within_its_bounds(
    told: dict[str, list[dict[str, Any]]], name: str
) -> None:
    due, said = media.CASES[name].due, told[name]
    concerned = [one for one in said if one["outcome"] != "other-kind"]
    assert len(said) >= 7
    assert concerned, "no detector takes this kind of file"
    for one in concerned:
        assert one["outcome"] in ("refused", "answered"), one
        assert one["note"], one
        assert one["cpu_s"] < MOST_CPU_S, one
        assert one["grown_mb"] < MOST_GROWN_MB, one
        if one["outcome"] == "answered":
            assert one["prediction"] == "INCONCLUSIVE", one
            assert one["finding"] == "NONE", one
    outcomes = {one["outcome"] for one in concerned if one["detector"] != "PROVENANCE-V1"}
    if due == media.REFUSED:
        # PROVENANCE-V1 reads no pixels, so a picture that ends early may still answer that nothing is declared.
        assert outcomes == {"refused"}, concerned
    elif due == media.EXAMINED:
        assert outcomes == {"answered"}, concerned
    else:
        assert outcomes <= {"answered", "refused"}, concerned
        assert all(one["status"] == "INCONCLUSIVE" for one in concerned if one["outcome"] == "answered"), concerned
