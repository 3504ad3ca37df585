"""What we create in Kubernetes, as pure functions of values: the run's Secret, the Job of an attempt, the last Event.

`reconcile` hands in what it decided, `jobs` posts what comes out. A change here shows in the golden files of the
tests, whole.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drishtiksha import resources as r
from drishtiksha.domain.errors import EXIT_CODES, ErrorClass
from drishtiksha.kube import Object

from .config import Profile
from .overlay import merged

MANAGED_BY = "drishtiksha-operator"
RUNNER = "runner"
"""Name of the container that examines; its exit code decides."""
MODEL = "model"
"""Name of the sidecar that brings the model along."""
USER = 65532
"""The user of both containers: nobody in particular, and not root."""
SCRATCH = "/scratch"
GRACE = 15
"""Seconds between SIGTERM and SIGKILL: until the sidecar is gone its GPU is held."""
SLACK = 60.0
"""Seconds that a pod may live beyond the runner's own deadline."""
BACKSTOP = 600.0
"""Seconds that a Job may live beyond all other clocks."""

_PERMANENT = sorted(EXIT_CODES[c] for c in (ErrorClass.BAD_MEDIA, ErrorClass.ML_CONTRACT, ErrorClass.CANCELLED))


@dataclass(frozen=True)
class Owner:
    """The resource that owns what a run creates."""

    name: str
    uid: str


@dataclass(frozen=True)
class Place:
    """Where and with whom a Job is created: the same for all of one operator."""

    namespace: str
    door_url: str
    runner_image: str
    job_ttl: float


@dataclass(frozen=True)
class Work:
    """One attempt as its Job needs it. Clocks in seconds. `server_url` is unused in `pod` execution."""

    run_id: str
    analysis_id: str
    model: str
    attempt: int
    profile: Profile
    pending_deadline: float
    running_deadline: float
    server_url: str | None = None
    dialect: str = "auto"
    has_ml_key: bool = True
    traceparent: str | None = None


def token_key(model: str, attempt: int) -> str:
    """Where in the run's Secret the token of this attempt stands."""
    return f"token-{r.model_digest(model)}-a{attempt}"


def ml_key(model: str) -> str:
    """Where in the run's Secret the key of this model's service stands."""
    return f"ml-{r.model_digest(model)}"


def secret(run_id: str, owner: Owner, place: Place, data: Mapping[str, str]) -> Object:
    """The run's one Secret: tokens of all attempts within the budget, and the ML keys. Immutable."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": r.secret_name(run_id, owner.uid),
            "namespace": place.namespace,
            "labels": _labels(run_id),
            "ownerReferences": [_owned(owner)],
        },
        "type": "Opaque",
        "immutable": True,
        "data": {key: base64.b64encode(data[key].encode()).decode() for key in sorted(data)},
    }


def job(work: Work, owner: Owner, place: Place) -> Object:
    """The Job of one attempt: one pod, one try; every other try is a new attempt with a Job of its own."""
    labels = {
        **_labels(work.run_id),
        r.LABEL_ANALYSIS: work.analysis_id,
        r.LABEL_MODEL: r.label_value(work.model),
        r.LABEL_ATTEMPT: str(work.attempt),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": r.job_name(work.run_id, work.model, work.attempt),
            "namespace": place.namespace,
            "labels": labels,
            "ownerReferences": [_owned(owner)],
        },
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": math.ceil(work.pending_deadline + _pod_deadline(work) + BACKSTOP),
            "ttlSecondsAfterFinished": math.ceil(place.job_ttl),
            "podFailurePolicy": {
                "rules": [
                    # An evicted pod is replaced inside the same attempt.
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": RUNNER, "operator": "In", "values": _PERMANENT},
                    },
                ]
            },
            "template": {"metadata": {"labels": labels}, "spec": _pod(work, owner, place)},
        },
    }


def final_event(resource: Mapping[str, Any], reason: str, message: str, *, good: bool, now: datetime) -> Object:
    """The one Event of a run, at its end. Its name is a function of the resource, so that it is told once."""
    metadata = resource["metadata"]
    moment = r.timestamp(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{metadata['uid'][:8]}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": r.API_VERSION,
            "kind": r.KIND,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "reason": reason,
        "message": message[:1024],
        "type": "Normal" if good else "Warning",
        "source": {"component": MANAGED_BY},
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }


def _labels(run_id: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "drishtiksha",
        "app.kubernetes.io/component": "jobrunner",
        "app.kubernetes.io/managed-by": MANAGED_BY,
        r.LABEL_RUN: run_id,
    }


def _owned(owner: Owner) -> Object:
    return {"apiVersion": r.API_VERSION, "kind": r.KIND, "name": owner.name, "uid": owner.uid, "controller": True}


def _pod_deadline(work: Work) -> float:
    """Seconds from the pod's start: the runner begins only when the sidecar has loaded its model."""
    loading = work.profile.startup if work.profile.execution == "pod" else 0.0
    return work.running_deadline + loading + SLACK


