"""Accounts and their sessions. Called by the api."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from ..domain.errors import EmailTaken, NotFound
from .session import Database, new_id
from .tables import Session, User

PROFILE = frozenset({"first_name", "last_name", "bio", "phone", "avatar"})
"""Columns that a person may change about herself."""
_ALIVE = (
    Session.revoked_at.is_(None),
    Session.expires_at > func.now(),
    Session.generation == User.token_generation,
    User.is_active,
)


class Users:
    """One row per person, one row per token handed out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, *, email: str, password_hash: str, first_name: str, last_name: str) -> User:
        """A new account. Raises EmailTaken when the address is in use, in any case of letters.

        Nothing is violated then: PostgreSQL would write the address into its log.
        """
        user_id = new_id()

        async def write(session: AsyncSession) -> User:
            again = await session.get(User, user_id)  # the answer to an earlier COMMIT may have been lost
            if again is not None:
                return again
            values = {"id": user_id, "email": email, "password_hash": password_hash}
            created = upsert(User).values(**values, first_name=first_name, last_name=last_name)
            made = (await session.scalars(created.on_conflict_do_nothing().returning(User))).one_or_none()
            if made is None:
                raise EmailTaken("User with this email already exists")
            return made

        return await self._database.transaction(write)

    async def by_email(self, email: str) -> User | None:
        """The account with this address, in any case of letters."""

        async def read(session: AsyncSession) -> User | None:
            return (await session.scalars(select(User).where(func.lower(User.email) == email.lower()))).one_or_none()

        return await self._database.transaction(read)

    async def get(self, user_id: uuid.UUID) -> User:
        """The account. Raises NotFound."""

        async def read(session: AsyncSession) -> User:
            found = await session.get(User, user_id)
            if found is None:
                raise NotFound("User not found.")
            return found

        return await self._database.transaction(read)

    async def update_profile(self, user_id: uuid.UUID, changes: dict[str, str | None]) -> User:
        """Change columns of PROFILE. Raises NotFound."""
        if not changes.keys() <= PROFILE:
            raise ValueError(f"not part of a profile: {sorted(changes.keys() - PROFILE)}")

        async def write(session: AsyncSession) -> User:
            changed = update(User).where(User.id == user_id).values(**changes, updated_at=func.now()).returning(User)
            found = (await session.scalars(changed)).one_or_none()
            if found is None:
                raise NotFound("User not found.")
            return found

        return await self._database.transaction(write)

    async def replace_hash(self, user_id: uuid.UUID, old_hash: str, new_hash: str) -> None:
        """Store a better hash of the same password, unless it was changed meanwhile."""

        async def write(session: AsyncSession) -> None:
            await session.execute(
                update(User).where(User.id == user_id, User.password_hash == old_hash).values(password_hash=new_hash)
            )

        await self._database.transaction(write)

    async def change_password(self, user_id: uuid.UUID, password_hash: str, keep: uuid.UUID) -> None:
        """A new password ends all tokens but the one (`keep`, its jti) that made the change."""

        async def write(session: AsyncSession) -> None:
            generation = (
                await session.execute(
                    update(User)
                    .where(User.id == user_id, User.password_hash != password_hash)  # a hash is salted: only ours is it
                    .values(
                        password_hash=password_hash,
                        token_generation=User.token_generation + 1,
                        updated_at=func.now(),
                    )
                    .returning(User.token_generation)
                )
            ).scalar_one_or_none()
            if generation is None:  # the answer to an earlier COMMIT was lost
                return
            await session.execute(update(Session).where(Session.id == keep).values(generation=generation))

        await self._database.transaction(write)

    async def open_session(self, user_id: uuid.UUID, jti: uuid.UUID, generation: int, expires_at: datetime) -> None:
        """Remember a token that is about to be handed out."""

        async def write(session: AsyncSession) -> None:
            if await session.get(Session, jti) is None:
                values = {"id": jti, "user_id": user_id, "generation": generation, "expires_at": expires_at}
                await session.execute(insert(Session).values(**values))

        await self._database.transaction(write)

    async def close_session(self, jti: uuid.UUID) -> None:
        """Revoke a token. Twice is fine."""

        async def write(session: AsyncSession) -> None:
            await session.execute(
                update(Session).where(Session.id == jti, Session.revoked_at.is_(None)).values(revoked_at=func.now())
            )

        await self._database.transaction(write)

    async def forget_expired(self) -> int:
        """Remove the rows of tokens whose time has passed: their signature refuses them already. How many."""

        async def write(session: AsyncSession) -> int:
            old = delete(Session).where(Session.expires_at < func.now()).returning(Session.id)
            return len((await session.execute(old)).all())

        return await self._database.transaction(write)

    async def holder(self, jti: uuid.UUID) -> User | None:
        """The user whose token this is, if the token is alive: not revoked, not expired, of the current generation."""

        async def read(session: AsyncSession) -> User | None:
            alive = select(User).join(Session, Session.user_id == User.id).where(Session.id == jti, *_ALIVE)
            return (await session.scalars(alive)).one_or_none()

        return await self._database.transaction(read)

    async def alive(self, tokens: Collection[uuid.UUID]) -> set[uuid.UUID]:
        """Those of these tokens (their jti) that are alive."""

        async def read(session: AsyncSession) -> set[uuid.UUID]:
            mine = select(Session.id).join(User, Session.user_id == User.id).where(Session.id.in_(tokens), *_ALIVE)
            return set((await session.scalars(mine)).all())

        return await self._database.transaction(read) if tokens else set()
