"""The sweep over a real PostgreSQL and a real API server, and what is heard over the live channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from operator_stage import NAMESPACE, Stage, stage_over
from stores import Stores

from drishtiksha.domain.errors import Unavailable
from drishtiksha.resources import MediaAnalyses
from drishtiksha.settings import Operator
from drishtiksha_devcluster.ephemeral import ThrowawayCluster
from drishtiksha_operator.health import Health
from drishtiksha_operator.sweep import HistoryLost, Sweep, listen


def sweep_of(stage: Stage, **settings: Any) -> tuple[Sweep, list[str]]:
    added: list[str] = []
    story = stage.story
    made = Sweep(
        stage.stores.database, stage.stores.runs, stage.analyses, Operator.model_validate(settings), story.figures,
        Health(story.figures), added.append,
    )  # fmt: skip
    return made, added


async def finished(stage: Stage) -> Any:
    new = await stage.upload()
    stage.models[:] = stage.models[:1]
    await stage.look(new)
    await stage.hand_in(new, "A")
    await stage.look(new)
    return new


async def test_rows_that_are_not_final_or_have_open_jobs_are_looked_at(stage: Stage) -> None:
    done, live = await finished(stage), await stage.upload(resource=False)
    sweep, added = sweep_of(stage)
    await sweep.rows()
    assert set(added) == {str(done.run_id), str(live.run_id)}  # the Job of `done` was not seen to end
    await stage.end_pod((await stage.attempts(done))["A"].job_name, 0)
    await stage.look(done)
    added.clear()
    await sweep.rows()
    assert added == [str(live.run_id)]


async def test_finished_resources_are_deleted_after_their_time_and_not_before(
    stores: Stores, cluster: ThrowawayCluster
) -> None:
    async with stage_over(stores, cluster) as stage:
        old = await finished(stage)
        early, _ = sweep_of(stage, DRISHTIKSHA_RESOURCE_TTL="1h")
        await early.both_sides()
        assert await stage.analyses.get(old.run_id) is not None
        late, _ = sweep_of(stage, DRISHTIKSHA_RESOURCE_TTL="1ms")
        await late.both_sides()
        async with asyncio.timeout(10):
            while await stage.analyses.get(old.run_id) is not None:
                await asyncio.sleep(0.1)
        assert (await stores.runs.snapshot(old.run_id)).status == "ANALYZED"  # type: ignore[union-attr]


async def test_resources_that_are_held_or_have_no_run_are_looked_at(stage: Stage) -> None:
    live = await stage.upload()
    stranger = await stage.stores.upload(await stage.stores.user())
    await stage.dispatch(stranger)
    # A row that is gone while its resource is there.
    await stage.stores.media.remove(stranger.user_id, stranger.id)
    await stage.stores.media.erased(stranger.id)
    sweep, added = sweep_of(stage)
    await sweep.both_sides()
    assert {str(live.run_id), str(stranger.run_id)} <= set(added)
    await MediaAnalyses(stage.admin, NAMESPACE).delete(stranger.run_id)
    await stage.story.look(str(stranger.run_id))
    assert await stage.analyses.get(stranger.run_id) is None


class Channel:
    """A live channel that says what the test wants."""

    def __init__(self, *heard: Any) -> None:
        self.heard = heard

    async def listen(self, *_channels: str) -> AsyncIterator[Any]:
        for one in self.heard:
            yield one


RUN = "0198f1c2-7d1b-7aa0-8000-00000000002a"


class Rows:
    """A sweep that only remembers."""

    def __init__(self, error: Exception | None = None) -> None:
        self.swept, self.added, self.error = 0, [], error
        self.add = self.added.append

    async def rows(self) -> None:
        self.swept += 1
        if self.error is not None:
            raise self.error


async def test_a_cluster_whose_history_begins_anew_ends_the_process_for_its_ear_is_deaf(stage: Stage) -> None:
    class LongAgo(MediaAnalyses):
        """A cluster that lost its history: each answer has a smaller version than the one before."""

        lost = 0

        async def ping(self) -> int:
            return await super().ping() - self.lost

    sweep, _ = sweep_of(stage, DRISHTIKSHA_SWEEP="50ms")
    sweep.analyses = analyses = LongAgo(stage.admin, NAMESPACE)
    assert await analyses.ping() > 0
    await sweep.rows()
    await stage.upload()
    await sweep.rows()
    analyses.lost = 10
    with pytest.raises(HistoryLost):
        await asyncio.wait_for(sweep.work(), 30)


async def test_each_connection_to_the_live_channel_sweeps_and_each_message_is_a_look() -> None:
    rows = Rows()
    odd = [("c", {"runId": 5}), ("c", {}), ("c", {"runId": "short"})]
    await listen(Channel(None, ("c", {"runId": RUN}), *odd, None), rows)  # type: ignore[arg-type]
    assert (rows.swept, rows.added) == (2, [RUN])


async def test_a_database_that_is_away_while_the_live_channel_connects_ends_nothing() -> None:
    rows = Rows(Unavailable("postgres", "away"))
    await listen(Channel(None, ("c", {"runId": RUN})), rows)  # type: ignore[arg-type]
    assert rows.added == [RUN]
