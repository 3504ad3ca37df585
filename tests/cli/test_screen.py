"""What moves fits its terminal in width and height, with many files too, and never shows what nobody knows."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cli_samples import ID, RUN, analysis, media, verdict
from rich.console import Console, RenderableType
from rich.text import Text

from drishtiksha_cli import screen
from drishtiksha_cli.live import Board, ModelLine

NAMES = ["clip.mp4", "a picture with [red]quite[/red] a long name, as they are.png", "recording.flac"]


def board(count: int = 3, models: int = 2, ended: int = 0) -> Board:
    found = Board([media("PROCESSING", id=str(n), filename=NAMES[n % 3]) for n in range(count)])
    for n, line in enumerate(found.lines.values()):
        names = [f"MODEL-{chr(65 + k)}-V1" for k in range(models)]
        line.models = {name: ModelLine(name, "PROCESSING", 50, 240) for name in names}
        if n < ended:
            found.read(media("ANALYZED", *(analysis(name) for name in names), id=str(n), verdict=verdict()))
    return found


def drawn(renderable: RenderableType, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True, highlight=False)
    console.print(renderable)
    return [line.rstrip() for line in console.export_text().splitlines()]


CLUSTER = Text("ma/ma-01a20393…f370  PROCESSING 1/2\n  pod FACE-TEMPORAL-V1     gpu-0  Running")


@pytest.mark.parametrize("width", [60, 77, 80, 117, 120, 200])
@pytest.mark.parametrize("cluster", [None, CLUSTER])
def test_it_is_as_wide_as_the_terminal_and_a_row_is_a_row(width: int, cluster: Text | None) -> None:
    lines = drawn(screen.live(board(), cluster, width, 40), width)
    assert {len(line) for line in lines if line} == {width}
    beside = cluster is not None and width >= screen.BESIDE
    assert len(lines) == (11 if cluster is None or beside else 15)
    assert any("MODEL-B-V1" in line and "50 of 240" in line for line in lines)
    if cluster:
        (pod,) = [line for line in lines if "pod FACE" in line]
        assert "gpu-0  Running" in pod


@pytest.mark.parametrize(("count", "ended"), [(3, 0), (3, 3), (9, 4), (40, 0), (40, 39), (100, 50)])
@pytest.mark.parametrize("height", [10, 24, 50])
def test_it_is_never_higher_than_the_terminal_and_what_moves_stays_in_sight(
    count: int, ended: int, height: int
) -> None:
    lines = drawn(screen.live(board(count, ended=ended), CLUSTER, 100, height), 100)
    assert len(lines) < height
    if ended < count:
        assert any("being examined" in line for line in lines)


def test_when_room_is_short_what_has_ended_shrinks_to_its_verdict_first() -> None:
    text = drawn(screen.live(board(4, models=3, ended=3), None, 100, 12), 100)
    assert sum("3 of 3 models" in line and "INCONCLUSIVE" in line for line in text) == 3
    assert sum("50 of 240" in line for line in text) == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (ModelLine("M"), "waiting"),
        (ModelLine("M", "PROCESSING"), "examining"),
        (ModelLine("M", "PROCESSING", 7, None), "7 of ?"),
        (ModelLine("M", "PROCESSING", 7, 0), "7 of ?"),
        (ModelLine("M", "PROCESSING", 50, 240), "50 of 240"),
        (ModelLine("M", "RETRYING", said="CRASHED"), "tried again soon"),
        (ModelLine("M", "COMPLETED", said="FAKE"), "FAKE"),
        (ModelLine("M", "FAILED", said="CRASHED"), "failed: CRASHED"),
        (ModelLine("M", "FAILED"), "failed"),
        (ModelLine("M", "FROM_THE_FUTURE", said="?"), "?"),
    ],
)
def test_each_state_has_its_words_and_can_be_drawn(line: ModelLine, said: str) -> None:
    assert screen.state_words(line) == said
    found = board(1, 0)
    found.lines["0"].models = {"M": line}
    assert any(said in row for row in drawn(screen.bars(found, 80), 80))


def test_progress_beyond_the_announced_total_is_a_full_bar_and_no_more() -> None:
    found = board(1, 1)
    (one,) = found.lines["0"].models.values()
    one.progress, one.total = 300, 240
    (row,) = [row for row in drawn(screen.bars(found, 80), 80) if "MODEL" in row]
    assert row.count("━") == screen.BAR


def test_an_api_that_is_away_is_said_in_the_title() -> None:
    found = board()
    assert "live from Socket.IO" in drawn(screen.live(found, None, 80, 40), 80)[0]
    found.away = "refused"
    assert "the API does not answer; trying again" in drawn(screen.live(found, None, 80, 40), 80)[0]


def test_plain_output_says_each_change_once_and_no_progress() -> None:
    found = Board([media("QUEUED")])
    told = screen.Told(found)
    said = list(told.news())
    for one in (
        media("PROCESSING", analysis(status="PROCESSING"), analysis("TWO-V1", "PENDING")),
        media("PROCESSING", analysis(status="PROCESSING"), analysis("TWO-V1", "PENDING")),
        media("PARTIALLY_ANALYZED", analysis(), analysis("TWO-V1", "FAILED", errorClass="DEADLINE")),
    ):
        found.read(one)
        said += told.news()
        found.hear({"mediaId": ID, "runId": RUN, "event": "FRAME_ANALYSIS_PROGRESS", "data": {"modelName": "ONE-V1"}})
        said += told.news()
    assert said == [
        "clip.mp4: discovering models",
        "clip.mp4: being examined",
        "clip.mp4: ONE-V1: examining",
        "clip.mp4: TWO-V1: waiting",
        "clip.mp4: ONE-V1: INCONCLUSIVE",
        "clip.mp4: TWO-V1: failed: DEADLINE",
        "clip.mp4: examined by some models",
    ]


def resource(run: str, **status: Any) -> dict[str, Any]:
    return {"kind": "MediaAnalysis", "metadata": {"name": f"ma-{run}"}, "spec": {"runId": run}, "status": status}


def pod(run: str, model: str, phase: str, node: str | None, **metadata: Any) -> dict[str, Any]:
    labels = {"drishtiksha.io/run": run, "drishtiksha.io/model": model}
    spec = {"nodeName": node} if node else {}
    return {"kind": "Pod", "metadata": {"labels": labels, **metadata}, "spec": spec, "status": {"phase": phase}}


def test_the_cluster_view_shows_our_resources_with_their_pods_and_nobody_elses() -> None:
    items = [
        resource(RUN, phase="PROCESSING", summary="1/2"),
        resource("other-run", phase="ANALYZED"),
        pod(RUN, "ONE-V1", "Running", "cpu-0"),
        pod(RUN, "TWO-V1", "Pending", None),
        pod(RUN, "THREE-V1", "Running", "gpu-0", deletionTimestamp="now"),
        pod("other-run", "ONE-V1", "Running", "cpu-0"),
        {"kind": "Pod", "metadata": {"name": "a stranger"}, "spec": {}},
    ]
    lines = [" ".join(line.split()) for line in screen.resources(items, {RUN}).plain.splitlines()]
    assert lines == [
        f"ma/ma-01a20393…{RUN[-4:]} PROCESSING 1/2",
        "pod ONE-V1 cpu-0 Running",
        "pod TWO-V1 no node yet Pending",
        "pod THREE-V1 gpu-0 Terminating",
    ]
    assert screen.resources([resource(RUN)], {RUN}).plain.endswith("  new")
    assert screen.resources(items, {"mine"}).plain == "no resource yet"


@pytest.mark.parametrize("command", ["exit 1", "echo '{}'", "echo nonsense", "exec no-such-program"])
def test_a_kubectl_that_fails_is_said_and_does_no_harm(command: str) -> None:
    cluster = screen.Cluster(["sh", "-c", command], [RUN])
    assert cluster._look().plain == "the cluster does not answer"
    assert screen.Cluster(["/no/such/kubectl"], [RUN])._look().plain == "the cluster does not answer"


def test_the_cluster_is_looked_at_beside_and_never_waited_for(tmp_path: Path) -> None:
    found = {"items": [resource(RUN, phase="ANALYZED")]}
    script = f"import time; time.sleep(0.3); print({json.dumps(found)!r})"
    begin = time.monotonic()
    with screen.Cluster([sys.executable, "-c", script], [RUN]) as cluster:
        assert cluster.seen.plain == "asking the cluster …"
        while "ANALYZED" not in cluster.seen.plain:
            assert time.monotonic() - begin < 30
            time.sleep(0.05)
