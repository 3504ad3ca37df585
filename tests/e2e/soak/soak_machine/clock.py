"""A jump of the database's clock, without a clock that can be set: every time in every row is made older at once.

All our comparisons of times are made by that clock, so this is what a jump looks like to the platform. The triggers
are passed over (`session_replication_role`): to them it would be a change of what is final.
"""

from __future__ import annotations

import psycopg
from psycopg.errors import DeadlockDetected

_COLUMNS = """
SELECT c.table_name, array_agg(c.column_name::text) FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.data_type = 'timestamp with time zone'
GROUP BY 1 ORDER BY 1
"""


def jump(database_url: str, seconds: float) -> None:
    """Age all rows by so many seconds. Whoever is in the middle of a transaction finishes it before, or tries again."""
    for tries in range(10):
        try:
            with psycopg.connect(database_url) as connection:
                _age(connection, seconds)
        except DeadlockDetected:
            assert tries < 9, "the rows could not be aged for all the deadlocks"
        else:
            return


def _age(connection: psycopg.Connection[tuple[str, list[str]]], seconds: float) -> None:
    connection.execute("SET LOCAL session_replication_role = replica")
    tables = dict(connection.execute(_COLUMNS).fetchall())
    connection.execute(f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE".encode())
    for table, columns in tables.items():
        older = ", ".join(f"{column} = {column} - make_interval(secs => {seconds})" for column in columns)
        connection.execute(f"UPDATE {table} SET {older}".encode())
