"""A run from its upload to its end, on a real PostgreSQL: one verb after the other, and what each refuses."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from stores import CAPS, Stores, result

from drishtiksha.database.admission import Caps
from drishtiksha.database.runs import Ended, FrozenModel
from drishtiksha.domain.errors import ErrorClass, Fenced, NotFound, RunActive


async def _finish(stores: Stores, attempt, model: str, **more: object) -> None:
    await stores.results.begin(attempt)
    await stores.results.store(attempt, result(model, **more))
    await stores.runs.attempt_ended(attempt, Ended(None, "Completed", ""))


async def test_an_upload_ends_analyzed_when_all_models_answer(stores: Stores) -> None:
    user = await stores.user()
    media = await stores.upload(user)
    assert [w.kind for w in await stores.outbox.claim(10)] == ["create"]
    assert await stores.runs.conclude(media.run_id) is None
    await stores.runs.freeze(media.run_id, [FrozenModel(m, "1", "s", "service", 3) for m in ("B", "A")])
    started = await stores.start(media.run_id)
    assert sorted(started) == ["A", "B"]
    assert await stores.status(media.run_id) == "QUEUED"
    await stores.results.begin(started["A"])
    assert await stores.status(media.run_id) == "PROCESSING"
    frames = [{"number": n, "score": s, "prediction": "FAKE", "timestamp": n / 25} for n, s in ((0, 0.5), (1, 0.9))]
    more = {"finding": "MANIPULATED_REGION", "calibration": {"kind": "nfa", "bound": 0.001}, "frames": frames}
    await stores.results.store(started["A"], result("A", facts={"n": 1.5, "yes": True, "text": "t"}, **more))
    assert await stores.runs.conclude(media.run_id) is None
    await _finish(stores, started["B"], "B")
    done = await stores.runs.conclude(media.run_id)
    assert done is not None
    assert (done.status, done.reason) == ("ANALYZED", None)
    view = await stores.media.get(user, media.id)
    assert view.media.status == "ANALYZED"
    run = view.runs[0]
    assert (run.verdict, run.verdict_basis, run.verdict_models) == ("FAKE", "MEASURED", ["A"])
    first = run.analyses[0]
    assert (first.prediction, first.confidence, len(view.frames[first.id])) == ("FAKE", 0.999, 2)
    details = view.children[first.id].details
    assert details is not None
    assert details.confidence_std == pytest.approx(0.2)
    names = [e.type for e in await stores.events.after(user, 0)]
    assert names[0] == "RUN_QUEUED"
    assert names[-1] == "RUN_COMPLETED"
    assert [e.seq for e in await stores.events.after(user, 0)] == list(range(1, len(names) + 1))


async def test_a_second_conclude_writes_nothing(stores: Stores) -> None:
    media = await stores.frozen(await stores.user(), "A")
    attempt = (await stores.start(media.run_id))["A"]
    await _finish(stores, attempt, "A")
    assert await stores.runs.conclude(media.run_id) is not None
    assert await stores.runs.conclude(media.run_id) is None


async def test_one_model_failing_for_good_makes_it_partial(stores: Stores) -> None:
    media = await stores.frozen(await stores.user(), "A", "B")
    started = await stores.start(media.run_id)
    await _finish(stores, started["A"], "A")
    await stores.results.begin(started["B"])
    await stores.results.failed(started["B"], ErrorClass.BAD_MEDIA, "broken", None)
    done = await stores.runs.conclude(media.run_id)
    assert done is not None
    assert (done.status, done.reason) == ("PARTIALLY_ANALYZED", None)


async def test_a_retryable_failure_is_tried_again_until_the_budget_is_spent(stores: Stores) -> None:
    media = await stores.frozen(await stores.user(), "A", budget=2)
    first = (await stores.start(media.run_id))["A"]
    await stores.results.begin(first)
    await stores.results.failed(first, ErrorClass.ML_UNAVAILABLE, "away", None)
    assert await stores.start(media.run_id) == {}, "its Job holds the place"
    crashed = Ended(ErrorClass.CRASHED, "Error", "exit 69", retry_in=0.0)
    assert await stores.runs.attempt_ended(first, crashed) is not None
    assert await stores.runs.attempt_ended(first, crashed) is None, "told once"
    second = (await stores.start(media.run_id))["A"]
    assert second != first
    with pytest.raises(Fenced):
        await stores.results.store(first, result("A"))
    await stores.runs.attempt_ended(second, crashed)
    done = await stores.runs.conclude(media.run_id)
    assert done is not None
    assert (done.status, done.reason) == ("FAILED", "CRASHED")


async def test_what_the_cluster_knows_is_added_to_the_runners_own_word_once(stores: Stores) -> None:
    media = await stores.frozen(await stores.user(), "A", budget=1)
    first = (await stores.start(media.run_id))["A"]
    await stores.results.begin(first)
    await stores.results.failed(first, ErrorClass.ML_UNAVAILABLE, "The connection broke.", None)
    ended = Ended(None, "OOMKilled", "the Job failed", cause="Container model used more memory than its limit.")
    await stores.runs.attempt_ended(first, ended)
    await stores.runs.attempt_ended(first, ended)
    seen = await stores.runs.snapshot(media.run_id)
    assert seen is not None
    (analysis,) = seen.analyses
    assert (analysis.error_class, analysis.attempts[0].reason) == ("ML_UNAVAILABLE", "OOMKilled")
    assert analysis.error_message == "The connection broke. Container model used more memory than its limit."


async def test_late_failure_cannot_overwrite_a_result(stores: Stores) -> None:
    user = await stores.user()
    media = await stores.frozen(user, "A")
    attempt = (await stores.start(media.run_id))["A"]
    await stores.results.begin(attempt)
    assert (await stores.results.store(attempt, result("A"))).accepted
    assert not (await stores.results.store(attempt, result("A"))).accepted
    with pytest.raises(Fenced):
        await stores.results.failed(attempt, ErrorClass.INTERNAL, "late", None)
    await stores.runs.attempt_ended(attempt, Ended(ErrorClass.CRASHED, "Evicted", "after handing in"))
    assert (
        await stores.runs.fail_analysis(
            (await stores.media.get(user, media.id)).runs[0].analyses[0].id, ErrorClass.DEADLINE, "late"
        )
        is None
    )
    done = await stores.runs.conclude(media.run_id)
    assert done is not None
    assert done.status == "ANALYZED"


async def test_no_compatible_model_is_never_analyzed(stores: Stores) -> None:
    user = await stores.user()
    media = await stores.upload(user)
    done = await stores.runs.conclude(media.run_id, unfrozen=ErrorClass.NO_COMPATIBLE_MODEL, message="none")
    assert done is not None
    assert (done.status, done.reason) == ("FAILED", "NO_COMPATIBLE_MODEL")
    assert (await stores.media.get(user, media.id)).runs[0].verdict is None


async def test_cancel_keeps_what_is_done(stores: Stores) -> None:
    media = await stores.frozen(await stores.user(), "A", "B", "C")
    started = await stores.start(media.run_id)
    await _finish(stores, started["A"], "A")
    await stores.results.begin(started["B"])
    assert await stores.runs.carry_out_cancel(media.run_id) is not None
    for model in "BC":
        with pytest.raises(Fenced):
            await stores.results.store(started[model], result(model))
    done = await stores.runs.conclude(media.run_id)
    assert done is not None
    assert (done.status, done.reason) == ("PARTIALLY_ANALYZED", "CANCELLED")


async def test_an_attempt_that_ends_because_of_the_cancellation_fails_as_cancelled(stores: Stores) -> None:
    """The runner hears of it at its next heartbeat; its Job may end before the operator has ended the analysis."""
    media = await stores.frozen(await stores.user(), "A", "B")
    started = await stores.start(media.run_id)
    await stores.results.begin(started["A"])
    await stores.results.failed(started["B"], ErrorClass.BAD_MEDIA, "no picture", None)
    await stores.media.request_cancel(media.user_id, media.id)
    await stores.runs.attempt_ended(started["A"], Ended(ErrorClass.INTERNAL, "ExitCode77", "without a word"))
    seen = await stores.runs.snapshot(media.run_id)
    assert seen is not None
    assert [(a.model, a.status, a.error_class) for a in seen.analyses] == [
        ("A", "FAILED", "CANCELLED"),
        ("B", "FAILED", "BAD_MEDIA"),
    ]


async def test_a_deletion_whose_answer_was_lost_is_no_unknown_media(stores: Stores) -> None:
    media = await stores.upload(await stores.user())
    dialect = stores.database.engine.sync_engine.dialect
    commit = dialect.do_commit

    def lost(connection: Any) -> None:
        """This COMMIT is made, and the connection is gone before its answer comes; the next are as usual."""
        dialect.do_commit = commit
        commit(connection)
        connection.dbapi_connection.driver_connection.pgconn.finish()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    dialect.do_commit = lost
    told = await stores.media.remove(media.user_id, media.id)
    assert (told.user_id, told.seq) == (media.user_id, 2)
    assert [e.type for e in await stores.events.after(media.user_id, 0)] == ["MEDIA_DELETED", "MEDIA_DELETED"]
    with pytest.raises(NotFound):
        await stores.media.remove(media.user_id, media.id)


async def test_cancel_before_the_freeze_ends_as_cancelled(stores: Stores) -> None:
    user = await stores.user()
    media = await stores.upload(user)
    await stores.media.request_cancel(user, media.id)
    assert await stores.runs.freeze(media.run_id, [FrozenModel("A", "1", "s", "service", 1)]) is None
    done = await stores.runs.conclude(media.run_id)
    assert done is not None
    assert (done.status, done.reason) == ("FAILED", "CANCELLED")


async def test_rerun_waits_for_the_end_and_takes_the_media_with_it(stores: Stores) -> None:
    user = await stores.user()
    media = await stores.frozen(user, "A")
    with pytest.raises(RunActive):
        await stores.media.rerun(user, media.id)
    await _finish(stores, (await stores.start(media.run_id))["A"], "A")
    await stores.runs.conclude(media.run_id)
    reruns = await asyncio.gather(*(stores.media.rerun(user, media.id) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(r, RunActive) for r in reruns) == 3
    view = await stores.media.get(user, media.id)
    assert [(r.number, r.status) for r in view.runs] == [(2, "QUEUED"), (1, "ANALYZED")]
    assert view.media.status == "QUEUED"


async def test_delete_fences_blanks_and_is_gone_after_erasure(stores: Stores) -> None:
    user, stranger = await stores.user(), await stores.user("eve")
    media = await stores.frozen(user, "A")
    attempt = (await stores.start(media.run_id))["A"]
    await stores.results.begin(attempt)
    with pytest.raises(NotFound):
        await stores.media.remove(stranger, media.id)
    await stores.media.remove(user, media.id)
    with pytest.raises(NotFound):
        await stores.media.remove(user, media.id)
    for write in (stores.results.store(attempt, result("A")), stores.results.heartbeat(attempt)):
        with pytest.raises(Fenced):
            await write
    assert await stores.runs.conclude(media.run_id) is None
    assert {e.type for e in await stores.events.after(user, 0)} == {"MEDIA_DELETED"}
    left = await stores.media.erasure(media.id)
    assert left is not None
    assert left.object_keys == (media.object_key,)
    await stores.media.erased(media.id)
    assert await stores.media.erasure(media.id) is None
    assert await stores.runs.snapshot(media.run_id) is None


async def test_deletion_takes_a_persons_words_and_a_refused_wish_with_it(stores: Stores) -> None:
    user = await stores.user()
    media = await stores.upload(user)
    (wished,) = await stores.outbox.claim(10)
    await stores.outbox.rejected(wished, "no such namespace")
    await stores.runs.conclude(media.run_id, unfrozen=ErrorClass.CLUSTER_REJECTED)
    await stores.media.rerun(user, media.id, reason="canary words")
    await stores.runs.conclude((await stores.media.get(user, media.id)).runs[0].id, unfrozen=ErrorClass.NO_DISCOVERY)
    await stores.media.remove(user, media.id)
    async with stores.database.engine.connect() as connection:
        words = await connection.execute(
            text("SELECT requested_reason FROM analysis_runs WHERE requested_reason IS NOT NULL")
        )
        assert words.all() == []
        await stores.media.erased(media.id)
        left = await connection.execute(text("SELECT kind FROM outbox"))
        assert left.scalars().all() == ["erase"]


async def test_caps_are_exact_under_racers_and_users_take_turns(stores: Stores) -> None:
    ada, bob = await stores.user("ada"), await stores.user("bob")
    runs = [await stores.frozen(ada, "A", "B") for _ in range(4)] + [await stores.frozen(bob, "A", "B")]
    caps = Caps(total=4, per_user=16, per_model=2, of_model={})
    for _ in range(2):
        await asyncio.gather(*(stores.start(r.run_id, caps) for r in runs))
    in_flight = [a for r in runs for a in await _attempts(stores, r.run_id)]
    assert len(in_flight) == 4
    assert len(await _attempts(stores, runs[-1].run_id)) == 2, "bob's first run is served beside ada's"
    seen = await stores.admission.start_attempts(runs[3].run_id, caps, {"A": 1.0, "B": 1.0})
    assert dict(seen.started) == {}
    assert sorted(seen.ahead) == ["A", "B"]


async def _attempts(stores: Stores, run_id) -> list:
    seen = await stores.runs.snapshot(run_id)
    assert seen is not None
    return [t for a in seen.analyses for t in a.attempts]


async def test_two_last_results_at_once_conclude_once(stores: Stores) -> None:
    user = await stores.user()
    media = await stores.frozen(user, *(f"M{n}" for n in range(6)))
    started = await stores.start(media.run_id)

    async def hand_in(model: str) -> object:
        await _finish(stores, started[model], model)
        return await stores.runs.conclude(media.run_id)

    ends = await asyncio.gather(*map(hand_in, started))
    assert sum(e is not None for e in ends) == 1
    told = [e.seq for e in await stores.events.after(user, 0)]
    assert told == list(range(1, len(told) + 1))


@pytest.mark.parametrize(
    ("statement", "invariant"),
    [
        ("UPDATE analyses SET status = 'FAILED', error_class = 'INTERNAL', prediction = NULL, confidence = NULL, basis = NULL", "I5"),
        ("UPDATE analyses SET note = 'changed'", "I5"),
        ("DELETE FROM analyses", "I2"),
        ("UPDATE analysis_runs SET status = 'FAILED'", "I5"),
        ("UPDATE analysis_runs SET verdict = 'REAL'", "I5"),
        ("UPDATE media SET status = 'QUEUED'", "I8"),
        ("UPDATE media SET latest_run_number = 0", "I8"),
        ("INSERT INTO analyses (id, run_id, media_id, model, model_version, source, execution, status, budget) "
         "SELECT gen_random_uuid(), run_id, media_id, 'late', '', '', 'service', 'PENDING', 3 FROM analyses", "I4"),
        ("INSERT INTO attempts (id, analysis_id, number, state, running_deadline) "
         "SELECT gen_random_uuid(), id, budget + 1, 'CREATED', 1 FROM analyses", "I6"),
        ("UPDATE attempts SET state = 'STARTED'", "I11"),
    ],
)  # fmt: skip
async def test_the_database_itself_refuses(stores: Stores, statement: str, invariant: str) -> None:
    media = await stores.frozen(await stores.user(), "A")
    await _finish(stores, (await stores.start(media.run_id, CAPS))["A"], "A")
    await stores.runs.conclude(media.run_id)
    with pytest.raises(DBAPIError, match=invariant):
        async with stores.database.engine.begin() as connection:
            await connection.execute(text(statement))


async def test_a_run_cannot_be_made_to_say_analyzed_with_a_model_missing(stores: Stores) -> None:
    media = await stores.frozen(await stores.user(), "A", "B")
    started = await stores.start(media.run_id)
    await _finish(stores, started["A"], "A")
    with pytest.raises(DBAPIError, match="I7"):
        async with stores.database.engine.begin() as connection:
            await connection.execute(text("UPDATE analysis_runs SET status = 'ANALYZED', finished_at = now()"))
            await connection.execute(text("UPDATE media SET status = 'ANALYZED'"))
