"""SIGKILL at each line that the stories execute; started again, everything ends as it must, and the witness finds nothing.

The default suite takes a share of the points that changes from day to day (DRISHTIKSHA_KILL_SHARE=i/n says which);
`make test-kill` takes all of them.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from figures import Claim, Table, record
from kill_matrix.acts import ACTS
from kill_matrix.matrix import Matrix, Told, matrix
from kill_matrix.watched import FILES, STORIES

from drishtiksha_devcluster.ephemeral import ThrowawayCluster

GROUPS, PARTS = 6, 20
"""A share is one of GROUPS of acts and one of PARTS of its points."""
SHARES = GROUPS * PARTS
GOAL = 1500


def share() -> tuple[int, int]:
    """Today's, or the one that is asked for."""
    asked = os.environ.get("DRISHTIKSHA_KILL_SHARE")
    if asked is None:
        return dt.datetime.now(dt.UTC).date().toordinal() % SHARES, SHARES
    number, _, of = asked.partition("/")
    return int(number) % int(of), int(of)


def tell(act: str, told: Told) -> str:
    """What went wrong, with the log of the first."""
    bad = {str(point): wrong for point, wrong in told.killed.items() if wrong}
    if told.undisturbed:
        bad = {"nobody died": told.undisturbed, **bad}
    lines = [f"{act}: {len(bad)} of {len(told.killed)} did not recover"]
    lines += [f"  {where}: {'; '.join(wrong)}" for where, wrong in list(bad.items())[:20]]
    first = next(iter(bad), "")
    return "\n".join([*lines, told.logs.get(first, "")])


@pytest.fixture(scope="module")
def whole(
    request: pytest.FixtureRequest, cluster: ThrowawayCluster, postgres_server: str, migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Matrix]:  # fmt: skip
    """All points of the acts that this session was asked for."""
    asked = {
        item.callspec.params["act"]
        for item in request.session.items
        if "whole" in getattr(item, "fixturenames", ()) and hasattr(item, "callspec")
    }
    acts = [act.name for act in ACTS if act.name in asked]
    with matrix(acts, None, cluster, postgres_server, migrated_template, tmp_path_factory.mktemp("kills")) as made:
        yield made


@pytest.mark.timeout(600)
def test_a_share_of_the_lines_of_the_stories(
    cluster: ThrowawayCluster, postgres_server: str, migrated_template: str, tmp_path: Path
) -> None:
    number, of = share()
    acts = [act.name for position, act in enumerate(ACTS) if of != SHARES or position % GROUPS == number % GROUPS]
    part = (number // GROUPS, PARTS) if of == SHARES else (number, of)
    killed = 0
    with matrix(acts, part, cluster, postgres_server, migrated_template, tmp_path) as made:
        for act in acts:
            told = made.wait(act)
            assert not told.undisturbed, tell(act, told)
            assert not any(told.killed.values()), tell(act, told)
            killed += len(told.killed)
    assert killed > 0, f"share {number}/{of} killed nobody"


@pytest.mark.kill
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("act", [act.name for act in ACTS])
def test_every_line_of_a_story(whole: Matrix, act: str) -> None:
    told = whole.wait(act)
    assert not told.undisturbed, tell(act, told)
    assert told.killed
    assert not any(told.killed.values()), tell(act, told)


@pytest.mark.kill
@pytest.mark.timeout(3600)
def test_every_executed_line_of_every_story(whole: Matrix) -> None:
    """The table: by file, how many lines were executed, killed at, and recovered from."""
    if set(whole.acts) != {act.name for act in ACTS}:
        pytest.skip("the table is made when all stories are played")
    told = [whole.wait(act) for act in whole.acts]
    executed = {line for one in told for line in one.lines}
    died = {(p.file, p.line) for one in told for p in one.killed}
    lost = {(p.file, p.line) for one in told for p, wrong in one.killed.items() if wrong}
    points = sum(len(one.killed) for one in told)
    good = sum(not wrong for one in told for wrong in one.killed.values())
    rows = []
    for story, files in STORIES.items():
        for file in files:
            mine = {line for line in executed if line[0] == file}
            at = sum(p.file == file for one in told for p in one.killed)
            rows.append([story, file, len(mine), len(mine & died), at, len((mine & died) - lost)])
    rows.append(
        ["**all**", f"{len(FILES)} files", len(executed), len(executed & died), points, len((executed & died) - lost)]
    )
    record(
        "kills", "SIGKILL at each executed line, and a restart", "DRISHTIKSHA_WRITE_FIGURES=1 make test-kill",
        [
            Claim("kill points", f"at least {GOAL}", f"{points:,}", points >= GOAL, ""),
            Claim("executed lines of the stories killed at", "all", f"{len(executed & died):,} of {len(executed):,}", executed <= died, ""),
            Claim("points that recovered by themselves, with a clean `verify`", "all", f"{good:,} of {points:,}", good == points, "faults of tests/red/kills.toml: each seen red"),
        ],
        words=f"{len(ACTS)} acts, each killed at the first and at the last execution of each line.",
        table=Table(["story", "file", "lines executed", "killed at", "points", "recovered"], [[str(c) for c in row] for row in rows]),
    )  # fmt: skip
    assert points >= GOAL
    assert good == points
    assert executed <= died, sorted(executed - died)[:20]
