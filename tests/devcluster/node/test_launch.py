"""What a container's manifest becomes as a command of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drishtiksha_devcluster.node import quantity
from drishtiksha_devcluster.node.launch import (
    ConfigError,
    Launch,
    Place,
    UnknownImage,
    build,
    entrypoint,
    expand,
    read_images,
    secret_names,
)

PLACE = Place(Path("/home/pods/u1"), Path("/home/logs/u1"), "127.64.1.2", "cpu-0", "/usr/bin")
IMAGES = {"test/run": ["run", "--now"], "empty": [], "registry:5000/x/y": ["y"]}


def launch(secrets: dict[str, dict[str, str]] | None = None, **container: Any) -> Launch:
    whole = {"name": "main", "image": "test/run", **container}
    pod = {"metadata": {"name": "p", "namespace": "n", "uid": "u1"}, "spec": {"containers": [whole]}}
    return build(pod, whole, PLACE, IMAGES, secrets or {})


def env(*entries: dict[str, Any], secrets: dict[str, dict[str, str]] | None = None, **more: Any) -> dict[str, str]:
    return launch(secrets, env=list(entries), **more).env


def test_command_takes_the_place_of_the_image_s_command_and_args_are_added() -> None:
    assert launch().argv == ("run", "--now")
    assert launch(args=["a"]).argv == ("run", "--now", "a")
    assert launch(command=["c"], args=["a"]).argv == ("c", "a")


@pytest.mark.parametrize("image", ["test/run", "test/run:v1", "test/run@sha256:00", "test/run:v1@sha256:00"])
def test_a_tag_or_digest_does_not_hide_an_image(image: str) -> None:
    assert entrypoint(IMAGES, image) == ("run", "--now")


def test_a_registry_s_port_is_no_tag() -> None:
    assert entrypoint(IMAGES, "registry:5000/x/y:1") == ("y",)
    with pytest.raises(UnknownImage, match="other"):
        entrypoint(IMAGES, "other")


def test_variables_are_expanded_as_kubernetes_does() -> None:
    known = {"A": "1", "B_C": "two"}
    assert expand("$(A)-$(B_C)-$(NO)-$$(A)-$A-$$", known) == "1-two-$(NO)-$(A)-$A-$"


def test_a_variable_sees_only_those_before_it_and_args_see_all() -> None:
    made = launch(
        env=[{"name": "A", "value": "$(B)"}, {"name": "B", "value": "b"}, {"name": "C", "value": "$(B)c"}],
        args=["--c=$(C)"],
    )
    assert (made.env["A"], made.env["C"], made.argv[-1]) == ("$(B)", "bc", "--c=bc")


def test_the_pod_s_own_facts_reach_it() -> None:
    paths = {"IP": "status.podIP", "NODE": "spec.nodeName", "NAME": "metadata.name", "NS": "metadata.namespace"}
    made = env(*({"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}} for key, path in paths.items()))
    assert [made[key] for key in paths] == ["127.64.1.2", "cpu-0", "p", "n"]


def test_the_environment_is_small_and_the_pod_s_own() -> None:
    assert set(launch().env) == {"PATH", "HOME", "TMPDIR", "LANG", "HOSTNAME"}
    assert launch().env["TMPDIR"] == "/home/pods/u1/tmp"
    assert env({"name": "PATH", "value": "/mine"})["PATH"] == "/mine"


def reference(**more: Any) -> dict[str, Any]:
    return {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", **more}}}


def test_a_secret_s_value_is_taken_as_it_is() -> None:
    made = env(reference(), secrets={"s": {"k": "$(HOME) /scratch"}}, volumeMounts=[mount("/scratch")])
    assert made["TOKEN"] == "$(HOME) /scratch"


def test_a_missing_secret_or_key_is_named_unless_it_is_optional() -> None:
    with pytest.raises(ConfigError, match='secret "s" not found'):
        env(reference())
    with pytest.raises(ConfigError, match="couldn't find key k in Secret n/s"):
        env(reference(), secrets={"s": {}})
    assert "TOKEN" not in env(reference(optional=True))


def test_the_secrets_of_sidecars_and_main_containers_are_asked_for() -> None:
    one = {"env": [{"valueFrom": {"secretKeyRef": {"name": "a"}}}, {"name": "x", "value": "y"}]}
    two = {"env": [{"valueFrom": {"secretKeyRef": {"name": "b"}}}]}
    assert secret_names({"initContainers": [one], "containers": [two, {}]}) == {"a", "b"}


def mount(path: str, name: str = "scratch") -> dict[str, str]:
    return {"name": name, "mountPath": path}


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("/scratch", "{}"),
        ("/scratch/a/b", "{}/a/b"),
        ("--dir=/scratch", "--dir={}"),
        ("/scratch:/scratch/x", "{}:{}/x"),
        ("cat '/scratch/a' > /scratch/b; ls", "cat '{}/a' > {}/b; ls"),
        ("/scratch2", "/scratch2"),
        ("/scratch-old", "/scratch-old"),
        ("/a/scratch", "/a/scratch"),
        ("http://host/scratch", "http://host/scratch"),
        ("scratch", "scratch"),
    ],
)
def test_a_mount_path_is_rewritten_where_it_is_meant(text: str, rewritten: str) -> None:
    folder = "/home/pods/u1/volumes/scratch"
    made = launch(env=[{"name": "A", "value": text}], args=[text], volumeMounts=[mount("/scratch/")])
    assert made.env["A"] == made.argv[-1] == rewritten.replace("{}", folder)


def test_of_two_mounts_the_longer_one_wins_and_nothing_is_rewritten_twice() -> None:
    made = launch(args=["/home/x /home/pods/x $(H)"], volumeMounts=[mount("/home", "a"), mount("/home/pods", "b")])
    assert made.argv[-1] == "/home/pods/u1/volumes/a/x /home/pods/u1/volumes/b/x $(H)"


def test_temporary_files_go_to_the_volume_that_is_mounted_for_them() -> None:
    assert launch(volumeMounts=[mount("/tmp")]).env["TMPDIR"] == "/home/pods/u1/volumes/scratch"
    made = env({"name": "TMPDIR", "value": "/scratch"}, volumeMounts=[mount("/scratch")])
    assert made["TMPDIR"] == "/home/pods/u1/volumes/scratch"


def test_the_working_folder_is_the_pod_s() -> None:
    assert launch().cwd == PLACE.folder
    assert launch(workingDir="/scratch/w", volumeMounts=[mount("/scratch")]).cwd == PLACE.folder / "volumes/scratch/w"


def test_the_memory_limit_is_in_bytes() -> None:
    assert launch(resources={"limits": {"memory": "64Mi"}}).memory_limit == 64 * 1024**2
    assert launch(resources={"requests": {"memory": "64Mi"}}).memory_limit is None


def test_a_container_without_any_command_cannot_be_made() -> None:
    with pytest.raises(ConfigError, match="no command"):
        launch(image="empty")


def test_nothing_secret_is_in_the_text_of_a_launch() -> None:
    assert "hush" not in repr(launch({"s": {"k": "hush"}}, env=[reference()]))


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("100m", 0.1), ("1.5", 1.5), ("2Gi", 2 * 1024**3), ("1e3", 1000), ("5M", 5e6), (".5Ki", 512), (7, 7)],
)
def test_quantities_are_read_as_kubernetes_writes_them(text: str | int, number: float) -> None:
    assert quantity.parse(text) == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "Mi", "1 Gi", "1Kb", "ten", "1.2.3"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity.parse(text)


def test_an_image_list_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    file = tmp_path / "images.json"
    assert read_images(file) == {}
    for wrong in ("{", "[]", '{"a": "words"}'):
        file.write_text(wrong)
        with pytest.raises(ConfigError, match="image list"):
            read_images(file)
