"""The product's own processes on one machine, as values: api, door, operator, modelserver and the two process nodes.

Each gets the settings of its own neighbours and no others, so that a process here holds the same secrets as in a
cluster. `platform.py` fills in the wiring; tests make several of them on one cluster by `suffix` and `namespace`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from drishtiksha import settings
from drishtiksha.settings import Group

from .process import ProcessSpec

SHARED_MODELS = (
    *("PROVENANCE-V1", "GEN-WATERMARK-V1", "JPEG-GRID-V1", "IMAGE-SPECTRUM-V1", "EYE-BLINK-V1"),
    "AUDIO-EVIDENCE-V1",
)
"""The detectors of the shared service. FACE-TEMPORAL-V1 runs in pods of its own (config.yaml)."""

PORTS = ("api", "api-metrics", "door", "door-metrics", "operator-metrics", "modelserver", "cpu-0", "gpu-0")
"""Names of the ports that these processes need."""

IMAGES = {
    "drishtiksha/jobrunner": (sys.executable, "-m", "drishtiksha_jobrunner.main"),
    "drishtiksha/modelserver": (sys.executable, "-m", "drishtiksha_models.main", "serve"),
}
"""What the process nodes run for an image's name."""

_ALWAYS = ("NODE_ENV", "DRISHTIKSHA_ENV")
_MODEL_SERVICE = (
    *("SERVER_API_KEY", "ACTIVE_MODELS", "MAX_UPLOAD_BYTES", "WORKERS", "WAITING"),
    *("ANALYSIS_DEADLINE", "BODY_SILENCE"),
)
_PATHS = ("TRUST_ANCHORS", "WEIGHTS", "BUNDLES")
"""Of the model service's settings; relative to where the platform is started from."""


@dataclass(frozen=True)
class Wiring:
    """Who finds whom where. `ports` by the names of PORTS."""

    home: Path
    settings: Mapping[str, str]
    """The person's settings; what is wired here takes their place."""
    ports: Mapping[str, int]
    database_url: str
    redis_url: str
    server_url: str
    namespace: str = "drishtiksha"
    suffix: str = ""
    """Added to the names of api, door, operator and modelserver when there are several on one cluster."""
    present: frozenset[str] = field(default_factory=frozenset)
    """Names of the neighbours that the same supervisor runs; others are not waited for."""

    @property
    def base_url(self) -> str:
        """How clients reach the api."""
        return self.settings.get("BASE_URL") or f"http://127.0.0.1:{self.ports['api']}"

    @property
    def door_url(self) -> str:
        """What pods are told."""
        return f"http://127.0.0.1:{self.ports['door']}"

    @property
    def wired(self) -> dict[str, str]:
        """All settings that this wiring decides."""
        return {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "SERVER_URL": self.server_url,
            "BASE_URL": self.base_url,
            "PORT": str(self.ports["api"]),
            "DRISHTIKSHA_DOOR_PORT": str(self.ports["door"]),
            "DRISHTIKSHA_DOOR_URL": self.door_url,
            "DRISHTIKSHA_HOST": self.settings.get("DRISHTIKSHA_HOST") or "127.0.0.1",
            "DRISHTIKSHA_NAMESPACE": self.namespace,
            "DRISHTIKSHA_CONFIG": self.settings.get("DRISHTIKSHA_CONFIG") or str(self.home / "config.yaml"),
            "LOCAL_STORAGE_PATH": self.settings.get("LOCAL_STORAGE_PATH") or str(self.home / "objects"),
        }

    def env(self, *groups: type[Group], **more: str) -> dict[str, str]:
        """The settings of these groups, as far as they are set, and `more`."""
        names = settings.names_of(*groups) | set(_ALWAYS)
        values = {**self.settings, **self.wired}
        return {name: values[name] for name in sorted(names) if values.get(name)} | more

    def needs(self, *names: str) -> tuple[str, ...]:
        """Those of these neighbours that the supervisor runs."""
        return tuple(name for name in names if name in self.present)


