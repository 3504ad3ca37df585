"""Settings from the environment, `.env` and a secrets folder: one small group per neighbour.

`load(Group)` reads one group and raises `BadSettings` with a sentence that names the setting; `check_names()` refuses
unknown `DRISHTIKSHA_…` names. A process loads only the groups of the neighbours it talks to. Durations are seconds.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import BeforeValidator, Field, FilePath, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .domain.errors import BadSettings

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def seconds(text: object) -> object:
    """`90`, `90s`, `10m`, `24h`, `7d`, `2w` as seconds; anything else is returned for pydantic to refuse."""
    if isinstance(text, str) and (found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?\s*", text)):
        return float(found[1]) * _UNITS[found[2] or "s"]
    return text


Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
"""A duration: a number with ms, s, m, h, d or w; a bare number is seconds."""


def _split(text: object) -> object:
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


CommaList = Annotated[list[str], NoDecode, BeforeValidator(_split)]


class Group(BaseSettings):
    """Base of all groups: exact names, `.env` of the working folder, files in DRISHTIKSHA_SECRETS_DIR."""

    model_config = SettingsConfigDict(
        env_file=None, extra="ignore", case_sensitive=True, env_ignore_empty=True, populate_by_name=True, frozen=True
    )


class Database(Group):
    """PostgreSQL. `url` is the form that SQLAlchemy's psycopg driver takes."""

    url: SecretStr = Field(validation_alias="DATABASE_URL")
    pool_size: int = Field(default=10, ge=1, le=200, validation_alias="DRISHTIKSHA_DATABASE_POOL")
    statement_timeout: Seconds = Field(default=15.0, validation_alias="DRISHTIKSHA_STATEMENT_TIMEOUT")

    @field_validator("url", mode="before")
    @classmethod
    def _driver(cls, value: object) -> object:
        return sqlalchemy_url(value) if isinstance(value, str) else value


class Redis(Group):
    """Redis or Valkey: the live channel. Password, TLS (rediss://) and database number come from the URL."""

    url: SecretStr = Field(validation_alias="REDIS_URL")
    ml_channel: str = Field(default="media-progress-events", validation_alias="MEDIA_PROGRESS_CHANNEL_NAME")


