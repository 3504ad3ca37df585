"""Accounts: signup, login, logout, profile, password."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, cast

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, StringConstraints, field_validator, model_validator
from pydantic.alias_generators import to_camel

from drishtiksha.database.session import new_id
from drishtiksha.database.tables import User
from drishtiksha.database.users import Users
from drishtiksha_api.bodies import documented, json_body
from drishtiksha_api.envelope import success
from drishtiksha_api.passwords import Passwords
from drishtiksha_api.principal import Caller
from drishtiksha_api.problems import Problem, invalid
from drishtiksha_api.shapes.users import user as shape
from drishtiksha_api.tokens import Tokens

router = APIRouter(prefix="/api/v1/auth", tags=["auth"])

_NO_STORE = {"Cache-Control": "no-store"}
_EMAIL = r"^[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]+\.[^@\s\x00-\x1f\x7f.]+$"
Email = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254, pattern=_EMAIL)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Password = Annotated[str, StringConstraints(min_length=6, max_length=1024)]
GivenPassword = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class Body(BaseModel):
    """camelCase on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_alias=True, validate_by_name=False)


class Signup(Body):
    """A new account."""

    email: Email
    password: Password
    first_name: Name
    last_name: Name


class Login(Body):
    """E-mail and password."""

    email: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=254)]
    password: GivenPassword


class ProfileChange(Body):
    """What may change; null clears bio and phone. Any other key is refused."""

    model_config = ConfigDict(extra="forbid")

    first_name: Name | None = None
    last_name: Name | None = None
    bio: Annotated[str, StringConstraints(max_length=500)] | None = None
    phone: Annotated[str, StringConstraints(max_length=32)] | None = None

    @field_validator("first_name", "last_name", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        if value is None:
            raise ValueError("A name cannot be null.")
        return value

    @model_validator(mode="after")
    def _something(self) -> ProfileChange:
        if not self.model_fields_set:
            raise ValueError("At least one field is needed.")
        return self


class PasswordChange(Body):
    """The current password proves that it is her."""

    current_password: GivenPassword
    new_password: Password
    confirm_password: str | None = None


@router.post("/signup", status_code=201, openapi_extra=documented(Signup))
async def signup(request: Request, body: Annotated[Signup, json_body(Signup)]) -> Response:
    """Create an account and hand out its first token."""
    hashed = await _passwords(request).hash(body.password)
    created = await _users(request).create(
        email=body.email, password_hash=hashed, first_name=body.first_name, last_name=body.last_name
    )
    token = await _open_session(request, created)
    data = {"user": shape(created), "token": token}
    return success(data, "User created successfully", status=201, headers=_NO_STORE)


@router.post("/login", openapi_extra=documented(Login))
async def login(request: Request, body: Annotated[Login, json_body(Login)]) -> Response:
    """Hand out a token. The same answer, in the same time, for an unknown account and a wrong password."""
    found = await _users(request).by_email(body.email)
    right = await _passwords(request).verify(body.password, found.password_hash if found else None)
    if found is None or not right or not found.is_active:
        raise Problem("BAD_CREDENTIALS", "Invalid email or password")
    token = await _open_session(request, found)
    return success({"user": shape(found), "token": token}, "Login successful", headers=_NO_STORE)


@router.post("/logout")
async def logout(request: Request, caller: Caller) -> Response:
    """End the token of this request."""
    await _users(request).close_session(caller.session_id)
    return success(None, "Logout successful", headers=_NO_STORE)


@router.get("/profile")
async def profile(caller: Caller) -> Response:
    """The account of the caller."""
    return success(shape(caller.user), "Profile retrieved successfully", headers=_NO_STORE)


@router.put("/profile", openapi_extra=documented(ProfileChange))
async def change_profile(
    request: Request, caller: Caller, body: Annotated[ProfileChange, json_body(ProfileChange)]
) -> Response:
    """Change names, bio, phone."""
    changes: dict[str, Any] = body.model_dump(include=body.model_fields_set)
    changed = await _users(request).update_profile(caller.user_id, changes)
    return success(shape(changed), "Profile updated successfully", headers=_NO_STORE)


@router.put("/profile/password", openapi_extra=documented(PasswordChange))
async def change_password(
    request: Request, caller: Caller, body: Annotated[PasswordChange, json_body(PasswordChange)]
) -> Response:
    """A new password; it ends all tokens but the one of this request."""
    if body.confirm_password is not None and body.confirm_password != body.new_password:
        raise invalid("confirmPassword", "The passwords differ.", code="MISMATCH")
    if not await _passwords(request).verify(body.current_password, caller.user.password_hash):
        raise Problem("WRONG_PASSWORD", "Current password is incorrect")
    hashed = await _passwords(request).hash(body.new_password)
    await _users(request).change_password(caller.user_id, hashed, caller.session_id)
    return success(None, "Password updated successfully", headers=_NO_STORE)


async def _open_session(request: Request, account: User) -> str:
    tokens = cast(Tokens, request.app.state.tokens)
    session_id, now = new_id(), datetime.now(UTC)
    token = tokens.mint(
        user_id=account.id,
        email=account.email,
        role=account.role,
        generation=account.token_generation,
        session_id=session_id,
        now=now,
    )
    await _users(request).open_session(account.id, session_id, account.token_generation, now + tokens.lifetime)
    return token


def _users(request: Request) -> Users:
    return cast(Users, request.app.state.users)


def _passwords(request: Request) -> Passwords:
    return cast(Passwords, request.app.state.passwords)
