"""Which fields of a pod this node honours. Pure; `pod` asks it before anything starts.

Three kinds: honoured (they do what they say), accepted (they ask for isolation or placement that a process cannot
have or that is already done: security contexts, affinity, tolerations, service links), and all others, for which the
pod fails with their name, so that nobody believes in a promise that was not kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

REASON = "UnsupportedByProcessNode"
FIELD_PATHS = ("status.podIP", "spec.nodeName", "metadata.name", "metadata.namespace")
"""What a fieldRef may point at."""

Rule = bool | Callable[[Any], bool]
"""True: any value is fine. A function: that value is fine. Empty values (false, 0, "", [], {}) are always fine."""

_POD: dict[str, Rule] = {
    # honoured
    "containers": True,
    "initContainers": True,
    "volumes": True,
    "restartPolicy": lambda value: value == "Never",
    "terminationGracePeriodSeconds": True,
    "activeDeadlineSeconds": True,
    # already done by the scheduler and the admission of the API server
    "nodeName": True,
    "nodeSelector": True,
    "affinity": True,
    "tolerations": True,
    "topologySpreadConstraints": True,
    "schedulerName": True,
    "schedulingGates": True,
    "priority": True,
    "priorityClassName": True,
    "preemptionPolicy": True,
    "os": lambda value: value.get("name") == "linux",
    # accepted: a process of this machine has no isolation, no cluster DNS, no token and no image to pull
    "securityContext": True,
    "serviceAccount": True,
    "serviceAccountName": True,
    "automountServiceAccountToken": True,
    "enableServiceLinks": True,
    "dnsPolicy": True,
    "imagePullSecrets": True,
}
_CONTAINER: dict[str, Rule] = {
    "name": True,
    "image": True,
    "imagePullPolicy": True,
    "command": True,
    "args": True,
    "env": True,
    "workingDir": True,
    "ports": True,
    "resources": lambda value: not value.get("claims"),
    "resizePolicy": True,
    "securityContext": True,
    "volumeMounts": True,
    "terminationMessagePath": lambda value: value == "/dev/termination-log",
    "terminationMessagePolicy": True,
}
_SIDECAR: dict[str, Rule] = {**_CONTAINER, "restartPolicy": lambda value: value == "Always", "startupProbe": True}
_PROBE: dict[str, Rule] = {
    "httpGet": True,
    "initialDelaySeconds": True,
    "periodSeconds": True,
    "timeoutSeconds": True,
    "successThreshold": lambda value: value == 1,
    "failureThreshold": True,
}
_HTTP_GET: dict[str, Rule] = {"path": True, "port": True, "scheme": lambda value: value == "HTTP"}
_ENV: dict[str, Rule] = {"name": True, "value": True, "valueFrom": True}
_VALUE_FROM: dict[str, Rule] = {"secretKeyRef": True, "fieldRef": lambda ref: ref.get("fieldPath") in FIELD_PATHS}
_MOUNT: dict[str, Rule] = {"name": True, "mountPath": True}
_VOLUME: dict[str, Rule] = {"name": True, "emptyDir": lambda value: not value.get("medium")}


def unsupported(spec: dict[str, Any]) -> str | None:
    """The path of the first field of this pod spec that a process node does not honour, or None."""
    return next(_violations(spec), None)


def _violations(spec: dict[str, Any]) -> Iterator[str]:
    yield from _unknown(spec, _POD, "spec")
    for i, container in enumerate(spec.get("initContainers") or []):
        where = f"spec.initContainers[{i}]"
        yield from _container(container, _SIDECAR, where)
        if container.get("restartPolicy") != "Always":
            yield f"{where}.restartPolicy (only sidecars, Always)"
    for i, container in enumerate(spec.get("containers") or []):
        yield from _container(container, _CONTAINER, f"spec.containers[{i}]")
    for i, volume in enumerate(spec.get("volumes") or []):
        yield from _unknown(volume, _VOLUME, f"spec.volumes[{i}]")


def _container(container: dict[str, Any], rules: dict[str, Rule], where: str) -> Iterator[str]:
    yield from _unknown(container, rules, where)
    for i, entry in enumerate(container.get("env") or []):
        yield from _unknown(entry, _ENV, f"{where}.env[{i}]")
        yield from _unknown(entry.get("valueFrom") or {}, _VALUE_FROM, f"{where}.env[{i}].valueFrom")
    for i, mount in enumerate(container.get("volumeMounts") or []):
        yield from _unknown(mount, _MOUNT, f"{where}.volumeMounts[{i}]")
    if probe := container.get("startupProbe"):
        yield from _unknown(probe, _PROBE, f"{where}.startupProbe")
        yield from _unknown(probe.get("httpGet") or {}, _HTTP_GET, f"{where}.startupProbe.httpGet")
    folder = container.get("workingDir")
    mounts = [mount.get("mountPath", "").rstrip("/") for mount in container.get("volumeMounts") or []]
    if folder and not any(re.match(re.escape(mount) + r"(/|$)", folder) for mount in mounts):
        yield f"{where}.workingDir (only below a mounted volume)"


def _unknown(section: dict[str, Any], rules: dict[str, Rule], where: str) -> Iterator[str]:
    for name, value in section.items():
        rule = rules.get(name, False)
        fine = rule if isinstance(rule, bool) else bool(value) and rule(value)
        if not fine and (value or name in _PRESENCE):
            yield f"{where}.{name}"


_PRESENCE = frozenset({"hostPath", "projected", "secret", "configMap", "downwardAPI"})
"""Volume sources that ask for something even where their body is empty."""
