"""What would run in a state folder: settings and ports turned into process specs and addresses.

Pure but for `Plan.of`, which chooses ports; `platform.py` carries it out. The specs come from postgres, valkey, cluster
and apps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from drishtiksha.domain.errors import DrishtikshaError

from . import apps, cluster, dotenv, postgres, state, valkey
from .cluster import ClusterPorts
from .process import ProcessSpec
from .state import Ports

KUBERNETES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODES = ("cpu-0", "gpu-0")
NAMES = ("postgres", "valkey", *KUBERNETES, "modelserver", *NODES, "door", "api", "operator")
"""All processes of a platform, in the order in which they are needed."""

_CLUSTER_PORTS = ("apiserver", "etcd", "etcd_peer", "etcd_health", "controller_manager", "scheduler")


class PlatformFailed(DrishtikshaError):
    """Something did not come up; the text names it, its last words, and what to do."""


@dataclass(frozen=True)
class Options:
    """What `up` may be told beyond the settings."""

    gpus: int = 1
    """Simulated GPUs of gpu-0."""
    stock_qps: bool = False
    """Leave the controller-manager its stock 20 requests per second."""
    audit_log: Path | None = None
    """The API server writes each request there (metadata only)."""
    patience: float = 180.0
    """Seconds for all processes to become ready."""


@dataclass(frozen=True)
class Addresses:
    """Where a running platform is found."""

    home: Path
    base_url: str
    door_url: str
    server_url: str
    database_url: str
    redis_url: str
    kubeconfig: Path
    namespace: str
    ports: Mapping[str, int]


class Plan:
    """What would run: settings and ports turned into process specs. Looks at nothing, starts nothing."""

    def __init__(self, home: Path, settings: Mapping[str, str], ports: Ports, options: Options) -> None:
        self.home, self.settings, self.ports, self.options = home, settings, ports, options
        self.programs: Path | None = None
        self.cluster_ports = ClusterPorts(**{name: ports[name] for name in _CLUSTER_PORTS})
        brought = {"postgres": "DATABASE_URL", "valkey": "REDIS_URL", "modelserver": "SERVER_URL"}
        self.external = {name for name, setting in brought.items() if settings.get(setting)}
        password = settings[dotenv.DATABASE_PASSWORD]
        self._valkey_password = hashlib.sha256(f"valkey {password}".encode()).hexdigest()[:48]
        self.server_url_of_postgres = postgres.url(ports["postgres"], password, "postgres")
        self.wiring = apps.Wiring(
            home=home,
            settings=settings,
            ports=ports.numbers,
            database_url=settings.get("DATABASE_URL") or postgres.url(ports["postgres"], password),
            redis_url=settings.get("REDIS_URL") or valkey.url(ports["valkey"], self._valkey_password),
            server_url=settings.get("SERVER_URL") or f"http://127.0.0.1:{ports['modelserver']}",
            namespace=settings.get("DRISHTIKSHA_NAMESPACE") or "drishtiksha",
            present=frozenset(NAMES) - self.external,
        )

    @property
    def addresses(self) -> Addresses:
        """Where it is found."""
        w = self.wiring
        kubeconfig = self.home / "kubeconfig" / "admin.yaml"
        return Addresses(
            *(self.home, w.base_url, w.door_url, w.server_url, w.database_url, w.redis_url, kubeconfig, w.namespace),
            ports=dict(self.ports.numbers),
        )

    def closure(self, names: Iterable[str]) -> set[str]:
        """These processes and all that they need; all of them when none is named. Raises PlatformFailed."""
        names = list(names)
        unknown = [name for name in names if name not in NAMES]
        if unknown:
            raise PlatformFailed(f"there is no process {', '.join(unknown)}; there are: {', '.join(NAMES)}")
        needs = {spec.name: spec.needs for spec in self._apps()} | dict.fromkeys(KUBERNETES, ("etcd",))
        needs |= {"kube-controller-manager": ("kube-apiserver",), "kube-scheduler": ("kube-apiserver",), "etcd": ()}
        found, open_ = set(), set(names or NAMES)
        while open_:
            name = open_.pop()
            found.add(name)
            open_ |= set(needs.get(name, ())) - found
        return found - self.external

    def specs(self, wanted: set[str]) -> dict[str, ProcessSpec]:
        """The specs of these processes by name."""
        found = {spec.name: spec for spec in self._apps()}
        if "postgres" in wanted:
            found["postgres"] = postgres.process(postgres.data_folder(self.home), self.ports["postgres"])
        if "valkey" in wanted:
            found["valkey"] = valkey.process(self.home / "valkey", self.ports["valkey"], self._valkey_password)
        if wanted & set(KUBERNETES):
            for spec in cluster.cluster_processes(
                self.home,
                self.cluster_ports,
                programs=self.programs,
                stock_qps=self.options.stock_qps,
                audit_log=self.options.audit_log,
            ):
                found[spec.name] = spec
        return {name: spec for name, spec in found.items() if name in wanted}

    def _apps(self) -> list[ProcessSpec]:
        own_models = "modelserver" not in self.external
        return apps.all_of_them(self.wiring, gpus=self.options.gpus, own_models=own_models)


def choose_ports(home: Path, settings: Mapping[str, str], *, running: bool) -> Ports:
    """All ports of a platform; `running`: it holds them itself. Raises PlatformFailed for a bad PORT."""
    names = ("api", *(name for name in apps.PORTS if name != "api"), "postgres", "valkey", *_CLUSTER_PORTS)
    try:
        wish = int(settings.get("PORT", "3000"))
    except ValueError:
        raise PlatformFailed(f"PORT: {settings['PORT']!r} is no number") from None
    return state.choose_ports(home, names, wish=wish, in_use_by_us=running)
