"""Addresses as people write them, turned into the one form that our libraries take. Pure; used by `settings`."""

from __future__ import annotations

import warnings
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_POOL_OPTIONS = frozenset(
    {
        *("connection_limit", "pool_timeout", "pool_size", "pgbouncer", "statement_cache_size", "socket_timeout"),
        *("max_connection_lifetime", "max_idle_connection_lifetime", "sslaccept"),
    }
)


def sqlalchemy_url(url: str) -> str:
    """A PostgreSQL URL in any usual spelling as one for SQLAlchemy and psycopg.

    `?schema=x` becomes the search path; pool options of other drivers are dropped with a warning.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise ValueError("must begin with postgresql://")
    query: dict[str, Any] = {}
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key == "schema":
            query["options"] = f"{query.get('options', '')} -csearch_path={value}".strip()
        elif key == "options":
            query["options"] = f"{value} {query.get('options', '')}".strip()
        elif key in _POOL_OPTIONS:
            warnings.warn(f"DATABASE_URL: option {key} is not used here and was dropped", stacklevel=2)
        else:
            query[key] = value
    return urlunsplit(("postgresql+psycopg", parts.netloc, parts.path, urlencode(query), ""))


def libpq_url(url: str) -> str:
    """The same database for psql and other tools, which know no `+psycopg`."""
    return sqlalchemy_url(url).replace("postgresql+psycopg://", "postgresql://", 1)


def redis_url(url: str) -> str:
    """A Redis URL; Valkey's own spelling is understood."""
    scheme, separator, rest = url.partition("://")
    known = {"valkey": "redis", "valkeys": "rediss"}.get(scheme, scheme)
    if not separator or known not in ("redis", "rediss", "unix"):
        raise ValueError("must begin with redis://, or rediss:// for TLS")
    return f"{known}://{rest}"


def http_url(url: str) -> str:
    """An http(s) address without a slash at its end."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with http:// or https://")
    return url.rstrip("/")
