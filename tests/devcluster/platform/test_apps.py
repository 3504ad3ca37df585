"""Each process gets its own neighbours' settings and nobody else's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from drishtiksha_devcluster import apps
from drishtiksha_devcluster.apps import Wiring
from drishtiksha_devcluster.process import ProcessSpec
from drishtiksha_models import detectors

SECRETS = {
    "DATABASE_URL": "postgresql://u:database-secret@127.0.0.1/x",
    "JWT_SECRET": "jwt-secret" * 4,
    "DRISHTIKSHA_SIGNING_KEYS": "k1:" + "signing-secret" * 3,
    "SERVER_API_KEY": "ml-secret",
    "DRISHTIKSHA_DATABASE_PASSWORD": "database-secret",
}


def wiring(tmp_path: Path, **changes: object) -> Wiring:
    fields: dict[str, object] = {
        "home": tmp_path,
        "settings": SECRETS | {"DRISHTIKSHA_ATTEMPTS": "2", "DRISHTIKSHA_ENV": "development"},
        "ports": {name: 40000 + number for number, name in enumerate(apps.PORTS)},
        "database_url": SECRETS["DATABASE_URL"],
        "redis_url": "redis://127.0.0.1:1/0",
        "server_url": "http://127.0.0.1:2",
        "present": frozenset({"postgres", "valkey", "kube-apiserver"}),
    }
    return Wiring(**{**fields, **changes})  # type: ignore[arg-type]


def processes(w: Wiring) -> dict[str, ProcessSpec]:
    return {spec.name: spec for spec in apps.all_of_them(w, gpus=1, own_models=True)}


@pytest.mark.parametrize(
    ("process", "holds"),
    [
        ("api", {"DATABASE_URL", "JWT_SECRET", "DRISHTIKSHA_SIGNING_KEYS", "SERVER_API_KEY"}),
        ("door", {"DATABASE_URL", "DRISHTIKSHA_SIGNING_KEYS"}),
        ("operator", {"DATABASE_URL", "DRISHTIKSHA_SIGNING_KEYS", "SERVER_API_KEY"}),
        ("modelserver", {"SERVER_API_KEY"}),
        ("cpu-0", set()),
        ("gpu-0", set()),
    ],
)
def test_a_process_holds_the_secrets_of_the_architecture_and_no_others(
    tmp_path: Path, process: str, holds: set[str]
) -> None:
    spec = processes(wiring(tmp_path))[process]
    assert {name for name in SECRETS if name in spec.env} == holds
    assert not any(secret in " ".join(spec.argv) for secret in SECRETS.values())


def test_the_persons_settings_reach_their_process_and_the_wiring_wins(tmp_path: Path) -> None:
    w = wiring(tmp_path, settings={**SECRETS, "DRISHTIKSHA_ATTEMPTS": "2", "PORT": "3000", "REDIS_URL": ""})
    found = processes(w)
    assert found["operator"].env["DRISHTIKSHA_ATTEMPTS"] == "2"
    assert "DRISHTIKSHA_ATTEMPTS" not in found["api"].env
    assert found["api"].env["PORT"] == str(w.ports["api"])
    assert found["api"].env["BASE_URL"] == f"http://127.0.0.1:{w.ports['api']}"
    assert found["operator"].env["DRISHTIKSHA_DOOR_URL"] == f"http://127.0.0.1:{w.ports['door']}"
    assert found["door"].env["DRISHTIKSHA_DOOR_PORT"] == str(w.ports["door"])


def test_the_shared_model_service_serves_every_bundle_and_knows_paths_from_where_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert processes(wiring(tmp_path))["modelserver"].env["ACTIVE_MODELS"] == ",".join(
        [*apps.SHARED_MODELS, "bundle:*"]
    )
    monkeypatch.chdir(tmp_path)
    found = processes(
        wiring(tmp_path, settings={**SECRETS, "BUNDLES": "mine", "WEIGHTS": "/theirs", "TRUST_ANCHORS": ""})
    )
    env = found["modelserver"].env
    assert (env["BUNDLES"], env["WEIGHTS"]) == (str(tmp_path / "mine"), "/theirs")
    assert "TRUST_ANCHORS" not in env


def test_each_process_has_its_own_identity_and_its_own_metrics_port(tmp_path: Path) -> None:
    found = processes(wiring(tmp_path))
    kubeconfigs = {name: Path(spec.env["KUBECONFIG"]).name for name, spec in found.items() if "KUBECONFIG" in spec.env}
    assert kubeconfigs == {"api": "drishtiksha-api.yaml", "operator": "drishtiksha-operator.yaml"}
    metrics = [found[name].env["DRISHTIKSHA_METRICS_PORT"] for name in ("api", "door", "operator")]
    assert len(set(metrics)) == 3


def test_nobody_waits_for_a_neighbour_that_somebody_else_runs(tmp_path: Path) -> None:
    assert processes(wiring(tmp_path))["operator"].needs == ("postgres", "valkey", "kube-apiserver")
    assert processes(wiring(tmp_path, present=frozenset({"kube-apiserver"})))["operator"].needs == ("kube-apiserver",)


def test_only_the_gpu_node_has_gpus_a_taint_and_the_label(tmp_path: Path) -> None:
    found = processes(wiring(tmp_path))
    assert "--gpu" not in found["cpu-0"].argv
    words = " ".join(found["gpu-0"].argv)
    assert "--gpu 1" in words
    assert "drishtiksha.io/accelerator=gpu" in words
    assert "nvidia.com/gpu=present:NoSchedule" in words


def test_several_on_one_cluster_differ_by_suffix_and_namespace(tmp_path: Path) -> None:
    found = apps.operator(wiring(tmp_path, suffix="-two", namespace="two"))
    assert found.name == "operator-two"
    assert found.env["DRISHTIKSHA_NAMESPACE"] == "two"


def test_the_images_of_the_platforms_profiles_are_ones_the_nodes_know(tmp_path: Path) -> None:
    from drishtiksha_devcluster import platform

    known = json.loads(apps.images_file())
    profiles = yaml.safe_load(platform._config_text())["models"]["overrides"]
    assert {profile["image"] for profile in profiles if profile.get("image")} <= set(known)
    assert "drishtiksha/jobrunner" in known


def test_the_platforms_profiles_are_good_and_name_the_detector_that_the_shared_service_leaves_out(
    tmp_path: Path,
) -> None:
    from drishtiksha import settings
    from drishtiksha_devcluster import platform
    from drishtiksha_operator import config

    ml = settings.ML(SERVER_URL="http://127.0.0.1:1", SERVER_API_KEY="x")
    found = config.parse(platform._config_text(), ml, {})
    assert set(found.models.declared) == {"FACE-TEMPORAL-V1"}
    assert not set(found.models.declared) & set(apps.SHARED_MODELS)
    folder = Path(detectors.__file__).parent
    every = {path.stem.upper().replace("_", "-") for path in folder.glob("*_v*.py")}
    assert set(found.models.declared) | set(apps.SHARED_MODELS) == every
    profile = found.models.profile("FACE-TEMPORAL-V1")
    assert (profile.gpu.count, profile.node_selector) == (1, {"drishtiksha.io/accelerator": "gpu"})
