"""How long things may take before the witness calls them wrong, and by which thresholds verdicts were made.

Seconds, by the database's clock. Wherever a setting of the platform says how long, it is taken from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..domain.analysis import Thresholds
from ..settings import Operator, Retention


@dataclass(frozen=True)
class Limits:
    """The defaults are those of a platform with default settings."""

    grace: float = 60.0
    """A mirror or a next step may be so late behind the rows (two sweeps)."""
    erased_within: float = 900.0
    """A tombstone waits two minutes; the rest is for a cluster that deletes slowly."""
    wish_due: float = 300.0
    """A due wish that nobody took up: no dispatcher works."""
    wish_age: float = 25 * 3600.0
    """The dispatcher gives up after a day."""
    orphan_age: float = 26 * 3600.0
    """A day of grace, and the hourly janitor's next two rounds."""
    deadline_slack: float = 900.0
    """The pod's own deadline, the end of its Job, and a sweep or two."""
    run_age: float = 8 * 86400.0
    """The age limit of a run, and a day for what is in flight then."""
    resource_ttl: float = 86400.0 + 7200.0
    """The TTL of finished resources, and some rounds of the sweep."""
    job_start: float = 600.0
    """From an attempt's row to its Job."""
    event_retention: float = 30 * 86400.0
    max_active: int | None = None
    """Attempts in flight, in all. None: not asked."""
    max_active_per_user: int | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    weighted: bool = False
    """Models have weights in the operator's settings: a verdict's score is then only known to lie among its votes."""


def limits(operator: Operator, retention: Retention, *, weighted: bool, grace: float | None = None) -> Limits:
    """The limits of a platform with these settings."""
    usual = Limits()
    return Limits(
        grace=usual.grace if grace is None else grace,
        run_age=operator.run_age_limit + 86400.0,
        resource_ttl=operator.resource_ttl + max(7200.0, 3 * operator.reconcile_all),
        event_retention=retention.events,
        max_active=operator.max_active_jobs,
        max_active_per_user=operator.max_active_per_user,
        thresholds=Thresholds(operator.fake_from, operator.real_to),
        weighted=weighted,
    )
