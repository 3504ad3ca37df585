"""The migrations on a real server: up, down, up again, no drift; and SQL's status function says what Python's says."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import combinations_with_replacement

import psycopg
import pytest
from alembic import command
from sqlalchemy import create_engine, inspect, text
from stores import Stores

from drishtiksha.database import migrate
from drishtiksha.database.tables import Base
from drishtiksha.domain.status import RUN_CHANGES, AnalysisStatus, RunStatus, run_status
from drishtiksha.settings import sqlalchemy_url


@pytest.fixture
def empty(postgres_server: str) -> Iterator[str]:
    name = f"empty_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}".encode())
        yield sqlalchemy_url(postgres_server.rsplit("/", 1)[0] + f"/{name}")
        server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_up_down_up_and_no_drift(empty: str) -> None:
    migrate.upgrade(empty)
    command.check(migrate.config(empty))
    engine = create_engine(empty)
    assert set(Base.metadata.tables) <= set(inspect(engine).get_table_names())
    migrate.downgrade(empty, "base")
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    with engine.connect() as connection:
        left = connection.execute(text("SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"))
        assert left.scalar_one() == 0
    migrate.upgrade(empty)
    engine.dispose()


def test_two_migrations_at_once_are_one(empty: str) -> None:
    from concurrent.futures import ThreadPoolExecutor
    from subprocess import run
    from sys import executable

    environment = {"DATABASE_URL": empty, "PATH": ""}

    def once(_: int) -> int:
        return run(
            [executable, "-m", "drishtiksha.database.migrate"], check=False, env=environment, timeout=120
        ).returncode

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(once, range(2))) == [0, 0]


async def test_sql_and_python_agree_about_the_status_of_a_run(stores: Stores) -> None:
    user = await stores.user()
    async with stores.database.engine.connect() as connection:
        await connection.execute(text("SET session_replication_role = replica"))  # the guards would refuse these worlds
        for models in range(1, 4):
            media = await stores.frozen(user, *(f"M{n}" for n in range(models)))
            for seen in combinations_with_replacement(AnalysisStatus, models):
                for number, status in enumerate(seen):
                    values = {"s": status, "r": media.run_id, "m": f"M{number}"}
                    done, failed = status == "COMPLETED", status == "FAILED"
                    await connection.execute(
                        text(
                            "UPDATE analyses SET status = :s, prediction = CASE WHEN :d THEN 'FAKE' END,"
                            " basis = CASE WHEN :d THEN 'NONE' END, confidence = CASE WHEN :d THEN 0.5 END,"
                            " error_class = CASE WHEN :f THEN 'INTERNAL' END WHERE run_id = :r AND model = :m"
                        ),
                        {**values, "d": done, "f": failed},
                    )
                said = await connection.execute(text("SELECT run_status_of(:r)"), {"r": media.run_id})
                assert said.scalar_one() == run_status(True, seen)
        await connection.rollback()
    unfrozen = await stores.upload(user)
    async with stores.database.engine.connect() as connection:
        said = await connection.execute(text("SELECT run_status_of(:r)"), {"r": unfrozen.run_id})
        assert said.scalar_one() == "QUEUED"


async def test_sql_and_python_agree_about_legal_changes(stores: Stores) -> None:
    async with stores.database.engine.connect() as connection:
        for was in RunStatus:
            for becomes in RunStatus:
                said = await connection.execute(text("SELECT run_status_may_change(:a, :b)"), {"a": was, "b": becomes})
                assert said.scalar_one() == (becomes is was or becomes in RUN_CHANGES[was])
