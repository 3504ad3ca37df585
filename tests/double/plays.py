"""A play: some media with a part each, played by people, doors and kubelets that do what their part says, whatever the weather.

What a part does depends on the rows and the cluster as they are, never on time or order, so that every play ends alike:
`Play.ends` tells how. `storms` plays it with the operator's story, `operators` with the operator's process.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from kubernetes_double import KubernetesDouble
from kubernetes_double.kinds import ANALYSES, PODS, Object
from operator_stage import NAMESPACE
from sqlalchemy import text
from stores import Stores, result

from drishtiksha.database.media import NewMedia
from drishtiksha.database.snapshot import AnalysisSnapshot, AttemptSnapshot, RunSnapshot
from drishtiksha.domain.errors import EXIT_CODES, ErrorClass, Fenced, NotActive, NotFound
from drishtiksha.domain.status import AttemptState
from drishtiksha.resources import LABEL_ATTEMPT, LABEL_MODEL, LABEL_RUN, resource_name

ANSWERS, DIES, REFUSES, LEAVES, HANGS = "answers", "dies", "refuses", "leaves", "hangs"
"""What a runner does: hands in a result; dies without a word; calls the media broken; exits as if done; works for ever."""


@dataclass(frozen=True)
class Part:
    """What happens to one media. `runners`: what the attempts of a model do, the last one for all further ones."""

    name: str
    runners: dict[str, tuple[str, ...]]
    deed: str = ""
    """What somebody does once A has answered and B works: cancel, kubectl, delete, lose."""


PARTS = (
    Part("all answer", {"A": (ANSWERS,), "B": (ANSWERS,)}),
    Part("a pod dies once", {"A": (ANSWERS,), "B": (DIES, ANSWERS)}),
    Part("a media is refused", {"A": (ANSWERS,), "B": (REFUSES,)}),
    Part("nobody answers", {"A": (DIES,), "B": (LEAVES,)}),
    Part("cancelled by REST", {"A": (ANSWERS,), "B": (HANGS,)}, "cancel"),
    Part("cancelled by kubectl", {"A": (ANSWERS,), "B": (HANGS,)}, "kubectl"),
    Part("deleted", {"A": (ANSWERS,), "B": (HANGS,)}, "delete"),
    Part("its resource is lost", {"A": (ANSWERS,), "B": (HANGS, ANSWERS)}, "lose"),
)


@dataclass
class Play:
    """All parts, each with a media of its own, and what has been done already."""

    stores: Stores
    double: KubernetesDouble
    media: dict[str, NewMedia] = field(default_factory=dict)
    _done: set[str] = field(default_factory=set)

    async def begin(self) -> None:
        for part in PARTS:
            self.media[part.name] = await self.stores.upload(await self.stores.user())

    async def runs(self) -> dict[str, RunSnapshot | None]:
        return {name: await self.stores.runs.snapshot(new.run_id) for name, new in self.media.items()}

    async def step(self) -> None:
        """Everybody does what is due."""
        for part in PARTS:
            run = await self.stores.runs.snapshot(self.media[part.name].run_id)
            if run is None:
                continue
            for pod in self._pods(run.id):
                await self._runner(part, run, pod)
            if part.deed and part.name not in self._done and self._may_be_done(run):
                await self._do(part, run)
                self._done.add(part.name)

    @property
    def all_done(self) -> bool:
        return {part.name for part in PARTS if part.deed} == self._done

    # -- runners ------------------------------------------------------------------------------------------------------

    def _pods(self, run_id: object) -> list[Object]:
        pods = self.double.store.all(
            PODS, NAMESPACE, lambda body: body["metadata"]["labels"].get(LABEL_RUN) == str(run_id)
        )
        return [p for p in pods if p["status"]["phase"] == "Pending" and "deletionTimestamp" not in p["metadata"]]

    async def _runner(self, part: Part, run: RunSnapshot, pod: Object) -> None:
        labels = pod["metadata"]["labels"]
        model, number = labels[LABEL_MODEL], int(labels[LABEL_ATTEMPT])
        attempt = _attempt(run, model, number)
        if attempt is None:
            return
        deeds = part.runners[model]
        deed = deeds[min(number, len(deeds)) - 1]
        try:
            if deed != DIES:
                await self.stores.results.begin(attempt.id)
            if deed == ANSWERS:
                await self.stores.results.store(attempt.id, result(model))
            elif deed == REFUSES:
                await self.stores.results.failed(attempt.id, ErrorClass.BAD_MEDIA, "broken", None)
        except (Fenced, NotFound):
            self._end(pod, EXIT_CODES[ErrorClass.CANCELLED])
            return
        code = {ANSWERS: 0, LEAVES: 0, DIES: 137, REFUSES: EXIT_CODES[ErrorClass.BAD_MEDIA], HANGS: None}[deed]
        if code is not None:
            self._end(pod, code)

    def _end(self, pod: Object, code: int) -> None:
        """As a kubelet writes it, if the pod is still there."""

        def ended(body: Object) -> Object:
            state = {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}}
            body["status"]["phase"] = "Succeeded" if code == 0 else "Failed"
            body["status"]["containerStatuses"] = [{"name": "runner", "state": state}]
            return body

        if self.double.store.find(PODS, NAMESPACE, pod["metadata"]["name"]) is not None:
            self.double.store.update(PODS, NAMESPACE, pod["metadata"]["name"], ended, part="status")

    # -- deeds --------------------------------------------------------------------------------------------------------

    def _may_be_done(self, run: RunSnapshot) -> bool:
        """A has answered, its Job is seen to have ended, B works, both Jobs are written down, and the resource is there."""
        a, b = _attempt(run, "A", 1), _attempt(run, "B", 1)
        if a is None or b is None or a.job_ended_at is None or b.job_uid is None:
            return False
        there = self.double.store.find(ANALYSES, NAMESPACE, resource_name(run.id)) is not None
        return there and (a.state, b.state) == (AttemptState.SUCCEEDED, AttemptState.STARTED)

    async def _do(self, part: Part, run: RunSnapshot) -> None:
        new, name = self.media[part.name], resource_name(run.id)
        try:
            if part.deed == "cancel":
                await self.stores.media.request_cancel(new.user_id, new.id)
            elif part.deed == "delete":
                await self.stores.media.remove(new.user_id, new.id)
            elif part.deed == "kubectl":
                self.double.store.delete(ANALYSES, NAMESPACE, name)
            elif part.deed == "lose":
                self.double.store.update(ANALYSES, NAMESPACE, name, _let_go)
                self.double.store.delete(ANALYSES, NAMESPACE, name)
        except NotActive as error:
            raise AssertionError(f"{part.name}: {error}") from error

    # -- ends ---------------------------------------------------------------------------------------------------------

    async def settled(self, *, erased: bool = True) -> bool:
        """All runs are final with all Jobs seen to end, and the deleted one is erased (if asked)."""
        if not self.all_done:
            return False
        for name, run in (await self.runs()).items():
            if name == "deleted":
                if erased and run is not None:
                    return False
            elif (
                run is None or not run.terminal or any(t.job_ended_at is None for a in run.analyses for t in a.attempts)
            ):
                return False
        return True

    async def ends(self) -> dict[str, Any]:
        """How every part ended, without ids and times: rows, events, and what the resource says."""
        found: dict[str, Any] = {}
        for name, run in (await self.runs()).items():
            new = self.media[name]
            told = Counter(
                (str(e.type), (e.payload.get("data") or {}).get("model"))
                for e in await self.stores.events.after(new.user_id, 0)
            )
            resource = self.double.store.find(ANALYSES, NAMESPACE, resource_name(new.run_id))
            found[name] = {
                "events": dict(told),
                "resource": _shown(resource),
                "rows": None if run is None else _rows(run),
            }
        return found


def _rows(run: RunSnapshot) -> Any:
    """Of an attempt whose run was cancelled only its number counts: whether its runner or the operator was the first to act
    on the wish is told by its state, and is left to the weather."""

    def tries(analysis: AnalysisSnapshot) -> list[Any]:
        if analysis.error_class is ErrorClass.CANCELLED:
            return [t.number for t in analysis.attempts]
        return [(t.number, t.state, t.error_class) for t in analysis.attempts]

    analyses = [(a.model, a.status, a.prediction, a.error_class, tries(a)) for a in run.analyses]
    return run.status, run.reason, run.verdict, analyses


def _shown(resource: Object | None) -> Any:
    if resource is None:
        return None
    status = resource.get("status") or {}
    models = [(m["name"], m["phase"], m.get("attempt")) for m in status.get("models") or []]
    held = resource["metadata"].get("finalizers")
    return status.get("phase"), status.get("reason"), status.get("summary"), models, held


def _attempt(run: RunSnapshot, model: str, number: int) -> AttemptSnapshot | None:
    return next((t for a in run.analyses if a.model == model for t in a.attempts if t.number == number), None)


def _let_go(body: Object) -> Object:
    body["metadata"]["finalizers"] = []
    return body


async def due_now(stores: Stores) -> None:
    """Time passes: every wish and every next attempt is due."""
    async with stores.database.engine.begin() as connection:
        await connection.execute(text("UPDATE outbox SET next_try_at = now() WHERE next_try_at > now()"))
        await connection.execute(text("UPDATE analyses SET retry_at = now() WHERE retry_at > now()"))
