"""Settings, the clock, the log's redaction: the small pure parts."""

from __future__ import annotations

import io
import json
import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from drishtiksha.domain.errors import BadSettings
from drishtiksha_jobrunner import environment, journal
from drishtiksha_jobrunner.service import Presence
from drishtiksha_jobrunner.service import read as read_stats
from drishtiksha_jobrunner.timing import Clock, pause, retry_after


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DRISHTIKSHA_DOOR_URL", ""),
        ("DRISHTIKSHA_DOOR_URL", "ftp://door"),
        ("DRISHTIKSHA_DOOR_URL", "http://[::1"),
        ("DRISHTIKSHA_DOOR_URL", "http://door:99999"),
        ("SERVER_URL", "models:8000"),
        ("DRISHTIKSHA_ATTEMPT_TOKEN", ""),
        ("DRISHTIKSHA_ATTEMPT_TOKEN", "a\nb"),
        ("SERVER_API_KEY", "sch\u00fcssel"),
        ("SERVER_DIALECT", "4"),
        ("DRISHTIKSHA_POLARITY", "both"),
    ],
)
def test_a_bad_setting_is_refused_by_name_and_never_repeated_if_secret(name, value, environ):
    with pytest.raises(BadSettings, match=name) as caught:
        environment.read(environ | {name: value})
    assert not value or "TOKEN" not in name or value not in str(caught.value)


def test_unset_settings_have_their_defaults(environ):
    for name in ("SERVER_API_KEY", "SERVER_DIALECT", "TRACEPARENT"):
        del environ[name]
    read = environment.read(environ)
    assert (read.server_key, read.dialect, read.polarity, read.traceparent) == ("", "auto", "fake", "")


def test_the_clock_counts_down_and_never_below_zero():
    now = [100.0]
    clock = Clock(5.0, lambda: now[0])
    now[0] = 103.0
    assert clock.left() == 2.0
    now[0] = 200.0
    assert clock.left() == 0.0


def test_pauses_grow_to_their_limit_and_never_overflow():
    for tries, longest in ((0, 1.0), (1, 2.0), (10, 15.0), (100_000, 15.0)):
        assert longest / 2 <= pause(tries, 1.0, 15.0) <= longest


def test_retry_after_is_read_as_a_number_or_a_date_and_bounded():
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 50 < (retry_after(soon, 300.0) or 0) <= 60
    assert [retry_after(h, 300.0) for h in ("7", "0", "-5", "1e9", None, "", "soon", "nan")] == [
        7.0, 0.0, 0.0, 300.0, None, None, None, None
    ]  # fmt: skip


def test_secrets_are_struck_out_of_events_extras_and_exceptions():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(journal.JsonLines(journal.Redactor(("s3cret", "s3cret-longer", ""))))
    logger = logging.getLogger("test.journal")
    logger.addHandler(handler)
    try:
        raise ValueError("s3cret-longer inside")
    except ValueError:
        logger.exception("event s3cret", extra={"header": "Bearer s3cret-longer", "nested": {"k": "s3cret"}})
    finally:
        logger.removeHandler(handler)
    line = json.loads(stream.getvalue())
    assert line["event"] == "event [redacted]"
    assert line["header"] == "Bearer [redacted]"
    assert "s3cret" not in stream.getvalue()
    assert "-longer" not in stream.getvalue()


@pytest.mark.parametrize(
    ("version", "expected"), [("3.0.0", 3), ("v3.2", 3), ("4.0", 3), ("2.9", 2), ("1", 2), ("", 2), (None, 2), (3, 2)]
)
def test_the_dialect_follows_the_services_version(version, expected):
    assert read_stats({"version": version}, "M").dialect("auto") == expected


@pytest.mark.parametrize("listed", [None, [], "M", [None], [{"name": "N"}], {"name": "M"}])
def test_a_model_that_is_not_in_the_list_is_unknown(listed):
    assert read_stats({"models_info": listed, "uptime_seconds": "x"}, "M").presence is Presence.UNKNOWN


def test_odd_figures_of_a_service_are_left_out():
    entry = {"name": "M", "loaded": True, "memory_usage_mb": "80 MB", "load_time": True, "device": 7, "description": ""}
    seen = read_stats({"models_info": [entry], "system_info": "none", "device_info": []}, "M")
    assert (seen.presence, seen.model_info, seen.system_info) == (Presence.LOADED, {}, {})
