"""`kubectl drishtiksha` with the real kubectl against the double of the API server (which its contract suite pins)."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cli_samples import media
from kubernetes_double import KubernetesDouble
from kubernetes_double.kinds import ANALYSES, PODS
from kubernetes_double.rights import ADMIN
from kubernetes_double.server import NAMESPACE

from drishtiksha.resources import AnalysisSpec, media_analysis
from drishtiksha_cli import plugin
from drishtiksha_devcluster import binary, kubeconfigs, pki

MEDIA = "0198f1c2-7d1b-7aa0-8000-00000000002b"
FIRST, SECOND, LIVE = (f"0198f1c2-7d1b-7aa0-8000-0000000000{n}" for n in ("a1", "a2", "b1"))
OTHER_MEDIA = "0198f1c2-7d1b-7aa0-8000-0000000000ff"
ENDED = {
    "phase": "FAILED",
    "reason": "CRASHED",
    "summary": "2/2",
    "completionTime": "2026-11-25T08:00:00Z",
    "models": [
        {"name": "ONE-V1", "phase": "FAILED", "attempt": 3, "node": "gpu-0", "reason": "CRASHED", "message": "OOMKilled"},
        {"name": "TWO-V1", "phase": "FAILED", "attempt": 1},
    ],
    "conditions": [
        {"type": "Complete", "status": "True", "reason": "Failed", "message": "No model answered.",
         "lastTransitionTime": "2026-11-25T08:00:00Z"}
    ],
}  # fmt: skip
GOOD = {key: value for key, value in ENDED.items() if key != "reason"} | {"phase": "ANALYZED"}
SAYS = """#!/bin/sh
if [ "$1" = logs ]; then echo "$2 $3 $4 $5"; exit 0; fi
exec {kubectl} "$@"
"""
Said = tuple[int, str, str]


class Cluster:
    """The double in a thread of its own, with a TLS port beside its plain one: kubectl shows tokens to no other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.double = KubernetesDouble(folder)
        self.kubeconfig = self.run(self._start())

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    async def _start(self) -> Path:
        await self.double.__aenter__()
        trust = self.folder / "pki"
        pki.prepare(trust)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(trust / "apiserver.crt", trust / "apiserver.key")
        await web.TCPSite(self.double._runner, "127.0.0.1", 0, ssl_context=context).start()
        port = self.double._runner.addresses[1][1]
        path = self.folder / "tls.yaml"
        config = kubeconfigs.kubeconfig(f"https://127.0.0.1:{port}", pki.ca(trust), ADMIN, ADMIN, NAMESPACE)
        path.write_text(json.dumps(config))
        return path

    def analysis(self, run: str, number: int, media_id: str = MEDIA, status: dict[str, Any] | None = None) -> None:
        body = media_analysis(AnalysisSpec(run, media_id, "VIDEO", True), number, NAMESPACE)

        async def make() -> None:
            self.double.store.create(ANALYSES, NAMESPACE, body)

        self.run(make())
        if status:
            self.tell(run, status)

    def tell(self, run: str, status: dict[str, Any]) -> None:
        async def write() -> None:
            name = f"ma-{run}"
            self.double.store.update(ANALYSES, NAMESPACE, name, lambda body: {**body, "status": status}, part="status")

        self.run(write())

    def pod(self, model: str, run: str) -> None:
        labels = {"drishtiksha.io/run": run, "drishtiksha.io/model": model, "drishtiksha.io/attempt": "1"}
        body = {"metadata": {"name": f"pod-{model.lower()}", "labels": labels}, "spec": {"containers": []}}

        async def make() -> None:
            self.double.store.create(PODS, NAMESPACE, body)

        self.run(make())

    def find(self, run: str) -> Any:
        async def look() -> Any:
            return self.double.store.find(ANALYSES, NAMESPACE, f"ma-{run}")

        return self.run(look())

    def close(self) -> None:
        async def end() -> None:
            await self.double.__aexit__()
            left = asyncio.all_tasks() - {asyncio.current_task()}  # watches whose kubectl has just gone
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

        self.run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("double"))
    made.analysis(FIRST, 1, status=ENDED)
    made.analysis(SECOND, 2, status={**GOOD, "verdict": "FAKE", "score": 0.9})
    yield made
    made.close()


