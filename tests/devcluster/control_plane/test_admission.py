"""The operator's golden Jobs, sent to a real API server as the operator, in a namespace that enforces `restricted`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from drishtiksha_devcluster.ephemeral import KubectlFailed, ThrowawayCluster
from drishtiksha_devcluster.install import install

pytestmark = pytest.mark.e2e

GOLDEN = Path(__file__).resolve().parents[2] / "operator" / "golden"


@pytest.mark.parametrize("name", ["job-service", "job-pod-gpu"])
def test_a_job_of_the_operator_gets_its_pod_where_restricted_is_enforced(
    kubernetes: ThrowawayCluster, tmp_path: Path, name: str
) -> None:
    namespace = f"restricted-{name}"
    install(kubernetes.home, namespace=namespace)
    kubernetes.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    job = yaml.safe_load((GOLDEN / f"{name}.yaml").read_text())
    # Its owner does not exist here, and the garbage collector would come for it.
    del job["metadata"]["ownerReferences"]
    job["metadata"]["namespace"] = namespace
    manifest = tmp_path / "job.json"
    # What the profile of a GPU model may name is the cluster's own; a name that it lacks is refused, too.
    template = job["spec"]["template"]["spec"]
    if priority := template.get("priorityClassName"):
        kubernetes.kubectl("create", "priorityclass", priority, "--value=1000")
    if runtime := template.get("runtimeClassName"):
        body = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": runtime}, "handler": "x"}
        manifest.write_text(json.dumps(body))
        kubernetes.kubectl("create", "-f", str(manifest))
    manifest.write_text(json.dumps(job))
    kubernetes.kubectl("create", "--validate=strict", "-f", str(manifest), user="drishtiksha-operator")
    pods = "-n", namespace, "-l", f"job-name={job['metadata']['name']}"
    kubernetes.kubectl("wait", "pod", *pods, "--for=create", "--timeout=30s")
    (pod,) = json.loads(kubernetes.kubectl("get", "pods", *pods, "-o", "json", user="drishtiksha-operator"))["items"]
    assert pod["metadata"]["labels"]["drishtiksha.io/run"] == job["metadata"]["labels"]["drishtiksha.io/run"]


def test_such_a_namespace_refuses_a_pod_that_asks_for_more(kubernetes: ThrowawayCluster) -> None:
    kubernetes.kubectl("create", "namespace", "strict")
    kubernetes.kubectl("label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted")
    with pytest.raises(KubectlFailed, match="violates PodSecurity"):
        kubernetes.kubectl("run", "greedy", "--image=nothing", "-n", "strict")
