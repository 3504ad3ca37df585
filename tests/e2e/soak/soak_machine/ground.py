"""The ground under a soak: a control plane with nodes, a PostgreSQL and a Valkey that may be killed and wiped.

The other end-to-end tests share one cluster and must not do such things to it. All processes are those of `up`.
"""

from __future__ import annotations

import base64
import shutil
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psycopg
import redis
from world import Running

from drishtiksha_devcluster import apps, binary, cluster, postgres, valkey
from drishtiksha_devcluster.cluster import ClusterPorts
from drishtiksha_devcluster.ephemeral import ThrowawayCluster
from drishtiksha_devcluster.node import faults
from drishtiksha_devcluster.ports import free_port
from drishtiksha_devcluster.process import plain_environment

START_SECONDS = 90.0
PASSWORD = "soak"


class Ground:
    """Started once, stopped once; in between every part of it may be hit."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.audit_log = home / "audit.log"
        ports = ClusterPorts.free()
        cluster.prepare(home, ports)
        (home / "logs").mkdir(exist_ok=True)
        (home / "images.json").write_text(apps.images_file())
        self.cluster = ThrowawayCluster(home, ports, binary.control_plane())
        specs = cluster.cluster_processes(home, ports, programs=self.cluster.programs, audit_log=self.audit_log)
        wiring = apps.Wiring(home, {}, {name: free_port() for name in apps.PORTS}, "", "", "")
        nodes = [apps.node(wiring, "cpu-0"), apps.node(wiring, "gpu-0", gpus=2)]
        self._data = postgres.data_folder(home)
        stores = [
            postgres.process(self._data, free_port()),
            valkey.process(home / "valkey", free_port(), PASSWORD),
        ]
        self.processes = {s.name: Running(s, home / "logs" / f"{s.name}.log") for s in (*specs, *nodes, *stores)}
        self.control_plane = [s.name for s in specs]
        self.redis_url = stores[1].ready.replace("redis://", f"redis://:{PASSWORD}@") + "/1"  # type: ignore[union-attr]
        self.database_url = postgres.url(int(stores[0].ready.rsplit(":", 1)[1]), PASSWORD)  # type: ignore[union-attr]

    def __getitem__(self, name: str) -> Running:
        return self.processes[name]

    def start(self) -> None:
        """Everything, with a migrated database."""
        postgres.initialise(self._data, PASSWORD, throwaway=True)
        for name in ("postgres", "valkey", *self.control_plane, "cpu-0", "gpu-0"):
            self[name].start(seconds=START_SECONDS)
        with psycopg.connect(self.database_url.rsplit("/", 1)[0] + "/postgres", autocommit=True) as server:
            server.execute(f"CREATE DATABASE {postgres.OWNER}".encode())
        command = [sys.executable, "-m", "drishtiksha.database.migrate"]
        environment = plain_environment() | {"DATABASE_URL": self.database_url}
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)

    def stop(self) -> None:
        for running in reversed(self.processes.values()):
            running.kill()
        postgres.remove(self._data)

    def restart(self, name: str) -> None:
        """kill -9, and start it again; PostgreSQL may have to wait until its last child has gone."""
        self[name].kill()
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self[name].start(seconds=START_SECONDS)
            except AssertionError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
            else:
                return

    def wipe(self, namespace: str) -> None:
        """etcd loses everything: the control plane is killed, its data removed, and all is installed again, as `up` does."""
        for name in reversed(self.control_plane):
            self[name].kill()
        shutil.rmtree(self.home / "etcd")
        for name in self.control_plane:
            self[name].start(seconds=START_SECONDS)
        cluster.install(self.home, namespace=namespace)

    def compact(self) -> None:
        """etcd forgets every version but the last: who watches from an older one is told 410."""
        pki, port = self.home / "pki", self.cluster.ports.etcd
        tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        tls.load_cert_chain(pki / "etcd-client.crt", pki / "etcd-client.key")
        with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=tls, timeout=10, trust_env=False) as etcd:
            key = base64.b64encode(b"compact").decode()
            revision = etcd.post("/v3/kv/range", json={"key": key}).raise_for_status().json()["header"]["revision"]
            etcd.post("/v3/kv/compaction", json={"revision": revision}).raise_for_status()

    def flush(self) -> None:
        """Valkey forgets everything."""
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushall()

    def trouble(self, kind: str | None, namespace: str) -> None:
        """The nodes misbehave in this one way from now on; None: not at all."""
        path = faults.default_path(self.home)
        if kind is None:
            faults.write(path)
        elif kind == "lost":
            faults.write(path, lost_nodes=["cpu-0"])
        else:
            times = 1 if kind in ("oom", "evict") else None
            faults.write(path, [faults.Fault(kind, namespace=namespace, times=times)])  # type: ignore[arg-type]
