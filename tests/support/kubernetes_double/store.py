"""Objects with their versions: what etcd and the registry of the API server do, in memory and in one step each.

Every write gets the next revision and is told to whoever follows. Old versions are kept until `compact`, so that lists and
watches of the past are answered as they should be, or refused with 410. `server` translates requests; `controllers` make
pods and clean up.
"""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from . import apply
from .kinds import KINDS, Kind, Object, Refusal
from .selectors import Match

Key = tuple[str, str, str]
"""Plural, namespace, name."""

_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_SERVER_SIDE = ("uid", "resourceVersion", "creationTimestamp", "generation", "deletionTimestamp", "managedFields")


@dataclass(frozen=True)
class Change:
    """One write. `new` None: the object is gone; `old` None: it is new. Bodies are never changed afterwards."""

    revision: int
    kind: Kind
    namespace: str
    name: str
    old: Object | None
    new: Object | None


@dataclass
class Store:
    """`namespaces` exist; nothing else of a namespace is modelled. `clock` gives the time of the stamps."""

    namespaces: frozenset[str]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    revision: int = 100
    oldest: int = 100
    """What is older is compacted."""
    history: list[Change] = field(default_factory=list)
    followers: list[Callable[[Change], None]] = field(default_factory=list)
    _now: dict[Key, Object] = field(default_factory=dict)
    _owners: dict[str, apply.Owners] = field(default_factory=dict)
    """By uid: the field managers of an object."""

    # -- reading ------------------------------------------------------------------------------------------------------

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self._now.get((kind.plural, namespace, name))

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        found = self.find(kind, namespace, name)
        if found is None:
            raise kind.not_found(name)
        return found

    def all(self, kind: Kind, namespace: str, selected: Match = lambda _body: True) -> list[Object]:
        """What is there now, by name."""
        return self.at(kind, namespace, self.revision, selected)

    def at(self, kind: Kind, namespace: str, revision: int, selected: Match) -> list[Object]:
        """What was there at a revision, by name. Raises Refusal (410) when that is no longer known."""
        if revision < self.oldest:
            text = "The provided continue parameter is too old to display a consistent list result."
            raise Refusal(410, "Expired", text)
        found = {
            name: body
            for (plural, space, name), body in self._now.items()
            if (plural, space) == (kind.plural, namespace)
        }
        for change in reversed(self.history):
            if change.revision <= revision:
                break
            if (change.kind, change.namespace) == (kind, namespace):
                if change.old is None:
                    found.pop(change.name, None)
                else:
                    found[change.name] = change.old
        return [found[name] for name in sorted(found) if selected(found[name])]

    def since(self, revision: int) -> list[Change]:
        """All writes after a revision. Raises Refusal (410) when they are no longer known."""
        if revision < self.oldest:
            raise Refusal(410, "Expired", f"too old resource version: {revision} ({self.oldest})")
        return [change for change in self.history if change.revision > revision]

    def compact(self) -> None:
        """Forget every version but the last."""
        self.oldest = self.revision
        self.history.clear()

    # -- writing ------------------------------------------------------------------------------------------------------

    def create(self, kind: Kind, namespace: str, body: Object, *, manager: str = "double") -> Object:
        """A new object, with what the server adds. Raises Refusal."""
        made = copy.deepcopy(body)
        metadata = made.setdefault("metadata", {})
        self._check_place(kind, namespace, made)
        for name in _SERVER_SIDE:
            metadata.pop(name, None)
        if "name" not in metadata and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
        name = metadata.get("name", "")
        if not _NAME.match(name) or len(name) > 253:
            raise kind.invalid(name, [f'metadata.name: Invalid value: "{name}": a lowercase RFC 1123 subdomain'])
        if kind.status and kind.schema is not None:
            made.pop("status", None)
        if namespace not in self.namespaces:
            raise Refusal(404, "NotFound", f'namespaces "{namespace}" not found', name=namespace, kind="namespaces")
        metadata |= {"namespace": namespace, "uid": str(uuid.uuid4()), "creationTimestamp": self._stamp()}
        if kind.status:
            metadata["generation"] = 1
        self._check(kind, name, made, None)
        if self.find(kind, namespace, name) is not None:
            raise kind.exists(name)
        if kind.schema is not None:
            apply.updated(kind.schema.root, {}, _told(made), self._owners.setdefault(metadata["uid"], {}), manager)
        return self._write(kind, namespace, name, made)

    def update(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        change: Callable[[Object], Object],
        *,
        part: str = "",
        manager: str = "double",
        applies: bool = False,
        force: bool = False,
    ) -> Object:
        """The object after `change`, which gets a copy. `part`: "" for all but the status, or "status". Raises Refusal.

        With `applies` the change returns what is applied. An update that changes nothing is no write.
        """
        old = self.get(kind, namespace, name)
        asked = change(copy.deepcopy(old))
        said = asked.get("metadata") or {}
        self._check_place(kind, namespace, asked)
        if said.get("name", name) != name:
            raise Refusal(400, "BadRequest", "the name of the object does not match the name on the URL")
        if said.get("uid") not in (None, old["metadata"]["uid"]):
            raise kind.invalid(name, [f'metadata.uid: Invalid value: "{said["uid"]}": field is immutable'])
        if said.get("resourceVersion") not in (None, "", old["metadata"]["resourceVersion"]):
            raise kind.changed(name)
        owners = copy.deepcopy(self._owners.get(old["metadata"]["uid"], {}))
        if applies:
            if kind.schema is None or part != "status":
                raise Refusal(501, "NotImplemented", "the double applies the status of custom resources only")
            node, live = kind.schema.at(("status",)), old.get("status", {})
            under = {who: {p[1:] for p in fields if p[0] == "status"} for who, fields in owners.items()}
            merged, taken = apply.applied(node, live, asked.get("status", {}), under, manager)
            if taken and not force:
                told = f'Apply failed with {len(taken)} conflicts: conflicts with "{taken[0]}"'
                raise Refusal(409, "Conflict", told, name=name, kind=kind.plural)
            owners = {who: {("status", *p) for p in fields} for who, fields in under.items()}
            asked = {**old, "status": merged}
        new = self._merged_parts(kind, old, asked, part)
        if kind.schema is not None and not applies:
            apply.updated(kind.schema.root, _told(old), _told(new), owners, manager)
        self._check(kind, name, new, old)
        if new == old:
            return old
        metadata = new["metadata"]
        if kind.status and part == "" and _meant(new) != _meant(old):
            metadata["generation"] = old["metadata"]["generation"] + 1
        if "deletionTimestamp" in metadata:
            fresh = set(metadata.get("finalizers") or []) - set(old["metadata"].get("finalizers") or [])
            if fresh:
                told = f"no new finalizers can be added if the object is being deleted, found new finalizers {sorted(fresh)}"
                raise kind.invalid(name, [f"metadata.finalizers: Forbidden: {told}"])
            if not metadata.get("finalizers"):
                self._remove(kind, namespace, name)
                return new
        self._owners[metadata["uid"]] = owners
        return self._write(kind, namespace, name, new)

    def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str | None = None, version: str | None = None
    ) -> Object | None:
        """Ask for a deletion: None when it is gone now, the object when a finalizer holds it. Raises Refusal."""
        old = self.get(kind, namespace, name)
        metadata = old["metadata"]
        for what, asked, there in (
            ("UID", uid, metadata["uid"]),
            ("ResourceVersion", version, metadata["resourceVersion"]),
        ):
            if asked is not None and asked != there:
                told = f"Precondition failed: {what} in precondition: {asked}, {what} in object meta: {there}"
                raise kind.conflict(name, told)
        if not metadata.get("finalizers"):
            self._remove(kind, namespace, name)
            return None
        if "deletionTimestamp" in metadata:
            return old
        new = copy.deepcopy(old)
        new["metadata"] |= {"deletionTimestamp": self._stamp(), "deletionGracePeriodSeconds": 0}
        if kind.status:
            new["metadata"]["generation"] = metadata["generation"] + 1
        return self._write(kind, namespace, name, new)

    # -- small words --------------------------------------------------------------------------------------------------

    def _merged_parts(self, kind: Kind, old: Object, asked: Object, part: str) -> Object:
        """Each door writes its own part: the status's the status, the other everything else."""
        if part == "status":
            new = copy.deepcopy(old)
            new.pop("status", None)
            if "status" in asked:
                new["status"] = asked["status"]
            return new
        new = copy.deepcopy(asked)
        for name in _SERVER_SIDE:
            new["metadata"].pop(name, None)
            if name in old["metadata"]:
                new["metadata"][name] = old["metadata"][name]
        new["metadata"] = {key: value for key, value in new["metadata"].items() if value not in ([], {}, None)}
        if kind.status:
            new.pop("status", None)
            if "status" in old:
                new["status"] = copy.deepcopy(old["status"])
        return new

    def _check_place(self, kind: Kind, namespace: str, body: Object) -> None:
        said = (body.get("apiVersion", kind.api_version), body.get("kind", kind.name))
        if said != (kind.api_version, kind.name):
            raise Refusal(400, "BadRequest", f"the object provided is unrecognized or of another kind: {said}")
        if (body.get("metadata") or {}).get("namespace", namespace) != namespace:
            told = "the namespace of the provided object does not match the namespace sent on the request"
            raise Refusal(400, "BadRequest", told)
        body["apiVersion"], body["kind"] = kind.api_version, kind.name

    def _check(self, kind: Kind, name: str, new: Object, old: Object | None) -> None:
        faults = kind.schema.faults(new, old) if kind.schema is not None else []
        if old is not None and old.get("immutable") and new.get("data") != old.get("data"):
            faults.append("data: Forbidden: field is immutable when `immutable` is set")
        if faults:
            raise kind.invalid(name, faults)

    def _write(self, kind: Kind, namespace: str, name: str, new: Object) -> Object:
        key = (kind.plural, namespace, name)
        self.revision += 1
        new["metadata"]["resourceVersion"] = str(self.revision)
        old = self._now.get(key)
        self._now[key] = new
        self._tell(Change(self.revision, kind, namespace, name, old, new))
        return new

    def _remove(self, kind: Kind, namespace: str, name: str) -> None:
        self.revision += 1
        old = self._now.pop((kind.plural, namespace, name))
        self._owners.pop(old["metadata"]["uid"], None)
        self._tell(Change(self.revision, kind, namespace, name, old, None))

    def _tell(self, change: Change) -> None:
        self.history.append(change)
        for follower in tuple(self.followers):
            follower(change)

    def _stamp(self) -> str:
        return self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")


def _told(body: Object) -> Object:
    """What field managers own: everything but the metadata's own affairs."""
    return {key: value for key, value in body.items() if key not in ("apiVersion", "kind", "metadata")}


def _meant(body: Object) -> Any:
    return {key: value for key, value in body.items() if key not in ("metadata", "status")}


def kind_of(group: str, version: str, plural: str) -> Kind | None:
    """The kind at this address."""
    return next((k for k in KINDS if (k.group, k.version, k.plural) == (group, version, plural)), None)
