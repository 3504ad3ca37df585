"""Pods that the real scheduler binds to process nodes: what Job controller, kubectl and operator get to see."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from drishtiksha_devcluster.node import census
from drishtiksha_devcluster.node.faults import Fault

pytestmark = pytest.mark.e2e

SIDECAR = """
import http.server, os, signal, socketserver, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("told to end", flush=True), sys.exit(0)))
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if time.monotonic() - began > {slow} else 503)
        self.end_headers()
        self.wfile.write(os.environ["ANSWER"].encode())
    def log_message(self, *_): pass
began = time.monotonic()
socketserver.TCPServer.allow_reuse_address = True
socketserver.TCPServer((os.environ["HOST"], 8000), Answer).serve_forever()  # HTTPServer would ask the DNS for its name
"""
ASK = "exec python -c \"import os,urllib.request; print(urllib.request.urlopen(os.environ['URL']).read().decode())\""
POD_IP: dict[str, Any] = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


def sidecar(*, slow: float = 0.0, **more: Any) -> dict[str, Any]:
    return {
        "name": "model",
        "image": "test/python",
        "restartPolicy": "Always",
        "args": ["-c", SIDECAR.replace("{slow}", str(slow))],
        "env": [POD_IP, {"name": "HOST", "value": "$(POD_IP)"}, {"name": "ANSWER", "value": "hello from beside"}],
        "startupProbe": {"httpGet": {"path": "/readyz", "port": 8000}, "periodSeconds": 1, "failureThreshold": 60},
        **more,
    }


def main_state(status: dict[str, Any]) -> dict[str, Any]:
    (one,) = status["containerStatuses"]
    return dict(one["state"].get("terminated") or one["state"].get("waiting") or one["state"]["running"])


def condition(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return next((dict(one) for one in body["status"].get("conditions", []) if one["type"] == kind), {})


def test_a_job_runs_to_complete_on_the_node_without_a_taint(nodes: Any) -> None:
    job = nodes.job("echo one; echo two; echo three")
    nodes.kubectl("wait", "--for=condition=Complete", f"job/{job}", "--timeout=30s")
    pod = nodes.get("pod", nodes.pod_of(job))
    assert pod["spec"]["nodeName"] == "cpu-0"
    assert pod["status"]["podIP"].startswith("127.64.")
    assert main_state(pod["status"])["reason"] == "Completed"
    assert nodes.kubectl("logs", f"job/{job}") == "one\ntwo\nthree\n"
    assert nodes.kubectl("logs", f"job/{job}", "--tail=2") == "two\nthree\n"
    assert nodes.kubectl("logs", f"job/{job}", "--tail=0") == ""
    assert not (nodes.cluster.home / "pods" / pod["metadata"]["uid"]).exists()


def test_a_healthy_pod_costs_two_status_writes(nodes: Any) -> None:
    pod = nodes.pod("sleep 1.5")
    nodes.finished(pod)
    managed = json.loads(nodes.kubectl("get", "pod", pod, "-o", "json", "--show-managed-fields"))
    assert managed["status"]["phase"] == "Succeeded"
    events = nodes.watch_of(pod)
    assert [event["status"]["phase"] for event in events if "startTime" in event["status"]] == ["Running", "Succeeded"]


def test_an_exit_code_reaches_the_job_s_failure_policy(nodes: Any) -> None:
    rule = {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [65]}}
    job = nodes.job("echo last words >&2; exit 65", podFailurePolicy={"rules": [rule]})
    failed = nodes.until("job", job, lambda body: condition(body, "Failed").get("status") == "True")
    assert condition(failed, "Failed")["reason"] == "PodFailurePolicy"
    status = nodes.finished(nodes.pod_of(job))
    assert (status["phase"], main_state(status)["exitCode"], main_state(status)["reason"]) == ("Failed", 65, "Error")


def test_a_secret_and_the_pod_s_own_facts_come_as_environment_and_the_node_s_do_not(nodes: Any) -> None:
    nodes.kubectl("create", "secret", "generic", "tokens", "--from-literal=token=hush$(X)")
    env = [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "token"}}},
        POD_IP,
        {"name": "URL", "value": "http://$(POD_IP):8000"},
        {"name": "DIR", "value": "/scratch/deep"},
    ]
    mounts = [{"name": "scratch", "mountPath": "/scratch"}]
    volumes = [{"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}]
    script = 'mkdir -p $DIR && echo kept > /scratch/deep/f && cat "$DIR/f" && env'
    pod = nodes.pod(script, env=env, volumeMounts=mounts, volumes=volumes)
    status = nodes.finished(pod)
    log = nodes.kubectl("logs", pod)
    assert status["phase"] == "Succeeded", log
    assert log.startswith("kept\n")
    assert "TOKEN=hush$(X)\n" in log
    assert f"URL=http://{status['podIP']}:8000\n" in log
    assert "NODE_SECRET" not in log


def test_a_missing_secret_is_waited_for_and_named(nodes: Any) -> None:
    env = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "later", "key": "token"}}}]
    pod = nodes.pod("echo $TOKEN", env=env)
    waiting = nodes.until("pod", pod, lambda body: body["status"].get("containerStatuses"))
    assert main_state(waiting["status"])["reason"] == "CreateContainerConfigError"
    assert 'secret "later" not found' in main_state(waiting["status"])["message"]
    nodes.kubectl("create", "secret", "generic", "later", "--from-literal=token=here")
    assert nodes.finished(pod)["phase"] == "Succeeded"
    assert nodes.kubectl("logs", pod) == "here\n"


def test_a_sidecar_is_up_before_the_main_container_and_ends_after_it(nodes: Any) -> None:
    env = [POD_IP, {"name": "URL", "value": "http://$(POD_IP):8000"}]
    pod = nodes.pod(ASK, env=env, initContainers=[sidecar(slow=1.5)])
    starting = nodes.until("pod", pod, lambda body: body["status"].get("initContainerStatuses"))
    assert starting["status"]["phase"] == "Pending"
    assert condition(starting, "Initialized")["status"] == "False"
    status = nodes.finished(pod)
    assert nodes.kubectl("logs", pod, "-c", "main") == "hello from beside\n"
    assert nodes.kubectl("logs", pod, "-c", "model") == "told to end\n"
    assert status["phase"] == "Succeeded"
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    phases = [event["status"]["phase"] for event in nodes.watch_of(pod) if "startTime" in event["status"]]
    assert phases == ["Pending", "Running", "Succeeded"]


def test_a_sidecar_that_ran_out_of_memory_is_started_again_in_place(nodes: Any) -> None:
    pod = nodes.pod("sleep 60", initContainers=[sidecar()])
    nodes.is_running(pod)
    nodes.faults(Fault("oom-sidecar", name=pod))
    found = nodes.until(
        "pod",
        pod,
        lambda body: (
            body["status"]["initContainerStatuses"][0]["restartCount"] == 1
            and condition(body, "Ready")["status"] == "True"
        ),
    )
    (status,) = found["status"]["initContainerStatuses"]
    assert status["lastState"]["terminated"]["reason"] == "OOMKilled"
    assert status["lastState"]["terminated"]["exitCode"] == 137
    assert main_state(found["status"])["startedAt"]
    nodes.kubectl("delete", "pod", pod, "--timeout=20s")


def test_a_deleted_pod_gets_sigterm_and_its_grace(nodes: Any) -> None:
    obeys = nodes.pod("trap 'echo bye; exit 143' TERM; echo up; while true; do sleep 0.05; done")
    stubborn = nodes.pod("trap '' TERM; echo up; while true; do sleep 0.05; done", terminationGracePeriodSeconds=1)
    for pod in (obeys, stubborn):
        nodes.until("pod", pod, lambda body: body["status"]["phase"] == "Running")
        nodes.until_log(pod, "up")
    nodes.kubectl("delete", "pod", obeys, stubborn, "--timeout=20s")
    codes = {}
    for pod in (obeys, stubborn):
        last = [body["status"] for body in nodes.watch_of(pod) if body["status"]["phase"] == "Failed"][-1]
        codes[pod] = main_state(last)["exitCode"]
    assert codes[obeys] == 143
    assert codes[stubborn] == 137
    assert "bye" in (nodes.log_file(obeys)).read_text()


def test_a_pod_past_its_deadline_fails_by_that_name(nodes: Any) -> None:
    status = nodes.finished(nodes.pod("exec sleep 60", activeDeadlineSeconds=1))
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")
    assert main_state(status)["exitCode"] == 143


def test_a_container_above_its_memory_limit_is_oom_killed(nodes: Any) -> None:
    script = 'exec python -c "import time; hold = bytearray(200_000_000); time.sleep(60)"'
    pod = nodes.pod(script, resources={"limits": {"memory": "100Mi"}})
    status = nodes.finished(pod)
    assert (main_state(status)["reason"], main_state(status)["exitCode"]) == ("OOMKilled", 137)


def test_a_gpu_pod_runs_on_the_gpu_node_and_a_second_one_waits_for_the_gpu(nodes: Any) -> None:
    gpu: dict[str, Any] = {
        "resources": {"limits": {"nvidia.com/gpu": 1}},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "nodeSelector": {"drishtiksha.io/accelerator": "gpu"},
    }
    holder = nodes.pod("sleep 60", **gpu)
    assert nodes.is_running(holder)["spec"]["nodeName"] == "gpu-0"
    second = nodes.pod("true", **gpu)
    waiting = nodes.until("pod", second, lambda body: condition(body, "PodScheduled"))
    assert "Insufficient nvidia.com/gpu" in condition(waiting, "PodScheduled")["message"]
    nodes.kubectl("delete", "pod", holder, "--timeout=20s")
    assert nodes.finished(second)["phase"] == "Succeeded"
    assert (
        "simulated"
        in json.loads(nodes.kubectl("get", "node", "gpu-0", "-o", "json"))["metadata"]["annotations"][
            "drishtiksha.io/gpu"
        ]
    )


def test_a_field_that_is_not_honoured_fails_the_pod_by_its_name(nodes: Any) -> None:
    status = nodes.finished(nodes.pod("true", hostNetwork=True))
    assert status["reason"] == "UnsupportedByProcessNode"
    assert "spec.hostNetwork" in status["message"]


def test_an_unknown_image_is_shown_as_a_kubelet_shows_it_and_waited_for(nodes: Any) -> None:
    pod = nodes.pod("true", image="test/unknown:v1")
    found = nodes.until(
        "pod",
        pod,
        lambda body: (
            body["status"].get("containerStatuses") and main_state(body["status"])["reason"] == "ImagePullBackOff"
        ),
    )
    assert "test/unknown:v1" in main_state(found["status"])["message"]
    nodes.kubectl("delete", "pod", pod, "--timeout=20s")


def test_a_command_that_does_not_exist_fails_the_pod(nodes: Any) -> None:
    pod = nodes.pod("", image="test/python", args=["-c", "import sys; sys.exit(0)"])
    assert nodes.finished(pod)["phase"] == "Succeeded"
    (nodes.cluster.home / "images.json").write_text(json.dumps({**nodes.images, "test/broken": ["/no/such/program"]}))
    status = nodes.finished(nodes.pod("", image="test/broken"))
    assert (main_state(status)["reason"], main_state(status)["exitCode"]) == ("StartError", 128)


def test_logs_can_be_followed_to_the_end(nodes: Any) -> None:
    pod = nodes.pod("for i in 1 2 3; do echo $i; sleep 0.3; done")
    nodes.is_running(pod)
    assert nodes.kubectl("logs", "-f", pod) == "1\n2\n3\n"


def test_nobody_but_the_api_server_reads_logs_from_a_node(nodes: Any) -> None:
    port = nodes.specs["cpu-0"].ready.rpartition(":")[2]
    trusting = ssl.create_default_context(cafile=str(nodes.cluster.home / "pki" / "ca.crt"))
    with urllib.request.urlopen(f"https://127.0.0.1:{port}/healthz", context=trusting) as answer:
        assert answer.read() == b"ok"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"https://127.0.0.1:{port}/containerLogs/drishtiksha/x/main", context=trusting)
    assert refused.value.code == 401


def test_an_evicted_pod_is_replaced_inside_the_same_job(nodes: Any) -> None:
    ignore = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    job = nodes.job("exec sleep 60", podFailurePolicy={"rules": [ignore]})
    first = nodes.pod_of(job)
    nodes.is_running(first)
    nodes.faults(Fault("evict", name=first))
    nodes.finished(first)
    evicted = nodes.get("pod", first)
    assert evicted["status"]["reason"] == "Evicted"
    assert condition(evicted, "DisruptionTarget")["status"] == "True"
    nodes.until("job", job, lambda body: body["status"].get("ready") == 1 and len(nodes.pods_of(job)) == 2)
    assert not condition(nodes.get("job", job), "Failed")
    nodes.kubectl("delete", "job", job, "--timeout=20s")


def test_a_frozen_pod_goes_on_when_it_is_thawed(nodes: Any) -> None:
    pod = nodes.pod("until test -e go; do sleep 0.05; done; echo thawed")
    uid = nodes.is_running(pod)["metadata"]["uid"]
    nodes.faults(Fault("freeze", name=pod))
    (nodes.cluster.home / "pods" / uid / "go").touch()
    time.sleep(0.5)
    assert nodes.log_file(pod).read_text() == ""
    assert nodes.get("pod", pod)["status"]["phase"] == "Running"
    nodes.faults()
    assert nodes.finished(pod)["phase"] == "Succeeded"
    assert nodes.log_file(pod).read_text() == "thawed\n"


def test_a_twin_runs_the_same_command_twice(nodes: Any) -> None:
    nodes.faults(Fault("twin", name="pod-*"))
    pod = nodes.pod("echo one of us")
    assert nodes.finished(pod)["phase"] == "Succeeded"
    log = nodes.log_file(pod)
    assert log.read_text() == log.with_name("main.twin.log").read_text() == "one of us\n"


def test_a_pod_that_is_held_back_starts_when_it_is_let_go(nodes: Any) -> None:
    nodes.faults(Fault("image-pull", name="pod-*"))
    pod = nodes.pod("true")
    held = nodes.until("pod", pod, lambda body: body["status"].get("containerStatuses"))
    assert main_state(held["status"])["reason"] == "ImagePullBackOff"
    nodes.faults()
    assert nodes.finished(pod)["phase"] == "Succeeded"


def test_a_killed_node_reports_its_pods_as_failed_with_137_when_it_is_back(nodes: Any) -> None:
    pod = nodes.pod("echo $$$$; sleep 300 & wait")
    nodes.is_running(pod)
    nodes.until_log(pod, "\n")
    main = int(nodes.log_file(pod).read_text())
    uid = nodes.get("pod", pod)["metadata"]["uid"]
    node = nodes.processes["cpu-0"]
    node.send_signal(signal.SIGKILL)
    node.wait()
    nodes.start("cpu-0")
    status = nodes.finished(pod)
    assert (status["phase"], main_state(status)["exitCode"]) == ("Failed", 137)
    assert not census.members(main, census.everything()), "its processes are gone, the background one too"
    assert not (nodes.cluster.home / "pods" / uid).exists()
    assert nodes.finished(nodes.pod("true"))["phase"] == "Succeeded", "the node takes new pods"


def test_a_node_that_is_stopped_ends_its_pods_as_disrupted(nodes: Any) -> None:
    pod = nodes.pod("trap 'exit 143' TERM; while true; do sleep 0.05; done")
    nodes.is_running(pod)
    node = nodes.processes["cpu-0"]
    node.send_signal(signal.SIGTERM)
    assert node.wait(20) == 0
    stopped = nodes.get("pod", pod)
    assert (stopped["status"]["phase"], stopped["status"]["reason"]) == ("Failed", "Terminated")
    assert main_state(stopped["status"])["exitCode"] == 143
    assert condition(stopped, "DisruptionTarget")["status"] == "True"
    nodes.start("cpu-0")


def test_a_lost_node_says_nothing_while_its_pods_run_on(nodes: Any) -> None:
    pod = nodes.pod("until test -e go; do sleep 0.05; done; echo done")
    uid = nodes.is_running(pod)["metadata"]["uid"]
    nodes.faults(lost=("cpu-0",))
    lease = nodes.lease("cpu-0")
    (nodes.cluster.home / "pods" / uid / "go").touch()
    nodes.until_log(pod, "done")
    assert nodes.get("pod", pod)["status"]["phase"] == "Running"
    nodes.kubectl("delete", "pod", pod, "--force", "--grace-period=0")
    assert nodes.lease("cpu-0") == lease
    nodes.faults()
    assert nodes.finished(nodes.pod("true"))["phase"] == "Succeeded"


def test_a_wrong_command_line_is_answered_with_a_sentence(tmp_path: Path) -> None:
    base = [sys.executable, "-m", "drishtiksha_devcluster.node", "--name", "n", "--home", str(tmp_path), "--port", "1"]
    missing = subprocess.run(
        [*base, "--kubeconfig", str(tmp_path / "none")], capture_output=True, text=True, check=False
    )
    assert missing.returncode == 2
    assert "cannot start" in missing.stderr
    assert "Traceback" not in missing.stderr
    wrong = subprocess.run([*base, "--kubeconfig", "x", "--taint", "a=b"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "KEY=VALUE:EFFECT" in wrong.stderr
    assert os.listdir(tmp_path) == []
