"""`drishtiksha doctor`: each fault has its sentence and its cure, and a platform that is down is no excuse for silence."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from drishtiksha.database.migrate import downgrade, head
from drishtiksha.urls import sqlalchemy_url
from drishtiksha_cli import checks, neighbours
from drishtiksha_devcluster import dotenv, platform
from drishtiksha_devcluster.plan import Addresses

MACHINE = ("python", "packages", "disk", "control plane", "settings", "platform")
NEIGHBOURS = ("database", "redis", "ml service", "kubernetes", "api")
MA = "/apis/drishtiksha.io/v1alpha1/namespaces/drishtiksha/mediaanalyses"
NODE = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}


class Canned:
    """A server that gives the same answer to a path each time; 404 for any other."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.keys: list[str | None] = []
        canned = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                canned.keys.append(self.headers.get("X-API-Key"))
                status, body = canned.answers.get(self.path.partition("?")[0], (404, {}))
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self.server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=lambda: self.server.serve_forever(0.02), daemon=True).start()


@pytest.fixture(scope="module")
def served() -> Iterator[Canned]:
    canned = Canned()
    yield canned
    canned.server.shutdown()
    canned.server.server_close()


@pytest.fixture
def canned(served: Canned) -> Canned:
    served.answers.clear()
    served.keys.clear()
    return served


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DATABASE_URL", "REDIS_URL", "SERVER_URL", "PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("drishtiksha_devcluster.state.settings_file", lambda home: home / ".env")
    monkeypatch.setenv("DRISHTIKSHA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def places(**more: Any) -> Addresses:
    """Where everything is; nobody listens where nothing else is said."""
    nobody = "127.0.0.1:1"
    known: dict[str, Any] = {
        "home": Path("/"),
        "base_url": f"http://{nobody}",
        "door_url": "",
        "server_url": f"http://{nobody}",
        "database_url": f"postgresql://x:canary-word@{nobody}/x",
        "redis_url": f"redis://:canary-word@{nobody}/0",
        "kubeconfig": Path("/nowhere"),
        "namespace": "drishtiksha",
        "ports": {"api": 1},
    }
    return Addresses(**known | more)


def asked(name: str, settings: dict[str, str] | None = None, **more: Any) -> checks.Check:
    ask = next(ask for known, _, ask in neighbours.ALL if known == name)
    found = neighbours.asked(name, ask, places(**more), settings or {})
    assert (found.state == "wrong") is bool(found.cure), "who says what is wrong says what helps"
    assert "canary-word" not in found.said
    return found


def test_where_nothing_runs_the_machine_is_looked_at_and_nothing_is_made(
    home: Path, drishtiksha: Callable[..., Any]
) -> None:
    code, out, _ = drishtiksha("doctor", "--json")
    told = json.loads(out)
    assert (code, told["ok"], told["home"]) == (1, False, str(home))
    found = {check["name"]: check for check in told["checks"]}
    assert tuple(found) == (*MACHINE, *NEIGHBOURS)
    assert (found["platform"]["state"], found["platform"]["cure"]) == ("wrong", "drishtiksha up")
    assert {found[name]["state"] for name in NEIGHBOURS} == {"unknown"}
    assert {found[name]["state"] for name in ("python", "packages", "disk")} == {"ok"}
    assert not home.exists()
    code, out, _ = drishtiksha("doctor")
    assert code == 1
    assert "✗ platform" in out
    assert "→ drishtiksha up\n" in out
    assert "wrong. Begin with the first: " in out


def test_a_part_of_the_platform_is_told_from_the_rest(home: Path, drishtiksha: Callable[..., Any]) -> None:
    home.mkdir()
    dotenv.make(home / ".env")
    try:
        platform.up(home, ["valkey"])
        told = json.loads(drishtiksha("doctor", "--json")[1])
        found = {check["name"]: check for check in told["checks"]}
        assert {found[name]["state"] for name in ("settings", "platform", "valkey", "redis")} == {"ok"}
        assert {found[name]["state"] for name in ("database", "ml service", "kubernetes", "api")} == {"wrong"}
        platform.down(home, ["valkey"])
        told = json.loads(drishtiksha("doctor", "--json")[1])
        found = {check["name"]: check for check in told["checks"]}
        assert found["valkey"]["cure"] == "drishtiksha logs valkey; drishtiksha restart valkey"
        assert found["redis"]["state"] == "wrong"
    finally:
        platform.down(home, data=True)


def test_what_is_wrong_with_the_machine_has_a_cure(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patient = checks.Patient(home)
    monkeypatch.setattr(checks, "PACKAGES", {"api": ("json", "no_such_module"), "bus": ("redis",)})
    found = checks.packages(patient)
    assert (found.state, found.said) == ("wrong", "api lacks no_such_module")
    assert found.cure == "make venv, or pip install 'drishtiksha[api]'"
    monkeypatch.setattr(checks, "ENOUGH", 2**62)
    assert checks.disk(patient).state == "wrong"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert checks.control_plane(patient).cure.startswith("make control-plane")
    home.mkdir()
    (home / ".env").write_text("JWT_SECRETT=x\n")
    found = checks.settings(patient)
    assert "unknown setting JWT_SECRETT" in found.said
    assert found.cure == f"drishtiksha config check {home / '.env'}"


def test_the_database_is_asked_for_its_schema(database_url: str) -> None:
    found = asked("database", database_url=database_url)
    assert (found.state, found.said) == ("ok", f"answers, schema at {head()}")
    downgrade(sqlalchemy_url(database_url), "base")
    assert asked("database", database_url=database_url).cure == "drishtiksha db migrate"
    assert asked("database").said.startswith("PostgreSQL does not answer: ")


def test_redis_is_asked_with_our_password(redis_url: str) -> None:
    assert asked("redis", redis_url=redis_url).state == "ok"
    assert asked("redis").state == "wrong"
    assert asked("redis", redis_url="localhost").said.startswith("REDIS_URL: must begin with redis://")


def test_the_ml_service_is_asked_with_our_key_and_for_its_models(canned: Canned) -> None:
    models = [{"name": "A", "loaded": True}, {"name": "B", "loaded": False}]
    canned.answers["/stats"] = (200, {"models_info": models})
    found = asked("ml service", {"SERVER_API_KEY": "a-key"}, server_url=canned.url)
    assert (found.state, found.said) == ("ok", "answers, 1 of 2 models loaded")
    assert canned.keys == ["a-key"]
    canned.answers["/stats"] = (200, {"models_info": models[1:]})
    assert "ACTIVE_MODELS" in asked("ml service", server_url=canned.url).cure
    canned.answers["/stats"] = (401, {})
    assert "SERVER_API_KEY" in asked("ml service", server_url=canned.url).cure
    canned.answers["/stats"] = (500, {})
    assert asked("ml service", server_url=canned.url).said.endswith("answers 500")
    assert "does not answer" in asked("ml service").said


def test_kubernetes_is_asked_for_our_resource_and_a_node(canned: Canned, tmp_path: Path) -> None:
    file = tmp_path / "admin.yaml"
    config = {
        "clusters": [{"name": "c", "cluster": {"server": canned.url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    file.write_text(yaml.safe_dump(config))
    canned.answers |= {"/version": (200, {"gitVersion": "v1.36.3"}), "/api/v1/nodes": (200, {"items": [NODE]})}
    assert asked("kubernetes", kubeconfig=file).said == "our resource is not installed"
    canned.answers[MA] = (200, {"items": [], "metadata": {"resourceVersion": "1"}})
    found = asked("kubernetes", kubeconfig=file)
    assert (found.state, found.said) == ("ok", "v1.36.3 answers, 1 of 1 nodes ready")
    canned.answers["/api/v1/nodes"] = (200, {"items": [{"status": {}}]})
    assert "no node is ready" in asked("kubernetes", kubeconfig=file).said
    canned.answers["/version"] = (403, {"reason": "Forbidden", "message": "no"})
    assert "403" in asked("kubernetes", kubeconfig=file).said
    assert "is not a usable kubeconfig" in asked("kubernetes").said


def test_the_api_says_itself_who_is_missing(canned: Canned) -> None:
    canned.answers["/readyz"] = (200, {"status": "ok"})
    assert asked("api", ports={"api": canned.port}).state == "ok"
    canned.answers["/readyz"] = (503, {"missing": {"redis": "does not answer"}})
    assert asked("api", ports={"api": canned.port}).said == "not ready: redis: does not answer"
    canned.answers["/readyz"] = (500, {})
    assert asked("api", ports={"api": canned.port}).said.endswith("answers 500")
    assert "does not answer" in asked("api").said
