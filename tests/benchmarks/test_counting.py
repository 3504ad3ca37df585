"""What the benchmark counts: requests of the audit log, kinds of SQL statements."""

from __future__ import annotations

import json

import pytest

from orchestration import audit, meters


def _event(verb: str, resource: str, second: int, **more: object) -> dict:
    return {
        "stage": "ResponseComplete",
        "verb": verb,
        "user": {"username": "drishtiksha-operator"},
        "requestReceivedTimestamp": f"2026-01-01T00:00:{second:02d}.250000Z",
        "objectRef": {"resource": resource, "namespace": "n", "name": "ma-1"},
        "responseStatus": {"code": 200},
        **more,
    }


def _read(*events: dict) -> list[audit.Request]:
    return audit.read(json.dumps(e) for e in events)


def test_a_watch_counts_once_and_when_it_begins():
    began = _event("watch", "jobs", 1, stage="ResponseStarted")
    assert [r.verb for r in _read(began, {**began, "stage": "ResponseComplete"})] == ["watch"]


def test_a_request_that_streams_its_answer_counts_once():
    slow = _event("get", "pods", 1)
    assert len(_read({**slow, "stage": "ResponseStarted"}, slow)) == 1


def test_a_half_written_last_line_is_left_out():
    assert len(audit.read([json.dumps(_event("get", "jobs", 1)), '{"stage": "Respon'])) == 1


def test_requests_are_counted_by_user_verb_and_resource_with_its_subresource():
    patched = _event("patch", "mediaanalyses", 3)
    patched["objectRef"]["subresource"] = "status"
    found = _read(_event("create", "jobs", 1), _event("create", "jobs", 2), patched)
    assert audit.counted(found) == {"drishtiksha-operator": {"create jobs": 2, "patch mediaanalyses/status": 1}}


def test_a_window_holds_its_first_moment_and_not_its_last():
    found = _read(_event("get", "jobs", 1), _event("get", "jobs", 2), _event("get", "jobs", 3))
    start, end = found[0].at, found[2].at
    assert audit.between(found, start, end) == found[:2]


def test_asking_for_ones_rights_is_no_write():
    counts = audit.counted(_read(_event("create", "selfsubjectaccessreviews", 1), _event("create", "jobs", 2)))
    assert audit.writes(counts, "drishtiksha-operator") == 1


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("BEGIN", "framing"),
        ("COMMIT", "framing"),
        ("SELECT a FROM b", "reads"),
        ("SELECT a FROM b WHERE c = $1 FOR UPDATE", "reads"),
        ("SELECT a FROM b FOR NO KEY UPDATE OF b", "reads"),
        ("update a set b = $1", "writes"),
        ("WITH due AS (SELECT id FROM a FOR UPDATE SKIP LOCKED) UPDATE a SET b = $1 FROM due", "writes"),
        ("INSERT INTO a VALUES ($1)", "writes"),
        ("SELECT updated_at, deleted FROM media", "reads"),
    ],
)
def test_a_lock_is_a_read_and_a_hidden_update_is_a_write(query: str, kind: str):
    assert meters.kind(query) == kind


def test_rows_that_a_read_returned_are_not_rows_written():
    rows = [
        ("bench_api", "SELECT 1", 3, 300),
        ("bench_api", "UPDATE a SET b = $1", 2, 5),
        ("bench_door", "COMMIT", 1, 0),
    ]
    found = meters.tally(rows)
    assert found["api"] == meters.Sql(framing=0, reads=3, writes=2, rows_written=5)
    assert found["door"].statements == 1
