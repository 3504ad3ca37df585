"""The witness against the object store: bytes that are gone, short, changed, misplaced, or nobody's."""

from __future__ import annotations

import os
import time

import psycopg
import pytest
from sqlalchemy import text

from drishtiksha.audit import audit
from drishtiksha.database.audit_reads import look_at
from drishtiksha.domain.errors import Unavailable
from drishtiksha.objects import keys


async def test_missing_short_changed_and_orphan_bytes_are_named(empty) -> None:
    user = await empty.stores.user()
    media = {name: await empty.upload(user, name) for name in ("gone", "short", "changed", "fine")}
    assert (await empty.audit(deep=True)).clean
    await empty.objects.delete(media["gone"].object_key)
    empty.objects.path(media["short"].object_key).write_bytes(b"shor")
    empty.objects.path(media["changed"].object_key).write_bytes(b"chANGed" * 100)
    orphan, fresh = keys.original("0190b5a0-0000-7000-8000-000000000001"), keys.original(str(media["fine"].id)) + "-2"
    for key in (orphan, fresh):
        await empty.put(key, b"nobody's")
    two_days_ago = time.time() - 48 * 3600
    os.utime(empty.objects.path(orphan), (two_days_ago, two_days_ago))

    found = {(v.check.name, v.subject) for v in (await empty.audit()).violations}
    gone, short, changed = (str(media[name].id) for name in ("gone", "short", "changed"))
    assert found == {("media-bytes", gone), ("media-bytes", short), ("orphan-bytes", orphan)}

    deep = {(v.check.name, v.subject) for v in (await empty.audit(deep=True)).violations}
    assert deep - found == {("bytes-sha256", short), ("bytes-sha256", changed)}


async def test_a_listed_artifact_needs_its_bytes_and_an_unlisted_one_does_not(empty) -> None:
    user = await empty.stores.user()
    media = await empty.upload(user)
    await empty.freeze(media, "A")
    seen = await empty.stores.runs.snapshot(media.run_id)
    attempt = (await empty.stores.start(media.run_id))["A"]
    await empty.stores.results.begin(attempt)
    for name in ("map", "draft"):
        await empty.artifact(media, seen.analyses[0].id, attempt, name)
    await empty.finish(attempt, "A", artifacts=["map"])
    await empty.stores.runs.conclude(media.run_id)
    assert (await empty.audit(deep=True)).clean
    async for found in empty.objects.list(keys.media_prefix(str(media.id)) + "artifacts/"):
        await empty.objects.delete(found.key)
    with psycopg.connect(empty.url) as connection:
        ((listed,),) = connection.execute("SELECT id FROM artifacts WHERE listed").fetchall()
    named = (await empty.audit(deep=True)).violations
    assert [(v.check.name, v.subject) for v in named] == [("artifact-bytes", str(listed))]


async def test_a_row_that_points_into_another_medias_bytes_is_named(empty) -> None:
    user, stranger = await empty.stores.user(), await empty.stores.user("eve")
    mine, theirs = await empty.upload(user, "mine"), await empty.upload(stranger, "hers")
    elsewhere = f"media/{mine.id}/copy"
    await empty.put(elsewhere, b"x" * theirs.size)
    with psycopg.connect(empty.url) as connection:
        connection.execute("UPDATE media SET object_key = %s WHERE id = %s", (elsewhere, theirs.id))
    named = (await empty.audit()).violations
    assert [(v.check.name, v.subject) for v in named] == [("bytes-place", str(theirs.id))]


async def test_what_heals_is_dropped_by_a_second_look_and_what_stays_is_not(empty, monkeypatch) -> None:
    monkeypatch.setattr(audit, "PAUSE", 0.05)
    media = await empty.upload(await empty.stores.user())
    content = empty.objects.path(media.object_key).read_bytes()
    await empty.objects.delete(media.object_key)
    looks = 0
    real = audit._look

    async def look(*args):
        nonlocal looks
        looks += 1
        if looks == 2:
            await empty.put(media.object_key, content)
        return await real(*args)

    monkeypatch.setattr(audit, "_look", look)
    report = await empty.audit(patience=5.0)
    assert (report.clean, report.looks) == (True, 2)
    await empty.objects.delete(media.object_key)
    report = await empty.audit(patience=0.2)
    assert not report.clean
    assert report.looks >= 2


async def test_nothing_is_written_and_the_server_would_refuse_it(empty) -> None:
    await empty.upload(await empty.stores.user())
    files = sorted((p, p.stat().st_mtime_ns) for p in empty.objects.path("media/x").parent.rglob("*"))
    assert len(files) >= 2
    await empty.audit(deep=True)
    assert sorted((p, p.stat().st_mtime_ns) for p in empty.objects.path("media/x").parent.rglob("*")) == files
    with pytest.raises(Unavailable, match="read-only"):
        async with look_at(empty.stores.database) as snapshot:
            await snapshot._connection.execute(text("UPDATE media SET filename = ''"))
