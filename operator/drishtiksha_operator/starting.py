"""How analyses start: a place (the attempt's row), then the run's Secret, then the Job. A chapter of `reconcile`.

Rows come first: whatever is lost after them is found again, for every name is a function of the rows.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from drishtiksha.database.admission import Admission, Caps
from drishtiksha.database.events import Announcement
from drishtiksha.database.runs import Ended, Runs
from drishtiksha.database.snapshot import AnalysisSnapshot, AttemptSnapshot, RunSnapshot
from drishtiksha.domain.analysis import attempt_id
from drishtiksha.domain.errors import DrishtikshaError, ErrorClass
from drishtiksha.domain.status import AnalysisStatus, AttemptState
from drishtiksha.kube import KubeError, KubeForbidden, KubeInvalid, Object
from drishtiksha.resources import NotOurs, secret_name
from drishtiksha.settings import Operator
from drishtiksha.signing import SigningKeys

from . import manifests
from .config import Config, Profile
from .decide import LOOK_AT_PODS
from .discovery import Discovery
from .health import Figures
from .jobs import Jobs
from .manifests import Owner, Place, Work
from .seen import JobSeen

log = structlog.get_logger()

REMEMBERED = 20_000
"""Secrets that are known to have been posted."""


class NoService(DrishtikshaError):
    """The service that a model was frozen with is no longer in the settings."""


@dataclass(frozen=True)
class Begun:
    """What was started. `ahead`: by waiting model, how many go first; `look_in` seconds."""

    run: RunSnapshot
    """The rows after the places were given, before the Jobs were written down."""
    changed: bool = False
    """Attempts were ended: the rows have to be read again."""
    look_in: float | None = None
    ahead: dict[str, int] | None = None
    announcements: tuple[Announcement | None, ...] = ()


NO_RIGHT = "cannot create resource"
"""What every API server's authorizer says in a denial; quota and admission use other words with the same 403."""
GOING = "because it is being terminated"
"""What it says of a namespace that somebody deletes: nothing new is taken until it is gone and made again."""


