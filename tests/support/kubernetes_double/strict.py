"""Strict field validation (`fieldValidation=Strict`): unknown fields of our resource and of Kubernetes' own kinds.

Ours are read from its schema, those of Kubernetes from the published JSON schemas.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import jsonschema
import kubernetes_validate
from referencing import Registry, Resource

from .kinds import Kind, Object, Refusal

_SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / "v1.36.0-local-strict"
_UNKNOWN = re.compile(r"'([^']+)' (?:was|were) unexpected")


def check(kind: Kind, body: Object, *, patch: bool) -> None:
    """Raises Refusal for a field that the kind does not have, or a value of another type."""
    unknown = kind.schema.unknown(body) if kind.schema is not None else _unknown(kind, body)
    if not unknown:
        return
    told = "strict decoding error: " + ", ".join(f'unknown field "{path}"' for path in unknown)
    if patch:
        raise kind.invalid(body["metadata"]["name"], [f"patch: Invalid value: {told}"])
    raise Refusal(
        400, "BadRequest", f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: {told}'
    )


def _unknown(kind: Kind, body: Object) -> list[str]:
    found = []
    for error in _validator(kind).iter_errors(body):
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.path).removeprefix(".")
        if error.validator == "additionalProperties":
            name = _UNKNOWN.search(error.message)
            found.append(f"{path}.{name[1] if name else '?'}".removeprefix("."))
        elif error.validator == "required":
            missing = error.message.split("'")[1]
            raise kind.invalid(body["metadata"].get("name", ""), [f"{path}.{missing}: Required value"])
        else:
            raise Refusal(400, "BadRequest", f"cannot unmarshal {path}: {error.message[:200]}")
    return found


@functools.cache
def _validator(kind: Kind) -> jsonschema.Draft202012Validator:
    def load(name: str) -> Resource:
        return Resource.from_contents(json.loads((_SCHEMAS / name).read_text()))

    whole = load(f"{kind.name.lower()}-{kind.api_version.replace('/', '-')}.json")
    registry = load("_definitions.json") @ (whole @ Registry())
    return jsonschema.Draft202012Validator(whole.contents, registry=registry)
