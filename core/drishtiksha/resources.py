"""The MediaAnalysis resource: names, labels, its spec and status as values, and its client.

Names are functions of ids, so that whatever was half done can be found again. The api's dispatcher creates and
deletes through `MediaAnalyses`; the operator reads, applies the status and lets go of the finalizer. The schema is
`crds/mediaanalyses.yaml`, the one source.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .kube import Kube, KubeConflict, KubeError, KubeNotFound, Object

GROUP = "drishtiksha.io"
VERSION = "v1alpha1"
PLURAL = "mediaanalyses"
KIND = "MediaAnalysis"
API_VERSION = f"{GROUP}/{VERSION}"
FINALIZER = f"{GROUP}/run"
"""Carried while the run is not final: it makes a `kubectl delete` a level that survives an absent operator."""
FIELD_MANAGER = "drishtiksha-operator"
"""Who owns the status in server-side apply."""

LABEL_MEDIA = f"{GROUP}/media"
LABEL_MEDIA_TYPE = f"{GROUP}/media-type"
LABEL_RUN_NUMBER = f"{GROUP}/run-number"
LABEL_RUN = f"{GROUP}/run"
LABEL_ANALYSIS = f"{GROUP}/analysis"
LABEL_MODEL = f"{GROUP}/model"
LABEL_ATTEMPT = f"{GROUP}/attempt"

MAX_MESSAGE = 1024
"""Characters of a message in the status."""

_RESOURCE_NAME = re.compile(r"^ma-([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$")
_NOT_LABEL = re.compile(r"[^A-Za-z0-9._-]")


class NotOurs(KubeError):
    """An object of our name is there, but it belongs to something else."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(409, "NotOurs", f"{name}: {message}")


def resource_name(run_id: object) -> str:
    """`ma-<run uuid>`."""
    return f"ma-{run_id}"


def run_of(name: str) -> str | None:
    """The run that a resource's name stands for; None when it is no name of ours."""
    match = _RESOURCE_NAME.match(name)
    return match.group(1) if match else None


def model_digest(model: str) -> str:
    """8 hex digits that stand for a model in names."""
    return hashlib.sha256(model.encode()).hexdigest()[:8]


def job_name(run_id: object, model: str, attempt: int) -> str:
    """`ma-<32 hex of the run>-<8 hex of the model>-a<n>`: the whole id, for the first digits of a UUIDv7 are a clock."""
    return f"ma-{_hex(run_id)}-{model_digest(model)}-a{attempt}"


def secret_name(run_id: object, resource_uid: str) -> str:
    """`ma-<32 hex of the run>-<8 hex of the resource's uid>`: another incarnation has another Secret."""
    return f"ma-{_hex(run_id)}-{resource_uid.replace('-', '')[:8]}"


def label_value(text: str) -> str:
    """`text` as Kubernetes takes it in a label: foreign characters become `-`, at most 63, letters at both ends."""
    return _NOT_LABEL.sub("-", text)[:63].strip("._-")


def timestamp(moment: datetime) -> str:
    """As Kubernetes writes times: UTC, whole seconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _hex(run_id: object) -> str:
    return str(run_id).replace("-", "")


@dataclass(frozen=True)
class AnalysisSpec:
    """What one run has to examine. `models`: only these (from a rerun); None: all that are compatible."""

    run_id: str
    media_id: str
    media_type: str
    has_audio: bool
    models: tuple[str, ...] | None = None

    def to_object(self) -> Object:
        spec: Object = {
            "runId": self.run_id,
            "mediaId": self.media_id,
            "mediaType": self.media_type,
            "hasAudio": self.has_audio,
        }
        if self.models is not None:
            spec["models"] = list(self.models)
        return spec


def media_analysis(spec: AnalysisSpec, run_number: int, namespace: str) -> Object:
    """The whole object as the dispatcher creates it, with the finalizer already in it."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": resource_name(spec.run_id),
            "namespace": namespace,
            "labels": {
                "app.kubernetes.io/name": "drishtiksha",
                "app.kubernetes.io/component": "analysis",
                LABEL_MEDIA: spec.media_id,
                LABEL_MEDIA_TYPE: spec.media_type,
                LABEL_RUN_NUMBER: str(run_number),
            },
            "finalizers": [FINALIZER],
        },
        "spec": spec.to_object(),
    }


@dataclass(frozen=True)
class ModelStatus:
    """One model of the run as people see it. `reason` is a CamelCase word or a failure class, `message` a sentence."""

    name: str
    phase: str
    attempt: int = 0
    job_name: str | None = None
    node: str | None = None
    reason: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Condition:
    """One statement about the run; `status` is "True", "False" or "Unknown"."""

    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True)
class AnalysisStatus:
    """The status of the resource, computed from rows; the time of each condition's change is added on writing."""

    phase: str
    summary: str
    conditions: tuple[Condition, ...]
    models: tuple[ModelStatus, ...] = ()
    reason: str | None = None
    verdict: str | None = None
    score: float | None = None
    start_time: datetime | None = None
    completion_time: datetime | None = None


