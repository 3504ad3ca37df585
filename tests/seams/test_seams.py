"""Every external call × every way to go wrong: the story ends as it would have, or its caller was told honestly.

`make test-long` tells each story once without a fault and strikes a share of the points, another one each day; that nothing
leaves a process unseen is `test_unseen.py`; `make test-soak` strikes each operation in each way, and writes the figures.
"""

from __future__ import annotations

import datetime
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from figures import Claim, Table, record
from seam_faults import objects, unseen
from seam_faults.ground import Ground
from seam_faults.points import Told, points, strike, tell
from seam_faults.stories import STORIES
from seam_faults.wire import KINDS, Call, Point

from drishtiksha.kube import Kube
from drishtiksha.kubeconfig import from_file
from drishtiksha_devcluster.ephemeral import ThrowawayCluster

pytestmark = pytest.mark.long

SHARE = 8
"""Points of `make test-long`."""
GOAL = 300

FAKE = ("FAKE", [("A", "COMPLETED", "FAKE", None)])
PAIR = ("FAKE", [("A", "COMPLETED", "FAKE", None), ("B", "COMPLETED", "FAKE", None)])
ENDS = {
    "an upload becomes a verdict": [("ANALYZED", PAIR)],
    "an attempt fails and the next one answers": [("ANALYZED", FAKE)],
    "a run is cancelled while its runner works": [
        ("FAILED", (None, [("A", "FAILED", None, "CANCELLED"), ("B", "FAILED", None, "CANCELLED")]))
    ],
    "a media is deleted in the middle of its run": [],
    "a media is examined once more": [("ANALYZED", FAKE)],
    "a person sends everything again, with a key": [("ANALYZED", FAKE)],
    "the cluster loses everything in mid-flight": [("ANALYZED", FAKE)],
    "finished resources and orphan bytes are collected": [("ANALYZED", FAKE)],
    "a person changes her account and looks around": [("ANALYZED", FAKE)],
    "a run waits longer than its age limit": [("FAILED", (None, [("A", "FAILED", None, "UNSCHEDULABLE")]))],
    "the cluster makes no pod": [("FAILED", (None, [("A", "FAILED", None, "CLUSTER_REJECTED")]))],
    "the cluster does not take the resource for a day": [("FAILED", (None, []))],
    "a listener is told everything once and in order": [("ANALYZED", FAKE)],
}
"""How each story ends: status, verdict, and the analyses of the latest run, by media."""

CLASSICS = [
    Point(story, Call(seam, operation, 1), kind)
    for story, seam, operation, kind in (
        ("an upload becomes a verdict", "postgres", "Users.create", "lost"),
        ("an upload becomes a verdict", "postgres", "MediaStore.accept", "lost"),
        ("an upload becomes a verdict", "postgres", "MediaStore.accept", "unanswered"),
        ("an upload becomes a verdict", "kubernetes", "POST mediaanalyses", "lost"),
        ("an upload becomes a verdict", "kubernetes", "POST jobs", "unanswered"),
        ("an upload becomes a verdict", "door", "PUT /internal/v1/attempt/result", "refused"),
        ("an upload becomes a verdict", "child", "drishtiksha_api.intake.child", "before"),
        ("a person sends everything again, with a key", "postgres", "Claims.begin", "lost"),
        ("a person sends everything again, with a key", "postgres", "Claims.release", "away"),
        ("a media is deleted in the middle of its run", "postgres", "MediaStore.remove", "lost"),
        ("a media is deleted in the middle of its run", "kubernetes", "DELETE mediaanalyses/*", "away"),
    )
]
"""Struck each time: the ones that a careless change breaks first."""

_told: dict[str, Told] = {}
_reached: set[str] = set()


@pytest.fixture
async def ground(cluster: ThrowawayCluster, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Ground]:
    async with Kube(from_file(cluster.kubeconfig("admin"))) as admin:
        made = Ground(cluster, database_url, redis_url, tmp_path, admin)
        yield made
        await made.close()


async def told(ground: Ground, name: str) -> Told:
    """A story without a fault, told once per session."""
    if name not in _told:
        with pytest.MonkeyPatch.context() as patch:
            reached = unseen.watch(patch)
            _told[name] = await tell(ground, name)
            _reached.update(reached)
    return _told[name]


async def everything(ground: Ground) -> dict[str, Told]:
    return {name: await told(ground, name) for name in STORIES}


@pytest.mark.parametrize("name", STORIES)
async def test_a_story_without_a_fault_ends_as_it_should_and_leaves_nothing_open(ground: Ground, name: str) -> None:
    media = (await told(ground, name)).outcome["media"]
    assert [(status, (label, runs[0][3])) for status, label, runs in media] == ENDS[name]


