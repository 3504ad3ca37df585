"""`drishtiksha-models evaluate` as a process: whole reports, bad files counted, an early end, and going on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from drishtiksha_models.evaluation import study

Command = Callable[..., Any]
Files = Callable[[list[str], list[str]], Path]
REAL = ["p0.1-a", "p0.2-b", "p0.3-c", "unsure-d"]
FAKE = ["p0.9-e", "p0.8-f", "p0.3-g", "fail-h", "crash-i", "unsure-j"]


def _report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "report.json").read_text())
    schema = json.loads(resources("drishtiksha_models.evaluation").joinpath("report.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(found)
    return found


def _examined(folder: Path) -> list[str]:
    file = folder / "examined.txt"
    return file.read_text().split() if file.exists() else []


def _evaluate(command: Command, data: Path, *more: str, code: int = 0) -> tuple[str, str]:
    process = command("evaluate", str(data), "--report", "out", "--model", "SCRIPTED-V1", *more)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return out, err


def test_a_report_holds_every_figure_and_a_bad_file_is_a_count_and_no_end(
    command: Command, files: Files, tmp_path: Path
) -> None:
    data = files(REAL, FAKE)
    (data / "fake" / "swap" / "p0.7-empty.png").write_bytes(b"")
    _evaluate(command, data)
    report = _report(tmp_path)
    assert report["finished"] is True
    (model,) = report["models"]
    assert model["counts"] == {"files": 11, "examined": 8, "real": 4, "fake": 4, "not_applicable": 0, "failed": 3}
    assert {f["cause"]: f["count"] for f in model["failures"]} == {"INTERNAL": 1, "CRASHED": 1, "BAD_MEDIA": 1}
    assert "SIGSEGV" in next(f for f in model["failures"] if f["cause"] == "CRASHED")["examples"][0]["message"]
    assert model["decisions"]["fake"]["FAKE"]["count"] == 2
    assert model["decisions"]["real"]["REAL"]["count"] == 3
    assert model["abstention"]["real"]["reasons"] == [{"reason": "it is <unsure>", "count": 1}]
    assert model["ranking"]["auc"]["value"] == pytest.approx(8.5 / 9, abs=1e-5)
    # bins 0.1, 0.2, 0.3 (one of two), 0.8, 0.9: (0.1 + 0.2 + 2 * 0.2 + 0.2 + 0.1) / 6
    assert model["calibration"]["ece"]["value"] == pytest.approx(1 / 6, abs=1e-5)
    assert [line["name"] for line in model["manipulations"]] == ["real", "swap"]
    assert model["cost"]["n"] == 8
    assert model["cost"]["peak_mb"]["highest"] > 10


def test_the_page_needs_nothing_else_and_a_strange_name_stays_text(
    command: Command, files: Files, tmp_path: Path
) -> None:
    data = files(REAL[:2], [*FAKE[:2], "p0.7-<script>alert(1)<"])
    _evaluate(command, data)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert "p0.7-&lt;script&gt;" in page
    assert "It measures &lt;nothing&gt;." in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count('src="data:image/jpeg;base64,') >= 6
    assert "<svg" in page
    assert "prefers-color-scheme:dark" in page


def test_resuming_examines_nothing_twice_and_what_changed_again(command: Command, files: Files, tmp_path: Path) -> None:
    data = files(REAL, FAKE)
    _evaluate(command, data)
    first = _report(tmp_path)
    once = _examined(tmp_path)
    assert len(once) == 10
    (tmp_path / "out" / "rows.jsonl").open("a").write('{"model": "SCRIPTED-V1", "cut')
    (data / "real" / "p0.1-a.png").touch()
    files([*REAL, "p0.4-new"][-1:], [])
    _evaluate(command, data, "--resume")
    assert sorted(_examined(tmp_path)[10:]) == ["p0.1-a.png", "p0.4-new.png"]
    _evaluate(command, data, "--resume")
    assert len(_examined(tmp_path)) == 12
    again = _report(tmp_path)
    assert again["models"][0]["counts"]["files"] == first["models"][0]["counts"]["files"] + 1


def test_a_folder_that_holds_a_study_is_not_overwritten(command: Command, files: Files, tmp_path: Path) -> None:
    data = files(REAL[:1], FAKE[:1])
    _evaluate(command, data)
    _, err = _evaluate(command, data, code=64)
    assert "--resume" in err


def test_ctrl_c_leaves_a_valid_partial_report_and_the_rest_can_be_resumed(
    command: Command, files: Files, tmp_path: Path
) -> None:
    data = files(["p0.1-a", "p0.2-b"], ["hang-c"])
    process = command("evaluate", str(data), "--report", "out", "--model", "SCRIPTED-V1")
    for _ in range(600):
        if "hang-c.png" in _examined(tmp_path):
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in err
    report = _report(tmp_path)
    assert report["finished"] is False
    assert report["models"][0]["counts"]["examined"] == 2
    assert "--resume" in (tmp_path / "out" / "report.html").read_text()
    (data / "fake" / "swap" / "hang-c.png").rename(data / "fake" / "swap" / "p0.9-c.png")
    _evaluate(command, data, "--resume")
    assert _examined(tmp_path) == ["p0.1-a.png", "p0.2-b.png", "hang-c.png", "p0.9-c.png"]
    assert _report(tmp_path)["finished"] is True


def test_a_detector_that_does_not_answer_is_ended_at_the_deadline() -> None:
    child = study._Child.__new__(study._Child)
    child._process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    with pytest.raises(study._Ended) as ended:
        child.ask({}, 0.2)
    assert ended.value.cause == "DEADLINE"
    assert child._process.returncode is not None


def test_only_the_pictures_that_the_report_shows_stay_on_disk(command: Command, files: Files, tmp_path: Path) -> None:
    data = files([f"p0.1-{n}" for n in range(6)], [f"p0.{n}-x" for n in range(1, 10)])
    _evaluate(command, data)
    shown = {name for e in _report(tmp_path)["models"][0]["examples"] for name in e["pictures"]}
    kept = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out" / "pictures").rglob("*.jpg")}
    assert kept == shown
    assert len({Path(name).parent for name in kept}) == 9


def test_bad_manifest_lines_are_told_and_stand_in_the_report(command: Command, files: Files, tmp_path: Path) -> None:
    data = files(["p0.1-a"], ["p0.9-b"])
    manifest = data / "set.csv"
    manifest.write_text(
        "path,label\nreal/p0.1-a.png,real\nfake/swap/p0.9-b.png,fake\nx.png,perhaps\nmissing.png,fake\n"
    )
    _, err = _evaluate(command, manifest)
    assert "set.csv, line 4" in err
    report = _report(tmp_path)
    assert report["dataset"]["refused"][0].startswith("line 4")
    assert report["models"][0]["failures"][0]["cause"] == "MISSING"


def test_an_unknown_detector_is_refused_before_anything_runs(command: Command, files: Files) -> None:
    process = command("evaluate", str(files(["p0.1-a"], ["p0.9-b"])), "--report", "out", "--model", "NO-SUCH-V1")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 64
    assert "NO-SUCH-V1" in err
