"""Schemathesis asks a real api process whatever `/openapi.json` allows, and more, as nobody, as the owner and as a stranger.

No 5xx but a neighbour's 503, no status that is not documented, no answer outside of its schema, nothing alive after its
deletion. A share with a fixed seed in `make test-long`; `make test-soak` asks for more, with stateful chains.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import api_samples as samples
import httpx
import psycopg
import pytest
from api_process import ApiProcess

pytestmark = pytest.mark.long

SUPPORT = Path(__file__).parents[1] / "support"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "response_headers_conformance,use_after_free,ensure_resource_availability,allow_header_conformance"
)
CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503]
"""
"""503 has its code, its `what` and its Retry-After; Kubernetes and the ML service are away in this test."""


@pytest.fixture(scope="module")
def api(
    postgres_server: str, migrated_template: str, valkey_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiProcess]:
    name = f"schemathesis_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template} STRATEGY FILE_COPY".encode())
    urls = [
        urlunsplit(urlsplit(u)._replace(path=f"/{p}")) for u, p in ((postgres_server, name), (valkey_server, "248"))
    ]
    made = ApiProcess(tmp_path_factory.mktemp("schemathesis"), *urls)
    made.start()
    yield made
    made.stop()
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def person(api: ApiProcess) -> dict[str, str]:
    new = {"email": f"{uuid.uuid4().hex}@example.org", "password": "correct horse", "firstName": "A", "lastName": "L"}
    told = httpx.post(f"{api.url}/api/v1/auth/signup", json=new, timeout=60).json()
    return {"Authorization": f"Bearer {told['data']['token']}"}


def ask(api: ApiProcess, folder: Path, who: str, *words: str) -> None:
    """One run of the command as somebody; its report is the failure."""
    ada = person(api)
    uploaded = httpx.post(
        f"{api.url}/api/v1/media", headers=ada, files={"file": ("a.png", samples.picture("PNG"))}, timeout=60
    )
    headers = {"nobody": {}, "owner": ada, "stranger": person(api)}[who]
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", f"{api.url}/openapi.json"]
    command += [
        "--checks",
        CHECKS,
        "--seed",
        "1",
        "--no-color",
        "--request-timeout",
        "60",
        "--suppress-health-check",
        "all",
    ]
    command += ["--exclude-path", "/api/v1/auth/logout", "--exclude-path", "/api/v1/auth/profile/password", *words]
    command += [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")]),
        "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
        "DRISHTIKSHA_TEST_MEDIA": uploaded.json()["data"]["id"],
    }
    done = subprocess.run(
        command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=3000
    )
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2000:]


@pytest.mark.parametrize("who", ["nobody", "owner", "stranger"])
def test_a_share_of_what_the_document_allows_is_answered_as_it_says(api: ApiProcess, tmp_path: Path, who: str) -> None:
    ask(api, tmp_path, who, "--phases", "examples,fuzzing", "--max-examples", "5")


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("who", ["nobody", "owner", "stranger"])
def test_all_kinds_of_requests_and_their_chains_are_answered_as_the_document_says(
    api: ApiProcess, tmp_path: Path, who: str
) -> None:
    ask(api, tmp_path, who, "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "30")
