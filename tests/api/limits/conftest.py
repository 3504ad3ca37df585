"""Api processes for the tests of limits, a person who uploads, and the figures that the large tests leave."""

from __future__ import annotations

import itertools
import secrets
import uuid
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest
from api_process import ApiProcess
from figures import Claim, Table, record

COMMAND = "DRISHTIKSHA_WRITE_FIGURES=1 pytest -m 'soak or not soak' tests/api/limits"
CLAIMS = ("heads", "stalled", "disk", "descriptors", "memory", "quota", "words")
"""The figures in the order of the page. They are written only by a run that found all of them."""


@pytest.fixture(scope="session")
def figures() -> Iterator[dict[str, Claim | Table]]:
    """Tests put their claims here, by the names of CLAIMS; `sizes` is the table."""
    found: dict[str, Claim | Table] = {}
    yield found
    claims = [found[name] for name in CLAIMS if name in found]
    table = found.get("sizes")
    if len(claims) == len(CLAIMS):
        assert isinstance(table, Table)
        words = "Real api processes on real PostgreSQL, Valkey and folders; clients on loopback sockets, all of one machine."
        record("limits", "Limits hold", COMMAND, [c for c in claims if isinstance(c, Claim)], words=words, table=table)


@pytest.fixture(scope="module")
def module_database(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """A migrated, empty database for the tests of one file."""
    name = f"limits_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template} STRATEGY FILE_COPY".encode())
    yield urlunsplit(urlsplit(postgres_server)._replace(path=f"/{name}"))
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="module")
def start_api(
    module_database: str, valkey_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., ApiProcess]]:
    """Starts api processes over one database and one folder; they end with the file."""
    folder, numbers, running = tmp_path_factory.mktemp("limits"), itertools.count(250), []

    def start(**more: object) -> ApiProcess:
        redis_url = urlunsplit(urlsplit(valkey_server)._replace(path=f"/{next(numbers)}"))
        api = ApiProcess(folder, module_database, redis_url, **more)  # type: ignore[arg-type]
        running.append(api)
        api.start()
        return api

    yield start
    for api in running:
        api.stop()


@pytest.fixture
def person() -> Callable[[ApiProcess], dict[str, str]]:
    """Signs somebody up at an api; the headers that carry her token."""

    def sign_up(api: ApiProcess) -> dict[str, str]:
        new = {
            "email": f"{uuid.uuid4().hex}@example.org",
            "password": "correct horse",
            "firstName": "A",
            "lastName": "L",
        }
        answer = httpx.post(f"{api.url}/api/v1/auth/signup", json=new, timeout=60)
        assert answer.status_code == 201, answer.text
        return {"Authorization": f"Bearer {answer.json()['data']['token']}"}

    return sign_up
