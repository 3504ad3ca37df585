"""Signed things: forged, mutated and retired ones are refused; links keep still for an hour."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drishtiksha.signing import Link, SigningKeys, link_expiry

KEYS = SigningKeys("k1:" + "a" * 32)
ROTATED = SigningKeys("k2:" + "b" * 32 + ",k1:" + "a" * 32)
ATTEMPT = uuid.UUID("6f0e1f4e-1c7c-5a7b-9f0d-0d9e2f3c4b5a")


def test_a_token_reads_back_and_outlives_a_rotation() -> None:
    token = KEYS.attempt_token(ATTEMPT)
    assert KEYS.read_attempt_token(token) == ATTEMPT
    assert ROTATED.read_attempt_token(token) == ATTEMPT
    assert ROTATED.attempt_token(ATTEMPT).startswith("v1.k2.")
    assert KEYS.read_attempt_token(ROTATED.attempt_token(ATTEMPT)) is None


@given(st.integers(0, 200), st.characters())
def test_no_mutation_of_a_token_is_accepted(position: int, letter: str) -> None:
    token = KEYS.attempt_token(ATTEMPT)
    index = position % len(token)
    mutated = token[:index] + letter + token[index + 1 :]
    if mutated != token:
        assert KEYS.read_attempt_token(mutated) is None


@pytest.mark.parametrize("junk", ["", "v1", "v1.k1", "v2.k1.x.y", "v1.k9.x.y", "." * 9, "v1.k1." + str(ATTEMPT) + "."])
def test_junk_is_no_token(junk: str) -> None:
    assert KEYS.read_attempt_token(junk) is None


def test_a_link_is_good_for_its_subject_until_its_time() -> None:
    link = KEYS.link("media/1", 1000)
    assert KEYS.link_is_good("media/1", link, 999.0)
    assert not KEYS.link_is_good("media/1", link, 1001.0)
    assert not KEYS.link_is_good("media/2", link, 999.0)
    assert not KEYS.link_is_good("media/1", Link(2000, link.key_id, link.signature), 999.0)


def test_a_link_keeps_still_for_the_first_hour_and_changes_by_the_hour() -> None:
    created = datetime(2026, 1, 1, 10, 20, tzinfo=UTC)
    ends = [link_expiry(created, created + timedelta(minutes=m), 3600) for m in (0, 1, 59, 60, 61, 119)]
    assert len(set(ends[:4])) == 1
    assert len(set(ends[4:])) == 1
    assert ends[4] == ends[0] + 3600


def test_purposes_do_not_mix() -> None:
    assert KEYS.run_ml_key(ATTEMPT) not in KEYS.attempt_token(ATTEMPT)
    assert "a" * 32 not in repr(KEYS)
