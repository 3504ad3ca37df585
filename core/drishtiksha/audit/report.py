"""What an audit found, for people, for programs, and for Prometheus. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from .audit import Report


def lines(report: Report) -> Iterator[str]:
    """A few lines for a person: what is wrong by check, else that all holds; then what was looked at."""
    for check, found in groupby(report.violations, key=lambda v: v.check):
        yield f"✗ {check.name} ({check.invariant}): {check.claim}"
        for violation in found:
            above = ", ".join(f"{name} {value}" for name, value in violation.ids.items())
            yield f"    {violation.kind} {violation.subject}: {violation.text}" + (f" [{above}]" if above else "")
    made = len(report.checks)
    broken = len({v.check.name for v in report.violations})
    count = len(report.violations)
    if report.clean:
        yield f"✓ All {made} checks hold."
    else:
        yield f"✗ {count} violation{'s' if count != 1 else ''} of {broken} of {made} checks."
    seen = ", ".join(f"{number} {what}" for what, number in report.looked_at.items())
    looks = f"{report.looks} looks" if report.looks > 1 else "one look"
    yield f"  Asked {', '.join(report.asked)}: {seen or 'nothing there'}; {looks}, {report.seconds:.1f} s."


def as_json(report: Report) -> dict[str, Any]:
    """The same for programs; `checks` maps each check that was made to the number of its violations."""
    numbers = Counter(v.check.name for v in report.violations)
    return {
        "clean": report.clean,
        "asked": list(report.asked),
        "deep": report.deep,
        "lookedAt": report.looked_at,
        "looks": report.looks,
        "seconds": round(report.seconds, 3),
        "checks": {check.name: numbers[check.name] for check in report.checks},
        "violations": [
            {
                "check": v.check.name,
                "invariant": v.check.invariant,
                "claim": v.check.claim,
                "kind": v.kind,
                "id": v.subject,
                "message": v.text,
                "ids": v.ids,
            }
            for v in report.violations
        ],
    }


def metrics(report: Report) -> str:
    """The gauge `drishtiksha_audit_violations{check}` in Prometheus' text format, 0 for each check that holds."""
    numbers = Counter(v.check.name for v in report.violations)
    head = "# HELP drishtiksha_audit_violations Violations found by the last audit.\n"
    head += "# TYPE drishtiksha_audit_violations gauge\n"
    return head + "".join(
        f'drishtiksha_audit_violations{{check="{check.name}"}} {numbers[check.name]}\n' for check in report.checks
    )
