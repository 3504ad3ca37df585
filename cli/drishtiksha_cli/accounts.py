"""The commands of an account: signup, login, logout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .terminal import Api, Json, ask, client, print_json

if TYPE_CHECKING:
    from .client import Client

Email = Annotated[str | None, typer.Option(envvar="DRISHTIKSHA_EMAIL", help="Asked for when missing")]
Password = Annotated[str | None, typer.Option(envvar="DRISHTIKSHA_PASSWORD", help="Asked for, unseen, when missing")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    for command in (signup, login, logout):
        app.command()(command)


def signup(
    email: Email = None,
    password: Password = None,
    first_name: Annotated[str | None, typer.Option(help="Asked for when missing")] = None,
    last_name: Annotated[str | None, typer.Option(help="Asked for when missing")] = None,
    as_json: Json = False,
    api: Api = None,
) -> None:
    """Make an account and log in."""
    at = client(api)
    email = email or ask("E-mail", "--email")
    first_name = first_name or ask("First name", "--first-name")
    last_name = last_name or ask("Last name", "--last-name")
    password = password or ask("Password (6 characters or more)", "DRISHTIKSHA_PASSWORD", unseen=True, twice=True)
    _keep(at, email, at.signup(email, password, first_name, last_name), as_json=as_json)


def login(email: Email = None, password: Password = None, as_json: Json = False, api: Api = None) -> None:
    """Log in; the token is kept in a file of yours."""
    at = client(api)
    email = email or ask("E-mail", "--email")
    password = password or ask("Password", "DRISHTIKSHA_PASSWORD", unseen=True)
    _keep(at, email, at.login(email, password), as_json=as_json)


def logout(as_json: Json = False, api: Api = None) -> None:
    """End the token of this terminal."""
    from . import tokens

    at = client(api)
    was_in = at.token is not None
    if was_in:
        try:
            at.logout()
        finally:
            tokens.forget(at.base_url)
    if as_json:
        print_json({"api": at.base_url, "loggedOut": was_in})
    else:
        print("Logged out." if was_in else "You were not logged in.")


def _keep(at: Client, email: str, token: str, *, as_json: bool) -> None:
    from . import tokens

    path = tokens.save(at.base_url, email, token)
    if as_json:
        print_json({"api": at.base_url, "email": email, "tokenFile": str(path)})
    else:
        print(f"Logged in at {at.base_url} as {email}. The token is kept in {path}.")
