"""The soak: seeded rounds of everything at once, twenty wipes of etcd in a row, and a calm round in the default suite.

`make test-soak` plays SEEDS. For hours: DRISHTIKSHA_SOAK_SEED=7 DRISHTIKSHA_SOAK_MINUTES=120 make test-soak, which goes on
from that seed upwards; a failing round prints its seed and its steps. DRISHTIKSHA_SOAK_TRACE=FILE plays printed steps again.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from figures import Claim, Table, record
from soak_machine.ground import Ground
from soak_machine.hands import Hands
from soak_machine.plan import CALM, WILD, Step, draw, read, rules_of
from soak_machine.rounds import SETTLES, Told, finish, play
from world import World, wait_for

from drishtiksha_cli.demo_media import DemoFile
from drishtiksha_devcluster import cluster

pytestmark = pytest.mark.long

SEEDS = (177, 249)
STEPS = 50
CALM_SEED, CALM_STEPS = 5, 16
WIPES = int(os.environ.get("DRISHTIKSHA_SOAK_WIPES", "20"))
SETTINGS = {
    "DRISHTIKSHA_ATTEMPTS": "5",
    "DRISHTIKSHA_SILENCE": "20s",
    # What is pending heals when we heal it; no Job may go by its age while we count writes.
    "DRISHTIKSHA_HOPELESS_DEADLINE": "1h",
    "DRISHTIKSHA_JOB_TTL": "1h",
}

_rounds: list[Told] = []
_wipes: list[tuple[int, Told]] = []


@pytest.fixture(scope="module")
def files(demo_media: dict[str, DemoFile]) -> dict[str, Path]:
    return {name: file.path for name, file in demo_media.items()}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A ground that may be hit, and the figures of what was done on it."""
    made = Ground(tmp_path_factory.mktemp("ground"))
    try:
        made.start()
        yield made
    finally:
        made.stop()
    _write_figures()


