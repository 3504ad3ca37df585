"""One request as the API server understands it, and what it does to the store. No HTTP here: values in, values out.

`server` speaks HTTP and carries out the faults; `discovery` answers what is not about objects.
"""

from __future__ import annotations

import base64
import binascii
import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import strict
from .kinds import ANALYSES, Kind, Object, Refusal
from .selectors import matching
from .store import Store, kind_of

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
_CONTENT = {"POST": ("application/json", ""), "PATCH": (MERGE, APPLY)}


class NotServed(Exception):
    """A custom resource that is not installed: the server has no such page, and says so without a `Status`."""


@dataclass(frozen=True)
class Call:
    """Who asks what of which object. `verb` as RBAC calls it."""

    user: str
    verb: str
    kind: Kind
    namespace: str
    name: str
    part: str
    query: Mapping[str, str]
    accept: str = ""
    content_type: str = ""
    body: bytes = b""

    @property
    def resource(self) -> str:
        return self.kind.plural + (f"/{self.part}" if self.part else "")

    @property
    def writes(self) -> bool:
        return self.verb in ("create", "patch", "delete")

    @property
    def wants_metadata(self) -> bool:
        return "as=PartialObjectMetadataList" in self.accept


_VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}


def read(method: str, path: str, query: Mapping[str, str], **more: Any) -> Call | None:
    """The call of a path below `/api/v1/namespaces` or `/apis/GROUP/VERSION/namespaces`; None for any other path."""
    steps = path.strip("/").split("/")
    if steps[:2] == ["api", "v1"]:
        group, version, rest = "", "v1", steps[2:]
    elif steps[0] == "apis" and len(steps) > 3:
        group, version, rest = steps[1], steps[2], steps[3:]
    else:
        return None
    if len(rest) < 3 or rest[0] != "namespaces":
        return None
    _, namespace, plural, *deeper = rest
    kind = kind_of(group, version, plural)
    name, part = (*deeper, "", "")[:2]
    if kind is None and group == ANALYSES.group:
        raise NotServed
    if kind is None or len(deeper) > 2 or (part and not (part == "status" and kind.status)):
        raise Refusal(404, "NotFound", "the server could not find the requested resource")
    verb = _VERBS.get(method)
    if method == "GET":
        verb = "get" if name else "watch" if query.get("watch") in ("true", "1") else "list"
    if verb is None or (verb == "create" and name) or (verb in ("patch", "delete") and not name):
        raise Refusal(405, "MethodNotAllowed", f"the double does not speak {method} here")
    return Call(verb=verb, kind=kind, namespace=namespace, name=name, part=part, query=query, **more)


def carry_out(store: Store, call: Call, *, behind: int = 0) -> tuple[int, Object]:
    """Status and body. `behind`: how many revisions old a read may be that does not ask for the newest. Raises Refusal."""
    return {"get": _get, "list": _list, "create": _create, "patch": _patch, "delete": _delete}[call.verb](
        store, call, behind
    )


def _get(store: Store, call: Call, behind: int) -> tuple[int, Object]:
    if call.query.get("resourceVersion") == "0" and behind:
        older = store.at(call.kind, call.namespace, _older(store, behind), lambda b: b["metadata"]["name"] == call.name)
        if not older:
            raise call.kind.not_found(call.name)
        return 200, older[0]
    return 200, store.get(call.kind, call.namespace, call.name)


