"""Which refusals of the cluster are its last word, and which wait: for rights, or for the namespace to come back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drishtiksha.kube import KubeError, KubeForbidden, KubeInvalid
from drishtiksha_operator.starting import Starting

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DENIED = 'jobs.batch is forbidden: User "drishtiksha-operator" cannot create resource "jobs" in API group "batch"'
QUOTA = 'jobs.batch "ma-1" is forbidden: exceeded quota: small, requested: count/jobs.batch=1'
GOING = 'jobs.batch "ma-1" is forbidden: unable to create new content in namespace x because it is being terminated'
ADMISSION = 'pods "x" is forbidden: violates PodSecurity "restricted:latest"'


@pytest.mark.parametrize(
    ("error", "age", "last_word"),
    [
        (KubeForbidden(403, "Forbidden", DENIED), 0.0, False),
        (KubeForbidden(403, "Forbidden", DENIED), 599.0, False),
        (KubeForbidden(403, "Forbidden", DENIED), 600.0, True),
        (KubeForbidden(403, "Forbidden", GOING), 599.0, False),
        (KubeForbidden(403, "Forbidden", GOING), 600.0, True),
        (KubeForbidden(403, "Forbidden", QUOTA), 0.0, True),
        (KubeForbidden(403, "Forbidden", ADMISSION), 0.0, True),
        (KubeForbidden(401, "Unauthorized", "Unauthorized"), 10_000.0, False),
        (KubeInvalid(422, "Invalid", "spec: no"), 0.0, True),
    ],
)
def test_a_denial_of_rights_and_a_namespace_on_its_way_out_wait_and_every_other_refusal_is_the_last_word(
    error: KubeError, age: float, last_word: bool
) -> None:
    starting = cast(Any, SimpleNamespace(settings=SimpleNamespace(hopeless_deadline=600.0)))
    attempt = cast(Any, SimpleNamespace(created_at=NOW - timedelta(seconds=age)))
    assert Starting._is_for_good(starting, error, attempt, cast(Any, SimpleNamespace(now=NOW))) is last_word
