"""A structural schema as the API server holds it: faults of an object, unknown fields, lists that are maps, and the two rules.

As much of OpenAPI v3 as `crds/mediaanalyses.yaml` uses; anything else in it is refused when the schema is read, so that
the double cannot silently take what it does not check.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

_KNOWN = {
    "type", "description", "properties", "required", "items", "enum", "pattern", "maxLength", "minLength", "minItems",
    "maxItems", "minimum", "maximum", "format", "x-kubernetes-validations", "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
}  # fmt: skip
_NAME_RULE = "self.metadata.name == 'ma-' + self.spec.runId"
_IMMUTABLE = "self == oldSelf"
_RULES = {_NAME_RULE, _IMMUTABLE}
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}

Node = dict[str, Any]


class Schema:
    """The schema of one custom resource."""

    def __init__(self, root: Node) -> None:
        self.root = root
        for path, node in _nodes(root):
            unknown = set(node) - _KNOWN
            rules = {rule["rule"] for rule in node.get("x-kubernetes-validations", ())}
            if unknown or rules - _RULES:
                raise NotImplementedError(f"the double does not know {unknown | (rules - _RULES)} at {path or '.'}")

    def unknown(self, body: Node) -> list[str]:
        """Paths of fields that the schema does not have."""
        return list(_unknown(self.root, body, ""))

    def pruned(self, body: Node) -> Node:
        """The object without the fields that the schema does not have."""
        made = copy.deepcopy(body)
        _prune(self.root, made, top=True)
        return made

    def faults(self, body: Node, old: Node | None) -> list[str]:
        """What is wrong with an object, as the server says it; `old` is what it replaces."""
        found = list(_faults(self.root, body, ""))
        if found:
            return found  # rules are asked of well-formed objects only
        for path, node, new, before in _ruled(self.root, body, old, ""):
            for rule in node["x-kubernetes-validations"]:
                broken = before is not None and new != before if rule["rule"] == _IMMUTABLE else not _named(new)
                if broken:
                    found.append(f"{path or '<nil>'}: Invalid value: {rule['message']}")
        return found

    def at(self, path: tuple[str, ...]) -> Node:
        """The node under these properties."""
        node = self.root
        for step in path:
            node = node["properties"][step]
        return node


def map_keys(node: Node) -> tuple[str, ...] | None:
    """The keys by which a list is a map; None when it is none."""
    if node.get("x-kubernetes-list-type") != "map":
        return None
    return tuple(node["x-kubernetes-list-map-keys"])


def _named(body: Node) -> bool:
    return bool(body["metadata"].get("name") == f"ma-{body['spec']['runId']}")


def _nodes(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    if "items" in node:
        yield from _nodes(node["items"], f"{path}[]")


def _unknown(node: Node, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, child in value.items():
            below = f"{path}.{name}" if path else name
            if path == "" and name == "metadata":
                continue
            if name not in node.get("properties", {}):
                yield below
            else:
                yield from _unknown(node["properties"][name], child, below)
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from _unknown(node.get("items", {}), child, f"{path}[{number}]")


def _prune(node: Node, value: Any, *, top: bool = False) -> None:
    if isinstance(value, dict):
        for name in list(value):
            if top and name == "metadata":
                continue
            if name not in node.get("properties", {}):
                del value[name]
            else:
                _prune(node["properties"][name], value[name])
    elif isinstance(value, list):
        for child in value:
            _prune(node.get("items", {}), child)


def _faults(node: Node, value: Any, path: str) -> Iterator[str]:
    kind = node["type"]
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind in ("integer", "number")):
        yield f'{path}: Invalid value: "{type(value).__name__}": must be of type {kind}'
        return
    if "enum" in node and value not in node["enum"]:
        yield f'{path}: Unsupported value: "{value}"'
    if isinstance(value, str):
        yield from _text_faults(node, value, path)
    elif isinstance(value, dict):
        for name in node.get("required", ()):
            if name not in value:
                yield f"{path}.{name}".removeprefix(".") + ": Required value"
        for name, child in value.items():
            if name in node.get("properties", {}):
                yield from _faults(node["properties"][name], child, f"{path}.{name}".removeprefix("."))
    elif isinstance(value, list):
        yield from _list_faults(node, value, path)
    elif kind in ("integer", "number"):
        if "minimum" in node and value < node["minimum"]:
            yield f"{path}: Invalid value: {value}: should be greater than or equal to {node['minimum']}"
        if "maximum" in node and value > node["maximum"]:
            yield f"{path}: Invalid value: {value}: should be less than or equal to {node['maximum']}"


def _text_faults(node: Node, value: str, path: str) -> Iterator[str]:
    if len(value) > node.get("maxLength", len(value)):
        yield f"{path}: Too long: may not be more than {node['maxLength']} bytes"
    if len(value) < node.get("minLength", 0):
        yield f"{path}: Invalid value: should be at least {node['minLength']} chars long"
    if "pattern" in node and not re.search(node["pattern"], value):
        yield f"{path}: Invalid value: \"{value}\": should match '{node['pattern']}'"
    if node.get("format") == "date-time":
        try:
            datetime.fromisoformat(value)
        except ValueError:
            yield f'{path}: Invalid value: "{value}": must be of type date-time'


def _list_faults(node: Node, value: list[Any], path: str) -> Iterator[str]:
    if len(value) < node.get("minItems", 0):
        yield f"{path}: Invalid value: should have at least {node['minItems']} items"
    if len(value) > node.get("maxItems", len(value)):
        yield f"{path}: Too many: {len(value)}: must have at most {node['maxItems']} items"
    seen: list[Any] = []
    keys = map_keys(node)
    for number, child in enumerate(value):
        yield from _faults(node["items"], child, f"{path}[{number}]")
        same = [child.get(k) for k in keys] if keys and isinstance(child, dict) else child
        if node.get("x-kubernetes-list-type") in ("set", "map") and same in seen:
            yield f"{path}[{number}]: Duplicate value"
        seen.append(same)


def _ruled(node: Node, value: Any, old: Any, path: str) -> Iterator[tuple[str, Node, Any, Any]]:
    if "x-kubernetes-validations" in node:
        yield path, node, value, old
    if isinstance(value, dict):
        for name, child in value.items():
            if name in node.get("properties", {}):
                before = old.get(name) if isinstance(old, dict) else None
                yield from _ruled(node["properties"][name], child, before, f"{path}.{name}".removeprefix("."))
