"""The node as the cluster knows it: its Node object, its lease, its heartbeat. `node` starts it and keeps it running."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from .client import MERGE, ApiError, ApiUnreachable, KubeClient
from .status import stamp

LEASE_SECONDS = 40
LEASE_RENEWAL_SECONDS = 10.0
HEARTBEAT_SECONDS = 300.0
"""The lease says that the node lives; its status is written this rarely, and when the node was away."""
MOST_PODS = 110
GPU = "nvidia.com/gpu"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_log = structlog.get_logger()


@dataclass(frozen=True)
class NodeShape:
    """What the node says of itself. `cpus` in cores, `memory` in bytes; `taints` as the API has them."""

    name: str
    address: str
    logs_port: int
    cpus: float
    memory: int
    disk: int
    gpus: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def node_object(shape: NodeShape, now: datetime) -> dict[str, Any]:
    """The whole Node, as it is registered."""
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    annotations = {"drishtiksha.io/node": "a process node: its pods are processes of this machine, without isolation"}
    if shape.gpus:
        annotations["drishtiksha.io/gpu"] = f"simulated: {shape.gpus} x {GPU} is offered, no GPU is behind it"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": shape.name,
            "labels": {
                "kubernetes.io/hostname": shape.name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": architecture,
                **shape.labels,
            },
            "annotations": annotations,
        },
        "spec": {"taints": [dict(taint) for taint in shape.taints]} if shape.taints else {},
        "status": node_status(shape, now, architecture),
    }


def node_status(shape: NodeShape, now: datetime, architecture: str) -> dict[str, Any]:
    """Capacity, addresses, the logs endpoint, and the conditions of a healthy node."""
    capacity = {
        "cpu": f"{int(shape.cpus * 1000)}m",
        "memory": str(shape.memory),
        "ephemeral-storage": str(shape.disk),
        "pods": str(MOST_PODS),
    } | ({GPU: str(shape.gpus)} if shape.gpus else {})
    pressures = [("MemoryPressure", "NotWatched"), ("DiskPressure", "NotWatched"), ("PIDPressure", "NotWatched")]
    return {
        "capacity": capacity,
        "allocatable": capacity,
        "addresses": [{"type": "InternalIP", "address": shape.address}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": shape.logs_port}},
        "nodeInfo": {
            "architecture": architecture,
            "operatingSystem": "linux",
            "kernelVersion": platform.release(),
            "osImage": "this machine",
            "containerRuntimeVersion": "process://1",
            "kubeletVersion": "v1-process-node",
            "kubeProxyVersion": "",
            "machineID": "",
            "systemUUID": "",
            "bootID": "",
        },
        "conditions": [
            _condition("Ready", "True", "ProcessNodeReady", "pods run as processes of this machine", now),
            *(
                _condition(kind, "False", reason, "a process node does not watch this", now)
                for kind, reason in pressures
            ),
        ],
    }


class Registration:
    """Keeps the Node object and the lease of one node."""

    def __init__(self, client: KubeClient, shape: NodeShape) -> None:
        self._client = client
        self._shape = shape
        self._path = f"/api/v1/nodes/{shape.name}"

    async def register(self) -> None:
        """Create the Node, or bring labels, taints and status of the one that is there up to date.

        Waits for the API server as long as it takes.
        """
        pause, began = 0.2, time.monotonic()
        while True:
            try:
                await self._register_once()
            except (ApiUnreachable, ApiError) as error:
                if time.monotonic() - began > 5:
                    _log.warning("waiting for the API server to take the node", node=self._shape.name, error=str(error))
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    async def keep(self) -> None:
        """Renew the lease and, rarely, the status, for ever. A node that was deleted registers itself again."""
        heard = said = time.monotonic()
        while True:
            await asyncio.sleep(LEASE_RENEWAL_SECONDS)
            try:
                await self._renew()
                # After a silence the control plane may have called the node Unknown: say that it is well.
                if time.monotonic() - heard > 2 * LEASE_RENEWAL_SECONDS or time.monotonic() - said > HEARTBEAT_SECONDS:
                    await self._tell_status()
                    said = time.monotonic()
                heard = time.monotonic()
            except ApiUnreachable as error:
                _log.warning("the node's lease could not be renewed", node=self._shape.name, error=str(error))
            except ApiError as error:
                _log.warning("the node's lease was refused", node=self._shape.name, error=str(error))
                if error.status == 404:
                    await self.register()

    async def _register_once(self) -> None:
        wanted = node_object(self._shape, datetime.now(UTC))
        try:
            await self._client.create("/api/v1/nodes", wanted)
        except ApiError as error:
            if error.status != 409:
                raise
            await self._adopt(wanted)
        await self._renew(create=True)

    async def _adopt(self, wanted: dict[str, Any]) -> None:
        there = await self._client.get(self._path)
        taints = there["spec"].get("taints") or []
        cluster_s = [taint for taint in taints if taint["key"].startswith("node.kubernetes.io/")]
        ours = [*cluster_s, *wanted["spec"].get("taints", [])]
        patch: dict[str, Any] = {}
        if any(
            there["metadata"].get("labels", {}).get(key) != value for key, value in wanted["metadata"]["labels"].items()
        ):
            patch["metadata"] = {
                "labels": wanted["metadata"]["labels"],
                "annotations": wanted["metadata"]["annotations"],
            }
        if {_taint(taint) for taint in ours} != {_taint(taint) for taint in taints}:
            patch["spec"] = {"taints": ours}
        if patch:
            await self._client.patch(self._path, patch, MERGE)
        await self._tell_status()

    async def _tell_status(self) -> None:
        status = node_object(self._shape, datetime.now(UTC))["status"]
        await self._client.patch(f"{self._path}/status", {"status": status})

    async def _renew(self, create: bool = False) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if create:
            spec = {"holderIdentity": self._shape.name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now}
            body = {"metadata": {"name": self._shape.name, "namespace": "kube-node-lease"}, "spec": spec}
            try:
                await self._client.create(_LEASES, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **body})
                return
            except ApiError as error:
                if error.status != 409:
                    raise
        await self._client.patch(f"{_LEASES}/{self._shape.name}", {"spec": {"renewTime": now}}, MERGE)


def _taint(taint: Mapping[str, str]) -> tuple[str, str, str]:
    return taint["key"], taint.get("value", ""), taint["effect"]


def _condition(kind: str, value: str, reason: str, message: str, now: datetime) -> dict[str, Any]:
    return {"type": kind, "status": value, "reason": reason, "message": message, "lastHeartbeatTime": stamp(now)}
