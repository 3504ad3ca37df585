"""The stores that must keep the contract: a folder, obstore's own memory, Cloudinary's double, and a real S3 server
(make test-s3). The double is written from Cloudinary's documented protocol; it is not Cloudinary."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from cloudinary_account import Double
from cloudinary_double import cloudinary_double
from cloudinary_store import store
from obstore.store import MemoryStore
from s3_server import S3Server, throwaway_s3

from drishtiksha.objects import Objects
from drishtiksha.objects.cloudinary import CloudinaryObjects
from drishtiksha.objects.local import LocalObjects
from drishtiksha.objects.providers import open_objects
from drishtiksha.objects.remote import RemoteObjects


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """The S3 server of these tests; each test has a folder of its own in its bucket."""
    with throwaway_s3() as server:
        yield server


@pytest.fixture
def in_s3(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    """An empty store on the S3 server, opened as a process opens it."""
    monkeypatch.chdir(tmp_path)
    for name, value in s3.settings(folder=f"platforms/{uuid.uuid4().hex}").items():
        monkeypatch.setenv(name, value)
    return open_objects()


@pytest.fixture
def double() -> Iterator[Double]:
    """An empty account."""
    with cloudinary_double() as running:
        yield running


@pytest.fixture
def at_double(double: Double) -> CloudinaryObjects:
    """An empty store at the double, with a patience for tests."""
    return store(double.url)


@pytest.fixture
def in_cloudinary(double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    """One that is opened as a process opens it."""
    monkeypatch.chdir(tmp_path)
    for name, value in double.settings(folder="platforms/one").items():
        monkeypatch.setenv(name, value)
    return open_objects()


@pytest.fixture(params=["local", "memory", "cloudinary", pytest.param("s3", marks=pytest.mark.s3)])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """An empty store of each kind."""
    if request.param == "local":
        return LocalObjects(tmp_path)
    if request.param == "memory":
        return RemoteObjects(MemoryStore())
    store: Objects = request.getfixturevalue(f"in_{request.param}")
    return store
