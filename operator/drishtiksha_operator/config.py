"""The operator's structured settings: which ML services there are, and how each model runs.

They stand in one YAML file that DRISHTIKSHA_CONFIG names (`drishtiksha.example.yaml` shows all of it); without one
SERVER_URL alone is the service and every model runs there. Unknown keys are refused. `discovery` asks the services,
`manifests` builds pods from the profiles.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from drishtiksha.domain.errors import BadSettings
from drishtiksha.domain.media import MediaType
from drishtiksha.reading import secret_files
from drishtiksha.settings import ML, Operator, Seconds

MODEL_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
"""Names of models that we take, from settings and from services alike."""
DEFAULT_SERVICE = "default"
"""The service that SERVER_URL names."""
MAX_MODELS = 32
"""Models per run; what is beyond is left out with a warning."""

GPU_TOLERATION: dict[str, Any] = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
"""What a pod with a GPU tolerates unless its profile says otherwise."""


class Section(BaseModel):
    """Base of all parts of the file: camelCase keys, unknown ones refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_alias=True, validate_by_name=True, extra="forbid", frozen=True
    )


class Service(Section):
    """One ML service that speaks the ML contract."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$")
    url: str | None = None
    """http(s) address; absent only for `default`, which takes SERVER_URL."""
    api_key_from: str = "SERVER_API_KEY"
    """Name of the variable (or file of the secrets folder) that holds its key. The key never stands in this file."""
    dialect: Literal["auto", "2", "3"] = "auto"
    required: bool = True
    """Whether a run waits for it: the set of models is frozen only when every required service has answered."""
    max_active_per_model: int | None = Field(default=None, ge=1)
    """Attempts in flight per model of this service; absent: DRISHTIKSHA_MAX_ACTIVE_PER_MODEL."""
    max_active: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """The same for single models, by name."""
    api_key: SecretStr | None = Field(default=None, exclude=True, repr=False)
    """Filled in from `api_key_from`; refused in the file."""

    @field_validator("url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/") if value else None

    @field_validator("dialect", mode="before")
    @classmethod
    def _digit(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value


class Resources(Section):
    """Requests and limits of one container, as Kubernetes writes quantities."""

    requests: dict[str, str | int] = {"cpu": "100m", "memory": "128Mi"}
    limits: dict[str, str | int] = {"memory": "512Mi"}


class Gpu(Section):
    """Accelerators of the model's container. The resource's name is the cluster's: `amd.com/gpu`, `nvidia.com/mig-…`."""

    resource: str = Field(default="nvidia.com/gpu", pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")
    count: int = Field(default=0, ge=0, le=64)


class Profile(Section):
    """How one model runs: in a shared service, or in a container of its own inside the Job's pod."""

    execution: Literal["service", "pod"] = "service"
    # Of `pod` execution alone: what the container is and which media it takes.
    image: str | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    command: list[str] | None = None
    args: list[str] | None = None
    env: dict[str, str] = Field(default_factory=dict)
    version: str = ""
    media_types: list[MediaType] = Field(default_factory=list)
    needs_audio: bool = False
    port: int = Field(default=8000, ge=1, le=65535)
    resources: Resources = Field(
        default_factory=lambda: Resources(requests={"cpu": "500m", "memory": "512Mi"}, limits={"memory": "2Gi"})
    )
    gpu: Gpu = Field(default_factory=Gpu)
    scratch: str = "4Gi"
    """Size limit of the pod's one scratch folder."""
    startup: Seconds = 600.0
    """How long the model's container may take to load before it counts as failed."""
    # Where the pod may land.
    node_selector: dict[str, str] = Field(default_factory=dict)
    affinity: dict[str, Any] | None = None
    tolerations: list[dict[str, Any]] | None = None
    """Absent: the usual GPU toleration where a GPU is asked for, else none."""
    runtime_class_name: str | None = None
    priority_class_name: str | None = None
    image_pull_secrets: list[str] = Field(default_factory=list)
    # The runner beside it, for both kinds.
    runner_resources: Resources = Field(default_factory=Resources)
    # Clocks, budgets and caps; absent: the platform's.
    pending_deadline: Seconds | None = None
    running_deadline: Seconds | None = None
    attempts: int | None = Field(default=None, ge=1, le=10)
    max_active: int = Field(default=8, ge=1)
    """Attempts in flight of this model, `pod` execution only."""
    polarity: Literal["fake", "real"] = "fake"
    """`real`: the service's frame scores are probabilities of REAL and are turned."""
    weight: float = Field(default=1.0, ge=0, le=1000)
    """How much its probability counts in the verdict."""
    overlay: dict[str, Any] = Field(default_factory=dict)
    """Merged into the pod's spec last, for what nobody foresaw; lists of named things are merged by name."""

    @property
    def wanted_tolerations(self) -> list[dict[str, Any]]:
        if self.tolerations is not None:
            return self.tolerations
        return [GPU_TOLERATION] if self.gpu.count else []


class Override(Profile):
    """A profile for the models whose name matches; what it leaves out comes from the defaults."""

    match: str = Field(min_length=1, max_length=63)


class Models(Section):
    """Profiles: the defaults, and overrides of which the first match wins."""

    defaults: Profile = Field(default_factory=Profile)
    overrides: list[Override] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, data: Any) -> Any:
        """An override starts from the defaults as they stand in the file, key by key, not deeper."""
        if isinstance(data, Mapping) and isinstance(data.get("overrides"), list):
            base = data.get("defaults") or {}
            if isinstance(base, Mapping):
                merged = [{**base, **o} if isinstance(o, Mapping) else o for o in data["overrides"]]
                return {**data, "overrides": merged}
        return data

    @model_validator(mode="after")
    def _declared(self) -> Models:
        if self.defaults.execution == "pod":
            raise ValueError("defaults.execution must be service: a `pod` model is declared by its name in an override")
        for profile in self.overrides:
            if profile.execution == "pod":
                if not MODEL_NAME.match(profile.match):
                    raise ValueError(
                        f"override {profile.match!r}: `pod` execution needs one model's plain name, no pattern"
                    )
                if not profile.image or not profile.media_types:
                    raise ValueError(f"override {profile.match!r}: `pod` execution needs image and mediaTypes")
        return self

    def profile(self, model: str) -> Profile:
        """How this model runs: the first override that matches its name, else the defaults."""
        for override in self.overrides:
            if fnmatchcase(model, override.match):
                return override
        return self.defaults

    @property
    def declared(self) -> dict[str, Profile]:
        """The models that run in `pod` execution, by name. One that an earlier override hides is not declared."""
        names = [o.match for o in self.overrides if o.execution == "pod"]
        return {name: self.profile(name) for name in names if self.profile(name).execution == "pod"}


