"""The witness against rows: a healthy database is clean, and each fault that is planted in it is named."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from drishtiksha.audit.catalogue import CHECKS
from drishtiksha.audit.limits import Limits

OLD = "now() - interval '400 days'"


def media(name: str) -> str:
    return f"(SELECT id FROM media WHERE filename = '{name}')"


def run(name: str) -> str:
    return f"(SELECT latest_run_id FROM media WHERE filename = '{name}')"


def analysis(name: str, model: str = "A") -> str:
    return f"(SELECT id FROM analyses WHERE run_id = {run(name)} AND model = '{model}')"


NOTHING = "prediction = NULL, confidence = NULL, basis = NULL, score = NULL, finished_at = NULL"
DELETED = "(SELECT id FROM media WHERE deleted_at IS NOT NULL)"

PLANTED = [
    # Media and runs.
    ("media-metadata", f"DELETE FROM image_metadata WHERE media_id = {media('queued')}"),
    ("media-latest-run", "UPDATE media SET status = 'FAILED' WHERE filename = 'analyzed'"),
    ("media-latest-run", f"UPDATE media SET latest_run_id = {run('failed')} WHERE filename = 'analyzed'"),
    ("run-numbers", f"UPDATE analysis_runs SET number = 5 WHERE media_id = {media('rerun')} AND number = 2"),
    ("run-status", f"UPDATE analysis_runs SET status = 'ANALYZED' WHERE id = {run('partial')}"),
    ("run-status", f"UPDATE analysis_runs SET status = 'ANALYZED' WHERE id = {run('nobody')}"),
    ("run-status", f"UPDATE analysis_runs SET status = 'QUEUED' WHERE id = {run('processing')}"),
    ("run-complete", f"UPDATE analyses SET status = 'PROCESSING', {NOTHING} WHERE id = {analysis('analyzed')}"),
    ("run-reason", f"UPDATE analysis_runs SET reason = NULL WHERE id = {run('failed')}"),
    ("run-reason", f"UPDATE analysis_runs SET reason = 'INTERNAL' WHERE id = {run('analyzed')}"),
    ("run-reason", f"UPDATE analysis_runs SET reason = 'DEADLINE' WHERE id = {run('nobody')}"),
    ("run-verdict", f"UPDATE analysis_runs SET verdict = 'REAL' WHERE id = {run('analyzed')}"),
    ("run-verdict", f"UPDATE analysis_runs SET verdict_score = 0.61 WHERE id = {run('analyzed')}"),
    ("run-verdict", f"UPDATE analysis_runs SET verdict_models = '{{A}}' WHERE id = {run('analyzed')}"),
    ("run-verdict", f"UPDATE analysis_runs SET verdict = 'REAL', verdict_basis = 'CLAIMED' WHERE id = {run('failed')}"),
    ("run-settles", f"UPDATE analysis_runs SET created_at = {OLD} WHERE id = {run('queued')}"),
    ("frozen-set", f"UPDATE analysis_runs SET frozen_at = NULL, status = 'QUEUED' WHERE id = {run('retrying')}"),
    ("frozen-set", f"UPDATE analyses SET created_at = now() WHERE id = {analysis('analyzed')}"),
    ("frozen-set", f"DELETE FROM analyses WHERE run_id = {run('retrying')}"),
    # Tombstones.
    ("tombstone-blank", f"UPDATE media SET description = 'me at the beach' WHERE id = {DELETED}"),
    ("tombstone-blank", f"UPDATE analysis_runs SET requested_reason = 'my face' WHERE media_id = {DELETED}"),
    ("tombstone-wish", f"DELETE FROM outbox WHERE kind = 'erase' AND key = {DELETED}"),
    ("tombstone-wish", f"INSERT INTO outbox (kind, key) SELECT 'erase', {media('analyzed')}"),
    ("tombstone-fenced", "UPDATE attempts SET state = 'STARTED' WHERE state = 'FENCED'"),
    ("tombstone-age", f"UPDATE media SET deleted_at = now() - interval '1 hour' WHERE id = {DELETED}"),
    # Analyses and attempts.
    ("analysis-id", f"UPDATE analyses SET model = 'X' WHERE id = {analysis('analyzed')}"),
    ("analysis-id", f"UPDATE analyses SET media_id = {media('failed')} WHERE id = {analysis('analyzed')}"),
    ("result-only-completed", f"UPDATE analyses SET score = 0.1 WHERE id = {analysis('failed', 'B')}"),
    ("result-only-completed", f"INSERT INTO analysis_metrics SELECT id, 'x', 1 FROM analyses WHERE id = {analysis('failed', 'B')}"),
    ("result-only-completed", f"DELETE FROM model_info WHERE analysis_id = {analysis('analyzed')}"),
    ("result-of-current", f"UPDATE attempts SET state = 'FENCED' WHERE analysis_id = {analysis('analyzed')}"),
    ("result-of-current", f"UPDATE attempts SET state = 'SUCCEEDED', error_class = NULL WHERE analysis_id = {analysis('failed', 'B')}"),
    ("failure-class", f"UPDATE attempts SET error_class = NULL WHERE analysis_id = {analysis('failed', 'B')}"),
    ("failure-recorded", f"DELETE FROM analysis_errors WHERE analysis_id = {analysis('failed', 'B')}"),
    ("attempt-numbers", f"DELETE FROM attempts WHERE analysis_id = {analysis('analyzed', 'C')} AND number = 1"),
    ("attempt-numbers", f"DELETE FROM attempts WHERE analysis_id = {analysis('processing')}"),
    ("attempt-numbers", f"INSERT INTO attempts (id, analysis_id, number, state, running_deadline) VALUES (gen_random_uuid(), {analysis('processing')}, 9, 'CREATED', 1)"),
    ("attempt-id", f"UPDATE attempts SET id = gen_random_uuid() WHERE analysis_id = {analysis('processing')}"),
    ("one-in-flight", f"UPDATE attempts SET job_ended_at = NULL WHERE analysis_id = {analysis('analyzed', 'C')}"),
    ("attempt-fenced", f"UPDATE attempts SET state = 'STARTED', finished_at = NULL WHERE analysis_id = {analysis('analyzed', 'C')} AND number = 1"),
    ("next-step", f"UPDATE analyses SET retry_at = NULL WHERE id = {analysis('retrying')}"),
    ("attempt-times", f"UPDATE analyses SET finished_at = NULL WHERE id = {analysis('analyzed')}"),
    ("attempt-times", f"UPDATE attempts SET finished_at = NULL WHERE analysis_id = {analysis('analyzed')}"),
    ("attempt-deadline", f"UPDATE attempts SET started_at = now() - interval '1 day' WHERE analysis_id = {analysis('processing')}"),
    ("artifact-owner", f"UPDATE artifacts SET attempt_id = (SELECT id FROM attempts WHERE analysis_id = {analysis('failed', 'B')})"),
    # Events.
    ("event-numbers", "DELETE FROM events WHERE seq = 3"),
    ("event-numbers", "DELETE FROM events WHERE seq = 1"),
    ("event-numbers", "UPDATE event_counters SET last_seq = last_seq + 1"),
    ("event-numbers", "DELETE FROM event_counters"),
    ("event-owner", f"UPDATE media SET user_id = (SELECT user_id FROM media WHERE filename = 'failed') WHERE id = {media('analyzed')}"),
    ("events-of-run", f"UPDATE events SET type = 'ANALYSIS_RETRYING' WHERE run_id = {run('analyzed')} AND type = 'RUN_COMPLETED'"),
    ("events-of-run", f"UPDATE events SET payload = jsonb_set(payload, '{{data,status}}', '\"FAILED\"') WHERE run_id = {run('analyzed')} AND type = 'RUN_COMPLETED'"),
    ("events-of-run", f"UPDATE events SET type = 'RUN_QUEUED' WHERE run_id = {run('analyzed')} AND type = 'PROCESSING_STARTED'"),
    ("events-of-run", f"UPDATE events SET type = 'ANALYSIS_FAILED' WHERE run_id = {run('analyzed')} AND type = 'ANALYSIS_COMPLETED'"),
    ("events-of-run", f"UPDATE events SET payload = jsonb_set(payload, '{{data,modelName}}', '\"Z\"') WHERE run_id = {run('analyzed')} AND type = 'ANALYSIS_STARTED'"),
    ("events-bare", f"UPDATE events SET payload = '{{\"data\": {{\"filename\": \"me.png\"}}}}' WHERE media_id = {DELETED}"),
    ("events-bare", f"UPDATE events SET type = 'RUN_QUEUED' WHERE media_id = {DELETED}"),
    ("events-bare", "UPDATE events SET type = 'RUN_QUEUED' WHERE media_id NOT IN (SELECT id FROM media)"),
    ("events-bare", f"UPDATE events SET type = 'MEDIA_DELETED' WHERE media_id = {media('failed')}"),
    # The outbox.
    ("wish-due", f"UPDATE outbox SET next_try_at = now() - interval '1 hour' WHERE key = {run('queued')}"),
    ("wish-age", f"UPDATE outbox SET created_at = {OLD} WHERE key = {run('queued')}"),
    ("wish-rejected", f"UPDATE outbox SET rejected_at = now() - interval '1 hour' WHERE key = {run('queued')}"),
    ("wish-subject", f"INSERT INTO outbox (kind, key, created_at, rejected_at) VALUES ('create', gen_random_uuid(), {OLD}, now())"),
    # The schema itself.
    ("schema", "UPDATE alembic_version SET version_num = '0001'"),
]  # fmt: skip


async def test_every_state_of_a_healthy_platform_is_clean(platform) -> None:
    report = await platform.audit(deep=True)
    assert [v.text for v in report.violations] == []
    assert report.looked_at["media"] == 10
    assert report.looked_at["attempts"] >= 10
    assert report.looked_at["objects"] >= 11
    assert report.looks == 1


@pytest.mark.parametrize(("check", "statement"), PLANTED)
async def test_a_planted_fault_is_named(platform, plant: Callable[..., None], check: str, statement: str) -> None:
    plant(statement)
    report = await platform.audit()
    assert check in {v.check.name for v in report.violations}, [v.text for v in report.violations]
    assert all(v.text.endswith(".") and v.subject for v in report.violations)


async def test_a_disabled_or_missing_guard_is_named(empty) -> None:
    assert (await empty.audit()).clean
    with psycopg.connect(empty.url) as connection:
        connection.execute("ALTER TABLE analyses DISABLE TRIGGER guard_analysis")
        connection.execute("DROP TRIGGER guard_run_status ON analysis_runs")
    found = (await empty.audit()).violations
    assert [(v.check.name, v.subject) for v in found] == [("guards", "guard_analysis"), ("guards", "guard_run_status")]


async def test_an_older_or_unmigrated_schema_is_named_and_a_newer_one_is_read(platform, plant) -> None:
    plant("UPDATE alembic_version SET version_num = '9999'")
    assert (await platform.audit()).clean, "a newer release made it"
    plant("DELETE FROM alembic_version")
    assert [v.check.name for v in (await platform.audit()).violations] == ["schema"]


async def test_a_run_that_nobody_concludes_is_named_after_its_grace(platform) -> None:
    ada = await platform.stores.user()
    media = await platform.upload(ada)
    await platform.freeze(media, "A")
    await platform.finish((await platform.stores.start(media.run_id))["A"], "A")
    assert (await platform.audit()).clean, "the operator has a minute"
    found = (await platform.audit(Limits(grace=0.0))).violations
    assert [(v.check.name, v.subject) for v in found] == [("run-concluded", str(media.run_id))]
    await platform.stores.runs.conclude(media.run_id)
    assert (await platform.audit(Limits(grace=0.0))).clean


async def test_more_attempts_in_flight_than_places_are_named(platform) -> None:
    there = (await platform.audit(Limits(max_active=100, max_active_per_user=100))).violations
    assert there == ()
    found = (await platform.audit(Limits(max_active=2, max_active_per_user=2))).violations
    assert [(v.check.name, v.kind) for v in found] == [("places", "platform"), ("places", "user")]


async def test_weighted_verdicts_lie_among_their_votes(platform, plant: Callable[..., None]) -> None:
    plant(f"UPDATE analysis_runs SET verdict_score = 0.8 WHERE id = {run('analyzed')}")
    assert not (await platform.audit()).clean, "no model has a weight: the mean is 0.825"
    assert (await platform.audit(Limits(weighted=True))).clean
    plant(f"UPDATE analysis_runs SET verdict_score = 0.95 WHERE id = {run('analyzed')}")
    found = (await platform.audit(Limits(weighted=True))).violations
    assert [v.check.name for v in found] == ["run-verdict"]


async def test_old_events_may_have_gone_from_the_oldest_on(platform, plant: Callable[..., None]) -> None:
    oldest = "seq <= (SELECT max(seq) FROM events e WHERE e.user_id = events.user_id) - 3"
    plant(f"DELETE FROM events WHERE {oldest}")
    assert "event-numbers" in {v.check.name for v in (await platform.audit()).violations}
    plant(f"UPDATE users SET created_at = {OLD}")
    assert "event-numbers" not in {v.check.name for v in (await platform.audit()).violations}


def test_every_check_of_rows_has_a_planted_fault() -> None:
    planted = {name for name, _ in PLANTED} | {"run-concluded", "guards", "places"}
    assert {c.name for c in CHECKS if c.asks == "postgres"} == planted
