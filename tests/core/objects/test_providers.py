"""The store that the settings name is opened, or a sentence says which setting is wrong."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from drishtiksha import settings
from drishtiksha.domain.errors import BadSettings
from drishtiksha.objects.local import LocalObjects
from drishtiksha.objects.providers import open_objects
from drishtiksha.objects.remote import RemoteObjects

SECRET = "canary-of-the-secret-key"
S3 = {
    "STORAGE_PROVIDER": "s3",
    "DRISHTIKSHA_S3_BUCKET": "bytes",
    "AWS_ACCESS_KEY_ID": "AKIATEST",
    "AWS_SECRET_ACCESS_KEY": SECRET,
}
AZURE = {
    "STORAGE_PROVIDER": "azure",
    "DRISHTIKSHA_AZURE_CONTAINER": "bytes",
    "AZURE_STORAGE_ACCOUNT_NAME": "account1",
    "AZURE_STORAGE_ACCOUNT_KEY": "Y2FuYXJ5LW9mLXRoZS1zZWNyZXQta2V5",
}
CLOUDINARY = {
    "STORAGE_PROVIDER": "cloudinary",
    "CLOUDINARY_CLOUD_NAME": "demo",
    "CLOUDINARY_API_KEY": "123456789012345",
    "CLOUDINARY_API_SECRET": SECRET,
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Set settings, in a folder without a `.env` and without anybody's keys."""
    monkeypatch.chdir(tmp_path)
    for group in settings.STORES:
        for field in group.model_fields.values():
            monkeypatch.delenv(str(field.validation_alias), raising=False)

    def given(values: dict[str, str]) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return given


def test_a_folder_is_what_opens_when_nothing_is_said(environment, tmp_path: Path) -> None:
    environment({})
    opened = open_objects()
    assert isinstance(opened, LocalObjects)
    assert opened.path("media/x") == tmp_path / "objects" / "media" / "x"


@pytest.mark.parametrize("more", [{}, {"AWS_SESSION_TOKEN": "t"}, {"DRISHTIKSHA_S3_ENDPOINT": "http://127.0.0.1:9"}])
def test_an_s3_bucket_opens_and_shows_no_secret(environment, more: dict[str, str]) -> None:
    environment(S3 | more)
    opened = open_objects()
    assert isinstance(opened, RemoteObjects)
    assert SECRET not in repr(settings.load(settings.S3))


OURS = {"DRISHTIKSHA_S3_ENDPOINT": "https://s3.example.org:9000"}


@pytest.mark.parametrize(
    ("more", "address"),
    [
        ({}, "https://bytes.s3.us-east-1.amazonaws.com"),
        ({"AWS_REGION": "eu-central-1"}, "https://bytes.s3.eu-central-1.amazonaws.com"),
        ({"DRISHTIKSHA_S3_PATH_STYLE": "true"}, "https://s3.us-east-1.amazonaws.com/bytes"),
        ({"DRISHTIKSHA_S3_PREFIX": "one/two"}, "https://bytes.s3.us-east-1.amazonaws.com/one/two"),
        (OURS, "https://s3.example.org:9000/bytes"),
        (OURS | {"DRISHTIKSHA_S3_PATH_STYLE": "false"}, "https://bytes.s3.example.org:9000"),
    ],
)
def test_the_bucket_stands_where_the_server_looks_for_it(environment, more: dict[str, str], address: str) -> None:
    environment(S3 | more)
    signed = open_objects().sign("media/x", datetime.now(UTC) + timedelta(seconds=60))
    assert signed is not None
    assert signed.startswith(f"{address}/media/x?X-Amz-")
    assert SECRET not in signed


def test_the_names_of_all_buckets_are_known_whichever_is_chosen() -> None:
    names = [
        str(field.validation_alias) for group in settings.BUCKETS.values() for field in group.model_fields.values()
    ]
    assert settings.check_names(dict.fromkeys(names, "x")) == []


def test_an_azure_container_opens(environment) -> None:
    environment(AZURE)
    opened = open_objects()
    assert isinstance(opened, RemoteObjects)


