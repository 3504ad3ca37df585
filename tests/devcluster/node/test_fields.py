"""A pod either gets what its manifest says, or fails by the name of the field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from drishtiksha_devcluster.node.fields import unsupported

GOLDEN = Path(__file__).parents[2] / "operator" / "golden"


def spec(**more: Any) -> dict[str, Any]:
    return {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}], **more}


def container(**more: Any) -> dict[str, Any]:
    return spec(containers=[{"name": "main", "image": "x", **more}])


def sidecar(**more: Any) -> dict[str, Any]:
    return spec(initContainers=[{"name": "model", "image": "x", "restartPolicy": "Always", **more}])


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("job-*.yaml")), ids=lambda path: path.stem)
def test_every_job_that_the_operator_makes_is_honoured(path: Path) -> None:
    pod = yaml.safe_load(path.read_text())["spec"]["template"]["spec"]
    pod.pop("runtimeClassName", None)  # in the golden file as an example of what a profile may ask of a real cluster
    assert unsupported(pod) is None


def test_what_the_api_server_fills_in_is_accepted() -> None:
    filled = spec(
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
        securityContext={},
        serviceAccount="default",
        serviceAccountName="default",
        enableServiceLinks=True,
        hostNetwork=False,
        terminationGracePeriodSeconds=30,
        preemptionPolicy="PreemptLowerPriority",
        priority=0,
        tolerations=[{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}],
        volumes=[{"name": "scratch", "emptyDir": {}}],
    )
    assert unsupported(filled) is None


@pytest.mark.parametrize(
    ("pod", "named"),
    [
        (spec(restartPolicy="Always"), "spec.restartPolicy"),
        (spec(restartPolicy="OnFailure"), "spec.restartPolicy"),
        (spec(hostNetwork=True), "spec.hostNetwork"),
        (spec(runtimeClassName="gvisor"), "spec.runtimeClassName"),
        (spec(shareProcessNamespace=True), "spec.shareProcessNamespace"),
        (spec(resourceClaims=[{"name": "gpu"}]), "spec.resourceClaims"),
        (spec(hostAliases=[{"ip": "1.1.1.1"}]), "spec.hostAliases"),
        (spec(volumes=[{"name": "v", "hostPath": {"path": "/etc"}}]), "spec.volumes[0].hostPath"),
        (spec(volumes=[{"name": "v", "secret": {}}]), "spec.volumes[0].secret"),
        (spec(volumes=[{"name": "v", "projected": {"sources": []}}]), "spec.volumes[0].projected"),
        (spec(volumes=[{"name": "v", "emptyDir": {"medium": "Memory"}}]), "spec.volumes[0].emptyDir"),
        (spec(initContainers=[{"name": "i", "image": "x"}]), "spec.initContainers[0].restartPolicy"),
        (container(envFrom=[{"secretRef": {"name": "s"}}]), "spec.containers[0].envFrom"),
        (container(lifecycle={"preStop": {}}), "spec.containers[0].lifecycle"),
        (container(livenessProbe={"httpGet": {"port": 1}}), "spec.containers[0].livenessProbe"),
        (container(readinessProbe={"httpGet": {"port": 1}}), "spec.containers[0].readinessProbe"),
        (container(startupProbe={"httpGet": {"port": 1}}), "spec.containers[0].startupProbe"),
        (container(stdin=True), "spec.containers[0].stdin"),
        (container(workingDir="/srv"), "spec.containers[0].workingDir"),
        (container(terminationMessagePath="/elsewhere"), "spec.containers[0].terminationMessagePath"),
        (container(resources={"claims": [{"name": "gpu"}]}), "spec.containers[0].resources"),
        (container(volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "a"}]), "volumeMounts[0].subPath"),
        (container(volumeMounts=[{"name": "v", "mountPath": "/v", "readOnly": True}]), "volumeMounts[0].readOnly"),
        (
            container(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c"}}}]),
            "env[0].valueFrom.configMapKey",
        ),
        (
            container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]),
            "env[0].valueFrom.fieldRef",
        ),
        (sidecar(startupProbe={"exec": {"command": ["true"]}}), "spec.initContainers[0].startupProbe.exec"),
        (sidecar(startupProbe={"httpGet": {"port": 1, "scheme": "HTTPS"}}), "startupProbe.httpGet.scheme"),
        (sidecar(startupProbe={"httpGet": {"port": 1, "host": "a"}}), "startupProbe.httpGet.host"),
    ],
)
def test_a_field_that_is_not_honoured_is_named(pod: dict[str, Any], named: str) -> None:
    found = unsupported(pod)
    assert found is not None
    assert named in found


def test_a_working_folder_on_a_mounted_volume_is_honoured() -> None:
    assert unsupported(container(workingDir="/v/a", volumeMounts=[{"name": "v", "mountPath": "/v"}])) is None
    assert unsupported(container(workingDir="/va", volumeMounts=[{"name": "v", "mountPath": "/v"}])) is not None
