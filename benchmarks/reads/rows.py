"""A database full of media, made by SQL: every media examined by two models, every hundredth a film with all its frames."""

from __future__ import annotations

import psycopg

MODELS, FRAMES = 2, 1000
"""Models that looked at each media, and frames of each film and model."""
FILM_EVERY = 100

_STEPS = (
    (
        "people",
        "INSERT INTO users (id, email, password_hash, first_name, last_name)"
        " SELECT gen_random_uuid(), n || '@example.org', 'x', 'A', 'L' FROM generate_series(1, 50) n",
    ),
    (
        "who",
        "CREATE TEMP TABLE who AS SELECT row_number() OVER () AS place, id FROM users WHERE id <> %(owner)s",
    ),
    (
        "media",
        "INSERT INTO media (id, user_id, filename, description, object_key, mimetype, size, sha256, media_type,"
        " has_audio, status, latest_run_id, latest_run_number, created_at)"
        " SELECT gen_random_uuid(), CASE WHEN n %% 2 = 0 THEN %(owner)s ELSE who.id END,"
        " 'clip ' || md5(n::text) || '.mp4', CASE WHEN n %% 10 = 0 THEN 'about ' || n END, 'media/' || n, 'video/mp4',"
        " 1000 + n %% 5000, md5(n::text) || md5(n::text), 'VIDEO', false, 'ANALYZED', gen_random_uuid(), 1,"
        " now() - n * interval '1 second' FROM generate_series(1, %(media)s) n JOIN who ON who.place = 1 + n %% 50",
    ),
    (
        "video_metadata",
        "INSERT INTO video_metadata SELECT id, 40.0, 640, 480, 25.0, 'h264', 800000, 0 FROM media",
    ),
    (
        "analysis_runs",
        "INSERT INTO analysis_runs (id, media_id, number, status, frozen_at, verdict, verdict_basis, verdict_score,"
        " created_at, started_at, finished_at) SELECT latest_run_id, id, 1, 'ANALYZED', created_at,"
        " CASE WHEN size %% 50 = 0 THEN 'FAKE' ELSE 'REAL' END, 'CALIBRATED', 0.5, created_at, created_at, created_at"
        " FROM media",
    ),
    (
        "analyses",
        "INSERT INTO analyses (id, run_id, media_id, model, model_version, source, execution, status, attempt, budget,"
        " prediction, confidence, score, basis, finding, frames_total, started_at, finished_at)"
        " SELECT gen_random_uuid(), latest_run_id, id, 'MODEL-' || m, '1', 'service', 'service', 'COMPLETED', 1, 3, 'REAL',"
        " 0.9, 0.1, 'CALIBRATED', 'NONE', CASE WHEN substr(object_key, 7)::int %% %(every)s = 0 THEN %(frames)s END,"
        " created_at, created_at FROM media, generate_series(1, %(models)s) m",
    ),
    (
        "attempts",
        "INSERT INTO attempts (id, analysis_id, number, state, running_deadline, started_at, finished_at, job_ended_at)"
        " SELECT gen_random_uuid(), id, 1, 'SUCCEEDED', 600, now(), now(), now() FROM analyses",
    ),
    (
        "analysis_metrics",
        "INSERT INTO analysis_metrics SELECT id, 'metric ' || n, n FROM analyses, generate_series(1, 3) n",
    ),
    (
        "model_info",
        "INSERT INTO model_info (analysis_id, model_name, version) SELECT id, model, '1' FROM analyses",
    ),
    (
        "frame_analysis",
        "INSERT INTO frame_analysis SELECT id, n, s, CASE WHEN s >= 0.5 THEN 'FAKE' ELSE 'REAL' END, n / 25.0 FROM"
        " (SELECT id, n, random() AS s FROM analyses, generate_series(0, %(frames)s - 1) n WHERE frames_total IS NOT NULL)"
        " AS drawn",
    ),
)


def fill(url: str, owner: str, media: int) -> None:
    """So many media: half of them the owner's, the rest of fifty others."""
    values = {"owner": owner, "media": media, "models": MODELS, "frames": FRAMES, "every": FILM_EVERY}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # rows without the stories that lead to them
        for name, statement in _STEPS:
            print(f"  {name}", flush=True)
            connection.execute(statement.encode(), values if "%(" in statement or "%%" in statement else None)
        connection.execute("VACUUM ANALYZE")


def films(url: str, owner: str) -> list[str]:
    """Ids of the owner's media that have frames."""
    query = "SELECT DISTINCT media_id FROM analyses JOIN media ON media.id = media_id WHERE frames_total > 0 AND user_id = %s"
    with psycopg.connect(url) as connection:
        return [str(row[0]) for row in connection.execute(query.encode(), (owner,)).fetchall()]
