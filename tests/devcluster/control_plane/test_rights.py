"""The rights of the platform's processes, asked of a real API server and compared with the whole list of KUBERNETES.

Every verb on every resource and subresource that the server knows is asked as a SelfSubjectAccessReview, so a right
that somebody adds by accident is found as well as one that is missing.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from drishtiksha.kubeconfig import from_file
from drishtiksha_devcluster.ephemeral import ThrowawayCluster

pytestmark = pytest.mark.e2e


VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
SPECIAL = (
    ("rbac.authorization.k8s.io", "roles", "bind"),
    ("rbac.authorization.k8s.io", "roles", "escalate"),
    ("", "users", "impersonate"),
    ("", "serviceaccounts", "impersonate"),
    ("", "pods/exec", "create"),
    ("", "serviceaccounts/token", "create"),
    ("", "nodes/proxy", "get"),
)

ANYBODY = {
    "selfsubjectaccessreviews.authorization.k8s.io": {"create"},
    "selfsubjectrulesreviews.authorization.k8s.io": {"create"},
    "selfsubjectreviews.authentication.k8s.io": {"create"},
}
"""What Kubernetes allows to everyone who is known: to ask about oneself."""

GOLDEN: dict[str, dict[str, set[str]]] = {
    "drishtiksha-api": {"mediaanalyses.drishtiksha.io": {"create", "get", "list", "delete"}},
    "drishtiksha-operator": {
        "mediaanalyses.drishtiksha.io": {"get", "list", "watch", "patch", "delete"},
        "mediaanalyses/status.drishtiksha.io": {"get", "patch"},
        "jobs.batch": {"create", "get", "list", "watch", "delete"},
        "secrets": {"create", "get"},
        "pods": {"get", "list"},
        "pods/log": {"get"},
        "events": {"create", "list"},
    },
}


@pytest.mark.parametrize("user", sorted(GOLDEN))
def test_a_process_may_do_exactly_what_the_golden_list_says(kubernetes: ThrowawayCluster, user: str) -> None:
    with session(kubernetes, user) as client:
        assert allowed(client, resources(kubernetes), "drishtiksha") == GOLDEN[user] | ANYBODY


@pytest.mark.parametrize("user", sorted(GOLDEN))
@pytest.mark.parametrize("elsewhere", ["default", ""], ids=["another-namespace", "the-whole-cluster"])
def test_a_process_may_do_nothing_outside_its_namespace(
    kubernetes: ThrowawayCluster, user: str, elsewhere: str
) -> None:
    ours = [one for one in resources(kubernetes) if name(*one) in GOLDEN["drishtiksha-operator"] | ANYBODY]
    assert len(ours) == len(GOLDEN["drishtiksha-operator"] | ANYBODY)
    with session(kubernetes, user) as client:
        assert allowed(client, ours, elsewhere) == ANYBODY


def test_someone_without_a_token_may_do_nothing(kubernetes: ThrowawayCluster) -> None:
    connection = from_file(kubernetes.kubeconfig())
    with httpx.Client(base_url=connection.server, verify=connection.ssl_context() or True) as client:
        path = "/apis/drishtiksha.io/v1alpha1/namespaces/drishtiksha/mediaanalyses"
        assert client.get(path).status_code == 403
        assert client.get("/api/v1/secrets").status_code == 403
        assert client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_a_node_reads_no_secret_that_no_pod_of_its_own_uses(kubernetes: ThrowawayCluster) -> None:
    kubernetes.kubectl("create", "secret", "generic", "foreign", "--from-literal=a=b", "-n", "default")
    with session(kubernetes, "cpu-0") as client:
        assert client.get("/api/v1/namespaces/default/secrets/foreign").status_code == 403
        assert client.get("/api/v1/pods", params={"fieldSelector": "spec.nodeName=cpu-0"}).status_code == 200
        assert client.get("/api/v1/pods", params={"fieldSelector": "spec.nodeName=gpu-0"}).status_code == 403


def session(kubernetes: ThrowawayCluster, user: str) -> httpx.Client:
    """A client with the user's own kubeconfig."""
    connection = from_file(kubernetes.kubeconfig(user))
    return httpx.Client(
        base_url=connection.server,
        verify=connection.ssl_context() or True,
        headers={"Authorization": f"Bearer {connection.bearer()}"},
        timeout=20,
    )


def resources(kubernetes: ThrowawayCluster) -> list[tuple[str, str]]:
    """(group, resource or resource/subresource) of everything that the server offers, in all versions."""
    found: set[tuple[str, str]] = set()
    with session(kubernetes, "admin") as client:
        for group, path in groups(client):
            found |= {(group, item["name"]) for item in client.get(path).json()["resources"]}
    assert {("", "secrets"), ("batch", "jobs/status"), ("drishtiksha.io", "mediaanalyses/status")} <= found
    return sorted(found)


def groups(client: httpx.Client) -> Iterator[tuple[str, str]]:
    yield "", "/api/v1"
    for group in client.get("/apis").json()["groups"]:
        for version in group["versions"]:
            yield group["name"], f"/apis/{version['groupVersion']}"


def allowed(client: httpx.Client, asked: list[tuple[str, str]], namespace: str) -> dict[str, set[str]]:
    """The verbs that the server would allow, by resource; "" asks about all namespaces at once."""
    answer: dict[str, set[str]] = {}
    for group, resource, verb in [*((g, r, v) for g, r in asked for v in VERBS), *SPECIAL]:
        main, _, sub = resource.partition("/")
        attributes = {"group": group, "resource": main, "subresource": sub, "verb": verb, "namespace": namespace}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        reply = client.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=review)
        assert reply.status_code == 201, reply.text
        if reply.json()["status"]["allowed"]:
            answer.setdefault(name(group, resource), set()).add(verb)
    return answer


def name(group: str, resource: str) -> str:
    return f"{resource}.{group}" if group else resource
