"""What the witness says: sentences for people, JSON for programs, lines for Prometheus."""

from __future__ import annotations

import json
from pathlib import Path

from drishtiksha.audit import catalogue as c
from drishtiksha.audit import report
from drishtiksha.audit.audit import Report


def _report(*found: c.Violation, asked: tuple[str, ...] = ("postgres", "objects"), deep: bool = False) -> Report:
    return Report(found, asked, {"media": 2}, 1, deep, 0.25)


BROKEN = c.RUN_STATUS.broken("run", "r1", "It says ANALYZED, its analyses say FAILED.", media="m1")


def test_a_clean_report_says_how_many_checks_hold_and_who_was_asked() -> None:
    made = len([k for k in c.CHECKS if k.asks != "kubernetes"]) - 1  # the hashes are not asked for
    assert list(report.lines(_report())) == [
        f"✓ All {made} checks hold.",
        "  Asked postgres, objects: 2 media; one look, 0.2 s.",
    ]


def test_a_violation_is_told_with_its_claim_its_id_and_what_stands_above_it() -> None:
    said = list(report.lines(_report(BROKEN)))
    assert said[0] == "✗ run-status (I7): A run's status is the function of its analyses, and never ahead of it."
    assert said[1] == "    run r1: It says ANALYZED, its analyses say FAILED. [media m1]"
    assert said[2].startswith("✗ 1 violation of 1 of ")


def test_json_counts_every_check_that_was_made_and_no_other() -> None:
    told = json.loads(json.dumps(report.as_json(_report(BROKEN))))
    assert told["clean"] is False
    assert told["checks"]["run-status"] == 1
    assert told["checks"]["event-numbers"] == 0
    assert "run-resource" not in told["checks"], "kubernetes was not asked"
    assert "bytes-sha256" not in told["checks"]
    assert told["violations"] == [
        {
            "check": "run-status",
            "invariant": "I7",
            "claim": c.RUN_STATUS.claim,
            "kind": "run",
            "id": "r1",
            "message": BROKEN.text,
            "ids": {"media": "m1"},
        }
    ]


def test_the_gauge_has_a_line_for_each_check_that_was_made() -> None:
    lines = report.metrics(_report(BROKEN, deep=True)).splitlines()
    assert 'drishtiksha_audit_violations{check="run-status"} 1' in lines
    assert 'drishtiksha_audit_violations{check="bytes-sha256"} 0' in lines
    assert len(lines) == 2 + len([k for k in c.CHECKS if k.asks != "kubernetes"])


def test_names_of_checks_are_unique_and_every_claim_is_a_sentence() -> None:
    assert len({k.name for k in c.CHECKS}) == len(c.CHECKS)
    assert all(k.claim.endswith((".", ".)")) and k.invariant.startswith("I") for k in c.CHECKS)


def test_the_document_has_every_check_with_its_claim() -> None:
    text = (Path(__file__).parents[3] / "docs" / "verify.md").read_text(encoding="utf-8")
    told = [line for line in text.splitlines() if line.startswith("| `") and line.count("|") == 5]
    due = [f"| `{k.name}` | {k.invariant} | {k.claim} | {'second look' if k.heals else 'at once'} |" for k in c.CHECKS]
    assert told == due
