"""Who may do what in the double: the roles of the chart, as RBAC would read them. `admin` may do everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from .kinds import Refusal

_ROLES = Path(__file__).parents[3] / "charts" / "drishtiksha" / "files" / "rbac"
ADMIN = "admin"


def _rules() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(_ROLES.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if document["kind"] == "Role":
                found[document["metadata"]["name"]] = document["rules"]
    return found


RULES = _rules()
IDENTITIES = (ADMIN, *RULES)
"""Users of the double; each one's name is its token."""


def may(user: str, group: str, resource: str, verb: str) -> bool:
    """`resource` with its subresource, as in `mediaanalyses/status`."""
    if user == ADMIN:
        return True
    return any(
        group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]
        for rule in RULES.get(user, ())
    )


def forbidden(user: str, group: str, resource: str, verb: str, namespace: str, name: str) -> Refusal:
    """The denial, in the authorizer's words."""
    plural = resource.partition("/")[0]
    what = (f"{plural}.{group}" if group else plural) + (f' "{name}"' if name else "")
    text = f'{what} is forbidden: User "{user}" cannot {verb} resource "{resource}" in API group "{group}" in the namespace "{namespace}"'
    return Refusal(403, "Forbidden", text, name=name, group=group, kind=plural)
