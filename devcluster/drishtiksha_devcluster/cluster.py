"""The Kubernetes control plane of one state folder, as values: its ports, its files, its four processes.

`prepare` makes the folder's trust (`pki.py`) and identities (`kubeconfigs.py`); `cluster_processes` says how etcd, the
API server, the controllers and the scheduler are started (the supervisor or `ephemeral.py` starts them); `install`
then brings our namespace, resource and rights into it. The programs come from `binary.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from . import binary, kubeconfigs, pki
from .install import install
from .ports import free_port
from .process import ProcessSpec

__all__ = ["ClusterPorts", "cluster_processes", "install", "kubectl_command", "prepare", "server"]

CONTROLLERS = (
    "job-controller",
    "garbage-collector-controller",
    "ttl-after-finished-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "pod-garbage-collector-controller",
    # Without it a new node keeps its not-ready taint and nothing is ever scheduled.
    "node-lifecycle-controller",
    "taint-eviction-controller",
)
"""What the platform needs of the controller manager; each further one costs memory and a watch."""

QPS, BURST = 300, 400
"""Requests per second the controllers may make. With the stock 20 and 30 a burst of 150 Jobs takes 44 s instead of 3."""

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
"""


@dataclass(frozen=True)
class ClusterPorts:
    """Loopback ports of the control plane, chosen once per state folder."""

    apiserver: int
    etcd: int
    etcd_peer: int
    etcd_health: int
    controller_manager: int
    scheduler: int

    @classmethod
    def free(cls) -> ClusterPorts:
        """Six ports that nobody listens on now, all different."""
        wanted = len(fields(cls))
        chosen: set[int] = set()
        while len(chosen) < wanted:
            chosen.add(free_port())
        return cls(*sorted(chosen))

    def to_json(self) -> dict[str, int]:
        """For `run/ports.json`; `ClusterPorts(**…)` is the way back."""
        return asdict(self)


def server(ports: ClusterPorts) -> str:
    """The API server's address."""
    return f"https://127.0.0.1:{ports.apiserver}"


