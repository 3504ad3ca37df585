"""Settings: a bad value stops with a sentence that names it; retired names are told; usual URL forms are understood."""

from __future__ import annotations

import pytest

from drishtiksha import settings
from drishtiksha.domain.errors import BadSettings


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
    assert name in str(refused.value)
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
    ("given", "expected"),
    [
        ("postgres://u:p@h:5432/d", "postgresql+psycopg://u:p@h:5432/d"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql://u@h/d?schema=x", "postgresql+psycopg://u@h/d?options=-csearch_path%3Dx"),
        ("postgresql://u@h/d?sslmode=require", "postgresql+psycopg://u@h/d?sslmode=require"),
    ],
)
def test_database_urls(given: str, expected: str) -> None:
    assert settings.sqlalchemy_url(given) == expected


def test_pool_options_of_other_drivers_are_dropped_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="connection_limit"):
        assert settings.sqlalchemy_url("postgresql://u@h/d?connection_limit=5") == "postgresql+psycopg://u@h/d"


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
