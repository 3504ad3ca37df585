"""What liveness and readiness say, over HTTP."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import httpx
import pytest

from drishtiksha.domain.errors import ErrorClass
from drishtiksha.domain.status import RunStatus
from drishtiksha_devcluster.ports import free_port
from drishtiksha_operator.health import Figures, Health


@pytest.fixture
async def served() -> AsyncIterator[tuple[Health, httpx.AsyncClient]]:
    health, port = Health(Figures()), free_port()
    await health.serve("127.0.0.1", port)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        yield health, client
    await health.close()


async def test_while_it_waits_for_a_neighbour_it_is_alive_and_not_ready(
    served: tuple[Health, httpx.AsyncClient],
) -> None:
    health, client = served
    health.waiting_for = "PostgreSQL: it does not answer"
    health.figures.last_look = time.monotonic() - 10_000
    assert (await client.get("/healthz")).status_code == 200
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["waitingFor"]) == (503, "PostgreSQL: it does not answer")


@pytest.mark.parametrize(
    ("lag", "head", "silent", "word"),
    [(6.0, 0.0, 0.0, "late"), (0.0, 121.0, 0.0, "worker"), (0.0, 0.0, 301.0, "good look"), (0.0, 0.0, 0.0, None)],
)
async def test_a_late_loop_an_old_head_and_a_long_silence_are_ailments(
    served: tuple[Health, httpx.AsyncClient], lag: float, head: float, silent: float, word: str | None
) -> None:
    health, client = served
    health.started, health.waiting_for, health.lag, health.head_age = True, None, lag, head
    health.figures.last_look = time.monotonic() - silent
    answer = await client.get("/healthz")
    assert answer.status_code == (200 if word is None else 503)
    assert word is None or word in answer.json()["ailments"][0]
    assert (await client.get("/readyz")).status_code == 200


async def test_figures_are_told_without_ids(served: tuple[Health, httpx.AsyncClient]) -> None:
    health, client = served
    health.figures.looked()
    health.figures.concluded(RunStatus.FAILED, ErrorClass.CRASHED)
    health.figures.ended(None)
    text = (await client.get("/metrics")).text
    assert 'drishtiksha_operator_runs_concluded_total{reason="CRASHED",status="FAILED"} 1.0' in text
    assert "drishtiksha_operator_looks_total 1.0" in text