def status_object(
    status: AnalysisStatus, *, generation: int, previous: Mapping[str, Any] | None, now: datetime
) -> Object:
    """The status as the resource holds it, keys without a value left out.

    A condition keeps its transition time while its `status` stays: equal facts give an equal object, so that a
    second look writes nothing.
    """
    before = {c.get("type"): c for c in (previous or {}).get("conditions") or []}
    whole: Object = {
        "observedGeneration": generation,
        "phase": status.phase,
        "reason": status.reason,
        "summary": status.summary,
        "verdict": status.verdict,
        "score": status.score,
        "startTime": timestamp(status.start_time) if status.start_time else None,
        "completionTime": timestamp(status.completion_time) if status.completion_time else None,
        "models": [_model_object(m) for m in sorted(status.models, key=lambda m: m.name)],
        "conditions": [_condition_object(c, generation, before.get(c.type), now) for c in status.conditions],
    }
    return {key: value for key, value in whole.items() if value is not None}


def _model_object(model: ModelStatus) -> Object:
    whole = {
        "name": model.name,
        "phase": model.phase,
        "attempt": model.attempt,
        "jobName": model.job_name,
        "node": model.node,
        "reason": model.reason,
        "message": _short(model.message),
    }
    return {key: value for key, value in whole.items() if value is not None}


def _condition_object(condition: Condition, generation: int, before: Mapping[str, Any] | None, now: datetime) -> Object:
    same = before is not None and before.get("status") == condition.status and before.get("lastTransitionTime")
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": _short(condition.message) or "",
        "observedGeneration": generation,
        "lastTransitionTime": same or timestamp(now),
    }


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"


class MediaAnalyses:
    """The MediaAnalysis objects of one namespace."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace
        self._path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"

    def path(self, run_id: object) -> str:
        """Where the run's object lives."""
        return f"{self._path}/{resource_name(run_id)}"

    async def create(self, spec: AnalysisSpec, run_number: int) -> Object:
        """Create the run's resource; one that is there already and names our run is success.

        Raises NotOurs when a foreign object has its name, KubeInvalid or KubeForbidden when the cluster refuses it,
        KubeThrottled or KubeUnavailable when it is worth trying again later.
        """
        try:
            return await self.kube.create(self._path, media_analysis(spec, run_number, self.namespace))
        except KubeConflict as conflict:
            if not conflict.already_exists:
                raise
            there = await self.get(spec.run_id)
            if there is None:  # deleted between the two calls
                raise
            if there.get("spec", {}).get("runId") != spec.run_id:
                raise NotOurs(resource_name(spec.run_id), "another run's resource has this name.") from conflict
            return there

    async def get(self, run_id: object) -> Object | None:
        """The run's resource, or None when the server says that there is none."""
        try:
            return await self.kube.get(self.path(run_id))
        except KubeNotFound:
            return None

    async def pages(self, *, labels: str | None = None, metadata_only: bool = True) -> AsyncIterator[list[Object]]:
        """All resources of the namespace in pages of at most 500; metadata only unless asked otherwise."""
        async for page in self.kube.pages(self._path, labels=labels, metadata_only=metadata_only):
            yield page

    async def ping(self) -> int:
        """The cheapest look at the collection; the cluster's newest resourceVersion, which only grows.

        Raises KubeNotFound when the resource is not installed.
        """
        answer = await self.kube.get(self._path, {"limit": "1"})
        version = str((answer.get("metadata") or {}).get("resourceVersion", ""))
        return int(version) if version.isdigit() else 0

    async def delete(self, run_id: object, *, uid: str | None = None) -> bool:
        """Ask for the resource's deletion, its Jobs with it; False when it is not there."""
        return await self.kube.delete(self.path(run_id), uid=uid)

    async def apply_status(self, resource: Mapping[str, Any], status: Object) -> Object:
        """Write the whole status by server-side apply; KubeConflict when the resource changed since `resource` was read."""
        metadata = resource["metadata"]
        body: Object = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "name": metadata["name"],
                "namespace": self.namespace,
                "resourceVersion": metadata["resourceVersion"],
            },
            "status": status,
        }
        return await self.kube.apply(f"{self._path}/{metadata['name']}/status", body, manager=FIELD_MANAGER)

    async def release(self, resource: Mapping[str, Any]) -> bool:
        """Take our finalizer off; False when it was off already or the object has gone. KubeConflict: look again."""
        metadata = resource["metadata"]
        finalizers: Sequence[str] = metadata.get("finalizers") or []
        if FINALIZER not in finalizers:
            return False
        rest = [name for name in finalizers if name != FINALIZER]
        body: Object = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": rest or None}}
        try:
            await self.kube.merge(f"{self._path}/{metadata['name']}", body)
        except KubeNotFound:
            return False
        return True
