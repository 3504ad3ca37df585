"""Names of the environment that stand in no group of `settings`: whose they are, or what took their place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

OTHER_NAMES = {
    "DRISHTIKSHA_SECRETS_DIR": "A folder whose files are named like settings and hold their values (all processes)",
    "DRISHTIKSHA_HOME": "State folder of the platform on one machine (command line)",
    "DRISHTIKSHA_API": "URL of the API that the command line talks to (command line)",
    "DRISHTIKSHA_EMAIL": "Who logs in, instead of a question (command line)",
    "DRISHTIKSHA_PASSWORD": "Their password, instead of a question (command line)",
    "DRISHTIKSHA_DATABASE_PASSWORD": "Password of the PostgreSQL that `up` brings itself (one machine)",
    "DRISHTIKSHA_CONTROL_PLANE_URL": "Where a ready-made control plane is downloaded from (one machine)",
    "DRISHTIKSHA_CONTROL_PLANE_SHA256": "What that download must be, 64 hex digits (one machine)",
    "DRISHTIKSHA_ATTEMPT_TOKEN": "The right to one attempt; comes from the run's Secret (runner)",
    "DRISHTIKSHA_POLARITY": "`real` where the model's frame scores are P(real); comes from its profile (runner)",
}
"""Names that other places read, with their meaning and who reads them."""

RETIRED = {
    "DB_PROVIDER": "PostgreSQL is the only database; set DATABASE_URL",
    "BCRYPT_ROUNDS": "passwords are hashed with argon2id",
    "RATE_LIMIT_*": "failed logins are limited by account and address; other limits belong to the proxy in front",
    "JWT_REFRESH_*": "there are no refresh tokens; see JWT_EXPIRES_IN",
    "API_BASE_URL": "set BASE_URL",
    "ASSETS_*": "links to bytes begin with BASE_URL and carry their own signature",
    "MEDIA_PROCESSING_QUEUE_NAME": "there is no queue; each analysis is a Kubernetes Job",
    "POSTGRES_*": "set DATABASE_URL",
}
"""Names of the system that this one replaces (patterns, too), and what took their place."""

_SERVICE_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$")


def successor(name: str) -> str | None:
    """What took the place of a retired name; None when it is none."""
    return next((words for pattern, words in RETIRED.items() if fnmatchcase(name, pattern)), None)


def retired(names: Iterable[str]) -> list[str]:
    """A sentence for each of these names that is no longer used."""
    return [f"{name} is no longer used: {words}" for name in sorted(names) if (words := successor(name))]


def is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes itself set this in a pod, because a Service of the namespace is called so."""
    return bool(_SERVICE_LINK.search(name)) or (name.endswith("_PORT") and "://" in value)
