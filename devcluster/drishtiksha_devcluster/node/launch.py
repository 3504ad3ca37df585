"""From a container of a pod spec to the command that is started. Pure; `pod` calls it, `process` starts the result.

A mounted volume is a folder of the pod; since a process sees the machine's own file system, each mention of the mount
path in command, args and env is rewritten to that folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import quantity

Secrets = Mapping[str, Mapping[str, str]]
"""Secret name → key → value, decoded."""

_VARIABLE = re.compile(r"\$(?:\$|\(([^()]+)\))")


class ConfigError(Exception):
    """The container cannot be made from what is there; a kubelet calls it CreateContainerConfigError."""


class UnknownImage(Exception):
    """The image is not among those that the node knows; a kubelet calls it ErrImagePull."""


@dataclass(frozen=True)
class Launch:
    """One command, ready to start. `memory_limit` in bytes; the environment is the whole environment."""

    argv: tuple[str, ...]
    env: dict[str, str] = field(repr=False)
    cwd: Path
    log: Path
    memory_limit: int | None


@dataclass(frozen=True)
class Place:
    """Where a pod runs: its folder, its address, its node, the programs' PATH."""

    folder: Path
    logs: Path
    address: str
    node: str
    path: str


def entrypoint(images: Mapping[str, Sequence[str]], image: str) -> tuple[str, ...]:
    """The local command behind an image name; a tag or digest that is not listed itself is ignored.

    Raises UnknownImage.
    """
    bare = re.sub(r"(:[^:/@]+)?(@[^@]+)?$", "", image)
    for name in (image, bare):
        if name in images:
            return tuple(images[name])
    raise UnknownImage(f'the image "{image}" is not in the image list of this node')


def read_images(path: Path) -> dict[str, list[str]]:
    """Image name → command, from a JSON file. Raises ConfigError when it is not such a file."""
    try:
        images = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"the image list {path} cannot be read: {error}") from error
    if not isinstance(images, dict) or not all(isinstance(command, list) for command in images.values()):
        raise ConfigError(f"the image list {path} is not a map of names to commands")
    return {name: [str(word) for word in command] for name, command in images.items()}


def secret_names(spec: Mapping[str, Any]) -> set[str]:
    """The secrets that the environment of a pod's containers needs."""
    return {
        reference["name"]
        for container in [*(spec.get("initContainers") or []), *spec["containers"]]
        for entry in container.get("env") or []
        if (reference := (entry.get("valueFrom") or {}).get("secretKeyRef"))
    }


def build(
    pod: Mapping[str, Any],
    container: Mapping[str, Any],
    place: Place,
    images: Mapping[str, Sequence[str]],
    secrets: Secrets,
) -> Launch:
    """The command of one container. Raises UnknownImage, ConfigError (no such secret key, no command)."""
    rewrite = _rewriter(container, place.folder)
    env = _environment(pod, container, place, secrets, rewrite)
    inherent = entrypoint(images, container["image"])
    command = [expand(rewrite(word), env) for word in container.get("command") or []] or list(inherent)
    argv = (*command, *(expand(rewrite(word), env) for word in container.get("args") or []))
    if not argv:
        raise ConfigError(f'the container "{container["name"]}" has no command and its image has none')
    limit = ((container.get("resources") or {}).get("limits") or {}).get("memory")
    base = {
        "PATH": place.path,
        "HOME": str(place.folder),
        "TMPDIR": rewrite("/tmp") if rewrite("/tmp") != "/tmp" else str(place.folder / "tmp"),  # noqa: S108
        "LANG": "C.UTF-8",
        "HOSTNAME": pod["metadata"]["name"],
    }
    return Launch(
        argv=argv,
        env=base | env,
        cwd=Path(rewrite(container["workingDir"])) if container.get("workingDir") else place.folder,
        log=place.logs / f"{container['name']}.log",
        memory_limit=None if limit is None else int(quantity.parse(limit)),
    )


def volume_folder(folder: Path, volume: str) -> Path:
    """Where an emptyDir of the pod with this folder lies."""
    return folder / "volumes" / volume


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value; `$$` is a dollar sign; an unknown name stays as it is written."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else env.get(name, match.group())

    return _VARIABLE.sub(value, text)


def _environment(
    pod: Mapping[str, Any],
    container: Mapping[str, Any],
    place: Place,
    secrets: Secrets,
    rewrite: Callable[[str], str],
) -> dict[str, str]:
    facts = {
        "status.podIP": place.address,
        "spec.nodeName": place.node,
        "metadata.name": pod["metadata"]["name"],
        "metadata.namespace": pod["metadata"]["namespace"],
    }
    env: dict[str, str] = {}
    for entry in container.get("env") or []:
        source = entry.get("valueFrom") or {}
        if reference := source.get("secretKeyRef"):
            value = (secrets.get(reference["name"]) or {}).get(reference["key"])
            if value is None and reference.get("optional"):
                continue
            if value is None:
                what = f'secret "{reference["name"]}" not found'
                if reference["name"] in secrets:
                    what = f"couldn't find key {reference['key']} in Secret {facts['metadata.namespace']}/{reference['name']}"
                raise ConfigError(what)
            env[entry["name"]] = value
        elif field_ref := source.get("fieldRef"):
            env[entry["name"]] = facts[field_ref["fieldPath"]]
        else:
            env[entry["name"]] = expand(rewrite(entry.get("value") or ""), env)
    return env


def _rewriter(container: Mapping[str, Any], folder: Path) -> Callable[[str], str]:
    mounts = {
        mount["mountPath"].rstrip("/"): str(volume_folder(folder, mount["name"]))
        for mount in container.get("volumeMounts") or []
    }
    if not mounts:
        return lambda text: text
    longest_first = "|".join(re.escape(mount) for mount in sorted(mounts, key=len, reverse=True))
    # A mount path is a whole path or the start of one: "/scratch/x" and "--dir=/scratch", not "/a/scratch", "/scratch2".
    pattern = re.compile(rf"(?<![\w./-])({longest_first})(?![\w.-])")
    return lambda text: pattern.sub(lambda match: mounts[match.group(1)], text)