class Auth(Group):
    """Tokens of people."""

    jwt_secret: SecretStr = Field(validation_alias="JWT_SECRET")
    jwt_lifetime: Seconds = Field(default=86400.0, validation_alias="JWT_EXPIRES_IN")

    @field_validator("jwt_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value().encode()) < 32:
            raise ValueError("must have at least 32 bytes; make one with: openssl rand -hex 32")
        return value


class Signing(Group):
    """Keys for attempt tokens and media links: `id:secret,…`. The first signs, all verify."""

    keys: SecretStr = Field(validation_alias="DRISHTIKSHA_SIGNING_KEYS")
    url_lifetime: Seconds = Field(default=3600.0, validation_alias="DRISHTIKSHA_URL_LIFETIME")

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
    local_path: Path = Field(default=Path("objects"), validation_alias="LOCAL_STORAGE_PATH")
    redirect: Seconds | None = Field(default=None, le=3600, validation_alias="DRISHTIKSHA_STORAGE_REDIRECT")
    """Who asks for bytes is sent to the store's own address, good for so long. Unset: we serve them ourselves."""


Folder = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$")]
"""A folder within a bucket, without a slash at its ends; one bucket may serve several platforms."""
Server = Annotated[str, Field(pattern=r"^https?://[^/\s?#@]+$")]
"""Scheme, host and port, without a slash at the end."""


class S3(Group):
    """Amazon S3, or a server that speaks its protocol. Without keys: the role of the machine or the pod."""

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", validation_alias="DRISHTIKSHA_S3_BUCKET")
    folder: Folder | None = Field(default=None, validation_alias="DRISHTIKSHA_S3_PREFIX")
    region: str = Field(default="us-east-1", pattern=r"^[A-Za-z0-9-]{1,64}$", validation_alias="AWS_REGION")
    endpoint: Server | None = Field(default=None, validation_alias="DRISHTIKSHA_S3_ENDPOINT")
    path_style: bool | None = Field(default=None, validation_alias="DRISHTIKSHA_S3_PATH_STYLE")
    """The bucket in the path, not in the host's name. Unset: with an endpoint of your own, yes; with Amazon's, no."""
    key_id: str | None = Field(default=None, validation_alias="AWS_ACCESS_KEY_ID")
    key: SecretStr | None = Field(default=None, validation_alias="AWS_SECRET_ACCESS_KEY")
    token: SecretStr | None = Field(default=None, validation_alias="AWS_SESSION_TOKEN")

    @model_validator(mode="after")
    def _both_keys(self) -> S3:
        if (self.key_id is None) != (self.key is None):
            raise ValueError("AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: set both, or none")
        return self


class GCS(Group):
    """Google Cloud Storage. Without a credentials file: the service account of the machine or the pod."""

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$", validation_alias="DRISHTIKSHA_GCS_BUCKET")
    folder: Folder | None = Field(default=None, validation_alias="DRISHTIKSHA_GCS_PREFIX")
    credentials: FilePath | None = Field(default=None, validation_alias="GOOGLE_APPLICATION_CREDENTIALS")


class Azure(Group):
    """Azure Blob Storage. Without an account key: the managed identity of the machine or the pod."""

    container: str = Field(
        pattern=r"^[a-z0-9]([a-z0-9-]{1,61}[a-z0-9])$", validation_alias="DRISHTIKSHA_AZURE_CONTAINER"
    )
    folder: Folder | None = Field(default=None, validation_alias="DRISHTIKSHA_AZURE_PREFIX")
    account: str = Field(pattern=r"^[a-z0-9]{3,24}$", validation_alias="AZURE_STORAGE_ACCOUNT_NAME")
    key: SecretStr | None = Field(default=None, validation_alias="AZURE_STORAGE_ACCOUNT_KEY")
    endpoint: str | None = Field(
        default=None, pattern=r"^https?://[^\s?#@]+$", validation_alias="DRISHTIKSHA_AZURE_ENDPOINT"
    )


class ML(Group):
    """The first ML service; more of them, and `pod` models, stand in the file of DRISHTIKSHA_CONFIG."""

    url: str | None = Field(default=None, validation_alias="SERVER_URL")
    api_key: SecretStr | None = Field(default=None, validation_alias="SERVER_API_KEY")
    dialect: str = Field(default="auto", pattern="^(auto|2|3)$", validation_alias="SERVER_DIALECT")

    @field_validator("url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/") if value else None


class Kubernetes(Group):
    """The cluster: KUBECONFIG or the pod's own service account; one namespace."""

    namespace: str = Field(
        default="drishtiksha", pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", validation_alias="DRISHTIKSHA_NAMESPACE"
    )
    kubeconfig: Path | None = Field(default=None, validation_alias="KUBECONFIG")


class Http(Group):
    """The public api: where it listens and how clients reach it."""

    host: str = Field(default="127.0.0.1", validation_alias="DRISHTIKSHA_HOST")
    port: int = Field(default=3000, ge=0, le=65535, validation_alias="PORT")
    base_url: str = Field(default="http://127.0.0.1:3000", validation_alias="BASE_URL")
    frontend_urls: CommaList = Field(default_factory=list, validation_alias="FRONTEND_URL")
    max_upload_bytes: int = Field(default=150 * 1024 * 1024, ge=1, validation_alias="MAX_UPLOAD_BYTES")
    quota_bytes: int | None = Field(default=None, ge=0, validation_alias="DRISHTIKSHA_QUOTA_BYTES")
    quota_media: int | None = Field(default=None, ge=0, validation_alias="DRISHTIKSHA_QUOTA_MEDIA")
    trusted_proxies: CommaList = Field(default_factory=list, validation_alias="DRISHTIKSHA_TRUSTED_PROXIES")

    @field_validator("frontend_urls")
    @classmethod
    def _exact_origins(cls, value: list[str]) -> list[str]:
        if "*" in value:
            raise ValueError("`*` is refused: cookies need exact origins, for example https://app.example.org")
        return [origin.rstrip("/") for origin in value]

    @field_validator("base_url")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        return value.rstrip("/")


class Door(Group):
    """The internal door: where it listens, and the address that pods are told."""

    host: str = Field(default="127.0.0.1", validation_alias="DRISHTIKSHA_HOST")
    port: int = Field(default=3001, ge=0, le=65535, validation_alias="DRISHTIKSHA_DOOR_PORT")
    running_deadline: Seconds = Field(default=1800.0, validation_alias="DRISHTIKSHA_RUNNING_DEADLINE")


class Metrics(Group):
    """Prometheus metrics and health of a process."""

    host: str = Field(default="127.0.0.1", validation_alias="DRISHTIKSHA_HOST")
    port: int = Field(default=9464, ge=0, le=65535, validation_alias="DRISHTIKSHA_METRICS_PORT")


class Retention(Group):
    """How long things are kept."""

    events: Seconds = Field(default=30 * 86400.0, validation_alias="DRISHTIKSHA_EVENT_RETENTION")


class Operator(Group):
    """The operator's caps, clocks and intervals."""

    config: Path | None = Field(default=None, validation_alias="DRISHTIKSHA_CONFIG")
    door_url: str = Field(default="http://127.0.0.1:3001", validation_alias="DRISHTIKSHA_DOOR_URL")
    runner_image: str = Field(default="drishtiksha/jobrunner", validation_alias="DRISHTIKSHA_RUNNER_IMAGE")
    max_active_jobs: int = Field(default=64, ge=1, validation_alias="DRISHTIKSHA_MAX_ACTIVE_JOBS")
    max_active_per_model: int = Field(default=5, ge=1, validation_alias="DRISHTIKSHA_MAX_ACTIVE_PER_MODEL")
    max_active_per_user: int = Field(default=16, ge=1, validation_alias="DRISHTIKSHA_MAX_ACTIVE_PER_USER")
    attempts: int = Field(default=3, ge=1, le=10, validation_alias="DRISHTIKSHA_ATTEMPTS")
    create_concurrency: int = Field(default=20, ge=1, validation_alias="DRISHTIKSHA_CREATE_CONCURRENCY")
    discovery_deadline: Seconds = Field(default=3600.0, validation_alias="DRISHTIKSHA_DISCOVERY_DEADLINE")
    pending_deadline: Seconds = Field(default=6 * 3600.0, validation_alias="DRISHTIKSHA_PENDING_DEADLINE")
    hopeless_deadline: Seconds = Field(default=600.0, validation_alias="DRISHTIKSHA_HOPELESS_DEADLINE")
    """How long a pending state that does not heal by itself (ImagePullBackOff, a refusal) may last."""
    running_deadline: Seconds = Field(default=1800.0, validation_alias="DRISHTIKSHA_RUNNING_DEADLINE")
    run_age_limit: Seconds = Field(default=7 * 86400.0, validation_alias="DRISHTIKSHA_RUN_AGE_LIMIT")
    silence: Seconds = Field(default=120.0, validation_alias="DRISHTIKSHA_SILENCE")
    job_ttl: Seconds = Field(default=600.0, validation_alias="DRISHTIKSHA_JOB_TTL")
    resource_ttl: Seconds = Field(default=86400.0, validation_alias="DRISHTIKSHA_RESOURCE_TTL")
    sweep: Seconds = Field(default=30.0, validation_alias="DRISHTIKSHA_SWEEP")
    reconcile_all: Seconds = Field(default=600.0, validation_alias="DRISHTIKSHA_RECONCILE_ALL")
    second_look: Seconds = Field(default=30.0, validation_alias="DRISHTIKSHA_SECOND_LOOK")
    """Time between the two looks before "no compatible model" is believed."""
    fake_from: float = Field(default=0.6, ge=0, le=1, validation_alias="DRISHTIKSHA_FAKE_FROM")
    real_to: float = Field(default=0.4, ge=0, le=1, validation_alias="DRISHTIKSHA_REAL_TO")


GROUPS: tuple[type[Group], ...] = (
    Database, Redis, Auth, Signing, Storage, ML, Kubernetes, Http, Door, Metrics, Retention, Operator,
)  # fmt: skip

BUCKETS: tuple[type[Group], ...] = (S3, GCS, Azure)
"""Each is loaded only where it is the chosen store."""
STORES: tuple[type[Group], ...] = (Storage, *BUCKETS)
"""What whoever opens the object store may need, whichever it is."""

OTHER_NAMES = frozenset(
    {
        "DRISHTIKSHA_ENV",
        "DRISHTIKSHA_HOME",
        "DRISHTIKSHA_DATABASE_PASSWORD",
        "DRISHTIKSHA_SECRETS_DIR",
        "DRISHTIKSHA_API",
        "DRISHTIKSHA_ATTEMPT_TOKEN",
        "DRISHTIKSHA_EMAIL",
        "DRISHTIKSHA_PASSWORD",
        "DRISHTIKSHA_CONTROL_PLANE_URL",
        "DRISHTIKSHA_CONTROL_PLANE_SHA256",
    }
)
"""Names that other places read: the command line, the runner, the one-machine cluster."""

RETIRED = {
    "DB_PROVIDER": "PostgreSQL is the only database; set DATABASE_URL",
    "BCRYPT_ROUNDS": "passwords are hashed with argon2id",
    "JWT_REFRESH_SECRET": "there are no refresh tokens; see JWT_EXPIRES_IN",
    "JWT_REFRESH_EXPIRES_IN": "there are no refresh tokens; see JWT_EXPIRES_IN",
    "API_BASE_URL": "set BASE_URL",
    "MEDIA_PROCESSING_QUEUE_NAME": "there is no queue; each analysis is a Kubernetes Job",
    "POSTGRES_USER": "set DATABASE_URL",
    "POSTGRES_PASSWORD": "set DATABASE_URL",
    "POSTGRES_DB": "set DATABASE_URL",
}
"""Names of the system that this one replaces, and what took their place."""

GroupT = TypeVar("GroupT", bound=Group)


def load(group: type[GroupT]) -> GroupT:
    """Read one group from the environment, `.env` and the secrets folder. Raises BadSettings with a sentence per fault."""
    secrets = os.environ.get("DRISHTIKSHA_SECRETS_DIR")
    try:
        return group(_env_file=".env" if Path(".env").is_file() else None, _secrets_dir=secrets)
    except ValidationError as error:
        raise BadSettings("; ".join(_sentence(group, e["loc"], e["msg"], e["type"]) for e in error.errors())) from None


def check_names(environment: Mapping[str, str] | None = None) -> list[str]:
    """Refuse unknown DRISHTIKSHA_ names (BadSettings); return one sentence for each retired name that is set."""
    environment = os.environ if environment is None else environment
    known = OTHER_NAMES | {str(f.validation_alias) for g in GROUPS + BUCKETS for f in g.model_fields.values()}
    unknown = sorted(n for n in environment if n.startswith("DRISHTIKSHA_") and n not in known and "_TEST_" not in n)
    if unknown:
        raise BadSettings(f"unknown setting {', '.join(unknown)}: check the spelling, or unset it")
    return [f"{name} is no longer used: {RETIRED[name]}" for name in sorted(environment) if name in RETIRED]


def _sentence(group: type[Group], where: tuple[int | str, ...], message: str, kind: str) -> str:
    if not where:  # of several settings together: the sentence names them
        return message.removeprefix("Value error, ")
    field = group.model_fields.get(str(where[0]))
    name = str(field.validation_alias) if field else ".".join(map(str, where))
    if kind == "missing":
        return f"{name} is not set"
    return f"{name}: {message.removeprefix('Value error, ')}"


_POOL_OPTIONS = frozenset({"connection_limit", "pool_timeout", "pgbouncer", "statement_cache_size", "socket_timeout"})


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
            query["options"] = f"-csearch_path={value}"
        elif key in _POOL_OPTIONS:
            warnings.warn(f"DATABASE_URL: option {key} is not used here and was dropped", stacklevel=2)
        else:
            query[key] = value
    return urlunsplit(("postgresql+psycopg", parts.netloc, parts.path, urlencode(query), ""))