async def test_the_stories_make_every_call_that_the_platform_can_make(ground: Ground) -> None:
    """A new verb of the core, route of the door or method of a client needs a story, and so gets its faults."""
    made = {(call.seam, call.operation) for story in (await everything(ground)).values() for call in story.calls}
    postgres = {operation for seam, operation in made if seam == "postgres"}
    assert unseen.verbs() - postgres == unseen.EXEMPT.keys() & unseen.verbs()
    assert unseen.methods() - _reached == unseen.EXEMPT.keys() & unseen.methods()
    assert {operation for seam, operation in made if seam == "door"} == unseen.routes()
    assert {operation for seam, operation in made if seam == "objects"} == {*objects.verbs()} - {"stat"}
    assert {operation for seam, operation in made if seam == "ml"} == {"GET /stats", "POST /analyze"}
    assert {seam for seam, _ in made} == KINDS.keys()
    assert unseen.EXEMPT.keys() <= unseen.verbs() | unseen.methods()


async def test_a_share_of_the_points_ends_right(ground: Ground) -> None:
    """Another share each day; DRISHTIKSHA_TEST_SEAMS, a number, repeats one."""
    all_of_them = [p for name, story in (await everything(ground)).items() for p in points(name, story.calls)]
    seed = int(os.environ.get("DRISHTIKSHA_TEST_SEAMS") or datetime.date.today().toordinal())
    wrong = [w for p in random.Random(seed).sample(all_of_them, SHARE) if (w := await strike_it(ground, p))]
    assert wrong == [], f"share {seed}:\n" + "\n".join(wrong)


@pytest.mark.parametrize("point", CLASSICS, ids=str)
async def test_a_classic_ends_right(ground: Ground, point: Point) -> None:
    await told(ground, point.story)
    assert await strike_it(ground, point) is None


@pytest.mark.soak
@pytest.mark.timeout(7200)
async def test_every_operation_ends_right_in_every_way_it_can_go_wrong(ground: Ground) -> None:
    """Each operation × kind once, in the first story that makes it; DRISHTIKSHA_TEST_SEAMS_MINUTES bounds it."""
    whole = firsts([p for name, story in (await everything(ground)).items() for p in points(name, story.calls)])
    random.Random(1).shuffle(whole)
    end = time.monotonic() + 60 * float(os.environ.get("DRISHTIKSHA_TEST_SEAMS_MINUTES") or 80)
    struck: list[Point] = []
    wrong: list[tuple[Point, str]] = []
    for point in whole:
        if time.monotonic() > end:
            break
        struck.append(point)
        if said := await strike_it(ground, point):
            print(said, flush=True)  # a long run tells as it goes
            wrong.append((point, said))
    tell_figures(whole, struck, [point for point, _ in wrong])
    assert wrong == [], "\n".join(said for _, said in wrong)
    assert len(struck) >= GOAL


async def strike_it(ground: Ground, point: Point) -> str | None:
    return await strike(ground, point, _told[point.story].outcome)


def firsts(found: list[Point]) -> list[Point]:
    """Each operation × kind once."""
    first: dict[tuple[str, str, str], Point] = {}
    for point in found:
        first.setdefault((point.call.seam, point.call.operation, point.kind), point)
    return list(first.values())


def tell_figures(whole: list[Point], struck: list[Point], wrong: list[Point]) -> None:
    kinds = list(dict.fromkeys(kind for seam in KINDS.values() for kind in seam))
    tried = Counter((p.call.seam, p.kind) for p in struck)
    bad = Counter((p.call.seam, p.kind) for p in wrong)

    def cell(seam: str, kind: str) -> str:
        return f"{tried[seam, kind] - bad[seam, kind]} / {tried[seam, kind]}" if tried[seam, kind] else "–"

    rows = [[seam, *(cell(seam, kind) for kind in kinds)] for seam in KINDS]
    right = len(struck) - len(wrong)
    record(
        "seams",
        "Every external call × every way to go wrong",
        "DRISHTIKSHA_WRITE_FIGURES=1 make test-soak",
        [
            Claim(
                "seam faults that end right (an operation × a kind of fault, in a whole story)",
                f"≥ {GOAL}, 100 %",
                f"{right} of {len(struck)} ({len(whole)} there are)",
                not wrong and len(struck) >= GOAL,
                "an upload and a sign-up that cannot be run again, a deletion that does not know its own tombstone, rows that go"
                " before their resource, a 4xx asked again for ever (tests/red/seams.toml)",
            ),
            Claim(
                "verbs of the core, routes of the door, methods of the clients that no story reaches",
                "0, but for those listed with a reason",
                f"0, and {len(unseen.EXEMPT)} listed",
                True,
                "a new verb without a story, a library outside of the seams",
            ),
        ],
        words="Right means: the same end as without the fault, the witness finds nothing (`verify --deep`), no 202 without a"
        " row, no refusal without a reason and a time, at most one media after a refused upload, and silence afterwards.",
        table=Table(["seam", *kinds], rows),
    )
