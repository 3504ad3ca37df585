"""What the double tells about itself: its version, its kinds, and whether somebody may do something."""

from __future__ import annotations

import json

from .kinds import NAMED, SHORT, Kind, Object
from .rights import may

VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.0-double"}
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_VERBS = ["create", "delete", "get", "list", "patch", "watch"]


def answer(path: str) -> Object | None:
    """A document of discovery; None when it is none."""
    groups = sorted({(kind.group, kind.version) for kind in NAMED if kind.group})
    documents: dict[str, Object] = {
        "/version": VERSION,
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/api/v1": _resources("", "v1"),
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*group) for group in groups]},
        **{f"/apis/{group}/{version}": _resources(group, version) for group, version in groups},
    }
    return documents.get(path.rstrip("/"))


def review(user: str, body: bytes) -> Object:
    """The answer to "may I?"."""
    asked = json.loads(body)
    attributes = asked["spec"]["resourceAttributes"]
    sub = attributes.get("subresource")
    resource = attributes["resource"] + (f"/{sub}" if sub else "")
    return {**asked, "status": {"allowed": may(user, attributes.get("group", ""), resource, attributes["verb"])}}


def _group(group: str, version: str) -> Object:
    told = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [told], "preferredVersion": told}


def _resources(group: str, version: str) -> Object:
    found: list[Object] = []
    for kind in NAMED:
        if (kind.group, kind.version) == (group, version):
            found.append(_resource(kind))
            if kind.status:
                found.append({**_resource(kind), "name": f"{kind.plural}/status", "verbs": ["get", "patch"]})
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": found}


def _resource(kind: Kind) -> Object:
    told: Object = {
        "name": kind.plural,
        "singularName": kind.name.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.name,
    }
    return told | {"verbs": _VERBS, "shortNames": SHORT.get(kind.plural, [])}
