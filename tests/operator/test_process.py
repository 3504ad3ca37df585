"""The operator as a process: it waits and says for whom, works, is small, and ends when it is told to."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis.asyncio as redis
from operator_stage import NAMESPACE, end_pod
from stores import Stores, result

from drishtiksha.kube import Kube
from drishtiksha.kubeconfig import from_file
from drishtiksha.resources import AnalysisSpec, MediaAnalyses
from drishtiksha_devcluster.ephemeral import ThrowawayCluster
from drishtiksha_devcluster.ports import free_port

STATS = b'{"version": "3.0.0", "uptime_seconds": 999, "models_info": [{"name": "A", "loaded": true, "isImage": true}]}'


@pytest.fixture
def ml_service() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(STATS)))
            self.end_headers()
            self.wfile.write(STATS)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@dataclass
class Process:
    """`drishtiksha-operator` with its environment; its log is kept for the failure message."""

    environment: dict[str, str]
    folder: Path
    port: int = field(default_factory=free_port)

    def __enter__(self) -> Process:
        self.log = (self.folder / "operator.log").open("ab")
        environment = {"PATH": os.environ["PATH"], **self.environment, "DRISHTIKSHA_METRICS_PORT": str(self.port)}
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "drishtiksha_operator.main"], env=environment, cwd=self.folder, stderr=self.log
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(10)
        self.log.close()

    def said(self) -> str:
        return (self.folder / "operator.log").read_text()

    async def answers(self, path: str, status: int, seconds: float = 40.0) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(seconds):
            while True:
                assert self.popen.poll() is None, self.said()
                try:
                    found = await client.get(f"http://127.0.0.1:{self.port}{path}", timeout=3)
                    if found.status_code == status:
                        return found
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.1)


def environment(cluster: ThrowawayCluster, database_url: str, redis_url: str, ml: str, user: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SERVER_URL": ml,
        "DRISHTIKSHA_SIGNING_KEYS": "k1:" + "s" * 40,
        "DRISHTIKSHA_NAMESPACE": NAMESPACE,
        "KUBECONFIG": str(cluster.kubeconfig(user)),
    }


@pytest.mark.parametrize("ear", ["redis", "kopf"])
async def test_a_run_goes_from_its_resource_to_its_end_and_sigterm_ends_the_process(
    cluster: ThrowawayCluster,
    stores: Stores,
    database_url: str,
    redis_url: str,
    ml_service: str,
    tmp_path: Path,
    ear: str,
) -> None:
    settings = {"DRISHTIKSHA_SWEEP": "1h"}  # no sweep comes to help
    settings |= environment(cluster, database_url, redis_url, ml_service, "drishtiksha-operator")
    new = await stores.upload(await stores.user())
    async with Kube(from_file(cluster.kubeconfig("admin"))) as admin:
        analyses = MediaAnalyses(admin, NAMESPACE)
        with Process(settings, tmp_path) as process:
            await process.answers("/readyz", 200)
            await analyses.create(AnalysisSpec(str(new.run_id), str(new.id), "IMAGE", False), 1)

            async def until(fact: Any) -> Any:
                async with asyncio.timeout(40):
                    while not (found := await fact()):
                        assert process.popen.poll() is None, process.said()
                        await asyncio.sleep(0.1)
                    return found

            async def attempt() -> Any:
                run = await stores.runs.snapshot(new.run_id)
                current = run.analyses[0].current if run and run.analyses else None
                return current if current is not None and current.job_uid else None

            begun = await until(attempt)
            await stores.results.begin(begun.id)
            await stores.results.store(begun.id, result("A"))
            async with httpx.AsyncClient(trust_env=False) as client:
                metrics = (await client.get(f"http://127.0.0.1:{process.port}/metrics")).text
            assert "drishtiksha_operator_jobs_created_total 1.0" in metrics

            if ear == "redis":  # the door's wake-up after its commit
                async with redis.from_url(redis_url) as channel:
                    await channel.publish("drishtiksha:runs", f'{{"runId": "{new.run_id}"}}')
            else:  # the wake-up is lost; Kopf hears that the Job has ended
                await end_pod(admin, begun.job_name, 0)

            async def final() -> Any:
                found = await analyses.get(new.run_id)
                return found if found and found.get("status", {}).get("phase") == "ANALYZED" else None

            resource = await until(final)
            assert resource["status"]["summary"] == "1/1"
            assert psutil.Process(process.popen.pid).memory_info().rss <= 130 * 2**20
            await process.answers("/healthz", 200)
            process.popen.send_signal(signal.SIGTERM)
            assert process.popen.wait(15) == 0, process.said()
            assert "Traceback" not in process.said(), process.said()


async def test_missing_rights_are_named_and_waited_for(
    cluster: ThrowawayCluster, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = environment(cluster, database_url, redis_url, "http://127.0.0.1:9", "drishtiksha-api")
    with Process(settings, tmp_path) as process:
        async with asyncio.timeout(40):
            while True:
                waiting = (await process.answers("/readyz", 503)).json()["waitingFor"]
                if waiting.startswith("Kubernetes"):
                    break
                await asyncio.sleep(0.1)
        assert "may not, in namespace drishtiksha" in waiting
        assert "create, get, list, watch, delete jobs.batch" in waiting
        assert "watch, patch mediaanalyses.drishtiksha.io" in waiting
        await process.answers("/healthz", 200)


async def test_an_absent_database_is_waited_for_and_named(
    cluster: ThrowawayCluster, redis_url: str, tmp_path: Path
) -> None:
    settings = environment(
        cluster, "postgresql://x:y@127.0.0.1:9/z", redis_url, "http://127.0.0.1:9", "drishtiksha-operator"
    )
    with Process(settings, tmp_path) as process:
        async with asyncio.timeout(40):
            while "PostgreSQL" not in (await process.answers("/readyz", 503)).json()["waitingFor"]:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DRISHTIKSHA_SIGNING_KEYS", "short", "DRISHTIKSHA_SIGNING_KEYS"),
        ("DRISHTIKSHA_SWEEEP", "1", "DRISHTIKSHA_SWEEEP"),
        ("DRISHTIKSHA_CONFIG", "/nowhere.yaml", "cannot be read"),
        ("KUBECONFIG", "/nowhere", "not a usable kubeconfig"),
    ],
)
def test_a_bad_setting_ends_the_process_with_a_sentence(tmp_path: Path, name: str, value: str, sentence: str) -> None:
    (tmp_path / "kubeconfig").write_text(
        "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
        "clusters: [{name: k, cluster: {server: 'http://127.0.0.1:9'}}]\nusers: [{name: u, user: {token: t}}]\n"
    )
    settings = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": "postgresql://u:p@127.0.0.1:9/d",
        "REDIS_URL": "redis://127.0.0.1:9",
        "DRISHTIKSHA_SIGNING_KEYS": "k1:" + "s" * 40,
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        name: value,
    }
    command = [sys.executable, "-m", "drishtiksha_operator.main"]
    done = subprocess.run(command, env=settings, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
