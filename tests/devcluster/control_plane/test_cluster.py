"""The control plane itself: real processes, a real kubectl."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from drishtiksha.kubeconfig import from_file
from drishtiksha_devcluster import cluster, kubeconfigs, pki
from drishtiksha_devcluster.cluster import ClusterPorts
from drishtiksha_devcluster.ephemeral import ClusterFailed, KubectlFailed, ThrowawayCluster, running, throwaway_cluster
from drishtiksha_devcluster.install import InstallFailed, install

pytestmark = pytest.mark.e2e


JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: one, namespace: %s}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: nothing}]
"""


def test_kubectl_knows_our_resource_by_its_short_name(kubernetes: ThrowawayCluster) -> None:
    command = [*cluster.kubectl_command(kubernetes.home), "get", "ma"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "No resources found in drishtiksha namespace." in done.stderr
    assert "KIND:       MediaAnalysis" in _explained(kubernetes)


def _explained(kubernetes: ThrowawayCluster) -> str:
    """The API server publishes a new resource's schema some moments after it serves it."""
    for _ in range(40):
        try:
            return kubernetes.kubectl("explain", "ma.spec")
        except KubectlFailed:
            time.sleep(0.5)
    return kubernetes.kubectl("explain", "ma.spec")


def test_a_second_install_changes_nothing(kubernetes: ThrowawayCluster) -> None:
    def versions() -> dict[str, str]:
        listed = json.loads(kubernetes.kubectl("get", "crd,role,rolebinding,namespace", "-A", "-o", "json"))["items"]
        return {
            f"{one['kind']} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}": one["metadata"][
                "resourceVersion"
            ]
            for one in listed
        }

    # The server's own controllers may still be writing conditions on a busy machine: begin when they are done.
    before: dict[str, str] = {}
    while before != (before := versions()):
        time.sleep(0.5)
    install(kubernetes.home)
    assert versions() == before


def test_another_namespace_gets_rights_of_its_own(kubernetes: ThrowawayCluster) -> None:
    install(kubernetes.home, namespace="second")
    answer = kubernetes.kubectl("get", "ma", "-n", "second", "-o", "name", user="drishtiksha-api")
    assert answer == ""
    with pytest.raises(KubectlFailed, match="Forbidden"):
        kubernetes.kubectl("get", "ma", "-n", "default", user="drishtiksha-api")


def test_the_controllers_make_a_pod_for_a_job_and_collect_it_with_the_job(
    kubernetes: ThrowawayCluster, tmp_path: Path
) -> None:
    manifest = tmp_path / "job.yaml"
    manifest.write_text(JOB % "default")
    kubernetes.kubectl("apply", "-f", str(manifest))
    kubernetes.kubectl("wait", "pod", "-n", "default", "-l", "job-name=one", "--for=create", "--timeout=30s")
    pod = "-n", "default", "-l", "job-name=one"
    waiting = '{.items[0].status.conditions[?(@.type=="PodScheduled")].reason}'
    kubernetes.kubectl("wait", "pod", *pod, "--for=condition=PodScheduled=False", "--timeout=30s")
    assert kubernetes.kubectl("get", "pod", *pod, "-o", f"jsonpath={waiting}") == "Unschedulable"
    kubernetes.kubectl("delete", "job", "one", "-n", "default", "--wait=false")
    kubernetes.kubectl("wait", "pod", *pod, "--for=delete", "--timeout=30s")


def test_etcd_answers_nobody_without_a_certificate_of_ours(kubernetes: ThrowawayCluster) -> None:
    context = ssl.create_default_context(cadata=pki.ca(kubernetes.home / "pki"))
    stranger = httpx.Client(base_url=f"https://127.0.0.1:{kubernetes.ports.etcd}", verify=context)
    with stranger, pytest.raises(httpx.HTTPError):
        stranger.get("/health")
    context.load_cert_chain(
        kubernetes.home / "pki" / "etcd-client.crt", keyfile=kubernetes.home / "pki" / "etcd-client.key"
    )
    with httpx.Client(base_url=f"https://127.0.0.1:{kubernetes.ports.etcd}", verify=context) as ours:
        assert ours.get("/health").json()["health"] == "true"


def test_two_clusters_side_by_side_do_not_see_each_other(kubernetes: ThrowawayCluster, tmp_path: Path) -> None:
    audit = tmp_path / "audit.log"
    with throwaway_cluster(audit_log=audit, namespace="other", stock_qps=True) as second:
        second.kubectl("create", "configmap", "mine", "-n", "other", user="admin")
        assert "mine" in second.kubectl("get", "configmap", "-n", "other")
        assert "other" not in kubernetes.kubectl("get", "namespace", "-o", "name")
        # The tokens and the CA of one are worth nothing at the other.
        there = from_file(second.kubeconfig())
        own = from_file(kubernetes.kubeconfig())
        headers = {"Authorization": f"Bearer {own.bearer()}"}
        with httpx.Client(base_url=there.server, verify=there.ssl_context() or True, headers=headers) as client:
            assert client.get("/api/v1/namespaces").status_code == 401
        with httpx.Client(base_url=there.server, verify=own.ssl_context() or True) as client:
            with pytest.raises(httpx.ConnectError):
                client.get("/readyz")

    # The audit log has one line per request, with who and what, and no bodies.
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    made = [one for one in lines if one["verb"] == "create" and one.get("objectRef", {}).get("name") == "mine"]
    assert [one["user"]["username"] for one in made] == ["admin"]
    assert all(one["level"] == "Metadata" and "requestObject" not in one for one in lines)


def test_a_killed_cluster_finds_its_objects_again_on_other_ports(tmp_path: Path) -> None:
    with throwaway_cluster(home=tmp_path) as first:
        first.kubectl("create", "configmap", "kept")
        token = pki.tokens(tmp_path / "pki")
    # The end of a throwaway cluster is a SIGKILL for each of its processes.
    with throwaway_cluster(home=tmp_path) as second:
        assert second.ports != first.ports
        assert pki.tokens(tmp_path / "pki") == token
        assert second.kubectl("get", "configmap", "kept", "-o", "name") == "configmap/kept\n"


def test_install_says_which_server_it_waited_for(tmp_path: Path) -> None:
    cluster.prepare(tmp_path, ports := ClusterPorts.free())
    with pytest.raises(InstallFailed, match=rf"{cluster.server(ports)} is not ready: "):
        install(tmp_path, deadline=0.3)


def test_install_does_not_wait_for_ever_on_a_server_that_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drishtiksha_devcluster.install.REQUEST_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ports = ClusterPorts(silent.getsockname()[1], 1, 2, 3, 4, 5)
        cluster.prepare(tmp_path, ports)
        with pytest.raises(InstallFailed, match="is not ready"):
            install(tmp_path, deadline=0.5)


def test_a_process_that_cannot_start_is_named_with_its_last_words(kubernetes: ThrowawayCluster, tmp_path: Path) -> None:
    home = tmp_path / "home"
    cluster.prepare(home, ClusterPorts.free())
    (home / "etcd").write_text("no folder")
    etcd = cluster.cluster_processes(home, ClusterPorts.free(), programs=kubernetes.programs)[0]
    with pytest.raises(ClusterFailed, match=r"(?s)etcd ended with 1:.*not a directory"):
        with running(etcd, tmp_path / "log"):
            pass


def test_the_processes_come_in_the_order_in_which_they_need_each_other(tmp_path: Path) -> None:
    specs = cluster.cluster_processes(tmp_path, ClusterPorts.free(), programs=Path("/programs"))
    assert [spec.name for spec in specs] == ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    for number, spec in enumerate(specs):
        assert set(spec.needs) <= {one.name for one in specs[:number]}
        assert spec.ready is not None


def test_stock_flags_leave_the_request_rate_of_the_controllers_alone(tmp_path: Path) -> None:
    def flags(**options: bool) -> str:
        return " ".join(
            cluster.cluster_processes(tmp_path, ClusterPorts.free(), programs=Path("/p"), **options)[2].argv
        )

    assert "--kube-api-qps=300 --kube-api-burst=400" in flags()
    assert "--kube-api-" not in flags(stock_qps=True)


def test_no_secret_stands_in_a_command_line(tmp_path: Path) -> None:
    cluster.prepare(tmp_path, ports := ClusterPorts.free())
    words = " ".join(w for s in cluster.cluster_processes(tmp_path, ports, programs=Path("/p")) for w in s.argv)
    assert not [user for user, token in pki.tokens(tmp_path / "pki").items() if token in words]


def test_kubeconfigs_follow_the_ports_and_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    cluster.prepare(tmp_path, ClusterPorts.free())
    cluster.prepare(tmp_path, ports := ClusterPorts.free())
    for identity in pki.IDENTITIES:
        path = tmp_path / "kubeconfig" / f"{identity.name}.yaml"
        assert path.stat().st_mode & 0o077 == 0
        assert from_file(path).server == cluster.server(ports)
        assert from_file(path).namespace == kubeconfigs.NAMESPACE


def test_an_etcd_whose_files_are_damaged_ends_by_itself(kubernetes: ThrowawayCluster, tmp_path: Path) -> None:
    home = tmp_path / "home"
    cluster.prepare(home, ports := ClusterPorts.free())
    etcd = cluster.cluster_processes(home, ports, programs=kubernetes.programs)[0]
    with running(etcd, tmp_path / "log"):
        pass
    for path in (home / "etcd" / "member").rglob("*.wal"):
        path.write_bytes(b"\xff" * 4096)
    with pytest.raises(ClusterFailed, match="etcd ended with"):
        with running(etcd, tmp_path / "log", deadline=20):
            pass