@dataclass
class Starting:
    """`wake` puts another run into the queue: one that has a free place waiting for it."""

    runs: Runs
    admission: Admission
    jobs: Jobs
    discovery: Discovery
    config: Config
    settings: Operator
    keys: SigningKeys
    place: Place
    figures: Figures
    wake: Callable[[str], None]
    _waiting: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """Runs that wait for a place, in the order in which they came."""
    _posted: OrderedDict[str, None] = field(default_factory=OrderedDict)

    async def start(self, run: RunSnapshot, resource: Object) -> Begun:
        """Give this run's waiting analyses the places there are, and every attempt without a Job its Job."""
        look_in, ahead = None, None
        ready = [a for a in run.analyses if _ready(a, run)]
        later = [(a.retry_at - run.now).total_seconds() for a in run.analyses if a.retry_at and a not in ready]
        started = 0
        if ready:
            deadlines = {a.model: self._running_deadline(a.model) for a in run.analyses}
            admitted = await self.admission.start_attempts(run.id, self.caps(), deadlines)
            started, ahead = len(admitted.started), dict(admitted.ahead)
            for other in admitted.others:
                self.wake(str(other))
        if ahead:
            self._waiting[str(run.id)] = None
        else:
            self._waiting.pop(str(run.id), None)
        if started:
            run = await self.runs.snapshot(run.id) or run
        unborn = [
            (a, t) for a in run.analyses for t in a.attempts
            if t.state is AttemptState.CREATED and t.job_uid is None and t.job_ended_at is None
        ]  # fmt: skip
        said: list[Announcement | None] = []
        if unborn:
            said = await self._create(run, resource, unborn)
            look_in = LOOK_AT_PODS
        if later:
            look_in = min(look_in or later[0], max(0.1, min(later)))
        return Begun(run, bool(said), look_in, ahead, tuple(said))

    def freed(self) -> None:
        """A place was given back: the run that has waited longest looks whose turn it is."""
        for waiting in self._waiting:
            self.wake(waiting)
            return

    def forget(self, run_id: object) -> None:
        """This run waits for nothing any more."""
        self._waiting.pop(str(run_id), None)

    def caps(self) -> Caps:
        """How many attempts may be in flight, by model where it is not the usual number."""
        usual = self.settings.max_active_per_model
        known = {m.name: a.service for a in self.discovery.answers for m in a.models}
        named = {name: self.config.cap(name, "service", service, self.settings) for name, service in known.items()}
        pods = {name: profile.max_active for name, profile in self.config.models.declared.items()}
        different = {name: cap for name, cap in {**named, **pods}.items() if cap != usual}
        return Caps(self.settings.max_active_jobs, self.settings.max_active_per_user, usual, different)

    async def _create(
        self, run: RunSnapshot, resource: Object, unborn: list[tuple[AnalysisSnapshot, AttemptSnapshot]]
    ) -> list[Announcement | None]:
        """The Secret, then all Jobs at once. What the cluster refuses for good fails its attempt; the rest is raised."""
        owner = Owner(resource["metadata"]["name"], resource["metadata"]["uid"])
        try:
            await self._secret(run, owner)
        except (KubeInvalid, KubeForbidden) as error:
            if not all(self._is_for_good(error, t, run) for _, t in unborn):
                raise
            return [await self._refused(t, error) for _, t in unborn]
        outcomes = await asyncio.gather(*(self._job(run, owner, a, t) for a, t in unborn), return_exceptions=True)
        made: dict[uuid.UUID, tuple[str, str]] = {}
        said: list[Announcement | None] = []
        broken: BaseException | None = None
        for (_, attempt), outcome in zip(unborn, outcomes, strict=True):
            if isinstance(outcome, JobSeen):
                made[attempt.id] = (outcome.name, outcome.uid)
            elif isinstance(outcome, KubeInvalid | KubeForbidden) and self._is_for_good(outcome, attempt, run):
                said.append(await self._refused(attempt, outcome))
            elif isinstance(outcome, NoService):
                ended = Ended(ErrorClass.ML_UNAVAILABLE, "UnknownService", str(outcome))
                said.append(await self.runs.attempt_ended(attempt.id, ended))
            elif isinstance(outcome, NotOurs):
                log.warning("a Job of this name belongs to another owner", told=str(outcome))
            else:
                broken = outcome
        if made:
            await self.runs.note_jobs(made)
        if broken is not None:
            raise broken
        return said

    async def _job(
        self, run: RunSnapshot, owner: Owner, analysis: AnalysisSnapshot, attempt: AttemptSnapshot
    ) -> JobSeen:
        profile = self._profile(analysis)
        service = self.config.service(analysis.source) if analysis.execution == "service" else None
        if analysis.execution == "service" and service is None:
            raise NoService(f"The ML service {analysis.source} is no longer in the operator's settings.")
        work = Work(
            run_id=str(run.id),
            analysis_id=str(analysis.id),
            model=analysis.model,
            attempt=attempt.number,
            profile=profile,
            pending_deadline=profile.pending_deadline or self.settings.pending_deadline,
            running_deadline=attempt.running_deadline,
            server_url=service.url if service else None,
            dialect=service.dialect if service else "auto",
            has_ml_key=service is None or service.api_key is not None,
            traceparent=run.traceparent,
        )
        made = await self.jobs.create(manifests.job(work, owner, self.place))
        self.figures.jobs_created.inc()
        return made

    async def _secret(self, run: RunSnapshot, owner: Owner) -> None:
        name = secret_name(run.id, owner.uid)
        if name in self._posted:
            return
        data: dict[str, str] = {}
        for analysis in run.analyses:
            for number in range(1, analysis.budget + 1):
                token = self.keys.attempt_token(attempt_id(analysis.id, number))
                data[manifests.token_key(analysis.model, number)] = token
            service = self.config.service(analysis.source)
            if analysis.execution == "pod":
                data[manifests.ml_key(analysis.model)] = self.keys.run_ml_key(run.id)
            elif service is not None and service.api_key is not None:
                data[manifests.ml_key(analysis.model)] = service.api_key.get_secret_value()
        await self.jobs.create_secret(manifests.secret(str(run.id), owner, self.place, data))
        self._posted[name] = None
        while len(self._posted) > REMEMBERED:
            self._posted.popitem(last=False)

    def _is_for_good(self, error: KubeError, attempt: AttemptSnapshot, run: RunSnapshot) -> bool:
        """Whether a refusal is the cluster's last word: quota, admission, a manifest that it does not take.

        A denial of our rights is not, for a while: an API server that has just started denies everything until it has
        read the roles, and a person who forgot to apply them can mend it. Nor is a namespace on its way out.
        """
        heals = error.status == 401 or (error.status == 403 and (NO_RIGHT in error.message or GOING in error.message))
        age = (run.now - attempt.created_at).total_seconds()
        return not heals or (error.status == 403 and age >= self.settings.hopeless_deadline)

    async def _refused(self, attempt: AttemptSnapshot, error: KubeError) -> Announcement | None:
        text = f"The cluster refuses the Job: {error.message}"[:1000]
        return await self.runs.attempt_ended(attempt.id, Ended(ErrorClass.CLUSTER_REJECTED, error.reason, text))

    def _profile(self, analysis: AnalysisSnapshot) -> Profile:
        """The settings as they are now, but the execution that was frozen."""
        profile = self.config.models.profile(analysis.model)
        if profile.execution == analysis.execution:
            return profile
        return profile.model_copy(update={"execution": analysis.execution})

    def _running_deadline(self, model: str) -> float:
        return self.config.models.profile(model).running_deadline or self.settings.running_deadline


def _ready(analysis: AnalysisSnapshot, run: RunSnapshot) -> bool:
    """Whether it waits for nothing but a place."""
    if analysis.terminal or any(t.job_ended_at is None for t in analysis.attempts):
        return False
    if analysis.retry_at is not None:
        return analysis.retry_at <= run.now
    return analysis.attempt == 0 and analysis.status is AnalysisStatus.PENDING