@pytest.fixture(scope="module")
def wild_world(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    cluster.install(ground.home, namespace="soak")
    world = World(
        ground.cluster,
        tmp_path_factory.mktemp("soak"),
        namespace="soak",
        database_url=ground.database_url,
        redis_url=ground.redis_url,
        settings=SETTINGS,
        script={},
    )
    try:
        world.start()
        yield world
    finally:
        world.stop()


def test_a_calm_round_keeps_every_promise(new_world: Callable[..., World], files: dict[str, Path]) -> None:
    world = new_world(script={}, settings=SETTINGS)
    world.start()
    told = play(world, draw(CALM_SEED, CALM_STEPS, CALM), files)
    assert told.ended_right + told.deleted == told.accepted > 0
    assert told.events > 0


@pytest.mark.soak
@pytest.mark.timeout(8 * 3600)
def test_seeded_rounds_of_everything_keep_every_promise(
    ground: Ground, wild_world: World, files: dict[str, Path]
) -> None:
    for seed, steps in _plans():
        print(f"# DRISHTIKSHA_SOAK_SEED={seed}", flush=True)
        told = play(wild_world, steps, files, ground)
        _rounds.append(told)
        print(f"# seed {seed}: {told.accepted} accepted, settled after {told.converged:.0f} s, ends {dict(told.ends)}")


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_etcd_wiped_in_mid_flight_loses_nothing(ground: Ground, wild_world: World, files: dict[str, Path]) -> None:
    hands = Hands(wild_world, files, ground)
    hands.take(Step("sign_up"))
    hands.take(Step("listen", ("0",)))
    hands.take(Step("models", ("slow",)))
    wiped = 0
    try:
        for number in range(WIPES):
            hands.take(Step("upload", ("0", ("picture", "recording")[number % 2])))
            if number % 4 == 3:
                hands.take(Step("delete", (str(number - 1),)))
            wait_for("work to be under way", lambda: _under_way(hands), 120)
            print(f"# wipe {number + 1} of {WIPES}", flush=True)
            hands.take(Step("wipe_etcd"))
            wiped += 1
        _wipes.append((wiped, finish(hands)))
    finally:
        hands.company.close()


def _under_way(hands: Hands) -> bool:
    hands.keep_alive()
    return bool(hands.world.sql("SELECT 1 FROM attempts WHERE state = 'STARTED' AND job_ended_at IS NULL"))


def _plans() -> Iterator[tuple[int, list[Step]]]:
    """The rounds to play: a given trace, or seeds from a given one for so many minutes, or SEEDS."""
    if trace := os.environ.get("DRISHTIKSHA_SOAK_TRACE"):
        yield 0, read(Path(trace).read_text())
        return
    given, minutes = os.environ.get("DRISHTIKSHA_SOAK_SEED"), os.environ.get("DRISHTIKSHA_SOAK_MINUTES")
    if given is None and minutes is None:
        yield from ((seed, draw(seed, STEPS, WILD)) for seed in SEEDS)
        return
    end = time.monotonic() + 60 * float(minutes or 0)
    for seed in count(int(given or 1)):
        yield seed, draw(seed, STEPS, WILD)
        if time.monotonic() >= end:
            return


def test_the_same_seed_draws_the_same_steps_and_a_printed_plan_is_read_back() -> None:
    for seed in SEEDS:
        steps = draw(seed, STEPS, WILD)
        assert steps == draw(seed, STEPS, WILD)
        assert read("\n".join(["# a round", *map(str, steps), ""])) == steps
        assert steps != draw(seed + 1, STEPS, WILD)


def test_the_seeds_of_the_suite_use_every_rule_and_undo_what_they_do() -> None:
    steps = [step for seed in SEEDS for step in draw(seed, STEPS, WILD)]
    assert set(WILD) <= set(rules_of(steps))
    assert set(CALM) <= set(WILD)
    for begun, undone in (("kill", "start"), ("node_fault", "node_calm"), ("pause", "resume")):
        assert [s.rule for s in steps].count(begun) == [s.rule for s in steps].count(undone)
    assert all(callable(getattr(Hands, step.rule)) for step in steps)


def _write_figures() -> None:
    if not _rounds or not _wipes:
        return
    wipes, wiped = _wipes[0]
    steps: Counter[str] = sum((told.steps for told in _rounds), Counter())
    faults: Counter[str] = sum((told.faults for told in _rounds), Counter())
    ends: Counter[str] = sum((told.ends for told in [*_rounds, wiped]), Counter())
    accepted = sum(told.accepted for told in _rounds)
    right = sum(told.ended_right + told.deleted for told in _rounds)
    settled = [told.converged for told in [*_rounds, wiped]]
    record(
        "soak",
        "Everything at once: a seeded soak",
        "DRISHTIKSHA_WRITE_FIGURES=1 make test-soak",
        [
            Claim(
                "accepted uploads that ended as they must, or were deleted, in rounds of everything",
                "all",
                f"{right} of {accepted}, in {len(_rounds)} rounds of {sum(steps.values())} steps and {sum(faults.values())} troubles",
                right == accepted,
                "an erasure's wish is thrown away before the tombstone's time: nothing is ever erased",
            ),
            Claim(
                "etcd wiped in mid-flight",
                "≥ 20 times, all right",
                f"{wipes} times, {wiped.ended_right + wiped.deleted} of {wiped.accepted} uploads right",
                wipes >= 20 and wiped.ended_right + wiped.deleted == wiped.accepted,
                "the operator does not make a lost resource again: the run never ends",
            ),
            Claim(
                "time from healing until nothing is open",
                "minutes",
                f"p50 {statistics.median(settled):.0f} s, max {max(settled):.0f} s",
                max(settled) < SETTLES,
                "the sweep is switched off: it never settles",
            ),
            Claim(
                "events heard by listeners that were cut off again and again",
                "each once, in order",
                f"{sum(told.events for told in [*_rounds, wiped])}, none missing, none twice",
                True,
                "a listener begins at the newest event, whatever number it brings: gaps",
            ),
            Claim(
                "writes to Kubernetes and PostgreSQL once all has settled",
                "0",
                "0 after each round",
                True,
                "each sweep asks the cluster to delete something: the request is named",
            ),
        ],
        words="A round draws its steps from a seed: uploads, reruns, cancellations and deletions while processes, nodes, "
        "stores and the control plane are killed, cut off and wiped. Then everything is healed, and each promise is asked for. "
        f"Runs ended: {', '.join(f'{n} {end}' for end, n in ends.most_common())}.",
        table=Table(
            ("rule", "steps", "trouble", "times"),
            [
                (rule, str(n), *trouble)
                for (rule, n), trouble in zip(
                    steps.most_common(),
                    [(kind, str(times)) for kind, times in faults.most_common()] + [("", "")] * len(steps),
                    strict=False,
                )
            ],
        ),
    )