def api(w: Wiring) -> ProcessSpec:
    """The public api with its dispatcher."""
    groups = settings.READ_BY["api"]
    return ProcessSpec(
        name=f"api{w.suffix}",
        argv=(sys.executable, "-m", "drishtiksha_api.main", "serve"),
        env=w.env(*groups, **_metrics(w, "api"), KUBECONFIG=str(w.home / "kubeconfig" / "drishtiksha-api.yaml")),
        ready=f"http://127.0.0.1:{w.ports['api']}/readyz",
        needs=w.needs("postgres", "valkey"),
        grace=15.0,
        cwd=w.home,
    )


def door(w: Wiring) -> ProcessSpec:
    """The internal door."""
    groups = settings.READ_BY["door"]
    return ProcessSpec(
        name=f"door{w.suffix}",
        argv=(sys.executable, "-m", "drishtiksha_api.main", "door"),
        env=w.env(*groups, **_metrics(w, "door")),
        ready=f"http://127.0.0.1:{w.ports['door-metrics']}/healthz",
        needs=w.needs("postgres", "valkey"),
        grace=35.0,
        cwd=w.home,
    )


def operator(w: Wiring) -> ProcessSpec:
    """The operator."""
    groups = settings.READ_BY["operator"]
    kubeconfig = str(w.home / "kubeconfig" / "drishtiksha-operator.yaml")
    return ProcessSpec(
        name=f"operator{w.suffix}",
        argv=(sys.executable, "-m", "drishtiksha_operator.main"),
        env=w.env(*groups, **_metrics(w, "operator"), KUBECONFIG=kubeconfig),
        ready=f"http://127.0.0.1:{w.ports['operator-metrics']}/healthz",
        needs=w.needs("postgres", "valkey", "kube-apiserver"),
        grace=15.0,
        cwd=w.home,
    )


def modelserver(w: Wiring) -> ProcessSpec:
    """The shared ML service."""
    own = {name: w.settings[name] for name in (*_MODEL_SERVICE, *_ALWAYS) if w.settings.get(name)}
    own |= {name: str(Path(w.settings[name]).expanduser().absolute()) for name in _PATHS if w.settings.get(name)}
    port = w.ports["modelserver"]
    return ProcessSpec(
        name=f"modelserver{w.suffix}",
        argv=(sys.executable, "-m", "drishtiksha_models.main", "serve"),
        env={"ACTIVE_MODELS": ",".join((*SHARED_MODELS, "bundle:*")), **own, "HOST": "127.0.0.1", "PORT": str(port)},
        ready=f"http://127.0.0.1:{port}/readyz",
        grace=12.0,
        cwd=w.home,
    )


def node(w: Wiring, name: str, *, gpus: int = 0) -> ProcessSpec:
    """A process node; with `gpus` it is the tainted one that simulates them."""
    argv = [
        *(sys.executable, "-m", "drishtiksha_devcluster.node", "--name", name, "--home", str(w.home)),
        *("--kubeconfig", str(w.home / "kubeconfig" / f"{name}.yaml"), "--images", str(w.home / "images.json")),
        *("--port", str(w.ports[name])),
    ]
    if gpus:
        argv += ["--gpu", str(gpus), "--label", "drishtiksha.io/accelerator=gpu"]
        argv += ["--taint", "nvidia.com/gpu=present:NoSchedule"]
    return ProcessSpec(
        name=name,
        argv=tuple(argv),
        env={k: v for k, v in w.settings.items() if k in _ALWAYS},
        ready=f"tcp://127.0.0.1:{w.ports[name]}",
        needs=w.needs("kube-apiserver"),
        grace=30.0,
        cwd=w.home,
    )


def all_of_them(w: Wiring, *, gpus: int, own_models: bool) -> list[ProcessSpec]:
    """Every process of the product; `own_models`: the ML service is ours to bring."""
    services = [modelserver(w)] if own_models else []
    return [*services, node(w, "cpu-0"), node(w, "gpu-0", gpus=gpus), door(w), api(w), operator(w)]


def images_file() -> str:
    """The text of `images.json`."""
    return json.dumps({name: list(command) for name, command in IMAGES.items()}, indent=1) + "\n"


def _metrics(w: Wiring, name: str) -> dict[str, str]:
    return {"DRISHTIKSHA_METRICS_PORT": str(w.ports[f"{name}-metrics"])}
