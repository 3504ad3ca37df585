"""Media as a test wants to find them, put straight into the rows: whatever their runs would have made of them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from drishtiksha.database.media import MediaStore, NewMedia
from drishtiksha.database.session import Database, new_id
from drishtiksha.domain.media import AudioFacts, ImageFacts, MediaType, Probe, VideoFacts

PROBES = {
    "IMAGE": Probe("image/png", MediaType.IMAGE, False, image=ImageFacts(64, 48, "PNG", "RGB", False)),
    "VIDEO": Probe("video/mp4", MediaType.VIDEO, False, video=VideoFacts(1.0, 64, 48, 12.0, "h264", None, 0)),
    "AUDIO": Probe("audio/wav", MediaType.AUDIO, True, audio=AudioFacts(0.1, 128.0, "pcm_u8", 1, 8000)),
}


class Shelf:
    """The media of one user. The guards of the database are off while it writes: it makes ends without their stories."""

    def __init__(self, database: Database, user_id: uuid.UUID) -> None:
        self._database = database
        self._store = MediaStore(database)
        self.user_id = user_id

    async def put(
        self,
        filename: str = "a.png",
        *,
        kind: str = "IMAGE",
        size: int = 10,
        sha256: str = "ab" * 32,
        description: str | None = None,
        status: str = "QUEUED",
        verdict: str | None = None,
        created_at: datetime | None = None,
    ) -> NewMedia:
        """One media with one run in the state that is wanted."""
        new = NewMedia(
            new_id(), new_id(), self.user_id, filename, description, f"media/{uuid.uuid4()}", size, sha256, PROBES[kind]
        )
        await self._store.accept(new)
        final = status not in ("QUEUED", "PROCESSING")
        await self._do(
            "UPDATE analysis_runs SET status = :s, frozen_at = CASE WHEN :s <> 'QUEUED' THEN now() END,"
            " finished_at = CASE WHEN :f THEN now() END, verdict = :v,"
            " verdict_basis = :b WHERE id = :r",
            {"s": status, "f": final, "v": verdict, "b": verdict and "CLAIMED", "r": new.run_id},
        )
        await self._do(
            "UPDATE media SET status = :s, created_at = coalesce(:c, created_at) WHERE id = :m",
            {"s": status, "c": created_at, "m": new.id},
        )
        return new

    async def examined(self, media: NewMedia, model: str, scores: Sequence[float]) -> uuid.UUID:
        """A completed analysis of the media's run, with a frame per score: FAKE from 0.5 on, ten per second."""
        analysis = new_id()
        await self._do(
            "INSERT INTO analyses (id, run_id, media_id, model, model_version, source, execution, status, budget,"
            " prediction, confidence, basis, frames_total, finished_at) VALUES (:a, :r, :m, :n, '1', 'service',"
            " 'service', 'COMPLETED', 3, 'FAKE', 0.9, 'CALIBRATED', :t, now())",
            {"a": analysis, "r": media.run_id, "m": media.id, "n": model, "t": len(scores)},
        )
        await self._do(
            "INSERT INTO frame_analysis SELECT :a, n - 1, s, CASE WHEN s >= 0.5 THEN 'FAKE' ELSE 'REAL' END, (n - 1) / 10.0"
            " FROM unnest(CAST(:s AS float8[])) WITH ORDINALITY AS seen(s, n)",
            {"a": analysis, "s": list(scores)},
        )
        return analysis

    async def _do(self, statement: str, values: dict[str, Any]) -> None:
        async with self._database.engine.begin() as connection:
            await connection.execute(text("SET LOCAL session_replication_role = replica"))
            await connection.execute(text(statement), values)
