"""`drishtiksha`: the command line. Commands are thin; what they do stands in `watching`, `demo`, `client` and `platform`.

Only typer is imported here: `--help` is quick, everything heavy comes with the command that needs it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import configuration, platform
from .errors import EXIT_CODES, NOT_LOGGED_IN, USAGE, CommandFailed
from .verify import verify

if TYPE_CHECKING:
    from .client import Client

app = typer.Typer(
    name="drishtiksha",
    help="Deepfake analysis on Kubernetes: bring the platform up, upload media, watch them being examined.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Api = Annotated[
    str | None, typer.Option("--api", envvar="DRISHTIKSHA_API", help="URL of the API [default: this machine's]")
]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Videos, pictures or recordings")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of words")]
Email = Annotated[str | None, typer.Option(envvar="DRISHTIKSHA_EMAIL", help="Asked for when missing")]
Password = Annotated[str | None, typer.Option(envvar="DRISHTIKSHA_PASSWORD", help="Asked for, unseen, when missing")]


@app.command()
def demo(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Yours instead of drawn ones")] = None,
    home: Annotated[Path | None, typer.Option("--home", help="State folder of the platform")] = None,
) -> None:
    """See a video, a picture and a recording being examined.

    Brings the platform up on this machine if needed; the media are drawn by code, or yours.
    """
    from . import demo as story

    sys.exit(story.run(files or [], home))


@app.command()
def signup(
    email: Email = None,
    password: Password = None,
    first_name: Annotated[str | None, typer.Option(help="Asked for when missing")] = None,
    last_name: Annotated[str | None, typer.Option(help="Asked for when missing")] = None,
    api: Api = None,
) -> None:
    """Make an account and log in."""
    client = _client(api)
    email = email or _ask("E-mail", "--email")
    first_name = first_name or _ask("First name", "--first-name")
    last_name = last_name or _ask("Last name", "--last-name")
    password = password or _ask("Password (6 characters or more)", "DRISHTIKSHA_PASSWORD", unseen=True, twice=True)
    _keep(client, email, client.signup(email, password, first_name, last_name))


@app.command()
def login(email: Email = None, password: Password = None, api: Api = None) -> None:
    """Log in; the token is kept in a file of yours."""
    client = _client(api)
    email = email or _ask("E-mail", "--email")
    password = password or _ask("Password", "DRISHTIKSHA_PASSWORD", unseen=True)
    _keep(client, email, client.login(email, password))


@app.command()
def logout(api: Api = None) -> None:
    """End the token of this terminal."""
    from . import tokens

    client = _client(api)
    if client.token is None:
        print("You were not logged in.")
        return
    try:
        client.logout()
    finally:
        tokens.forget(client.base_url)
    print("Logged out.")


@app.command()
def analyze(
    files: Files,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Stay until the end and show it live")] = True,
    as_json: Json = False,
    api: Api = None,
) -> None:
    """Upload files and have them examined."""
    from . import watching

    sys.exit(watching.analyze(_logged_in(api), files, watch=watch, as_json=as_json))


@app.command(name="list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many, newest first")] = 20,
    as_json: Json = False,
    api: Api = None,
) -> None:
    """Your media, newest first."""
    found = _logged_in(api).list(limit)
    if as_json:
        _print_json(found)
        return
    from . import view

    if not found:
        print("Nothing yet. Try: drishtiksha analyze FILE")
    else:
        view.console.print(view.listing(found, view.console.width))


@app.command()
def show(media_id: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False, api: Api = None) -> None:
    """One media with everything that was found."""
    media = _logged_in(api).media(media_id)
    if as_json:
        _print_json(media)
        return
    from . import view

    view.console.print(view.full(media), crop=False)


@app.command()
def watch(
    media_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="[default: all that are not final]")] = None,
    api: Api = None,
) -> None:
    """Follow analyses live until they end."""
    from . import watching

    sys.exit(watching.watch(_logged_in(api), media_id))


platform.register(app)
app.command()(verify)
app.add_typer(configuration.app, name="config")


def _client(api: str | None) -> Client:
    from . import tokens
    from .client import Client

    base_url = tokens.api_url(api)
    return Client(base_url, tokens.load(base_url))


def _logged_in(api: str | None) -> Client:
    client = _client(api)
    if client.token is None:
        raise CommandFailed("You are not logged in. Try: drishtiksha login, or drishtiksha signup.", NOT_LOGGED_IN)
    return client


def _ask(what: str, instead: str, *, unseen: bool = False, twice: bool = False) -> str:
    """Ask the person at the terminal, on standard error; `instead` is named where nobody answers."""
    try:
        return str(typer.prompt(what, hide_input=unseen, confirmation_prompt=twice, err=True))
    except typer.Abort as abort:
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        typer.echo(err=True)
        raise CommandFailed(f"nobody answered; give it with {instead}", USAGE) from None


def _keep(client: Client, email: str, token: str) -> None:
    from . import tokens

    path = tokens.save(client.base_url, email, token)
    print(f"Logged in at {client.base_url} as {email}. The token is kept in {path}.")


def _print_json(value: object) -> None:
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False))


def main() -> None:
    """Run a command; errors are one sentence on standard error and an exit code. Ctrl-C is 130, which typer sees to."""
    _spare_loopback()
    try:
        app()
    except CommandFailed as failed:
        print(f"drishtiksha: {failed}", file=sys.stderr)
        sys.exit(failed.code)


def _spare_loopback() -> None:
    """A proxy of the person's environment is not asked for this machine's own platform."""
    spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if spared != "*":
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, (spared, "127.0.0.1", "localhost")))


if __name__ == "__main__":
    main()
