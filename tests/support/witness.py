"""The oracle of tests that make a platform suffer: ask `drishtiksha verify` until it is clean, or say what is not."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from drishtiksha.audit import report
from drishtiksha.audit.audit import Places, Report, verify
from drishtiksha.audit.limits import Limits
from drishtiksha.database.session import Database
from drishtiksha.kube import Kube
from drishtiksha.kubeconfig import from_file
from drishtiksha.objects.local import LocalObjects
from drishtiksha.settings import sqlalchemy_url


def ask(
    database_url: str,
    *,
    kubeconfig: Path | None = None,
    namespace: str = "drishtiksha",
    objects: Path | None = None,
    limits: Limits = Limits(grace=0.0),
    patience: float = 60.0,
    deep: bool = True,
) -> Report:
    """One audit, from any thread, with or without a running loop. What may heal has `patience` seconds."""

    async def audit() -> Report:
        database = Database(sqlalchemy_url(database_url), pool_size=1, statement_timeout=60, application="witness")
        store = LocalObjects(objects) if objects is not None else None
        try:
            if kubeconfig is None:
                return await verify(Places(database, objects=store), limits, deep=deep, patience=patience)
            async with Kube(from_file(kubeconfig)) as kube:
                places = Places(database, kube, namespace, store)
                return await verify(places, limits, deep=deep, patience=patience)
        finally:
            await database.close()

    found: list[Report | BaseException] = []

    def work() -> None:
        try:
            found.append(asyncio.run(audit()))
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def assert_clean(found: Report) -> Report:
    """The report, if there is nothing to say; AssertionError with every sentence otherwise."""
    assert found.clean, "\n".join(report.lines(found))
    return found