def _pod(work: Work, owner: Owner, place: Place) -> Object:
    profile = work.profile
    spec: Object = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": math.ceil(_pod_deadline(work)),
        "terminationGracePeriodSeconds": GRACE,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_runner(work, owner, place)],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": profile.scratch}}],
    }
    if profile.execution == "pod":
        spec["initContainers"] = [_sidecar(work, owner)]
    if profile.node_selector:
        spec["nodeSelector"] = dict(profile.node_selector)
    if profile.affinity:
        spec["affinity"] = profile.affinity
    if profile.wanted_tolerations:
        spec["tolerations"] = [dict(t) for t in profile.wanted_tolerations]
    if profile.runtime_class_name:
        spec["runtimeClassName"] = profile.runtime_class_name
    if profile.priority_class_name:
        spec["priorityClassName"] = profile.priority_class_name
    if profile.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in profile.image_pull_secrets]
    result: Object = merged(spec, profile.overlay)
    return result


def _runner(work: Work, owner: Owner, place: Place) -> Object:
    name = r.secret_name(work.run_id, owner.uid)
    env: list[Object] = [
        {"name": "DRISHTIKSHA_DOOR_URL", "value": place.door_url},
        _from_secret("DRISHTIKSHA_ATTEMPT_TOKEN", name, token_key(work.model, work.attempt)),
    ]
    if work.profile.execution == "pod":
        env += [
            _from_pod("POD_IP", "status.podIP"),
            {"name": "SERVER_URL", "value": f"http://$(POD_IP):{work.profile.port}"},
        ]
    else:
        env.append({"name": "SERVER_URL", "value": work.server_url or ""})
    if work.has_ml_key:
        env.append(_from_secret("SERVER_API_KEY", name, ml_key(work.model)))
    env += [
        {"name": "SERVER_DIALECT", "value": work.dialect},
        {"name": "DRISHTIKSHA_POLARITY", "value": work.profile.polarity},
        {"name": "TMPDIR", "value": SCRATCH},
        _from_pod("NODE_NAME", "spec.nodeName"),
    ]
    if work.traceparent:
        env.append({"name": "TRACEPARENT", "value": work.traceparent})
    resources = work.profile.runner_resources
    return {
        "name": RUNNER,
        "image": place.runner_image,
        "env": env,
        "resources": {"requests": dict(resources.requests), "limits": dict(resources.limits)},
        "securityContext": _restricted(),
        "volumeMounts": [{"name": "scratch", "mountPath": SCRATCH}],
    }


def _sidecar(work: Work, owner: Owner) -> Object:
    """The model's own container: it starts first, ends last, and holds the GPU."""
    profile = work.profile
    limits = dict(profile.resources.limits)
    if profile.gpu.count:
        limits[profile.gpu.resource] = profile.gpu.count
    ours: list[Object] = [
        _from_pod("POD_IP", "status.podIP"),
        {"name": "HOST", "value": "$(POD_IP)"},
        {"name": "PORT", "value": str(profile.port)},
        {"name": "TMPDIR", "value": SCRATCH},
        _from_secret("SERVER_API_KEY", r.secret_name(work.run_id, owner.uid), ml_key(work.model)),
    ]
    names = {entry["name"] for entry in ours}
    container: Object = {
        "name": MODEL,
        "image": profile.image,
        "restartPolicy": "Always",
        "env": ours + [{"name": k, "value": v} for k, v in sorted(profile.env.items()) if k not in names],
        "resources": {"requests": dict(profile.resources.requests), "limits": limits},
        "startupProbe": {
            "httpGet": {"path": "/readyz", "port": profile.port},
            "periodSeconds": 1,
            "timeoutSeconds": 2,
            "failureThreshold": max(1, math.ceil(profile.startup)),
        },
        "securityContext": _restricted(),
        "volumeMounts": [{"name": "scratch", "mountPath": SCRATCH}],
    }
    if profile.image_pull_policy:
        container["imagePullPolicy"] = profile.image_pull_policy
    if profile.command:
        container["command"] = list(profile.command)
    if profile.args:
        container["args"] = list(profile.args)
    return container


def _restricted() -> Object:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _from_secret(variable: str, name: str, key: str) -> Object:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def _from_pod(variable: str, path: str) -> Object:
    return {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": path}}}
