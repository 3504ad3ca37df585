"""The person at this terminal: which API they mean, who they are there, what they answer, and how JSON is told to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .errors import NOT_LOGGED_IN, USAGE, CommandFailed

if TYPE_CHECKING:
    from .client import Client

Api = Annotated[
    str | None, typer.Option("--api", envvar="DRISHTIKSHA_API", help="URL of the API [default: this machine's]")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of words")]


def client(api: str | None) -> Client:
    """The API that is meant, with the token of this terminal if there is one."""
    from . import tokens
    from .client import Client

    base_url = tokens.api_url(api)
    return Client(base_url, tokens.load(base_url))


def logged_in(api: str | None) -> Client:
    """The same for who must be logged in. Raises CommandFailed."""
    found = client(api)
    if found.token is None:
        raise CommandFailed("You are not logged in. Try: drishtiksha login, or drishtiksha signup.", NOT_LOGGED_IN)
    return found


def ask(what: str, instead: str, *, unseen: bool = False, twice: bool = False) -> str:
    """Ask the person, on standard error; `instead` is named where nobody answers."""
    try:
        return str(typer.prompt(what, hide_input=unseen, confirmation_prompt=twice, err=True))
    except typer.Abort as abort:
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        typer.echo(err=True)
        raise CommandFailed(f"nobody answered; give it with {instead}", USAGE) from None


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False))
