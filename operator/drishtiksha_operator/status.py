"""The resource's status, from a run's rows: what `kubectl` shows is what SQL says, and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from drishtiksha.database.snapshot import AnalysisSnapshot, RunSnapshot
from drishtiksha.domain.errors import ErrorClass
from drishtiksha.domain.status import AnalysisStatus, RunStatus
from drishtiksha.resources import AnalysisStatus as Status
from drishtiksha.resources import Condition, ModelStatus, job_name

_COMPLETE = {
    RunStatus.ANALYZED: "Analyzed",
    RunStatus.PARTIALLY_ANALYZED: "PartiallyAnalyzed",
    RunStatus.FAILED: "Failed",
}
_STEPS = (10, 30, 100, 300, 1000, 3000)


def status_of(run: RunSnapshot, *, waiting: str | None = None, ahead: Mapping[str, int] | None = None) -> Status:
    """The status to show. `waiting`: why the set of models is not known yet; `ahead`: by model, how many go first."""
    done = sum(a.terminal for a in run.analyses)
    return Status(
        phase=run.status,
        reason=run.reason,
        summary=f"{done}/{len(run.analyses)}" if run.frozen else "-",
        verdict=run.verdict,
        score=None if run.verdict_score is None else round(run.verdict_score, 6),
        start_time=run.started_at,
        completion_time=run.finished_at,
        models=tuple(_model(run, a, (ahead or {}).get(a.model)) for a in run.analyses),
        conditions=(
            Condition("Accepted", "True", "RunFound", f"Run {run.number} of media {run.media_id}."),
            _discovered(run, waiting),
            _progressing(run, waiting),
            _complete(run),
        ),
    )


def final_reason(run: RunSnapshot) -> str:
    """One word for how a final run ended."""
    return "Cancelled" if run.reason is ErrorClass.CANCELLED else _COMPLETE[run.status]


def final_message(run: RunSnapshot) -> str:
    """One sentence for how a final run ended."""
    completed = sum(a.status is AnalysisStatus.COMPLETED for a in run.analyses)
    total = len(run.analyses)
    if total == 0:
        return run.message or f"Nothing was examined ({run.reason})."
    text = f"{completed} of {total} models answered."
    if run.verdict is not None:
        text = f"{run.verdict} ({run.verdict_basis}): {text}"
    failed = [f"{a.model} ({a.error_class})" for a in run.analyses if a.status is AnalysisStatus.FAILED]
    return f"{text} Failed: {', '.join(failed)}." if failed else text


def about(count: int) -> str:
    """A number of those ahead, so coarse that a moving queue does not rewrite every status."""
    return next((f"fewer than {step}" for step in _STEPS if count < step), f"more than {_STEPS[-1]}")


def _model(run: RunSnapshot, analysis: AnalysisSnapshot, ahead: int | None) -> ModelStatus:
    attempt = analysis.current
    reason: str | None = analysis.error_class
    message = analysis.error_message
    if not analysis.terminal:
        reason, message = analysis.pending_reason, analysis.pending_message
        if ahead is not None:
            reason, message = "WaitingForPlace", f"Waiting for a free place ({about(ahead)} ahead)."
    return ModelStatus(
        name=analysis.model,
        phase=analysis.status,
        attempt=analysis.attempt,
        job_name=job_name(run.id, analysis.model, analysis.attempt) if attempt is not None else None,
        node=attempt.node if attempt is not None else None,
        reason=reason,
        message=message,
    )


def _discovered(run: RunSnapshot, waiting: str | None) -> Condition:
    if run.analyses:
        names = ", ".join(a.model for a in run.analyses)
        return Condition("ModelsDiscovered", "True", "Frozen", f"{len(run.analyses)} models: {names}.")
    if run.terminal:
        return Condition("ModelsDiscovered", "False", _camel(run.reason), run.message or "No model was chosen.")
    return Condition("ModelsDiscovered", "False", "Waiting", waiting or "The ML services are being asked.")


def _progressing(run: RunSnapshot, waiting: str | None) -> Condition:
    if run.terminal:
        return Condition("Progressing", "False", "Final", "Nothing more will happen.")
    if not run.frozen:
        return Condition("Progressing", "True", "Discovering", waiting or "The ML services are being asked.")
    working = sum(a.status is AnalysisStatus.PROCESSING for a in run.analyses)
    left = sum(a.status is AnalysisStatus.PENDING for a in run.analyses)
    word = "Working" if working else "Waiting"
    return Condition("Progressing", "True", word, f"{working} models work, {left} have not started.")


def _complete(run: RunSnapshot) -> Condition:
    if not run.terminal:
        return Condition("Complete", "False", "NotFinal", "The run is not final.")
    return Condition("Complete", "True", final_reason(run), final_message(run))


def _camel(reason: ErrorClass | None) -> str:
    return "".join(part.capitalize() for part in (reason or "none").split("_"))
