"""Settings from the environment, `.env` and a secrets folder: one small group per neighbour.

`load(Group)` reads one group and raises `BadSettings` with a sentence that names the setting; `check_names()` refuses
unknown names of ours. A process loads only the groups of the neighbours it talks to (READ_BY). Durations are seconds.
The words below each field are its line in docs/api/settings.md (`drishtiksha config reference`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator

from .buckets import GCS, S3, Azure, Cloudinary
from .domain.errors import BadSettings
from .names import OTHER_NAMES, is_service_link, retired
from .reading import CommaList, Group, Networks, Seconds, from_anywhere, load, names_of, seconds
from .urls import http_url, redis_url, sqlalchemy_url

__all__ = [
    "BUCKETS",
    "GCS",
    "GROUPS",
    "READ_BY",
    "S3",
    "Azure",
    "Cloudinary",
    "CommaList",
    "Group",
    "Networks",
    "Seconds",
    "check_names",
    "load",
    "names_of",
    "seconds",
    "sqlalchemy_url",
]


class Process(Group):
    """What every process reads."""

    environment: Literal["production", "development"] = Field(
        default="production", validation_alias=AliasChoices("DRISHTIKSHA_ENV", "NODE_ENV")
    )
    """`development`: readable logs, down to DEBUG. What clients are answered is the same."""


class Database(Group):
    """PostgreSQL, the only truth."""

    url: SecretStr = Field(validation_alias="DATABASE_URL")
    """`postgresql://user:password@host:5432/database`; `?schema=x` becomes the search path, pool options of other drivers are dropped."""
    pool_size: int = Field(default=10, ge=1, le=200, validation_alias="DRISHTIKSHA_DATABASE_POOL")
    """Connections that one process may hold."""
    statement_timeout: Seconds = Field(default=15.0, validation_alias="DRISHTIKSHA_STATEMENT_TIMEOUT")
    """After so long the server ends a statement."""

    @field_validator("url", mode="before")
    @classmethod
    def _driver(cls, value: object) -> object:
        return sqlalchemy_url(value) if isinstance(value, str) else value


class Redis(Group):
    """Redis or Valkey: the live channel. Password, TLS (rediss://) and database number come from the URL."""

    url: SecretStr = Field(validation_alias="REDIS_URL")
    """`redis://:password@host:6379/0`; `rediss://` for TLS."""
    ml_channel: str = Field(default="media-progress-events", validation_alias="MEDIA_PROGRESS_CHANNEL_NAME")
    """The channel on which an ML service may tell its progress."""

    @field_validator("url", mode="before")
    @classmethod
    def _scheme(cls, value: object) -> object:
        return redis_url(value) if isinstance(value, str) else value


class Auth(Group):
    """Tokens of people."""

    jwt_secret: SecretStr = Field(validation_alias="JWT_SECRET")
    """Signs people's tokens; 32 bytes at least (`openssl rand -hex 32`)."""
    jwt_lifetime: Seconds = Field(default=86400.0, validation_alias="JWT_EXPIRES_IN")
    """How long a login lasts."""

    @field_validator("jwt_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value().encode()) < 32:
            raise ValueError("must have at least 32 bytes; make one with: openssl rand -hex 32")
        return value


class Signing(Group):
    """Keys for attempt tokens and media links: `id:secret,…`. The first signs, all verify."""

    keys: SecretStr = Field(validation_alias="DRISHTIKSHA_SIGNING_KEYS")
    """`id:secret[,id:secret…]`: the first signs attempt tokens and links, all verify."""
    url_lifetime: Seconds = Field(default=3600.0, validation_alias="DRISHTIKSHA_URL_LIFETIME")
    """How long a signed link lives beyond its full hour."""

    @field_validator("keys")
    @classmethod
    def _well_formed(cls, value: SecretStr) -> SecretStr:
        for part in value.get_secret_value().split(","):
            name, _, secret = part.strip().partition(":")
            if not re.fullmatch(r"[A-Za-z0-9]{1,16}", name) or len(secret.encode()) < 32:
                raise ValueError(
                    "must be id:secret[,id:secret…], id of 1-16 letters or digits, secret of 32 bytes or more"
                )
        return value


class Storage(Group):
    """Where the original bytes and the artifacts are kept: `drishtiksha.objects.providers` knows the names."""

    provider: str = Field(default="local", validation_alias="STORAGE_PROVIDER")
    """Which object store keeps the bytes."""
    local_path: Path = Field(default=Path("objects"), validation_alias="LOCAL_STORAGE_PATH")
    """The folder of the provider `local`; api and door must see the same one."""
    redirect: Seconds | None = Field(default=None, le=3600, validation_alias="DRISHTIKSHA_STORAGE_REDIRECT")
    """Who asks for bytes is sent to the bucket's own address, good for so long. Unset: we serve them ourselves."""


class ML(Group):
    """The first ML service; more of them, and `pod` models, stand in the file of DRISHTIKSHA_CONFIG."""

    url: str | None = Field(default=None, validation_alias="SERVER_URL")
    """The ML service. Unset, and no `pod` model: uploads are accepted and their runs wait."""
    api_key: SecretStr | None = Field(default=None, validation_alias="SERVER_API_KEY")
    """The key that the service asks for, sent as `X-API-Key`."""
    dialect: str = Field(default="auto", pattern="^(auto|2|3)$", validation_alias="SERVER_DIALECT")
    """The generation of its contract; `auto` asks the service."""

    @field_validator("url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        return http_url(value) if value else None


class Kubernetes(Group):
    """The cluster: KUBECONFIG or the pod's own service account; one namespace."""

    namespace: str = Field(
        default="drishtiksha", pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", validation_alias="DRISHTIKSHA_NAMESPACE"
    )
    """The namespace of resources, Jobs and Secrets."""
    kubeconfig: Path | None = Field(default=None, validation_alias="KUBECONFIG")
    """A kubeconfig file; unset: the pod's service account, else `~/.kube/config`."""


class Http(Group):
    """The public api: where it listens and how clients reach it."""

    host: str = Field(default="127.0.0.1", validation_alias="DRISHTIKSHA_HOST")
    """The address that this process listens on; 0.0.0.0 in a pod."""
    port: int = Field(default=3000, ge=0, le=65535, validation_alias="PORT")
    """Where the api listens."""
    base_url: str = Field(default="http://127.0.0.1:3000", validation_alias="BASE_URL")
    """How clients reach the api; every link begins with it. https makes cookies `Secure`."""
    frontend_urls: CommaList = Field(default_factory=list, validation_alias="FRONTEND_URL")
    """Exact origins of web front ends; `*` is refused."""
    max_upload_bytes: int = Field(default=150 * 1024 * 1024, ge=1, validation_alias="MAX_UPLOAD_BYTES")
    """The largest file that is taken in."""
    quota_bytes: int | None = Field(default=None, ge=0, validation_alias="DRISHTIKSHA_QUOTA_BYTES")
    """Bytes that one user may keep; unset: no limit."""
    quota_media: int | None = Field(default=None, ge=0, validation_alias="DRISHTIKSHA_QUOTA_MEDIA")
    """Media that one user may keep; unset: no limit."""
    trusted_proxies: Networks = Field(default_factory=list, validation_alias="DRISHTIKSHA_TRUSTED_PROXIES")
    """Addresses or networks of our own proxies: only their `X-Forwarded-For` is believed."""

    @field_validator("frontend_urls")
    @classmethod
    def _exact_origins(cls, value: list[str]) -> list[str]:
        if "*" in value:
            raise ValueError("`*` is refused: cookies need exact origins, for example https://app.example.org")
        return [origin.rstrip("/") for origin in value]

    @field_validator("base_url")
    @classmethod
    def _http(cls, value: str) -> str:
        return http_url(value)


class Door(Group):
    """The internal door, to which runners speak."""

    host: str = Field(default="127.0.0.1", validation_alias="DRISHTIKSHA_HOST")
    """The address that this process listens on; 0.0.0.0 in a pod."""
    port: int = Field(default=3001, ge=0, le=65535, validation_alias="DRISHTIKSHA_DOOR_PORT")
    """Where the door listens; never expose it outside the cluster."""
    running_deadline: Seconds = Field(default=1800.0, validation_alias="DRISHTIKSHA_RUNNING_DEADLINE")
    """From the start of an attempt to its result."""


class Metrics(Group):
    """Prometheus metrics and health of a process."""

    host: str = Field(default="127.0.0.1", validation_alias="DRISHTIKSHA_HOST")
    """The address that this process listens on; 0.0.0.0 in a pod."""
    port: int = Field(default=9464, ge=0, le=65535, validation_alias="DRISHTIKSHA_METRICS_PORT")
    """`/metrics`, `/healthz` and `/readyz` of this process."""


class Retention(Group):
    """How long things are kept."""

    events: Seconds = Field(default=30 * 86400.0, validation_alias="DRISHTIKSHA_EVENT_RETENTION")
    """How long events can be asked for again."""


class Operator(Group):
    """The operator's caps, clocks and intervals."""

    config: Path | None = Field(default=None, validation_alias="DRISHTIKSHA_CONFIG")
    """The YAML file with services and execution profiles (drishtiksha.example.yaml)."""
    door_url: str = Field(default="http://127.0.0.1:3001", validation_alias="DRISHTIKSHA_DOOR_URL")
    """The address of the door that pods are told."""
    runner_image: str = Field(default="drishtiksha/jobrunner", validation_alias="DRISHTIKSHA_RUNNER_IMAGE")
    """The image of a Job's runner."""
    max_active_jobs: int = Field(default=64, ge=1, validation_alias="DRISHTIKSHA_MAX_ACTIVE_JOBS")
    """Attempts in flight, all together."""
    max_active_per_model: int = Field(default=5, ge=1, validation_alias="DRISHTIKSHA_MAX_ACTIVE_PER_MODEL")
    """Attempts in flight per `service` model; a `pod` model's cap is its profile's `maxActive`."""
    max_active_per_user: int = Field(default=16, ge=1, validation_alias="DRISHTIKSHA_MAX_ACTIVE_PER_USER")
    """Attempts in flight per user."""
    attempts: int = Field(default=3, ge=1, le=10, validation_alias="DRISHTIKSHA_ATTEMPTS")
    """Attempts per analysis."""
    create_concurrency: int = Field(default=20, ge=1, validation_alias="DRISHTIKSHA_CREATE_CONCURRENCY")
    """Jobs that are created at the same time."""
    discovery_deadline: Seconds = Field(default=3600.0, validation_alias="DRISHTIKSHA_DISCOVERY_DEADLINE")
    """How long the ML services may be away before a run fails; not counted while SERVER_URL is unset."""
    pending_deadline: Seconds = Field(default=6 * 3600.0, validation_alias="DRISHTIKSHA_PENDING_DEADLINE")
    """From an attempt to the start of its pod."""
    hopeless_deadline: Seconds = Field(default=600.0, validation_alias="DRISHTIKSHA_HOPELESS_DEADLINE")
    """How long a pending state that does not heal by itself (ImagePullBackOff, a refusal) may last."""
    running_deadline: Seconds = Field(default=1800.0, validation_alias="DRISHTIKSHA_RUNNING_DEADLINE")
    """From the start of an attempt to its result."""
    run_age_limit: Seconds = Field(default=7 * 86400.0, validation_alias="DRISHTIKSHA_RUN_AGE_LIMIT")
    """How old a run may become, waiting for a place included."""
    silence: Seconds = Field(default=120.0, validation_alias="DRISHTIKSHA_SILENCE")
    """Without a word of its runner for so long, the pod is looked at."""
    job_ttl: Seconds = Field(default=600.0, validation_alias="DRISHTIKSHA_JOB_TTL")
    """How long a Job that has ended stays."""
    resource_ttl: Seconds = Field(default=86400.0, validation_alias="DRISHTIKSHA_RESOURCE_TTL")
    """How long the resource of a run that has ended stays."""
    sweep: Seconds = Field(default=30.0, validation_alias="DRISHTIKSHA_SWEEP")
    """Pause between two looks at all that is not final."""
    reconcile_all: Seconds = Field(default=600.0, validation_alias="DRISHTIKSHA_RECONCILE_ALL")
    """Pause between two comparisons of all rows with all resources."""
    second_look: Seconds = Field(default=30.0, validation_alias="DRISHTIKSHA_SECOND_LOOK")
    """Time between the two looks before "no compatible model" is believed."""
    fake_from: float = Field(default=0.6, ge=0, le=1, validation_alias="DRISHTIKSHA_FAKE_FROM")
    """A mean probability of FAKE from here on is the verdict FAKE."""
    real_to: float = Field(default=0.4, ge=0, le=1, validation_alias="DRISHTIKSHA_REAL_TO")
    """One up to here is the verdict REAL; between the two it is INCONCLUSIVE."""

    @field_validator("door_url")
    @classmethod
    def _http(cls, value: str) -> str:
        return http_url(value)


BUCKETS: Mapping[str, type[Group]] = {"s3": S3, "gcs": GCS, "azure": Azure, "cloudinary": Cloudinary}
"""By STORAGE_PROVIDER what is read beside it."""
STORES: tuple[type[Group], ...] = (Storage, *BUCKETS.values())
"""What whoever opens the object store may need, whichever it is."""
_GROUND: tuple[type[Group], ...] = (Process, Database, Redis, Signing, *STORES)

READ_BY: Mapping[str, tuple[type[Group], ...]] = {
    "api": (*_GROUND, Auth, ML, Kubernetes, Http, Metrics, Retention),
    "door": (*_GROUND, Door, Metrics),
    "operator": (Process, Database, Redis, Signing, ML, Kubernetes, Operator, Metrics),
    "migrate": (Process, Database),
    "verify": (Database, Kubernetes, *STORES, Operator, Retention),
}
"""The groups that each process reads. Secrets of other groups need not be given to it."""

GROUPS: tuple[type[Group], ...] = (
    Process, Database, Redis, Auth, Signing, *STORES, ML, Kubernetes, Http, Door, Metrics, Retention, Operator,
)  # fmt: skip


def check_names(environment: Mapping[str, str] | None = None) -> list[str]:
    """Refuse unknown names that begin with DRISHTIKSHA_ (BadSettings); a sentence for each retired name that is set.

    Without an argument the whole of what `load` sees is looked at, and the value of DRISHTIKSHA_ENV too.
    """
    if environment is None:
        load(Process)
        environment = from_anywhere()
    told = {name for name, value in environment.items() if not is_service_link(name, value)}
    known = OTHER_NAMES.keys() | names_of(*GROUPS)
    unknown = sorted(n for n in told if n.startswith("DRISHTIKSHA_") and n not in known and "_TEST_" not in n)
    if unknown:
        raise BadSettings(f"unknown setting {', '.join(unknown)}: check the spelling, or unset it")
    return retired(told)
