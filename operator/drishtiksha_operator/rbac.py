"""What the operator must be allowed to do, and a sentence for what is missing. Asked once, at start.

Kopf retries a 403 for about a minute and then gives up without naming the verb; this names it before Kopf starts.
"""

from __future__ import annotations

import asyncio

from drishtiksha.kube import Kube, Object
from drishtiksha.resources import GROUP, PLURAL

RIGHTS: tuple[tuple[str, str, str], ...] = (
    *((GROUP, PLURAL, verb) for verb in ("get", "list", "watch", "patch", "delete")),
    (GROUP, f"{PLURAL}/status", "patch"),
    *(("batch", "jobs", verb) for verb in ("create", "get", "list", "watch", "delete")),
    *(("", "secrets", verb) for verb in ("create", "get")),
    *(("", "pods", verb) for verb in ("get", "list")),
    *(("", "events", verb) for verb in ("create", "list")),
)
"""Group, resource with its subresource, verb: all in the operator's namespace."""


def review(namespace: str, group: str, resource: str, verb: str) -> Object:
    """The question whether we may do one thing."""
    name, _, sub = resource.partition("/")
    attributes = {"namespace": namespace, "group": group, "resource": name, "verb": verb}
    if sub:
        attributes["subresource"] = sub
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }


async def missing(kube: Kube, namespace: str) -> str | None:
    """A sentence that names every right that is missing, or None when all are there."""

    async def may(group: str, resource: str, verb: str) -> bool:
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = await kube.create(path, review(namespace, group, resource, verb))
        return bool((answer.get("status") or {}).get("allowed"))

    answers = await asyncio.gather(*(may(*right) for right in RIGHTS))
    wanting: dict[str, list[str]] = {}
    for (group, resource, verb), allowed in zip(RIGHTS, answers, strict=True):
        if not allowed:
            wanting.setdefault(f"{resource}.{group}" if group else resource, []).append(verb)
    if not wanting:
        return None
    told = "; ".join(f"{', '.join(verbs)} {resource}" for resource, verbs in wanting.items())
    return f"the operator may not, in namespace {namespace}: {told}. Bind its user or service account to the Role drishtiksha-operator."
