"""A result as rows: which column and which child of an analysis takes which part of what the runner handed in.

Pure builders but for `session.add`; `results` calls them inside its one transaction.
"""

from __future__ import annotations

import statistics
import uuid
from itertools import pairwise

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from ..protocol import AttemptResult
from . import tables
from .tables import Analysis


def columns(analysis: Analysis, result: AttemptResult) -> None:
    """The columns of the analysis' own row that come from the result as it is."""
    analysis.finding = result.finding
    if result.measure:
        analysis.measure_value, analysis.measure_kind = result.measure.value, result.measure.kind
        analysis.measure_name = result.measure.name
    if result.calibration:
        analysis.calibration_kind, analysis.calibration_bound = result.calibration.kind, result.calibration.bound
        analysis.calibration_source, analysis.calibration_auc = result.calibration.source, result.calibration.auc
        analysis.calibration_n = result.calibration.n
    if result.coverage:
        analysis.coverage_analysed_seconds = result.coverage.analysed_seconds
        analysis.coverage_total_seconds = result.coverage.total_seconds
        analysis.coverage_frames = result.coverage.frames
    analysis.inconclusive_reason = result.inconclusive_reason
    analysis.processing_time = result.processing_time
    analysis.note = result.note
    analysis.frames_total = len(result.frames)
    analysis.pending_reason = analysis.pending_message = None
    analysis.finished_at = analysis.updated_at = func.now()


def children(session: AsyncSession, key: uuid.UUID, result: AttemptResult) -> None:
    """Add every child row of a result, but the frames: those go in one statement (`frame_rows`)."""
    session.add_all(tables.AnalysisMetric(analysis_id=key, name=n, value=v) for n, v in result.metrics.items())
    session.add_all(_fact(key, n, v) for n, v in result.facts.items())
    session.add_all(tables.AnalysisLimit(analysis_id=key, position=p, text=t) for p, t in enumerate(result.limits))
    session.add_all(
        tables.EvidenceSeries(analysis_id=key, position=p, **s.model_dump()) for p, s in enumerate(result.series)
    )
    for position, region in enumerate(result.regions):
        x, y, width, height = region.box
        box = {"x": x, "y": y, "width": width, "height": height}
        more = {"t": region.t, "score": region.score, "label": region.label}
        session.add(tables.EvidenceRegion(analysis_id=key, position=position, **box, **more))
    if result.audio:
        session.add(tables.AudioAnalysis(analysis_id=key, **result.audio.model_dump()))
    if result.image:
        session.add(tables.ImageAnalysis(analysis_id=key, **result.image.model_dump()))
    info = result.model_info
    session.add(
        tables.ModelInfo(
            analysis_id=key,
            model_name=result.model,
            version=result.model_version or None,
            architecture=info.class_name if info else None,
            device=info.device if info else None,
            load_time=info.load_time_ms if info else None,
            memory_usage=info.memory_usage_mb if info else None,
        )
    )
    if result.system_info:
        session.add(tables.SystemInfo(analysis_id=key, **result.system_info.model_dump()))
    if result.frames or result.frame_count is not None:
        _summaries(session, key, result)


def _fact(key: uuid.UUID, name: str, value: float | bool | str | None) -> tables.AnalysisFact:
    if isinstance(value, bool):
        return tables.AnalysisFact(analysis_id=key, name=name, flag=value)
    if isinstance(value, str):
        return tables.AnalysisFact(analysis_id=key, name=name, text=value)
    return tables.AnalysisFact(analysis_id=key, name=name, number=value)


def frame_rows(key: uuid.UUID, result: AttemptResult) -> list[dict[str, object]]:
    """One row per examined frame, by number; of two with one number the last counts."""
    unique = {frame.number: frame for frame in result.frames}
    return [
        {
            "analysis_id": key,
            "frame_number": number,
            "score": frame.score,
            "prediction": frame.prediction,
            "timestamp": frame.timestamp,
        }
        for number, frame in sorted(unique.items())
    ]


def _summaries(session: AsyncSession, key: uuid.UUID, result: AttemptResult) -> None:
    """Mean, population standard deviation and consistency (1 - mean absolute step) of the frame scores."""
    frames = sorted(result.frames, key=lambda f: f.number)
    scores = [f.score for f in frames]
    mean = statistics.fmean(scores) if scores else None
    deviation = statistics.pstdev(scores) if scores else None
    steps = [abs(b - a) for a, b in pairwise(scores)]
    consistency = 1.0 - statistics.fmean(steps) if steps else None
    session.add(
        tables.AnalysisDetails(
            analysis_id=key,
            frame_count=result.frame_count,
            avg_confidence=mean,
            confidence_std=deviation,
            temporal_consistency=consistency,
            rolling_average=statistics.fmean(scores[-10:]) if scores else None,
        )
    )
    if not frames:
        return
    half = len(scores) // 2
    drift = statistics.fmean(scores[half:]) - statistics.fmean(scores[:half]) if half else 0.0
    trend = "increasing" if drift > 0.05 else "decreasing" if drift < -0.05 else "stable"
    odd = [f.number for f in frames if mean is not None and deviation and abs(f.score - mean) > 3 * deviation]
    session.add(
        tables.TemporalAnalysis(
            analysis_id=key,
            consistency_score=consistency,
            pattern_detection=None,
            anomaly_frames=odd[:1000],
            confidence_trend=trend,
            total_frames=len(frames),
            fake_frames=sum(f.prediction == "FAKE" for f in frames),
            real_frames=sum(f.prediction == "REAL" for f in frames),
            avg_confidence=mean,
        )
    )
