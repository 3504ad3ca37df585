"""One cluster with two process nodes per session; one namespace, database, api, door and operator per module."""

from __future__ import annotations

import contextlib
import itertools
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from world import World

from drishtiksha_cli.demo_media import DemoFile, draw_all
from drishtiksha_devcluster import apps, cluster
from drishtiksha_devcluster.ephemeral import ThrowawayCluster, running, throwaway_cluster
from drishtiksha_devcluster.ports import free_port

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is end to end."""
    for item in items:
        if "e2e" in Path(str(item.path)).parts:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(420))


@pytest.fixture(scope="session")
def node_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayCluster]:
    """A real control plane with the nodes cpu-0 and gpu-0 (two simulated GPUs)."""
    home = tmp_path_factory.mktemp("cluster")
    with throwaway_cluster(home=home) as found, contextlib.ExitStack() as stack:
        (home / "images.json").write_text(apps.images_file())
        ports = {name: free_port() for name in apps.PORTS}
        wiring = apps.Wiring(home=home, settings={}, ports=ports, database_url="", redis_url="", server_url="")
        for spec in (apps.node(wiring, "cpu-0"), apps.node(wiring, "gpu-0", gpus=2)):
            stack.enter_context(running(spec, home / "logs" / f"{spec.name}.log"))
        yield found


@pytest.fixture(scope="module")
def new_world(
    node_cluster: ThrowawayCluster,
    postgres_server: str,
    migrated_template: str,
    valkey_server: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., World]]:
    """Makes worlds; each is started by the test and ended here."""
    made: list[tuple[World, str]] = []

    def make(**options: Any) -> World:
        number = next(_numbers)
        namespace = f"e2e-{number}-{secrets.token_hex(3)}"
        cluster.install(node_cluster.home, namespace=namespace)
        database = namespace.replace("-", "_")
        with psycopg.connect(postgres_server, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {database} TEMPLATE {migrated_template} STRATEGY FILE_COPY".encode())
        url = postgres_server.rsplit("/", 1)[0] + f"/{database}"
        redis = valkey_server.rsplit("/", 1)[0] + f"/{200 + number}"
        folder = tmp_path_factory.mktemp(namespace)
        world = World(node_cluster, folder, namespace=namespace, database_url=url, redis_url=redis, **options)
        made.append((world, database))
        return world

    yield make
    for world, database in made:
        world.stop()
        node_cluster.kubectl("delete", "namespace", world.namespace, "--wait=false")
        with psycopg.connect(postgres_server, autocommit=True) as server:
            server.execute(f"DROP DATABASE {database} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def demo_media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DemoFile]:
    """The demo's three files by stem: clip, picture, recording."""
    return {f.path.stem: f for f in draw_all(tmp_path_factory.mktemp("media"))}
