"""`kubectl logs`: the API server reaches a node with its own certificate and checks the node's."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from drishtiksha_devcluster import pki
from drishtiksha_devcluster.ephemeral import KubectlFailed, ThrowawayCluster

pytestmark = pytest.mark.e2e


@pytest.fixture
def endpoint(
    kubernetes: ThrowawayCluster, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[ThreadingHTTPServer, list[str]]]:
    """What stands behind a node's daemon endpoint: TLS with the node's certificate, for the API server only.

    The parameter "foreign" gives it the certificate of another state folder.
    """
    own = kubernetes.home / "pki"
    shown = own
    if getattr(request, "param", "") == "foreign":
        pki.prepare(shown := tmp_path / "foreign")
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"the container's words\n")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=own / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(shown / "cpu-0.crt", shown / "cpu-0.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server, asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def _bound_pod(kubernetes: ThrowawayCluster, endpoint, tmp_path: Path) -> Iterator[None]:
    """A node object that points at the endpoint, made by the node itself, and a pod on it."""
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": endpoint[0].server_address[1]}},
    }
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "cpu-0"}, "status": status}
    container = {"name": "main", "image": "nothing"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "told"}}
    pod["spec"] = {"nodeName": "cpu-0", "containers": [container], "terminationGracePeriodSeconds": 0}
    for item, user in ((node, "cpu-0"), (pod, "admin")):
        manifest = tmp_path / "manifest.json"
        manifest.write_text(json.dumps(item))
        kubernetes.kubectl("create", "-f", str(manifest), user=user)
    yield
    kubernetes.kubectl("delete", "pod", "told", "--force", "--grace-period=0", "--ignore-not-found")
    kubernetes.kubectl("delete", "node", "cpu-0")


@pytest.mark.usefixtures("_bound_pod")
def test_kubectl_logs_reaches_the_node_that_runs_the_pod(kubernetes: ThrowawayCluster, endpoint) -> None:
    assert kubernetes.kubectl("logs", "told", "--tail=5") == "the container's words\n"
    assert endpoint[1] == ["/containerLogs/drishtiksha/told/main?tailLines=5"]


@pytest.mark.parametrize("endpoint", ["foreign"], indirect=True)
@pytest.mark.usefixtures("_bound_pod")
def test_a_node_with_a_foreign_certificate_is_not_believed(kubernetes: ThrowawayCluster, endpoint) -> None:
    with pytest.raises(KubectlFailed, match="certificate signed by unknown authority"):
        kubernetes.kubectl("logs", "told")
    assert endpoint[1] == []