class Config(Section):
    """The whole file."""

    services: list[Service] = Field(default_factory=list)
    models: Models = Field(default_factory=Models)

    @field_validator("services")
    @classmethod
    def _distinct(cls, value: list[Service]) -> list[Service]:
        names = [service.name for service in value]
        if len(set(names)) != len(names):
            raise ValueError("two services have the same name")
        return value

    def service(self, name: str) -> Service | None:
        """The service of this name, if the settings still know it."""
        return next((s for s in self.services if s.name == name), None)

    def cap(self, model: str, execution: str, source: str, settings: Operator) -> int:
        """How many attempts of this model may be in flight."""
        if execution == "pod":
            return self.models.profile(model).max_active
        service = self.service(source)
        if service is None:
            return settings.max_active_per_model
        return service.max_active.get(model) or service.max_active_per_model or settings.max_active_per_model

    def weights(self, models: Iterable[str]) -> dict[str, float]:
        """How much the probability of each of these models counts in a verdict."""
        return {model: self.models.profile(model).weight for model in models}


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key that stands twice is a fault, not a silent loss."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse(text: str, ml: ML, environ: Mapping[str, str], origin: str = "DRISHTIKSHA_CONFIG") -> Config:
    """The settings of a file's text, with SERVER_URL as the first service and each service's key filled in.

    Raises BadSettings with a sentence per fault that names file and place.
    """
    try:
        data = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
        data = {} if data is None else data
        for service in _listed(data, "services"):
            if isinstance(service, dict) and ("apiKey" in service or "api_key" in service):
                raise BadSettings(f"{origin}: services: keys do not stand in this file; name a variable by apiKeyFrom.")
        config = Config.model_validate(data)
    except yaml.YAMLError as error:
        raise BadSettings(f"{origin} is not readable YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        )
        raise BadSettings(f"{origin}: {faults}") from None
    return config.model_copy(update={"services": [_keyed(s, ml, environ, origin) for s in _with_default(config, ml)]})


def load(settings: Operator, ml: ML) -> Config:
    """The settings of this process. Raises BadSettings."""
    environ = {**secret_files(), **os.environ}
    if settings.config is None:
        return parse("", ml, environ)
    try:
        text = Path(settings.config).read_text(encoding="utf-8")
    except OSError as error:
        raise BadSettings(f"DRISHTIKSHA_CONFIG: {settings.config} cannot be read ({error.strerror})") from error
    return parse(text, ml, environ, f"DRISHTIKSHA_CONFIG ({settings.config})")


def _with_default(config: Config, ml: ML) -> list[Service]:
    """All services, SERVER_URL first: as the entry `default` describes it, or with the defaults."""
    described = config.service(DEFAULT_SERVICE)
    others = [s for s in config.services if s.name != DEFAULT_SERVICE]
    if described is None and ml.url is None:
        return others
    first = described or Service(name=DEFAULT_SERVICE, dialect=ml.dialect)
    if first.url is None:
        if ml.url is None:
            return others
        first = first.model_copy(update={"url": ml.url})
    return [first, *others]


def _keyed(service: Service, ml: ML, environ: Mapping[str, str], origin: str) -> Service:
    if service.url is None:
        raise BadSettings(f"{origin}: services: {service.name} has no url")
    if service.api_key_from == "SERVER_API_KEY":
        return service.model_copy(update={"api_key": ml.api_key})
    value = environ.get(service.api_key_from)
    if value is None:
        raise BadSettings(
            f"{origin}: services: {service.name} takes its key from {service.api_key_from}, which is not set"
        )
    return service.model_copy(update={"api_key": SecretStr(value)})


def _listed(data: Any, key: str) -> list[Any]:
    found = data.get(key) if isinstance(data, dict) else None
    return found if isinstance(found, list) else []
