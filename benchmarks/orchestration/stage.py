"""What is measured, brought up and thrown away: a control plane with one process node, PostgreSQL, Valkey, the stub,
and the platform's door, api and operator. `story` opens one per set of controller-manager flags.

Each process of ours logs in to PostgreSQL as a role of its own, so that statements can be told apart.
"""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import psycopg

from drishtiksha_devcluster import apps, postgres
from drishtiksha_devcluster.ephemeral import ThrowawayCluster, running, throwaway_cluster
from drishtiksha_devcluster.ports import free_port
from drishtiksha_devcluster.process import ProcessSpec, plain_environment
from drishtiksha_devcluster.valkey import throwaway_valkey

PLATFORM = ("api", "door", "operator")
BARE_NAMESPACE = "bare"
"""Where the bare side's Jobs live: out of the operator's sight."""
NAMESPACE = "drishtiksha"
_MANY = "1000"
"""Every cap on attempts in flight: what is measured is the way, not the waiting for a place."""


@dataclass(frozen=True)
class Stage:
    """A platform that runs, and the ways to look at it."""

    cluster: ThrowawayCluster
    wiring: apps.Wiring
    admin_url: str
    """PostgreSQL as the owner; the platform's processes have roles of their own (`bench_<process>`)."""
    stub_url: str
    audit_log: Path
    processes: Mapping[str, psutil.Process]
    """By name: postgres, valkey, the control plane's four, cpu-0, stub, api, door, operator."""


@contextlib.contextmanager
def stage(folder: Path, media: Path, *, stock_qps: bool) -> Iterator[Stage]:
    """Bring everything up in `folder`; all of it ends with the block. Call it in the main thread. Raises ClusterFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    audit_log = folder / "audit.log"
    with contextlib.ExitStack() as stack:
        admin_url = stack.enter_context(_database(folder))
        redis_url = stack.enter_context(throwaway_valkey())
        home = folder / "cluster"
        cluster = stack.enter_context(throwaway_cluster(stock_qps=stock_qps, audit_log=audit_log, home=home))
        cluster.kubectl("create", "namespace", BARE_NAMESPACE)
        (home / "images.json").write_text(apps.images_file())
        (folder / "config.yaml").write_text("services:\n  - name: default\n")
        stub_port = free_port()
        wiring = apps.Wiring(
            home=home,
            settings=_settings(folder),
            ports={name: free_port() for name in apps.PORTS},
            database_url=admin_url,
            redis_url=redis_url,
            server_url=f"http://127.0.0.1:{stub_port}",
            namespace=NAMESPACE,
        )
        command = (sys.executable, str(Path(__file__).with_name("stub.py")), str(stub_port), str(media))
        specs = [
            apps.node(wiring, "cpu-0"),
            ProcessSpec("stub", command, {}, ready=f"http://127.0.0.1:{stub_port}/told"),
            *(getattr(apps, name)(_as_role(wiring, name)) for name in ("door", "api", "operator")),
        ]
        started = {s.name: stack.enter_context(running(s, folder / f"{s.name}.log")).pid for s in specs}
        found = {**_neighbours(), **{name: psutil.Process(pid) for name, pid in started.items()}}
        yield Stage(cluster, wiring, admin_url, wiring.server_url, audit_log, found)


def _settings(folder: Path) -> dict[str, str]:
    return {
        "JWT_SECRET": secrets.token_hex(32),
        "DRISHTIKSHA_SIGNING_KEYS": f"bench:{secrets.token_hex(32)}",
        "SERVER_API_KEY": secrets.token_hex(16),
        "DRISHTIKSHA_CONFIG": str(folder / "config.yaml"),
        "LOCAL_STORAGE_PATH": str(folder / "objects"),
        "DRISHTIKSHA_MAX_ACTIVE_JOBS": _MANY,
        "DRISHTIKSHA_MAX_ACTIVE_PER_MODEL": _MANY,
        "DRISHTIKSHA_MAX_ACTIVE_PER_USER": _MANY,
    }


@contextlib.contextmanager
def _database(folder: Path) -> Iterator[str]:
    """PostgreSQL that counts statements, with our schema and a role per process; yields the owner's URL."""
    password, port = secrets.token_hex(16), free_port()
    data = postgres.data_folder(folder)
    postgres.initialise(data, password, throwaway=True)
    spec = postgres.process(data, port, throwaway=True)
    counting = ("-c", "shared_preload_libraries=pg_stat_statements", "-c", "pg_stat_statements.max=10000")
    try:
        with running(replace(spec, argv=(*spec.argv, *counting)), folder / "postgres.log") as server:
            owner = postgres.url(port, password, "postgres")
            with psycopg.connect(owner, autocommit=True) as connection:
                connection.execute("CREATE DATABASE bench")
                for name in PLATFORM:
                    role = f"CREATE ROLE bench_{name} LOGIN INHERIT PASSWORD '{password}' IN ROLE {postgres.OWNER}"
                    connection.execute(role.encode())
            url = postgres.url(port, password, "bench")
            environment = {**plain_environment(), "DATABASE_URL": url}
            migrate = [sys.executable, "-m", "drishtiksha.database.migrate"]
            subprocess.run(migrate, env=environment, check=True, capture_output=True, timeout=120)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE EXTENSION pg_stat_statements")
            try:
                yield url
            finally:
                server.send_signal(spec.death_signal)
                server.wait(20)
    finally:
        postgres.remove(data)


def _as_role(wiring: apps.Wiring, name: str) -> apps.Wiring:
    return replace(wiring, database_url=wiring.database_url.replace(f"//{postgres.OWNER}:", f"//bench_{name}:"))


def _neighbours() -> dict[str, psutil.Process]:
    """PostgreSQL, Valkey and the control plane, found among our children by their commands."""
    names = {
        "postgres": "postgres",
        "valkey-server": "valkey",
        **{n: n for n in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")},
    }
    found = {}
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            words = child.cmdline()
            if words and (name := names.get(Path(words[0]).name)):
                found[name] = child
    return found
