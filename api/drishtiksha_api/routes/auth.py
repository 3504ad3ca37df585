"""Accounts: signup, login, logout, profile, password, avatar."""

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
from drishtiksha_api.addresses import origin_of
from drishtiksha_api.bodies import documented, json_body
from drishtiksha_api.cookies import Cookies
from drishtiksha_api.envelope import success
from drishtiksha_api.passwords import Passwords
from drishtiksha_api.principal import Caller
from drishtiksha_api.problems import Problem, invalid
from drishtiksha_api.shapes.users import user as shape
from drishtiksha_api.throttle import Throttle
from drishtiksha_api.tokens import Tokens

router = APIRouter(prefix="/api/v1/auth", tags=["auth"])

_NO_STORE = {"Cache-Control": "no-store"}
_EMAIL = r"^[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]+\.[^@\s\x00-\x1f\x7f.]+$"
_WEB_ADDRESS = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s\x00-\x1f\x7f/?#@\\]+([/?#][^\s\x00-\x1f\x7f]*)?$"
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


class Avatar(Body):
    """An http(s) address."""

    avatar: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2048, pattern=_WEB_ADDRESS)]


@router.post("/signup", status_code=201, openapi_extra=documented(Signup))
async def signup(request: Request, body: Annotated[Signup, json_body(Signup)]) -> Response:
    """Create an account and hand out its first token."""
    hashed = await _passwords(request).hash(body.password)
    created = await _users(request).create(
        email=body.email, password_hash=hashed, first_name=body.first_name, last_name=body.last_name
    )
    return await _welcome(request, created, "User created successfully", status=201)


@router.post("/login", openapi_extra=documented(Login))
async def login(request: Request, body: Annotated[Login, json_body(Login)]) -> Response:
    """Hand out a token. The same answer, in the same time, for an unknown account and a wrong password."""
    await _count_try(request, body.email)
    found = await _users(request).by_email(body.email)
    right, better = await _passwords(request).check(body.password, found.password_hash if found else None)
    if found is None or not right or not found.is_active:
        raise Problem("BAD_CREDENTIALS", "Invalid email or password")
    if better is not None:
        await _users(request).replace_hash(found.id, found.password_hash, better)
    await _forgive_tries(request, body.email)
    return await _welcome(request, found, "Login successful")


@router.post("/logout")
async def logout(request: Request, caller: Caller) -> Response:
    """End the token of this request."""
    await _users(request).close_session(caller.session_id)
    answer = success(None, "Logout successful", headers=_NO_STORE)
    _cookies(request).take_back(answer)
    return answer


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
    await _count_try(request, caller.user.email)
    if not await _passwords(request).verify(body.current_password, caller.user.password_hash):
        raise Problem("WRONG_PASSWORD", "Current password is incorrect")
    await _forgive_tries(request, caller.user.email)
    hashed = await _passwords(request).hash(body.new_password)
    await _users(request).change_password(caller.user_id, hashed, caller.session_id)
    return success(None, "Password updated successfully", headers=_NO_STORE)


@router.put("/profile/avatar", openapi_extra=documented(Avatar))
async def set_avatar(request: Request, caller: Caller, body: Annotated[Avatar, json_body(Avatar)]) -> Response:
    """The address of a picture of hers; it is stored as it is, and never fetched."""
    changed = await _users(request).update_profile(caller.user_id, {"avatar": body.avatar})
    return success(shape(changed), "Avatar updated successfully", headers=_NO_STORE)


@router.delete("/profile/avatar")
async def remove_avatar(request: Request, caller: Caller) -> Response:
    """No picture any more."""
    changed = await _users(request).update_profile(caller.user_id, {"avatar": None})
    return success(shape(changed), "Avatar removed successfully", headers=_NO_STORE)


async def _welcome(request: Request, account: User, message: str, *, status: int = 200) -> Response:
    """Her account and a new token, which a browser also keeps as a cookie."""
    token = await _open_session(request, account)
    answer = success({"user": shape(account), "token": token}, message, status=status, headers=_NO_STORE)
    _cookies(request).hand_out(answer, token)
    return answer


async def _count_try(request: Request, email: str) -> None:
    """Each try counts until it proves right, so that many at once are as many. Raises Problem RATE_LIMITED."""
    wait = await _throttle(request).take(email.lower(), _origin(request))
    if wait is not None:
        message = "Too many failed attempts. Please try again later."
        raise Problem("RATE_LIMITED", message, headers={"Retry-After": str(wait)})


async def _forgive_tries(request: Request, email: str) -> None:
    await _throttle(request).forgive(email.lower(), _origin(request))


def _origin(request: Request) -> str:
    return origin_of(request, request.app.state.trusted_proxies)


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


def _cookies(request: Request) -> Cookies:
    return cast(Cookies, request.app.state.cookies)


def _throttle(request: Request) -> Throttle:
    return cast(Throttle, request.app.state.throttle)