def _list(store: Store, call: Call, behind: int) -> tuple[int, Object]:
    query, kind = call.query, call.kind
    selected = matching(kind, query.get("labelSelector"), query.get("fieldSelector"))
    revision, after = store.revision, ""
    if query.get("continue"):
        revision, after = _read_token(query["continue"])
    elif query.get("resourceVersion") == "0":
        revision = _older(store, behind)
    found = [body for body in store.at(kind, call.namespace, revision, selected) if body["metadata"]["name"] > after]
    limit = int(query.get("limit") or 0)
    page = found[:limit] if limit and query.get("resourceVersion") != "0" else found
    metadata: Object = {"resourceVersion": str(revision)}
    if len(page) < len(found):
        metadata["continue"] = _token(revision, page[-1]["metadata"]["name"])
        if not query.get("labelSelector") and not query.get("fieldSelector"):
            metadata["remainingItemCount"] = len(found) - len(page)
    if call.wants_metadata:
        meta = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
        items = [{**meta, "metadata": body["metadata"]} for body in page]
        return 200, {
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "items": items,
        }
    return 200, {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": metadata, "items": page}


def _older(store: Store, behind: int) -> int:
    return max(store.oldest, store.revision - behind)


def _create(store: Store, call: Call, _behind: int) -> tuple[int, Object]:
    body = _body(call)
    checked = {"apiVersion": call.kind.api_version, "kind": call.kind.name, "metadata": {}, **body}
    if call.query.get("fieldValidation") == "Strict":
        strict.check(call.kind, checked, patch=False)
    if call.kind.schema is not None:
        body = call.kind.schema.pruned(body)
    if call.kind.plural == "jobs":
        _default_job(body)
    return 201, store.create(call.kind, call.namespace, body, manager=_manager(call))


def _default_job(body: Object) -> None:
    """What later steps of the controllers count on."""
    labels = body["spec"]["template"].setdefault("metadata", {}).setdefault("labels", {})
    labels["batch.kubernetes.io/job-name"] = labels["job-name"] = (body.get("metadata") or {}).get("name", "")
    body["spec"].setdefault("backoffLimit", 6)
    body["spec"].setdefault("suspend", False)
    body["status"] = {}


def _patch(store: Store, call: Call, _behind: int) -> tuple[int, Object]:
    patch = _body(call)
    if call.content_type == APPLY:
        if not call.query.get("fieldManager"):
            told = 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
            raise Refusal(422, "Invalid", told)
        _strictly(call, patch)
        made = store.update(
            call.kind, call.namespace, call.name, lambda _live: copy.deepcopy(patch), part=call.part,
            manager=_manager(call), applies=True, force=call.query.get("force") == "true",
        )  # fmt: skip
        return 200, made

    def change(live: Object) -> Object:
        merged: Object = merge(live, patch)
        _strictly(call, merged)
        return call.kind.schema.pruned(merged) if call.kind.schema is not None else merged

    return 200, store.update(call.kind, call.namespace, call.name, change, part=call.part, manager=_manager(call))


def _strictly(call: Call, body: Object) -> None:
    if call.query.get("fieldValidation") == "Strict" and call.kind.schema is not None:
        strict.check(call.kind, body, patch=True)


def _delete(store: Store, call: Call, _behind: int) -> tuple[int, Object]:
    options = _body(call) if call.body else {}
    if options.get("propagationPolicy", "Background") != "Background":
        raise Refusal(501, "NotImplemented", "the double deletes in the background only")
    before = store.get(call.kind, call.namespace, call.name)
    asked = options.get("preconditions") or {}
    held = store.delete(
        call.kind, call.namespace, call.name, uid=asked.get("uid"), version=asked.get("resourceVersion")
    )
    if held is not None:
        return 200, held
    details = {"name": call.name, "group": call.kind.group, "kind": call.kind.plural, "uid": before["metadata"]["uid"]}
    return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def merge(live: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    made = dict(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merge(made.get(key), value)
    return made


def _manager(call: Call) -> str:
    return call.query.get("fieldManager") or f"update by {call.user}"


def _body(call: Call) -> Object:
    wanted = _CONTENT.get({"create": "POST", "patch": "PATCH"}.get(call.verb, ""))
    if wanted is not None and call.content_type not in wanted:
        told = f"the body of the request was in an unknown format - accepted media types include: {', '.join(wanted)}"
        raise Refusal(415, "UnsupportedMediaType", told)
    try:
        body = json.loads(call.body)
    except ValueError:
        raise Refusal(400, "BadRequest", "the body of the request cannot be read") from None
    if not isinstance(body, dict):
        raise Refusal(400, "BadRequest", "the body of the request is no object")
    return body


def _token(revision: int, last: str) -> str:
    told = {"v": "meta.k8s.io/v1", "rv": revision, "start": last + "\0"}
    return base64.urlsafe_b64encode(json.dumps(told, separators=(",", ":")).encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, str]:
    try:
        told = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(told["rv"]), str(told["start"]).rstrip("\0")
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise Refusal(400, "BadRequest", "continue key is not valid") from None
