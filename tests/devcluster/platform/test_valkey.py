"""Valkey as the platform runs it: a password, loopback, nothing on disk."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from drishtiksha_devcluster import valkey


def test_it_asks_for_the_password(valkey_server: str) -> None:
    parts = urlsplit(valkey_server)
    with redis.Redis(host=parts.hostname or "", port=parts.port or 0, retry=Retry(NoBackoff(), 0)) as stranger:
        with pytest.raises(redis.exceptions.AuthenticationError):
            stranger.ping()
    with redis.Redis.from_url(valkey_server) as client:
        assert client.ping()


def test_each_test_gets_an_empty_database(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_the_password_is_in_no_command_line_and_its_file_is_closed_to_others(tmp_path: Path) -> None:
    spec = valkey.process(tmp_path / "valkey", 1, "a-secret-word")
    assert "a-secret-word" not in " ".join(spec.argv)
    assert os.stat(spec.argv[-1]).st_mode & 0o077 == 0
