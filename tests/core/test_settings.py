"""Settings: a bad value stops with a sentence that names it; retired names are told; usual URL forms are understood."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drishtiksha import logs, settings
from drishtiksha.domain.errors import BadSettings
from drishtiksha.names import OTHER_NAMES, successor
from drishtiksha.urls import libpq_url, redis_url

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90), ("90s", 90), ("10m", 600), ("24h", 86400), ("7d", 604800), ("2w", 1209600)]
)
def test_durations(text: str, value: float) -> None:
    assert settings.seconds(text) == value


@pytest.mark.parametrize(
    ("group", "name", "value", "says"),
    [
        (settings.Auth, "JWT_SECRET", "short", "32 bytes"),
        (settings.Http, "PORT", "eighty", "PORT"),
        (settings.Http, "FRONTEND_URL", "https://a.example, *", "exact origins"),
        (settings.Operator, "DRISHTIKSHA_SWEEP", "soon", "DRISHTIKSHA_SWEEP"),
        (settings.ML, "SERVER_URL", "ftp://x", "http://"),
        (settings.Http, "BASE_URL", "drishtiksha.example.org", "http://"),
        (settings.Operator, "DRISHTIKSHA_DOOR_URL", "door:3001", "http://"),
        (settings.Redis, "REDIS_URL", "localhost:6379", "redis://"),
        (settings.Process, "NODE_ENV", "staging", "'production' or 'development'"),
        (settings.Database, "DATABASE_URL", "mysql://x/y", "postgresql://"),
        (settings.Signing, "DRISHTIKSHA_SIGNING_KEYS", "justakey", "id:secret"),
    ],
)
def test_a_bad_value_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path, group, name: str, value: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings) as refused:
        settings.load(group)
    assert name in str(refused.value) or name == "NODE_ENV"
    assert says in str(refused.value)
    assert value not in str(refused.value) or name != "JWT_SECRET"


def test_a_missing_value_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(BadSettings, match="DATABASE_URL is not set"):
        settings.load(settings.Database)


def test_unknown_names_of_ours_are_refused_and_retired_ones_told() -> None:
    with pytest.raises(BadSettings, match="DRISHTIKSHA_SWEEPS"):
        settings.check_names({"DRISHTIKSHA_SWEEPS": "1"})
    told = settings.check_names({"BCRYPT_ROUNDS": "10", "HOME": "/"})
    assert len(told) == 1
    assert "argon2id" in told[0]


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("DB_PROVIDER", "DATABASE_URL"),
        ("BCRYPT_ROUNDS", "argon2id"),
        ("RATE_LIMIT_WINDOW_MS", "failed logins"),
        ("JWT_REFRESH_SECRET", "JWT_EXPIRES_IN"),
        ("JWT_REFRESH_EXPIRES_IN", "JWT_EXPIRES_IN"),
        ("API_BASE_URL", "BASE_URL"),
        ("ASSETS_BASE_URL", "BASE_URL"),
        ("MEDIA_PROCESSING_QUEUE_NAME", "Kubernetes Job"),
        ("POSTGRES_PASSWORD", "DATABASE_URL"),
        ("POSTGRES_HOST_AUTH_METHOD", "DATABASE_URL"),
    ],
)
def test_a_retired_name_gets_one_sentence_that_says_what_took_its_place(name: str, instead: str) -> None:
    (told,) = settings.check_names({name: "x", "PORT": "3000"})
    assert told.startswith(f"{name} is no longer used: ")
    assert instead in told


def test_no_setting_of_ours_is_retired() -> None:
    ours = settings.names_of(*settings.GROUPS) | OTHER_NAMES.keys()
    assert [name for name in ours if successor(name)] == []


def test_names_are_looked_at_wherever_settings_come_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secrets").mkdir()
    monkeypatch.setenv("DRISHTIKSHA_SECRETS_DIR", str(tmp_path / "secrets"))
    (tmp_path / ".env").write_text("BCRYPT_ROUNDS=12\nOTHER=1\n")
    assert any(told.startswith("BCRYPT_ROUNDS") for told in settings.check_names())
    (tmp_path / "secrets" / "DRISHTIKSHA_SIGNING_KEY").write_text("k1:x")
    with pytest.raises(BadSettings, match="unknown setting DRISHTIKSHA_SIGNING_KEY: "):
        settings.check_names()
    (tmp_path / "secrets" / "DRISHTIKSHA_SIGNING_KEY").unlink()
    (tmp_path / ".env").write_text("DRISHTIKSHA_SWEEPS=1\n")
    with pytest.raises(BadSettings, match="unknown setting DRISHTIKSHA_SWEEPS: "):
        settings.check_names()


def test_what_kubernetes_sets_for_a_service_is_no_setting_and_a_clash_names_its_cure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    links = {
        "DRISHTIKSHA_API_SERVICE_HOST": "10.0.0.1",
        "DRISHTIKSHA_API_SERVICE_PORT_HTTP": "3000",
        "DRISHTIKSHA_API_PORT": "tcp://10.0.0.1:3000",
        "DRISHTIKSHA_API_PORT_3000_TCP_ADDR": "10.0.0.1",
        "DRISHTIKSHA_DOOR_PORT": "tcp://10.0.0.2:3001",
        "POSTGRES_SERVICE_HOST": "10.0.0.3",
    }
    assert settings.check_names(links) == []
    with pytest.raises(BadSettings, match="DRISHTIKSHA_API_PORTS"):
        settings.check_names({"DRISHTIKSHA_API_PORTS": "3000"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRISHTIKSHA_DOOR_PORT", "tcp://10.0.0.2:3001")
    with pytest.raises(BadSettings, match=r"DRISHTIKSHA_DOOR_PORT: .*enableServiceLinks: false"):
        settings.load(settings.Door)


@pytest.mark.parametrize(
    ("told", "readable"),
    [
        ({}, False),
        ({"NODE_ENV": "development"}, True),
        ({"DRISHTIKSHA_ENV": "development"}, True),
        ({"DRISHTIKSHA_ENV": "production", "NODE_ENV": "development"}, False),
        ({"DRISHTIKSHA_ENV": "", "NODE_ENV": ""}, False),
        ({"NODE_ENV": "test"}, False),
    ],
)
def test_development_makes_logs_readable_and_production_is_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: dict[str, str], readable: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("NODE_ENV", "DRISHTIKSHA_ENV"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert logs.in_development() is readable


def test_the_environments_name_may_stand_in_the_file_too_and_a_bad_one_stops_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("NODE_ENV", "DRISHTIKSHA_ENV"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".env").write_text("NODE_ENV=development\n")
    assert logs.in_development()
    (tmp_path / ".env").write_text("NODE_ENV=devel\n")
    with pytest.raises(BadSettings, match="DRISHTIKSHA_ENV: Input should be 'production' or 'development'"):
        settings.check_names()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgres://u:p@h:5432/d", "postgresql+psycopg://u:p@h:5432/d"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql://u@h/d?schema=x", "postgresql+psycopg://u@h/d?options=-csearch_path%3Dx"),
        ("postgresql://u@h/d?sslmode=require", "postgresql+psycopg://u@h/d?sslmode=require"),
        (
            "postgresql://u@h/d?options=-cwork_mem%3D9MB&schema=x",
            "postgresql+psycopg://u@h/d?options=-cwork_mem%3D9MB+-csearch_path%3Dx",
        ),
    ],
)
def test_database_urls(given: str, expected: str) -> None:
    assert settings.sqlalchemy_url(given) == expected


def test_pool_options_of_other_drivers_are_dropped_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="connection_limit"):
        assert settings.sqlalchemy_url("postgresql://u@h/d?connection_limit=5") == "postgresql+psycopg://u@h/d"


def test_tools_get_the_same_database_without_the_drivers_name() -> None:
    assert libpq_url("postgres://u:p@h/d?schema=x") == "postgresql://u:p@h/d?options=-csearch_path%3Dx"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("redis://:p@h:6379/3", "redis://:p@h:6379/3"),
        ("rediss://h/0", "rediss://h/0"),
        ("valkey://h:6379", "redis://h:6379"),
        ("valkeys://h:6379", "rediss://h:6379"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_redis_urls(given: str, expected: str) -> None:
    assert redis_url(given) == expected


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JWT_SECRET", "canary" * 10)
    assert "canary" not in repr(settings.load(settings.Auth))


def test_secrets_come_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "JWT_SECRET").write_text("s" * 40)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JWT_SECRET", raising=False)
    monkeypatch.setenv("DRISHTIKSHA_SECRETS_DIR", str(tmp_path))
    assert settings.load(settings.Auth).jwt_secret.get_secret_value() == "s" * 40


def test_the_environment_wins_over_the_file_and_the_file_over_the_secrets_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORT", raising=False)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "PORT").write_text("1001\n")
    monkeypatch.setenv("DRISHTIKSHA_SECRETS_DIR", str(tmp_path / "secrets"))
    assert settings.load(settings.Http).port == 1001
    (tmp_path / ".env").write_text("PORT=1002\n")
    assert settings.load(settings.Http).port == 1002
    monkeypatch.setenv("PORT", "1003")
    assert settings.load(settings.Http).port == 1003


def test_a_secrets_folder_that_is_not_there_stops_with_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for wrong in (tmp_path / "absent", tmp_path / "file"):
        (tmp_path / "file").write_text("x")
        monkeypatch.setenv("DRISHTIKSHA_SECRETS_DIR", str(wrong))
        with pytest.raises(BadSettings, match=f"DRISHTIKSHA_SECRETS_DIR: {wrong} is no folder"):
            settings.load(settings.Http)


def test_every_setting_says_what_it_means() -> None:
    silent = [
        f"{group.__name__}.{name}"
        for group in settings.GROUPS
        for name, field in group.model_fields.items()
        if not field.description
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("processes", "folder"),
    [(("api", "door"), "api"), (("operator",), "operator"), (("verify",), "core/drishtiksha/audit")],
)
def test_what_a_process_is_said_to_read_is_what_its_code_loads(processes: tuple[str, ...], folder: str) -> None:
    said = {group.__name__ for name in processes for group in settings.READ_BY[name]} - {"Process"}
    source = "".join(path.read_text() for path in (ROOT / folder).rglob("*.py"))
    if "open_objects" in source:
        source += (ROOT / "core/drishtiksha/objects/providers.py").read_text()
    assert set(re.findall(r"\b(?:s|settings)\.load\((?:s|settings)\.(\w+)\)", source)) == said


@pytest.mark.parametrize("template", [".env.example", ".env.cluster.example"])
def test_every_setting_stands_in_the_template_with_its_default_where_it_is_only_shown(template: str) -> None:
    text = (ROOT / template).read_text()
    shown = dict(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=(.*)$", text, re.M))
    assert sorted(settings.names_of(*settings.GROUPS) - {"NODE_ENV"} - shown.keys()) == []
    commented = dict(re.findall(r"^# ([A-Z][A-Z0-9_]*)=(.+)$", text, re.M))
    for group in settings.GROUPS:
        for name, field in group.model_fields.items():
            spelling = str(field.validation_alias)
            if spelling in commented and field.default is not None:
                told = group.model_validate({**_NEEDED, spelling: commented[spelling]})
                assert getattr(told, name) == field.default, f"{spelling} is said to be {commented[spelling]}"


_NEEDED = {
    "DATABASE_URL": "postgresql://x@h/d",
    "REDIS_URL": "redis://h",
    "JWT_SECRET": "s" * 32,
    "DRISHTIKSHA_SIGNING_KEYS": "k1:" + "s" * 32,
    "DRISHTIKSHA_S3_BUCKET": "media",
    "CLOUDINARY_CLOUD_NAME": "media",
    "CLOUDINARY_API_KEY": "1",
    "CLOUDINARY_API_SECRET": "s",
}


def test_the_cluster_template_with_its_secrets_filled_in_satisfies_every_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (ROOT / ".env.cluster.example").read_text()
    empty = set(re.findall(r"^([A-Z][A-Z0-9_]*)=$", text, re.M)) - {"ACTIVE_MODELS"}
    assert empty == {"JWT_SECRET", "DRISHTIKSHA_SIGNING_KEYS", "SERVER_API_KEY"}, "what a person must fill in"
    for name, value in (_NEEDED | {"SERVER_API_KEY": "k" * 32}).items():
        text = re.sub(rf"^{name}=$", f"{name}={value}", text, flags=re.M)
    (tmp_path / ".env").write_text(text)
    monkeypatch.chdir(tmp_path)
    for name in settings.names_of(*settings.GROUPS):
        monkeypatch.delenv(name, raising=False)
    assert settings.check_names() == []
    found = {group: settings.load(group) for group in settings.GROUPS if group not in settings.BUCKETS.values()}
    assert found[settings.ML].url == "http://drishtiksha-modelserver:8000"
    assert found[settings.Door].host == "0.0.0.0"
