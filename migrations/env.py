"""Alembic's environment: one connection, one advisory lock, all tables of drishtiksha.database."""

from alembic import context
from sqlalchemy import Connection, create_engine, text

from drishtiksha.database.migrate import LOCK
from drishtiksha.database.tables import Base


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=True)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    engine = create_engine(context.config.attributes["url"], connect_args={"connect_timeout": 5})
    with engine.connect() as connection:
        run(connection)
        connection.commit()
    engine.dispose()