def test_a_google_bucket_opens(environment, tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"type": "service_account", "private_key": key.decode(), "private_key_id": "1", "client_email": "a@b.c"}
    (tmp_path / "key.json").write_text(json.dumps(account))
    environment({"STORAGE_PROVIDER": "gcs", "DRISHTIKSHA_GCS_BUCKET": "bytes"})
    environment({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json")})
    opened = open_objects()
    assert isinstance(opened, RemoteObjects)


@pytest.mark.parametrize(
    ("more", "address"),
    [
        ({}, "https://api.cloudinary.com/v1_1/demo/raw/download?"),
        (
            {
                "DRISHTIKSHA_CLOUDINARY_ENDPOINT": "https://api-eu.cloudinary.com",
                "CLOUDINARY_UPLOAD_PREFIX": "http://x",
            },
            "https://api-eu.cloudinary.com/v1_1/demo/raw/download?",
        ),
    ],
)
def test_an_account_of_cloudinary_opens_and_shows_no_secret(environment, more: dict[str, str], address: str) -> None:
    environment(CLOUDINARY | more)
    signed = open_objects().sign("media/x", datetime.now(UTC) + timedelta(seconds=60))
    assert signed is not None
    assert signed.startswith(address)
    assert "type=authenticated" in signed
    assert SECRET not in signed + repr(settings.load(settings.Cloudinary))


def test_a_package_of_cloudinary_that_is_missing_or_stumbles_is_named(
    environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(CLOUDINARY)
    for name in [one for one in sys.modules if re.match(r"(drishtiksha\.objects\.)?cloudinary", one)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cloudinary", None)
    with pytest.raises(BadSettings, match=r"install drishtiksha\[cloudinary\]"):
        open_objects()
    monkeypatch.delitem(sys.modules, "cloudinary")
    monkeypatch.delenv("CLOUDINARY_CLOUD_NAME")
    monkeypatch.setenv("CLOUDINARY_URL", "https://example.org")
    Path(".env").write_text("CLOUDINARY_CLOUD_NAME=demo\n")
    with pytest.raises(BadSettings, match=r"CLOUDINARY_URL: .*unset it"):
        open_objects()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"STORAGE_PROVIDER": "ftp"}, "STORAGE_PROVIDER: 'ftp' is not known here; there are azure, "),
        ({"STORAGE_PROVIDER": "s3"}, "DRISHTIKSHA_S3_BUCKET is not set"),
        (S3 | {"DRISHTIKSHA_S3_BUCKET": "Not A Bucket"}, "DRISHTIKSHA_S3_BUCKET: "),
        (S3 | {"DRISHTIKSHA_S3_ENDPOINT": "s3.example.org"}, "DRISHTIKSHA_S3_ENDPOINT: "),
        (S3 | {"DRISHTIKSHA_S3_ENDPOINT": "https://u:p@s3.example.org"}, "DRISHTIKSHA_S3_ENDPOINT: "),
        (S3 | {"DRISHTIKSHA_S3_PREFIX": "../x"}, "DRISHTIKSHA_S3_PREFIX: "),
        (S3 | {"DRISHTIKSHA_S3_PATH_STYLE": "perhaps"}, "DRISHTIKSHA_S3_PATH_STYLE: "),
        (S3 | {"AWS_SECRET_ACCESS_KEY": ""}, "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: set both, or none"),
        ({"STORAGE_PROVIDER": "gcs", "DRISHTIKSHA_GCS_BUCKET": "b.c", "GOOGLE_APPLICATION_CREDENTIALS": "/no"},
         "GOOGLE_APPLICATION_CREDENTIALS: "),
        (AZURE | {"AZURE_STORAGE_ACCOUNT_NAME": "A B"}, "AZURE_STORAGE_ACCOUNT_NAME: "),
        (AZURE | {"AZURE_STORAGE_ACCOUNT_KEY": "no base64!"}, "do not fit together"),
        ({"STORAGE_PROVIDER": "cloudinary"},
         "CLOUDINARY_CLOUD_NAME is not set; CLOUDINARY_API_KEY is not set; CLOUDINARY_API_SECRET is not set"),
        (CLOUDINARY | {"CLOUDINARY_API_SECRET": ""}, "CLOUDINARY_API_SECRET is not set"),
        (CLOUDINARY | {"CLOUDINARY_CLOUD_NAME": "a/b"}, "CLOUDINARY_CLOUD_NAME: "),
        (CLOUDINARY | {"DRISHTIKSHA_CLOUDINARY_PREFIX": "/x"}, "DRISHTIKSHA_CLOUDINARY_PREFIX: "),
        (CLOUDINARY | {"DRISHTIKSHA_CLOUDINARY_ENDPOINT": "api.cloudinary.com"}, "DRISHTIKSHA_CLOUDINARY_ENDPOINT: "),
    ],
)  # fmt: skip
def test_a_bad_setting_is_named(environment, given: dict[str, str], sentence: str) -> None:
    environment(given)
    with pytest.raises(BadSettings) as refused:
        open_objects()
    assert sentence in str(refused.value)
    assert SECRET not in str(refused.value)


PLUGIN = """
from drishtiksha.objects.local import LocalObjects
from pathlib import Path

def tape():
    return LocalObjects(Path("/tape"))

broken = 1 / 0
"""


@pytest.fixture
def somebodys_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that brings two stores, installed as far as Python is concerned."""
    (tmp_path / "site" / "tapes-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "site" / "tapes.py").write_text(PLUGIN.replace("broken = 1 / 0\n", ""))
    (tmp_path / "site" / "broken_tapes.py").write_text(PLUGIN)
    (tmp_path / "site" / "tapes-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tapes\nVersion: 1.0\n"
    )
    points = "[drishtiksha.objects]\ntape = tapes:tape\nbroken = broken_tapes:tape\nlocal = tapes:tape\n"
    (tmp_path / "site" / "tapes-1.0.dist-info" / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


@pytest.mark.usefixtures("somebodys_package")
def test_another_package_brings_a_store_by_an_entry_point(environment) -> None:
    environment({"STORAGE_PROVIDER": "tape"})
    opened = open_objects()
    assert isinstance(opened, LocalObjects)
    assert str(opened.path("media/x")) == "/tape/media/x"


@pytest.mark.usefixtures("somebodys_package")
def test_a_package_cannot_take_a_name_of_ours_and_a_broken_one_is_named(environment, tmp_path: Path) -> None:
    environment({})
    opened = open_objects()
    assert isinstance(opened, LocalObjects)
    assert opened.path("media/x").is_relative_to(tmp_path)
    with pytest.raises(BadSettings, match=r"'broken' \(broken_tapes:tape\) cannot be loaded: division by zero"):
        open_objects("broken")
    with pytest.raises(BadSettings, match=r"there are .*broken, .*tape"):
        open_objects("ftp")
