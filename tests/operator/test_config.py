"""The operator's file: what is refused, which profile a model gets, and the example as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from drishtiksha.domain.errors import BadSettings
from drishtiksha.settings import ML, Operator
from drishtiksha_operator.config import Config, parse

ROOT = Path(__file__).parents[2]
SERVER = ML.model_validate({"SERVER_URL": "http://ml:8000/", "SERVER_API_KEY": "k" * 8})
NOWHERE = ML.model_validate({})


def read(text: str, ml: ML = SERVER, environ: dict[str, str] | None = None) -> Config:
    return parse(text, ml, environ or {})


def test_without_a_file_server_url_alone_is_the_service_and_all_models_run_there() -> None:
    config = read("")
    assert [(s.name, s.url) for s in config.services] == [("default", "http://ml:8000")]
    assert config.services[0].api_key is not None
    assert config.models.profile("ANY-V1").execution == "service"
    assert config.models.declared == {}


def test_without_any_service_there_is_none() -> None:
    assert read("", NOWHERE).services == []


def test_the_first_override_that_matches_wins_and_starts_from_the_defaults() -> None:
    models = read(
        """
models:
  defaults: {attempts: 2, scratch: 1Gi}
  overrides:
    - {match: "A-*", scratch: 2Gi}
    - {match: "A-SPECIAL", attempts: 7}
"""
    ).models
    assert (models.profile("A-SPECIAL").scratch, models.profile("A-SPECIAL").attempts) == ("2Gi", 2)
    assert (models.profile("B").scratch, models.profile("B").attempts) == ("1Gi", 2)


def test_a_pattern_is_no_regular_expression_and_case_counts() -> None:
    models = read('models: {overrides: [{match: "A.*", weight: 3}]}').models
    assert models.profile("AB").weight == 1
    assert models.profile("a.x").weight == 1
    assert models.profile("A.x").weight == 3


POD = "{match: G, execution: pod, image: i, mediaTypes: [VIDEO], gpu: {count: 1}%s}"


def test_a_gpu_brings_its_toleration_and_no_gpu_brings_none() -> None:
    models = read(f"models: {{overrides: [{POD % ''}]}}").models
    assert models.declared["G"].wanted_tolerations == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert models.profile("other").wanted_tolerations == []
    assert read(f"models: {{overrides: [{POD % ', tolerations: []'}]}}").models.declared["G"].wanted_tolerations == []


def test_a_pod_model_that_an_earlier_override_hides_is_not_declared() -> None:
    models = read(f'models: {{overrides: [{{match: "*"}}, {POD % ""}]}}').models
    assert models.declared == {}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("servicess: []", "servicess"),
        ("models: {overrides: [{match: A, gpus: 1}]}", "gpus"),
        ("models: {overrides: [{attempts: 1}]}", "match"),
        ("models: {overrides: [{match: 'A*', execution: pod, image: i, mediaTypes: [IMAGE]}]}", "plain name"),
        ("models: {overrides: [{match: A, execution: pod, image: i}]}", "mediaTypes"),
        ("models: {defaults: {execution: pod}}", "defaults.execution"),
        ("models: {overrides: [{match: A, attempts: 0}]}", "attempts"),
        ("models: {overrides: [{match: A, runningDeadline: soon}]}", "runningDeadline"),
        ("models: {defaults: {attempts: 1, attempts: 2}}", "stands twice"),
        ("services: [{name: a, url: 'ftp://x'}]", "http://"),
        ("services: [{name: a}]", "no url"),
        ("services: [{name: a, url: 'http://x', apiKey: s3cret}]", "keys do not stand in this file"),
        ("services: [{name: a, url: 'http://x', apiKeyFrom: NOT_SET}]", "NOT_SET"),
        ("services: [{name: a, url: 'http://x'}, {name: a, url: 'http://y'}]", "same name"),
        ("a: [", "YAML"),
        ("[]", "file"),
        ("services: 5", "services"),
        ("services: [5]", "services"),
    ],
)
def test_a_fault_is_refused_with_a_sentence_that_names_it(text: str, sentence: str) -> None:
    with pytest.raises(BadSettings, match="DRISHTIKSHA_CONFIG") as caught:
        read(text)
    assert sentence in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_each_service_has_the_key_of_its_own_variable() -> None:
    config = read("services: [{name: farm, url: 'http://farm', apiKeyFrom: FARM_KEY}]", environ={"FARM_KEY": "f"})
    assert [s.name for s in config.services] == ["default", "farm"]
    assert config.services[1].api_key is not None
    assert config.services[1].api_key.get_secret_value() == "f"
    assert "'f'" not in repr(config)


def test_the_cap_of_a_model_is_its_own_else_its_services_else_the_platforms() -> None:
    settings = Operator.model_validate({"DRISHTIKSHA_MAX_ACTIVE_PER_MODEL": 4})
    config = read(
        f"""
services: [{{name: default, maxActivePerModel: 6, maxActive: {{X: 9}}}}, {{name: b, url: "http://b"}}]
models: {{overrides: [{POD % ", maxActive: 2"}]}}
"""
    )
    assert config.cap("G", "pod", "i", settings) == 2
    assert config.cap("X", "service", "default", settings) == 9
    assert config.cap("Y", "service", "default", settings) == 6
    assert config.cap("Y", "service", "b", settings) == 4
    assert config.cap("Y", "service", "gone", settings) == 4


def test_the_example_is_accepted_and_shows_every_key() -> None:
    text = (ROOT / "drishtiksha.example.yaml").read_text()
    config = read(text)
    face = config.models.declared["FACE-TEMPORAL-V1"]
    assert (face.gpu.resource, face.gpu.count, face.max_active) == ("nvidia.com/gpu", 1, 8)
    assert config.models.profile("AUDIO-EVIDENCE-V1").running_deadline == 900
    for section in (type(face), type(config.services[0])):
        for name, field in section.model_fields.items():
            assert name == "api_key" or f"{field.alias}:" in text, f"{field.alias} is not in the example"


def test_the_one_machine_clusters_file_is_accepted() -> None:
    config = read((ROOT / "devcluster" / "drishtiksha_devcluster" / "config.yaml").read_text())
    assert config.models.declared
