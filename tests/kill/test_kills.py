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
from kill_matrix.watched import FILES, ROOT, STORIES

from drishtiksha_devcluster.ephemeral import ThrowawayCluster

pytestmark = pytest.mark.long

GROUPS, PARTS = 6, 60
"""A share of the usual number is one of GROUPS of acts and one of PARTS of their points."""
SHARES = GROUPS * PARTS
GOAL = 1500
SESSION = "core/drishtiksha/database/session.py"


def share() -> tuple[int, int]:
    """Today's, or the one that is asked for."""
    asked = os.environ.get("DRISHTIKSHA_KILL_SHARE")
    if asked is None:
        return dt.datetime.now(dt.UTC).date().toordinal() % SHARES, SHARES
    number, _, of = asked.partition("/")
    return int(number) % int(of), int(of)


def in_a_greenlet() -> tuple[str, int]:
    """A line that SQLAlchemy executes in a greenlet of its own, where a trace is easily lost."""
    lines = (ROOT / SESSION).read_text().splitlines()
    return SESSION, next(number for number, line in enumerate(lines, 1) if "SET lock_timeout" in line)


def good(act: str, told: Told) -> None:
    """Every death was recovered from; AssertionError with what went wrong, and the log of the first."""
    bad = {str(point): wrong for point, wrong in told.killed.items() if wrong}
    if told.undisturbed:
        bad = {"nobody died": told.undisturbed, **bad}
    lines = [f"{act}: {len(bad)} of {len(told.killed)} did not recover"]
    lines += [f"  {where}: {'; '.join(wrong)}" for where, wrong in bad.items()]
    assert not bad, "\n".join([*lines, told.logs.get(next(iter(bad)), "")])


@pytest.mark.timeout(900)
def test_a_share_of_the_lines_of_the_stories(
    cluster: ThrowawayCluster, postgres_server: str, migrated_template: str, tmp_path: Path
) -> None:
    number, of = share()
    acts = [act.name for place, act in enumerate(ACTS) if of != SHARES or place % GROUPS == number % GROUPS]
    part = (number // GROUPS, PARTS) if of == SHARES else (number, of)
    with matrix(acts, part, cluster, postgres_server, migrated_template, tmp_path, workers=4) as made:
        told = {act: made.wait(act) for act in acts}
    for act in acts:
        good(act, told[act])
    assert in_a_greenlet() in set.union(*(one.lines for one in told.values()))
    assert any(one.killed for one in told.values()), f"share {number}/{of} killed nobody"


@pytest.fixture(scope="module")
def whole(
    request: pytest.FixtureRequest, cluster: ThrowawayCluster, postgres_server: str, migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Matrix]:  # fmt: skip
    """All points of the acts that this run was asked for."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    asked = {item.callspec.params["act"] for item in items if item.originalname == "test_every_line_of_a_story"}
    acts = [act.name for act in ACTS if act.name in asked]
    with matrix(acts, None, cluster, postgres_server, migrated_template, tmp_path_factory.mktemp("kills")) as made:
        yield made


@pytest.mark.kill
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("act", [act.name for act in ACTS])
def test_every_line_of_a_story(whole: Matrix, act: str) -> None:
    told = whole.wait(act)
    good(act, told)
    assert told.killed


@pytest.mark.kill
@pytest.mark.timeout(3600)
def test_every_executed_line_of_every_story(whole: Matrix) -> None:
    if set(whole.acts) != {act.name for act in ACTS}:
        pytest.skip("the table is made when all stories are played")
    told = [whole.wait(act) for act in whole.acts]
    whole.wait_for_all()
    executed = {line for one in told for line in one.lines}
    wrong = {
        (point, act) for act, one in zip(whole.acts, told, strict=True) for point in one.killed if one.killed[point]
    }
    deaths = [point for one in told for point in one.killed]
    died, lost = {(p.file, p.line) for p in deaths}, {(p.file, p.line) for p, _ in wrong}
    rows = []
    for story, files in STORIES.items():
        for file in files:
            mine = {line for line in executed if line[0] == file}
            at = sum(point.file == file for point in deaths)
            rows.append(
                [story, f"`{file}`", len(mine), len(mine & died), at, at - sum(p.file == file for p, _ in wrong)]
            )
    sums = [sum(int(row[column]) for row in rows) for column in range(2, 6)]
    rows.append(["**all**", f"{len(FILES)} files", *sums])
    record(
        "kills",
        "SIGKILL at each executed line, and a restart",
        "DRISHTIKSHA_WRITE_FIGURES=1 make test-kill",
        [
            Claim("kill points", f"at least {GOAL:,}", f"{len(deaths):,}", len(deaths) >= GOAL, "–"),
            Claim(
                "executed lines of the stories that were a place of death", "all",
                f"{len(executed & died):,} of {len(executed):,}", executed <= died,
                "an act without its deaths fails; a line in a thread and one in a greenlet are asked for by name",
            ),
            Claim(
                "deaths after which everything ended as it must, `verify` clean, no byte left over", "all",
                f"{len(deaths) - len(wrong):,} of {len(deaths):,}", not wrong,
                "the faults of tests/red/kills.toml, each of which needs a death at the wrong moment",
            ),
        ],
        words=f"{len(ACTS)} acts. Each line is killed at its first execution in one act and at its last in another.",
        table=Table(
            ["story", "file", "lines executed", "killed at", "deaths", "recovered"],
            [[str(cell) for cell in row] for row in rows],
        ),
    )  # fmt: skip
    assert not lost
    assert executed <= died, sorted(executed - died)
    assert len(deaths) >= GOAL