@pytest.fixture
def kubectl(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Run the plugin in this process, as kubectl would."""
    folder = cluster.folder / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / "kubectl"
    program.write_text(SAYS.format(kubectl=binary.control_plane() / "kubectl"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    monkeypatch.setenv("HOME", str(cluster.folder))

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["kubectl-drishtiksha", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            plugin.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_list_shows_the_analyses_of_the_contexts_namespace_or_of_another(kubectl: Callable[..., Said]) -> None:
    code, out, _ = kubectl("list")
    assert code == 0
    assert f"ma-{FIRST}" in out
    found = json.loads(kubectl("list", "--json")[1])["items"]
    assert {f"ma-{FIRST}", f"ma-{SECOND}"} <= {one["metadata"]["name"] for one in found}
    selected = json.loads(kubectl("list", "--json", "-l", "drishtiksha.io/run-number=2")[1])["items"]
    assert [one["metadata"]["name"] for one in selected] == [f"ma-{SECOND}"]
    assert json.loads(kubectl("list", "--json", "-n", "elsewhere")[1])["items"] == []


def test_describe_tells_the_end_the_conditions_and_each_model(kubectl: Callable[..., Said]) -> None:
    code, out, _ = kubectl("describe", f"ma/ma-{FIRST}")
    assert code == 0
    said = [" ".join(line.split()) for line in out.splitlines()]
    assert said[0] == f"ma-{FIRST} FAILED 2/2, CRASHED"
    assert f"media {MEDIA} (VIDEO, with sound)" in said
    assert "Complete True Failed: No model answered." in said
    assert "ONE-V1 FAILED attempt 3 on gpu-0 CRASHED: OOMKilled" in said
    assert json.loads(kubectl("describe", FIRST, "--json")[1])["spec"]["runId"] == FIRST


def test_a_medias_id_means_its_latest_run(kubectl: Callable[..., Said]) -> None:
    code, out, err = kubectl("describe", MEDIA)
    assert (code, err) == (0, "")
    assert out.startswith(f"ma-{SECOND}")
    code, _, err = kubectl("describe", OTHER_MEDIA)
    assert code == 5
    assert err.startswith(f"kubectl drishtiksha: there is no MediaAnalysis of run or media {OTHER_MEDIA} here")
    assert kubectl("describe", f"ma-{OTHER_MEDIA}")[0] == 5
    code, _, err = kubectl("describe", "clip.mp4")
    assert (code, "clip.mp4 is no id" in err) == (2, True)


@pytest.mark.parametrize(("phase", "code"), [("ANALYZED", 0), ("PARTIALLY_ANALYZED", 1)])
def test_watch_follows_one_to_its_end_and_says_each_change_once(
    cluster: Cluster, kubectl: Callable[..., Said], phase: str, code: int
) -> None:
    run = f"0198f1c2-7d1b-7aa0-8000-00000000c{code:03}"
    begun = {
        "phase": "PROCESSING",
        "summary": "0/1",
        "models": [{"name": "ONE-V1", "phase": "PROCESSING", "attempt": 1}],
    }
    cluster.analysis(run, 1, OTHER_MEDIA[:-2] + f"d{code}", status=begun)
    ended = {
        **GOOD,
        "phase": phase,
        "models": [{"name": "ONE-V1", "phase": "COMPLETED", "attempt": 1}],
    }

    def live() -> None:
        while not any(call.verb == "watch" and run in str(call.query) for call in cluster.double.heard):
            time.sleep(0.02)
        cluster.tell(run, {**begun, "summary": "0/2"})
        cluster.tell(run, ended)

    threading.Thread(target=live, daemon=True).start()
    got, out, _ = kubectl("watch", run)
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        f"ma-{run} PROCESSING 0/1",
        "ONE-V1 PROCESSING attempt 1",
        f"ma-{run} PROCESSING 0/2",
        f"ma-{run} {phase} 2/2",
        "ONE-V1 COMPLETED attempt 1",
    ]
    assert got == code


def test_logs_are_those_of_all_models_with_their_names(cluster: Cluster, kubectl: Callable[..., Said]) -> None:
    code, _, err = kubectl("logs", SECOND)
    assert (code, "there is no pod of it" in err) == (1, True)
    cluster.pod("ONE-V1", FIRST)
    cluster.pod("LONGER-NAME-V1", FIRST)
    code, out, _ = kubectl("logs", FIRST, "--tail", "5", "-f")
    assert (code, sorted(out.splitlines())) == (0, [
        "LONGER-NAME-V1 a1  pod-longer-name-v1 --all-containers --tail=5 --follow",
        "ONE-V1 a1          pod-one-v1 --all-containers --tail=5 --follow",
    ])  # fmt: skip
    assert kubectl("logs", FIRST, "--model", "ONE-V1")[1].split()[0] == "ONE-V1"


def test_cancel_deletes_what_is_running_and_leaves_alone_what_has_ended(
    cluster: Cluster, kubectl: Callable[..., Said]
) -> None:
    cluster.analysis(LIVE, 1, OTHER_MEDIA[:-2] + "ee")
    assert kubectl("cancel", LIVE)[:2] == (
        0, f"ma-{LIVE} is being cancelled. Follow it: kubectl drishtiksha watch ma-{LIVE}\n"
    )  # fmt: skip
    assert "deletionTimestamp" in cluster.find(LIVE)["metadata"], "the finalizer holds it: the operator cancels"
    assert "it is being cancelled" in kubectl("describe", LIVE)[1]
    code, _, err = kubectl("cancel", FIRST)
    assert (code, f"ma-{FIRST} is FAILED already: there is nothing to cancel" in err) == (5, True)
    assert "deletionTimestamp" not in cluster.find(FIRST)["metadata"]


def test_retry_asks_the_api_as_who_is_logged_in(kubectl: Callable[..., Said], logged_in: Any) -> None:
    queued = media("QUEUED", run_number=3)
    logged_in.answers[f"POST /media/{MEDIA}/analyze"] = [(202, queued)]
    code, out, _ = kubectl("retry", FIRST, "--model", "ONE-V1", "--reason", "more memory")
    assert (code, out) == (
        0, f"Run 3 of media {MEDIA} is queued: kubectl drishtiksha watch ma-{queued['latestRunId']}\n"
    )  # fmt: skip
    assert json.loads(logged_in.asked[0][2]) == {"models": ["ONE-V1"], "reason": "more memory"}
    del logged_in.answers[f"POST /media/{MEDIA}/analyze"]
    code, _, err = kubectl("retry", FIRST)
    assert code == 5
    assert f"drishtiksha rerun {MEDIA}, as the owner" in err


def test_retry_of_who_is_not_logged_in_says_which_command_does_it(kubectl: Callable[..., Said], api: Any) -> None:
    code, out, err = kubectl("retry", FIRST)
    assert (code, out) == (3, "")
    assert err.endswith(f"Log in there as the owner, then: drishtiksha rerun {MEDIA}\n")
    assert api.asked == []


def test_kubectls_own_flags_are_handed_on_and_its_sentences_too(
    cluster: Cluster, kubectl: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = kubectl("list", "--context", "nowhere")
    assert code != 0
    assert "nowhere" in err
    away = tmp_path / "away.yaml"
    away.write_text(
        json.dumps(kubeconfigs.kubeconfig("https://127.0.0.1:1", "x", ADMIN, ADMIN, NAMESPACE)).replace("eA==", "")
    )
    code, _, err = kubectl("list", "--kubeconfig", str(away))
    assert (code, "refused" in err) == (4, True), err
    monkeypatch.delenv("KUBECONFIG")
    assert kubectl("describe", FIRST, "--kubeconfig", str(cluster.kubeconfig), "--context", "drishtiksha")[0] == 0


def test_without_any_kubectl_one_is_told_where_it_comes_from(
    kubectl: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code, _, err = kubectl("list")
    assert (code, err) == (
        2, "kubectl drishtiksha: kubectl is not in PATH: install it, or have this machine's own made: drishtiksha up\n"
    )  # fmt: skip


@pytest.mark.parametrize("command", ["list", "describe", "watch", "logs", "cancel", "retry"])
def test_each_command_explains_itself(kubectl: Callable[..., Said], command: str) -> None:
    code, out, _ = kubectl(command, "--help")
    assert code == 0
    assert out.startswith(f"Usage: kubectl drishtiksha {command}")
    assert "..." not in kubectl("--help")[1].partition("Commands:")[2].replace("ARGS]...", "")