def prepare(home: Path, ports: ClusterPorts) -> None:
    """Certificates, tokens and kubeconfigs of this state folder: made once, kept, fitted to the ports."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    pki.prepare(home / "pki")
    kubeconfigs.write(home / "kubeconfig", home / "pki", server(ports))
    (home / "pki" / "audit-policy.yaml").write_text(AUDIT_POLICY, encoding="utf-8")


def kubectl_command(home: Path, programs: Path | None = None) -> list[str]:
    """kubectl as the administrator of this platform; append the user's words.

    The kubeconfig is a flag and no variable, so that a KUBECONFIG of the user's shell changes nothing.
    """
    return [str((programs or binary.control_plane()) / "kubectl"), f"--kubeconfig={kubeconfigs.admin(home)}"]


def cluster_processes(
    home: Path,
    ports: ClusterPorts,
    *,
    programs: Path | None = None,
    stock_qps: bool = False,
    audit_log: Path | None = None,
) -> list[ProcessSpec]:
    """etcd, kube-apiserver, kube-controller-manager, kube-scheduler, in this order; `prepare` must have run.

    `programs` is the folder of `binary.control_plane()`, which is asked when none is given. `stock_qps` leaves the controllers' request rate as
    Kubernetes ships it. `audit_log` gets one JSON line per request: who, which verb, on what, no bodies.
    """
    programs = programs or binary.control_plane()
    return [
        _etcd(home, ports, programs),
        _apiserver(home, ports, programs, audit_log),
        _controller_manager(home, ports, programs, stock_qps),
        _scheduler(home, ports, programs),
    ]


def _etcd(home: Path, ports: ClusterPorts, programs: Path) -> ProcessSpec:
    folder = home / "pki"
    client, peer = f"https://127.0.0.1:{ports.etcd}", f"https://127.0.0.1:{ports.etcd_peer}"
    health = f"http://127.0.0.1:{ports.etcd_health}"
    flags = [
        "--name=drishtiksha",
        f"--data-dir={home / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=drishtiksha={peer}",
        f"--listen-metrics-urls={health}",
        # Every Secret is in there: nobody but the API server may ask, whoever else is logged in on this machine.
        "--client-cert-auth",
        f"--trusted-ca-file={folder / 'ca.crt'}",
        *_pair("--{}-file", folder / "etcd"),
        "--peer-client-cert-auth",
        f"--peer-trusted-ca-file={folder / 'ca.crt'}",
        *_pair("--peer-{}-file", folder / "etcd"),
        # Nothing in etcd is the truth: the rows in PostgreSQL make it again. A lost page costs less than each fsync.
        "--unsafe-no-fsync",
        # One member has nobody to wait for: it may lead after 0.2 s instead of 1 s.
        "--heartbeat-interval=20",
        "--election-timeout=200",
        "--auto-compaction-retention=10m",
        "--logger=zap",
        "--log-level=warn",
    ]
    return _spec(programs, "etcd", flags, ready=f"{health}/readyz")


def _apiserver(home: Path, ports: ClusterPorts, programs: Path, audit_log: Path | None) -> ProcessSpec:
    folder = home / "pki"
    flags = [
        "--bind-address=127.0.0.1",
        f"--secure-port={ports.apiserver}",
        *_pair("--tls-{}-file", folder / "apiserver", key="private-key"),
        f"--etcd-servers=https://127.0.0.1:{ports.etcd}",
        f"--etcd-cafile={folder / 'ca.crt'}",
        *_pair("--etcd-{}file", folder / "etcd-client"),
        "--authorization-mode=RBAC,Node",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'service-account.key'}",
        f"--service-account-signing-key-file={folder / 'service-account.key'}",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--endpoint-reconciler-type=none",
        # How `kubectl logs` reaches a node: by its address, with our certificate, checking the node's.
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={folder / 'ca.crt'}",
        *_pair("--kubelet-client-{}", folder / "kubelet-client", certificate="certificate"),
        "--profiling=false",
        "--logging-format=json",
    ]
    if audit_log is not None:
        flags += [f"--audit-policy-file={folder / 'audit-policy.yaml'}", f"--audit-log-path={audit_log}"]
    ready = f"{server(ports)}/readyz"
    # It would wait a minute for a forgotten `kubectl get -w` to end; what it has answered is in etcd already.
    return _spec(programs, "kube-apiserver", flags, ready=ready, needs=("etcd",), grace=3.0)


def _controller_manager(home: Path, ports: ClusterPorts, programs: Path, stock_qps: bool) -> ProcessSpec:
    flags = [
        "--bind-address=127.0.0.1",
        f"--secure-port={ports.controller_manager}",
        f"--kubeconfig={home / 'kubeconfig' / 'controller-manager.yaml'}",
        f"--controllers={','.join(CONTROLLERS)}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--profiling=false",
        "--logging-format=json",
    ]
    if not stock_qps:
        flags += [f"--kube-api-qps={QPS}", f"--kube-api-burst={BURST}"]
    ready = f"https://127.0.0.1:{ports.controller_manager}/healthz"
    return _spec(programs, "kube-controller-manager", flags, ready=ready, needs=("kube-apiserver",))


def _scheduler(home: Path, ports: ClusterPorts, programs: Path) -> ProcessSpec:
    flags = [
        "--bind-address=127.0.0.1",
        f"--secure-port={ports.scheduler}",
        f"--kubeconfig={home / 'kubeconfig' / 'scheduler.yaml'}",
        "--leader-elect=false",
        "--profiling=false",
        "--logging-format=json",
    ]
    ready = f"https://127.0.0.1:{ports.scheduler}/readyz"
    return _spec(programs, "kube-scheduler", flags, ready=ready, needs=("kube-apiserver",))


def _spec(
    programs: Path, name: str, flags: Sequence[str], *, ready: str, needs: tuple[str, ...] = (), grace: float = 10.0
) -> ProcessSpec:
    argv = (str(programs / name), *flags)
    return ProcessSpec(name=name, argv=argv, env={}, ready=ready, needs=needs, grace=grace)


def _pair(flag: str, path: Path, *, certificate: str = "cert", key: str = "key") -> list[str]:
    """The two flags that name a certificate and its key; every program spells them in its own way."""
    return [f"{flag.format(certificate)}={path}.crt", f"{flag.format(key)}={path}.key"]
