"""Two process nodes on the real control plane, started by the command line that the platform uses."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from drishtiksha_devcluster.ephemeral import ThrowawayCluster, running, throwaway_cluster
from drishtiksha_devcluster.node import faults
from drishtiksha_devcluster.ports import free_port
from drishtiksha_devcluster.process import ProcessSpec

IMAGES = {"test/python": [sys.executable], "test/shell": ["/bin/sh", "-c"]}
NAMESPACE = "drishtiksha"


def node_spec(home: Path, name: str, port: int, *more: str) -> ProcessSpec:
    """A node as `apps.node` starts it."""
    kubeconfig = str(home / "kubeconfig" / f"{name}.yaml")
    argv = (sys.executable, "-m", "drishtiksha_devcluster.node", "--name", name, "--home", str(home))
    argv += ("--kubeconfig", kubeconfig, "--port", str(port), *more)
    return ProcessSpec(name=name, argv=argv, env={"NODE_SECRET": "of the node"}, ready=f"tcp://127.0.0.1:{port}")


@dataclass
class Nodes:
    """The cluster with its two nodes, and the few sentences that the tests speak."""

    cluster: ThrowawayCluster
    processes: dict[str, subprocess.Popen[bytes]]
    specs: dict[str, ProcessSpec]
    stack: contextlib.ExitStack
    images: dict[str, list[str]] = field(default_factory=lambda: dict(IMAGES))
    count: int = 0

    def start(self, name: str) -> None:
        """Start a node and wait until it serves."""
        log = self.cluster.home / "logs" / f"{name}.log"
        self.processes[name] = self.stack.enter_context(running(self.specs[name], log))

    def faults(self, *pods: faults.Fault, lost: tuple[str, ...] = ()) -> None:
        """Ask the nodes to misbehave so, and not otherwise; return when they do."""
        file = faults.default_path(self.cluster.home)
        faults.write(file, pods, lost)
        version, end = str(file.stat().st_mtime_ns), time.monotonic() + 30
        for name, process in self.processes.items():
            log = self.cluster.home / "logs" / f"{name}.log"
            while process.poll() is None and version not in log.read_text():
                assert time.monotonic() < end, f"{name} does not see the fault file"
                time.sleep(0.05)

    def pod(self, script: str, **spec: Any) -> str:
        """Create a pod that runs a shell script; its name. `env`, `resources`, `volumeMounts` go to the container."""
        container = {"name": "main", "image": "test/shell", "args": [script]}
        container |= {
            key: spec.pop(key) for key in ("image", "args", "env", "resources", "volumeMounts") if key in spec
        }
        self.count += 1
        name = f"pod-{self.count}"
        body = {"restartPolicy": "Never", "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 5}
        self.create({"kind": "Pod", "apiVersion": "v1", "spec": body | {"containers": [container]} | spec}, name)
        return name

    def job(self, script: str, **spec: Any) -> str:
        """Create a Job of one try for a shell script; its name."""
        pod = {"restartPolicy": "Never", "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 5}
        pod |= {"containers": [{"name": "main", "image": "test/shell", "args": [script]}]}
        body = {"backoffLimit": 0, "podReplacementPolicy": "Failed", **spec, "template": {"spec": pod}}
        self.count += 1
        name = f"job-{self.count}"
        self.create({"kind": "Job", "apiVersion": "batch/v1", "spec": body}, name)
        return name

    def create(self, body: dict[str, Any], name: str) -> None:
        """Create an object in our namespace."""
        manifest = {**body, "metadata": {"name": name, **body.get("metadata", {})}}
        path = self.cluster.home / f"{name}.json"
        path.write_text(json.dumps(manifest))
        self.kubectl("create", "-f", str(path), "--validate=false")

    def kubectl(self, *words: str) -> str:
        """What kubectl prints, in our namespace."""
        return self.cluster.kubectl("-n", NAMESPACE, *words)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object as it is now."""
        return dict(json.loads(self.kubectl("get", kind, name, "-o", "json")))

    def until(
        self, kind: str, name: str, true: Callable[[dict[str, Any]], Any], seconds: float = 30.0
    ) -> dict[str, Any]:
        """Look until it is so; the object as it was then."""
        end = time.monotonic() + seconds
        while not true(found := self.get(kind, name)):
            assert time.monotonic() < end, json.dumps(found["status"], indent=1)
            time.sleep(0.15)
        return found

    def finished(self, pod: str, seconds: float = 30.0) -> dict[str, Any]:
        """The status of a pod at its end."""
        found = self.until("pod", pod, lambda body: body["status"]["phase"] in ("Succeeded", "Failed"), seconds)
        return dict(found["status"])

    def is_running(self, pod: str) -> dict[str, Any]:
        """A pod as soon as it runs."""
        return self.until("pod", pod, lambda body: body["status"]["phase"] == "Running")

    def watch_of(self, pod: str) -> list[dict[str, Any]]:
        """Every state of a pod that the API has kept, oldest first."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods?watch=1&resourceVersion=1&timeoutSeconds=1"
        events = map(json.loads, self.kubectl("get", "--raw", f"{path}&fieldSelector=metadata.name={pod}").splitlines())
        return [event["object"] for event in events]

    def log_file(self, pod: str) -> Path:
        """Where the node keeps the log of the main container."""
        (folder,) = (self.cluster.home / "logs" / "pods").glob(f"{NAMESPACE}_{pod}_*")
        return folder / "main.log"

    def until_log(self, pod: str, text: str) -> None:
        """Wait until the main container has said so."""
        end = time.monotonic() + 30
        while text not in self.log_file(pod).read_text():
            assert time.monotonic() < end, f"{pod} never said {text!r}"
            time.sleep(0.05)

    def lease(self, node: str) -> str:
        """When the node was last heard of."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}"
        return str(json.loads(self.kubectl("get", "--raw", path))["spec"]["renewTime"])

    def pod_of(self, job: str) -> str:
        """The name of a Job's only pod."""
        self.until("job", job, lambda body: body["status"].get("active") or body["status"].get("conditions"))
        (name,) = self.pods_of(job)
        return name

    def pods_of(self, job: str) -> list[str]:
        """The names of a Job's pods."""
        found = self.kubectl("get", "pods", "-l", f"job-name={job}", "-o", "name").split()
        return [name.removeprefix("pod/") for name in found]


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[ThrowawayCluster]:
    """A control plane for nodes alone: other tests want one without."""
    with throwaway_cluster() as found:
        yield found


@pytest.fixture(scope="session")
def nodes(kubernetes: ThrowawayCluster) -> Iterator[Nodes]:
    """cpu-0 and gpu-0, ready for pods."""
    home = kubernetes.home
    (home / "images.json").write_text(json.dumps(IMAGES))
    gpu = ("--gpu", "1", "--label", "drishtiksha.io/accelerator=gpu", "--taint", "nvidia.com/gpu=present:NoSchedule")
    specs = {
        "cpu-0": node_spec(home, "cpu-0", free_port()),
        "gpu-0": node_spec(home, "gpu-0", free_port(), *gpu),
    }
    with contextlib.ExitStack() as stack:
        found = Nodes(kubernetes, {}, specs, stack)
        for name in specs:
            found.start(name)
        kubernetes.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=30s")
        yield found


@pytest.fixture(autouse=True)
def _no_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "nodes" in request.fixturenames:
        request.getfixturevalue("nodes").faults()
