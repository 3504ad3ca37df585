"""The kinds that the double knows, and its refusals as the API tells them. `store` keeps them, `server` serves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .schema import Schema

Object = dict[str, Any]

CRD = yaml.safe_load((Path(__file__).parents[3] / "crds" / "mediaanalyses.yaml").read_text())


class Refusal(Exception):
    """An answer that is no success, as a `Status` object."""

    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details

    def to_object(self) -> Object:
        body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        body |= {"message": self.message, "reason": self.reason, "code": self.code}
        return body | ({"details": self.details} if self.details else {})


@dataclass(frozen=True)
class Kind:
    """One kind of objects. `fields`: paths by which lists may be selected beside name and namespace."""

    group: str
    version: str
    plural: str
    name: str
    status: bool = True
    fields: tuple[str, ...] = ()
    immutable_name: str = ""
    schema: Schema | None = field(default=None, compare=False, repr=False)
    stored: bool = True
    """False: only named in discovery, as Kopf wants it."""
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def not_found(self, name: str) -> Refusal:
        text = f'{self.qualified} "{name}" not found'
        return Refusal(404, "NotFound", text, name=name, group=self.group, kind=self.plural)

    def exists(self, name: str) -> Refusal:
        text = f'{self.qualified} "{name}" already exists'
        return Refusal(409, "AlreadyExists", text, name=name, group=self.group, kind=self.plural)

    def conflict(self, name: str, why: str) -> Refusal:
        text = f'Operation cannot be fulfilled on {self.qualified} "{name}": {why}'
        return Refusal(409, "Conflict", text, name=name, group=self.group, kind=self.plural)

    def changed(self, name: str) -> Refusal:
        why = "the object has been modified; please apply your changes to the latest version and try again"
        return self.conflict(name, why)

    def invalid(self, name: str, faults: list[str]) -> Refusal:
        what = f"{self.name}.{self.group}" if self.group else self.name
        told = faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]"
        text = f'{what} "{name}" is invalid: {told}'
        return Refusal(422, "Invalid", text, name=name, group=self.group, kind=self.name)


_VERSION = CRD["spec"]["versions"][0]

ANALYSES = Kind(
    CRD["spec"]["group"],
    _VERSION["name"],
    CRD["spec"]["names"]["plural"],
    CRD["spec"]["names"]["kind"],
    fields=tuple(entry["jsonPath"].removeprefix(".") for entry in _VERSION["selectableFields"]),
    schema=Schema(_VERSION["schema"]["openAPIV3Schema"]),
)
JOBS = Kind("batch", "v1", "jobs", "Job", fields=("status.successful",))
PODS = Kind("", "v1", "pods", "Pod", fields=("spec.nodeName", "spec.restartPolicy", "status.phase"))
SECRETS = Kind("", "v1", "secrets", "Secret", status=False, fields=("type",))
EVENTS = Kind(
    "", "v1", "events", "Event", status=False,
    fields=("involvedObject.kind", "involvedObject.name", "involvedObject.namespace", "involvedObject.uid", "reason", "type"),
)  # fmt: skip
NAMESPACES = Kind("", "v1", "namespaces", "Namespace", stored=False, namespaced=False)
DEFINITIONS = Kind(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    stored=False,
    namespaced=False,
)
KINDS = (ANALYSES, JOBS, PODS, SECRETS, EVENTS)
NAMED = (*KINDS, NAMESPACES, DEFINITIONS)
SHORT = {"mediaanalyses": CRD["spec"]["names"]["shortNames"]}


def at(body: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; None where there is none."""
    found: Any = body
    for step in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(step)
    return found
