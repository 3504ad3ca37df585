"""What the platform needs inside a running cluster: its namespace, its resource, the rights of its processes.

All of it is YAML that the chart carries too (`crds/`, `charts/drishtiksha/files/rbac/`), sent as server-side apply by
the administrator of `pki.py`: a second time changes nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml

from drishtiksha.domain.errors import DrishtikshaError
from drishtiksha.kubeconfig import Connection, from_file

from . import kubeconfigs

Object = dict[str, Any]

FIELD_MANAGER = "drishtiksha-devcluster"
DEADLINE = 60.0
"""Seconds for all of it; a slow machine's API server is ready within ten."""
REQUEST_SECONDS = 10.0
PAUSE = 0.1
"""Seconds between two looks at something that is on its way."""

PATHS = {
    ("v1", "Namespace"): "/api/v1/namespaces",
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    ("rbac.authorization.k8s.io/v1", "Role"): "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): (
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
    ),
}
"""Where the kinds that we install live; another kind in our YAML is a mistake and is said."""


class InstallFailed(DrishtikshaError):
    """The cluster refused something of ours, or was not ready in time; the text has its own words."""


def install(home: Path, *, namespace: str = kubeconfigs.NAMESPACE, deadline: float = DEADLINE) -> None:
    """Namespace, resource definitions and rights, in the cluster of this state folder; returns when all are in force.

    It waits for the API server, up to `deadline` seconds over all. Raises InstallFailed.
    """
    with Cluster(from_file(kubeconfigs.admin(home)), deadline) as cluster:
        cluster.wait("/readyz", lambda body: True, "the API server to be ready")
        cluster.apply(home_of(namespace), namespace)
        definitions = list(objects(folder("crds", "crds")))
        for item in definitions:
            cluster.apply(item, namespace)
        for item in objects(folder("charts/drishtiksha/files/rbac", "rbac")):
            cluster.apply(in_namespace(item, namespace), namespace)

        # A resource is served some moments after its definition is stored, and pods need the default account.
        for item in definitions:
            name = item["metadata"]["name"]
            path = PATHS[item["apiVersion"], item["kind"]]
            cluster.wait(f"{path}/{name}", _is_established, f"the resource {name} to be served")
        account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        cluster.wait(account, lambda body: True, "the controller manager to make the default service account")


class Cluster:
    """The API server as the administrator sees it, patient until one common deadline."""

    def __init__(self, connection: Connection, deadline: float) -> None:
        self._end = time.monotonic() + deadline
        self._client = httpx.Client(
            base_url=connection.server,
            verify=connection.ssl_context() or True,
            headers={"Authorization": f"Bearer {connection.bearer()}"},
            timeout=REQUEST_SECONDS,
            trust_env=False,
        )

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def apply(self, item: Object, namespace: str) -> Object:
        """Server-side apply, ours by force: nobody else owns these objects."""
        path = f"{_collection(item, namespace)}/{item['metadata']['name']}"
        answer = self._patiently(
            "PATCH",
            path,
            params={"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"},
            content=json.dumps(item),
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        if answer.is_error:
            raise InstallFailed(f"The cluster refused {item['kind']} {item['metadata']['name']}: {_message(answer)}")
        body: Object = answer.json()
        return body

    def wait(self, path: str, enough: Any, what: str) -> None:
        """Look at `path` until it is there and `enough` of its body."""
        while True:
            answer = self._patiently("GET", path)
            if answer.is_success and enough(answer.json() if answer.text.startswith("{") else {}):
                return
            if time.monotonic() > self._end:
                raise InstallFailed(f"Waited in vain for {what}: {_message(answer)}")
            time.sleep(PAUSE)

    def _patiently(self, verb: str, path: str, **request: Any) -> httpx.Response:
        """One answer that is neither "not yet" nor "too busy"; a connection that fails is tried until the deadline."""
        while True:
            try:
                answer = self._client.request(verb, path, **request)
                if answer.status_code != 429 and answer.status_code < 500:
                    return answer
                reason = _message(answer)
            except httpx.HTTPError as error:
                reason = str(error) or type(error).__name__
            if time.monotonic() > self._end:
                raise InstallFailed(f"The API server at {self._client.base_url} is not ready: {reason}")
            time.sleep(PAUSE)


def home_of(namespace: str) -> Object:
    """The namespace itself. It owns a label: an apply of nothing is recorded as somebody else's each second time."""
    labels = {"app.kubernetes.io/part-of": "drishtiksha"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}


def in_namespace(item: Object, namespace: str) -> Object:
    """The same object in another namespace than the one that the file names."""
    return {**item, "metadata": {**item["metadata"], "namespace": namespace}}


def objects(directory: Path) -> Iterator[Object]:
    """All objects of all YAML files of a folder, in the order of the files' names."""
    for path in sorted(directory.glob("*.yaml")):
        yield from (item for item in yaml.safe_load_all(path.read_text(encoding="utf-8")) if item)


def folder(tree: str, packed: str) -> Path:
    """A folder of the source tree, else its copy in the installed distribution."""
    here = Path(__file__).resolve()
    found = here.parents[2] / tree
    return found if found.is_dir() else here.parents[1] / "drishtiksha" / "data" / packed


def _collection(item: Object, namespace: str) -> str:
    try:
        return PATHS[item["apiVersion"], item["kind"]].format(namespace=namespace)
    except KeyError as error:
        raise InstallFailed(f"{item.get('kind')} is no kind that the platform installs") from error


def _is_established(definition: Object) -> bool:
    conditions = definition.get("status", {}).get("conditions", [])
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def _message(answer: httpx.Response) -> str:
    try:
        return f"{answer.status_code} {answer.json()['message']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text[:200].strip()}"
