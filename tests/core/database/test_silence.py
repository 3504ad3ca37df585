"""What a person wrote is in her rows and nowhere else: no error of the database quotes it, no log holds it."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from stores import Stores

from drishtiksha.domain.errors import EmailTaken

WORDS = "canary\nin two lines"


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO users (id, email, password_hash, first_name, last_name, role) "
        "VALUES (gen_random_uuid(), :words, 'x', :words, 'x', 'NOBODY')",
        "INSERT INTO users (id, email, password_hash, first_name) VALUES (gen_random_uuid(), :words, 'x', :words)",
        "SELECT :words FROM nowhere",
    ],
)
async def test_an_error_of_the_database_quotes_nobodys_words(stores: Stores, statement: str) -> None:
    with pytest.raises(DBAPIError) as raised:
        async with stores.database.engine.begin() as connection:
            await connection.execute(text(statement), {"words": WORDS})
    logged = "".join(traceback.format_exception(raised.value))
    assert "violates" in logged or "does not exist" in logged
    assert "canary" not in logged
    assert "two lines" not in logged


async def test_an_address_that_is_taken_does_not_come_into_the_log_of_the_database(stores: Stores) -> None:
    async with stores.database.engine.connect() as connection:
        folder = Path((await connection.execute(text("SHOW data_directory"))).scalar_one())
        log = folder.parent / "log"
        if not log.is_file():
            pytest.skip("the server is not ours")
        with pytest.raises(DBAPIError):  # so that the log is seen to be the right one
            await connection.execute(text("SELECT 1 FROM nobody_has_this_table"))
    account = {"password_hash": "x", "first_name": "A", "last_name": "B"}
    await stores.users.create(email="Canary-Taken@example.org", **account)
    with pytest.raises(EmailTaken):
        await stores.users.create(email="canary-taken@EXAMPLE.org", **account)
    written = log.read_text(errors="replace")
    assert "nobody_has_this_table" in written
    assert "canary-taken" not in written.lower()
