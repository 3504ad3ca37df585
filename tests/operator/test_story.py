"""The whole story between a real PostgreSQL and a real API server: what is made, how often, and how it ends."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import uuid
from typing import Any

import pytest
from operator_stage import NAMESPACE, Stage, model, stage_over
from sqlalchemy import event, text
from stores import Stores

from drishtiksha.database.media import NewMedia
from drishtiksha.database.runs import FrozenModel
from drishtiksha.domain.errors import ErrorClass
from drishtiksha.resources import FINALIZER, AnalysisSpec, MediaAnalyses, job_name, secret_name
from drishtiksha_devcluster.ephemeral import ThrowawayCluster


async def sql(stores: Stores, statement: str, **values: Any) -> None:
    async with stores.database.engine.begin() as connection:
        await connection.execute(text(statement), values)


async def due_now(stage: Stage, new: NewMedia) -> None:
    """The time of every next attempt has come."""
    await sql(stage.stores, "UPDATE analyses SET retry_at = now() - interval '1 s' WHERE retry_at IS NOT NULL")


async def test_a_healthy_run_of_three_models_costs_five_creates_and_few_patches(stage: Stage) -> None:
    new = await stage.upload()
    await stage.look(new)
    assert len(await stage.objects("jobs", new)) == 3
    for name in ("A", "B", "C"):
        await stage.hand_in(new, name)
        await stage.look(new)
    resource = await stage.resource(new)
    assert resource["status"]["phase"] == "ANALYZED"
    assert resource["status"]["summary"] == "3/3"
    assert FINALIZER not in resource["metadata"].get("finalizers", [])
    writes = stage.kube.writes
    assert sum(method == "POST" for method, _ in writes) == 5, writes
    assert sum(method == "PATCH" for method, _ in writes) <= 6, writes
    events = await stage.admin.list(
        f"/api/v1/namespaces/{NAMESPACE}/events", fields=f"involvedObject.uid={resource['metadata']['uid']}"
    )
    assert [(e["reason"], e["type"]) for e in events] == [("Analyzed", "Normal")]


async def test_a_second_look_at_a_settled_run_writes_nothing_anywhere(stage: Stage) -> None:
    new = await stage.upload()
    await stage.look(new)
    for name in ("A", "B", "C"):
        await stage.hand_in(new, name)
        await stage.end_pod(job_name(new.run_id, name, 1), 0)
    await stage.look(new)
    assert await stage.look(new) is None
    stage.kube.forget()
    written: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "SET", "SHOW")):
            written.append(statement)

    event.listen(stage.stores.database.engine.sync_engine, "before_cursor_execute", note)
    assert await stage.look(new) is None
    assert stage.kube.writes == []
    assert written == []


async def test_the_secret_holds_a_token_per_attempt_and_jobs_are_owned_by_the_resource(stage: Stage) -> None:
    new = await stage.upload()
    await stage.look(new)
    resource = await stage.resource(new)
    uid = resource["metadata"]["uid"]
    for job in await stage.objects("jobs", new):
        assert job["metadata"]["ownerReferences"][0]["uid"] == uid
    path = f"/api/v1/namespaces/{NAMESPACE}/secrets/{secret_name(new.run_id, uid)}"
    secret = await stage.admin.get(path)
    assert secret["immutable"] is True
    tokens = {key: base64.b64decode(v).decode() for key, v in secret["data"].items() if key.startswith("token-")}
    assert len(tokens) == 9
    attempts = await stage.attempts(new)
    signed = {stage.story.starting.keys.read_attempt_token(token) for token in tokens.values()}
    assert {a.id for a in attempts.values()} <= signed
    keys = {base64.b64decode(v).decode() for key, v in secret["data"].items() if key.startswith("ml-")}
    assert keys == {"service-key"}


async def test_deleting_the_resource_of_a_live_run_cancels_it(stage: Stage) -> None:
    new = await stage.upload()
    await stage.look(new)
    await stage.hand_in(new, "A")
    await MediaAnalyses(stage.admin, NAMESPACE).delete(new.run_id)
    await stage.look(new)
    run = await stage.stores.runs.snapshot(new.run_id)
    assert run is not None
    assert (run.status, run.reason) == ("PARTIALLY_ANALYZED", ErrorClass.CANCELLED)
    assert await stage.analyses.get(new.run_id) is None
    await stage.look(new)
    jobs = {j["metadata"]["name"] for j in await stage.objects("jobs", new) if "deletionTimestamp" not in j["metadata"]}
    assert jobs <= {job_name(new.run_id, "A", 1)}
    assert {t.state for t in (await stage.attempts(new)).values()} == {"SUCCEEDED", "FENCED"}


async def test_a_cancel_wish_before_the_freeze_ends_the_run_without_a_job(stage: Stage) -> None:
    new = await stage.upload()
    await stage.stores.media.request_cancel(new.user_id, new.id)
    await stage.look(new)
    status = (await stage.resource(new))["status"]
    assert (status["phase"], status["reason"], status["summary"]) == ("FAILED", "CANCELLED", "0/0")
    complete = next(c for c in status["conditions"] if c["type"] == "Complete")
    assert (complete["status"], complete["reason"]) == ("True", "Cancelled")
    assert await stage.objects("jobs", new) == []


async def test_a_lost_resource_is_wished_for_again_and_the_run_goes_on(stage: Stage) -> None:
    new = await stage.upload()
    await stage.look(new)
    await stage.analyses.release(await stage.resource(new))
    await MediaAnalyses(stage.admin, NAMESPACE).delete(new.run_id)
    assert await stage.stores.outbox.claim(10) == []
    for job in await stage.objects("jobs", new):  # as the garbage collector does, sooner or later
        await stage.admin.delete(f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{job['metadata']['name']}")
    await stage.look(new)
    run = await stage.stores.runs.snapshot(new.run_id)
    assert run is not None
    assert (run.status, run.create_pending) == ("QUEUED", True)
    made = await stage.dispatch(new)
    await due_now(stage, new)
    await stage.look(new)
    assert {t.number for t in (await stage.attempts(new)).values()} == {2}
    for name in ("A", "B", "C"):
        await stage.hand_in(new, name)
    await stage.look(new)
    resource = await stage.resource(new)
    assert resource["metadata"]["uid"] == made["metadata"]["uid"]
    assert resource["status"]["phase"] == "ANALYZED"


async def test_a_resource_without_a_run_is_never_executed_and_let_go_when_deleted(stage: Stage) -> None:
    stranger = AnalysisSpec(str(uuid.uuid4()), str(uuid.uuid4()), "IMAGE", False)
    await MediaAnalyses(stage.admin, NAMESPACE).create(stranger, 1)
    await stage.story.look(stranger.run_id)
    assert stage.kube.writes == []
    assert len(stage.story.figures.strangers) == 1
    await MediaAnalyses(stage.admin, NAMESPACE).delete(stranger.run_id)
    await stage.story.look(stranger.run_id)
    assert await stage.analyses.get(stranger.run_id) is None
    assert not stage.story.figures.strangers


async def test_no_compatible_model_is_believed_after_two_looks_and_never_analyzed(stage: Stage) -> None:
    new = await stage.upload()
    stage.models[:] = [model("V", isImage=False, isVideo=True)]
    await stage.look(new)
    status = (await stage.resource(new))["status"]
    assert (status["phase"], status["summary"]) == ("QUEUED", "-")
    await stage.look(new, seconds=15)
    assert (await stage.resource(new))["status"]["phase"] == "QUEUED"
    await stage.look(new, seconds=31)
    status = (await stage.resource(new))["status"]
    assert (status["phase"], status["reason"], status["summary"]) == ("FAILED", "NO_COMPATIBLE_MODEL", "0/0")


async def test_a_model_that_appears_between_the_two_looks_is_used(stage: Stage) -> None:
    new = await stage.upload()
    stage.models[:] = []
    await stage.look(new)
    stage.models[:] = [model("LATE")]
    await stage.look(new, seconds=31)
    assert [m["name"] for m in (await stage.resource(new))["status"]["models"]] == ["LATE"]


async def test_a_service_that_is_away_is_waited_for_and_named(stage: Stage) -> None:
    new = await stage.upload()
    stage.away = True
    assert await stage.look(new) == pytest.approx(5)
    status = (await stage.resource(new))["status"]
    assert status["phase"] == "QUEUED"
    discovered = next(c for c in status["conditions"] if c["type"] == "ModelsDiscovered")
    assert "default (it cannot be reached)" in discovered["message"]
    stage.away = False
    await stage.look(new)
    assert len(await stage.objects("jobs", new)) == 3


async def test_the_discovery_deadline_ends_a_run_after_a_fresh_look_only(stage: Stage) -> None:
    new = await stage.upload()
    stage.away = True
    await stage.look(new, seconds=0)
    await sql(stage.stores, "UPDATE analysis_runs SET created_at = now() - interval '61 min'")
    stage.away = False  # the kept look still says that it is away; a fresh one does not
    assert await stage.look(new, seconds=0.01) is not None
    assert (await stage.resource(new))["status"]["phase"] == "QUEUED"
    stage.away = True
    await stage.look(new)
    status = (await stage.resource(new))["status"]
    assert (status["phase"], status["reason"]) == ("FAILED", "NO_DISCOVERY")


async def test_a_job_that_the_cluster_refuses_fails_its_analysis_at_once(
    stores: Stores, cluster: ThrowawayCluster
) -> None:
    wrong = "models: {overrides: [{match: B, overlay: {nonsense: 1}}]}"
    async with stage_over(stores, cluster, wrong) as stage:
        new = await stage.upload()
        stage.models[:] = [model("A"), model("B")]
        await stage.look(new)
        refused = next(m for m in (await stage.resource(new))["status"]["models"] if m["name"] == "B")
        assert (refused["phase"], refused["reason"]) == ("FAILED", "CLUSTER_REJECTED")
        assert "nonsense" in refused["message"]
        assert {j["metadata"]["name"] for j in await stage.objects("jobs", new)} == {job_name(new.run_id, "A", 1)}


async def test_a_failure_of_the_runners_own_word_keeps_its_class_and_the_budget_ends_it(
    stores: Stores, cluster: ThrowawayCluster
) -> None:
    async with stage_over(stores, cluster, DRISHTIKSHA_ATTEMPTS=2) as stage:
        new = await stage.upload()
        stage.models[:] = [model("A")]
        for number in (1, 2):
            await due_now(stage, new)
            await stage.look(new)
            attempt = (await stage.attempts(new))["A"]
            assert attempt.number == number
            await stores.results.begin(attempt.id)
            await stores.results.failed(attempt.id, ErrorClass.ML_UNAVAILABLE, "the service broke", None)
            await stage.end_pod(job_name(new.run_id, "A", number), 69, reason="Error")
            await stage.look(new)
        status = (await stage.resource(new))["status"]
        assert (status["phase"], status["reason"]) == ("FAILED", "ML_UNAVAILABLE")
        told = [e.type for e in await stores.events.after(new.user_id, 0)]
        assert (told.count("ANALYSIS_RETRYING"), told.count("ANALYSIS_FAILED")) == (1, 1)


async def test_one_who_waited_and_was_cancelled_does_not_keep_others_from_being_woken(
    stores: Stores, cluster: ThrowawayCluster
) -> None:
    async with stage_over(stores, cluster, DRISHTIKSHA_MAX_ACTIVE_JOBS=1) as stage:
        stage.models[:] = [model("A")]
        first, second, third = await stage.upload(), await stage.upload(), await stage.upload()
        for new in (first, second, third):
            await stage.look(new)
        await stores.media.request_cancel(second.user_id, second.id)
        await stage.look(second)
        await stage.hand_in(first, "A")
        await stage.end_pod(job_name(first.run_id, "A", 1), 0)
        await stage.look(first)
        assert stage.woken[-1] == str(third.run_id)


async def test_a_deleted_media_gives_its_places_back_while_its_tombstone_stands(
    stores: Stores, cluster: ThrowawayCluster
) -> None:
    async with stage_over(stores, cluster, DRISHTIKSHA_MAX_ACTIVE_JOBS=1) as stage:
        stage.models[:] = [model("A")]
        first, second = await stage.upload(), await stage.upload()
        await stage.look(first)
        await stage.look(second)
        assert await stage.objects("jobs", second) == []
        await stores.media.remove(first.user_id, first.id)
        await stage.look(first)  # its Job is deleted
        await stage.look(first)  # and seen to be gone
        assert await stage.objects("jobs", first) == []
        assert stage.woken[-1] == str(second.run_id)
        await stage.look(second)
        assert len(await stage.objects("jobs", second)) == 1
        assert await stores.media.erasure(first.id) is not None


async def test_a_crash_between_job_and_row_is_made_good_without_doubles(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise ConnectionError("the process ends here")

    new = await stage.upload()
    with monkeypatch.context() as dying:
        dying.setattr(stage.stores.runs, "note_jobs", die)
        with pytest.raises(ConnectionError):
            await stage.look(new)
    made = {j["metadata"]["uid"] for j in await stage.objects("jobs", new)}
    assert len(made) == 3
    stage.story.starting._posted.clear()  # the next process knows nothing of the Secret
    await stage.look(new)
    assert {j["metadata"]["uid"] for j in await stage.objects("jobs", new)} == made
    assert {t.job_uid for t in (await stage.attempts(new)).values()} == made


async def test_a_crash_between_rows_and_jobs_is_made_good(stage: Stage) -> None:
    new = await stage.upload()
    await stage.stores.runs.freeze(new.run_id, [FrozenModel(m, "1", "default", "service", 3) for m in ("A", "B")])
    await stage.stores.start(new.run_id)
    await stage.look(new)
    assert {j["metadata"]["name"] for j in await stage.objects("jobs", new)} == {
        job_name(new.run_id, m, 1) for m in ("A", "B")
    }


async def test_two_operators_make_no_more_than_one(stores: Stores, cluster: ThrowawayCluster) -> None:
    async with stage_over(stores, cluster) as one, stage_over(stores, cluster) as two:
        new = await one.upload()
        await asyncio.gather(one.look(new), two.look(new), one.look(new), two.look(new))
        assert len(await one.objects("jobs", new)) == 3
        for name in ("A", "B", "C"):
            await one.hand_in(new, name)
            await asyncio.gather(one.look(new), two.look(new))
        await asyncio.gather(one.look(new), two.look(new))
        assert (await one.resource(new))["status"]["phase"] == "ANALYZED"
        told = [e.type for e in await stores.events.after(new.user_id, 0)]
        assert told.count("RUN_COMPLETED") == 1


async def test_a_runner_that_dies_without_a_word_is_tried_again_in_a_job_of_its_own(stage: Stage) -> None:
    new = await stage.upload()
    stage.models[:] = [model("A")]
    await stage.look(new)
    await stage.end_pod(job_name(new.run_id, "A", 1), 137, reason="OOMKilled")
    await stage.look(new)
    first = (await stage.attempts(new))["A"]
    assert (first.error_class, first.reason, first.node) == (ErrorClass.CRASHED, "OOMKilled", first.node)
    assert len(await stage.objects("jobs", new)) == 1
    await due_now(stage, new)
    await stage.look(new)
    assert {j["metadata"]["name"] for j in await stage.objects("jobs", new)} == {
        job_name(new.run_id, "A", n) for n in (1, 2)
    }
    await stage.hand_in(new, "A")
    await stage.look(new)
    assert (await stage.resource(new))["status"]["phase"] == "ANALYZED"


async def test_a_job_that_completes_without_a_result_is_no_success(stores: Stores, cluster: ThrowawayCluster) -> None:
    async with stage_over(stores, cluster, DRISHTIKSHA_ATTEMPTS=1) as stage:
        new = await stage.upload()
        stage.models[:] = [model("A"), model("B")]
        await stage.look(new)
        await stage.hand_in(new, "B")
        await stage.end_pod(job_name(new.run_id, "A", 1), 0)
        await stage.look(new)
        status = (await stage.resource(new))["status"]
        assert status["phase"] == "PARTIALLY_ANALYZED"
        failed = next(m for m in status["models"] if m["name"] == "A")
        assert (failed["phase"], failed["reason"]) == ("FAILED", "INTERNAL")


async def test_a_result_that_was_handed_in_survives_a_failed_job(stage: Stage) -> None:
    new = await stage.upload()
    stage.models[:] = [model("A")]
    await stage.look(new)
    await stage.hand_in(new, "A")
    await stage.end_pod(job_name(new.run_id, "A", 1), 143, reason="Error")
    await stage.look(new)
    assert (await stage.resource(new))["status"]["phase"] == "ANALYZED"
    assert (await stage.attempts(new))["A"].state == "SUCCEEDED"


async def test_a_job_deleted_by_hand_is_a_crash_and_is_tried_again(stage: Stage) -> None:
    new = await stage.upload()
    stage.models[:] = [model("A")]
    await stage.look(new)
    path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{job_name(new.run_id, 'A', 1)}"
    await stage.admin.delete(path)
    await stage.look(new)
    assert (await stage.attempts(new))["A"].reason == "JobGone"
    await due_now(stage, new)
    await stage.look(new)
    assert (await stage.attempts(new))["A"].number == 2


async def test_a_full_house_is_no_failure_and_the_next_is_woken_when_a_place_is_free(
    stores: Stores, cluster: ThrowawayCluster
) -> None:
    async with stage_over(stores, cluster, DRISHTIKSHA_MAX_ACTIVE_JOBS=1) as stage:
        stage.models[:] = [model("A")]
        first, second = await stage.upload(), await stage.upload()
        await stage.look(first)
        await stage.look(second)
        waiting = (await stage.resource(second))["status"]["models"][0]
        assert (waiting["phase"], waiting["attempt"], waiting["reason"]) == ("PENDING", 0, "WaitingForPlace")
        assert "ahead" in waiting["message"]
        await stage.hand_in(first, "A")
        await stage.end_pod(job_name(first.run_id, "A", 1), 0)
        await stage.look(first)
        assert str(second.run_id) in stage.woken
        await stage.look(second)
        assert len(await stage.objects("jobs", second)) == 1


async def test_a_runner_that_is_past_its_deadline_is_fenced_and_its_job_deleted(stage: Stage) -> None:
    new = await stage.upload()
    stage.models[:] = [model("A")]
    await stage.look(new)
    attempt = (await stage.attempts(new))["A"]
    await stage.stores.results.begin(attempt.id)
    await sql(stage.stores, "UPDATE attempts SET started_at = now() - interval '31 min', seen_at = now()")
    await stage.look(new)
    status = (await stage.resource(new))["status"]
    assert (status["phase"], status["reason"]) == ("FAILED", "DEADLINE")
    await stage.look(new)
    assert all("deletionTimestamp" in j["metadata"] for j in await stage.objects("jobs", new))


async def test_a_run_whose_media_was_deleted_is_let_go_and_its_jobs_are_ended(stage: Stage) -> None:
    new = await stage.upload()
    await stage.look(new)
    await stage.stores.media.remove(new.user_id, new.id)
    await MediaAnalyses(stage.admin, NAMESPACE).delete(new.run_id)
    stage.kube.forget()
    await stage.look(new)
    assert await stage.analyses.get(new.run_id) is None
    assert [method for method, _ in stage.kube.writes] in (["PATCH"] + ["DELETE"] * n for n in range(4))  # or collected
    await stage.look(new)
    assert await stage.objects("jobs", new) == []


async def test_a_run_that_waits_longer_than_its_age_limit_fails(stores: Stores, cluster: ThrowawayCluster) -> None:
    async with stage_over(stores, cluster, DRISHTIKSHA_MAX_ACTIVE_JOBS=1) as stage:
        stage.models[:] = [model("A")]
        first, second = await stage.upload(), await stage.upload()
        await stage.look(first)
        await stage.look(second)
        await sql(
            stores, "UPDATE analysis_runs SET created_at = now() - interval '8 d' WHERE id = :id", id=second.run_id
        )
        await stage.look(second)
        status = (await stage.resource(second))["status"]
        assert (status["phase"], status["reason"]) == ("FAILED", "UNSCHEDULABLE")


async def test_a_status_that_changed_while_we_looked_is_looked_at_again(stage: Stage) -> None:
    new = await stage.upload()
    real = stage.analyses.get

    async def stale(run_id: object) -> Any:
        found = await real(run_id)
        if found is not None:
            await MediaAnalyses(stage.admin, NAMESPACE).kube.merge(
                stage.analyses.path(run_id), {"metadata": {"annotations": {"a": str(dt.datetime.now())}}}
            )
        return found

    stage.analyses.get = stale  # type: ignore[method-assign]
    again = await stage.look(new)
    assert again is not None
    assert again < 1
    stage.analyses.get = real  # type: ignore[method-assign]
    await stage.look(new)
    assert (await stage.resource(new))["status"]["phase"] == "QUEUED"


@pytest.mark.parametrize("key", ["", "nonsense", "ma-1"])
async def test_a_key_that_is_no_run_is_ignored(stage: Stage, key: str) -> None:
    assert await stage.story.look(key) is None
