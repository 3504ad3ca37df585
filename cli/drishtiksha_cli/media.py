"""The commands about a person's media: analyze, list, show, watch, rerun, cancel, delete, models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import OK, REFUSED, CommandFailed, Refused
from .terminal import Api, Json, logged_in, print_json

if TYPE_CHECKING:
    from .client import Client

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Videos, pictures or recordings")]


def _completed(incomplete: str) -> list[tuple[str, str]]:
    from .completion import media_ids

    return media_ids(incomplete)


Id = Annotated[str, typer.Argument(metavar="ID", help="A media, as list shows it", autocompletion=_completed)]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="As list shows them", autocompletion=_completed)]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    app.command()(analyze)
    app.command(name="list")(list_)
    for command in (show, watch, rerun, cancel, delete, models):
        app.command()(command)


def analyze(
    files: Files,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Stay until the end and show it live")] = True,
    as_json: Json = False,
    api: Api = None,
) -> None:
    """Upload files and have them examined."""
    from . import watching

    sys.exit(watching.analyze(logged_in(api), files, watch=watch, as_json=as_json))


def list_(
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many, newest first")] = 20,
    as_json: Json = False,
    api: Api = None,
) -> None:
    """Your media, newest first."""
    found = logged_in(api).list(limit)
    if as_json:
        print_json(found)
        return
    from . import view

    if not found:
        print("Nothing yet. Try: drishtiksha analyze FILE")
    else:
        view.console.print(view.listing(found, view.console.width))


def show(media_id: Id, as_json: Json = False, api: Api = None) -> None:
    """One media with everything that was found."""
    media = logged_in(api).media(media_id)
    if as_json:
        print_json(media)
        return
    from . import view

    view.console.print(view.full(media), crop=False)


def watch(
    media_id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="[default: all that are not final]", autocompletion=_completed),
    ] = None,
    as_json: Json = False,
    api: Api = None,
) -> None:
    """Follow analyses live until they end."""
    from . import watching

    sys.exit(watching.watch(logged_in(api), media_id, as_json=as_json))


def rerun(
    media_id: Id,
    model: Annotated[list[str] | None, typer.Option(help="Only this model; may repeat [default: all]")] = None,
    reason: Annotated[str | None, typer.Option(help="Why, kept with the run")] = None,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Stay until the end and show it live")] = False,
    as_json: Json = False,
    api: Api = None,
) -> None:
    """Have a media examined once more: a new run."""
    from . import watching

    at = logged_in(api)
    media = at.rerun(media_id, models=model or None, reason=reason)
    if watch:
        sys.exit(watching.to_the_end(at, [media], as_json=as_json))
    if as_json:
        print_json(media)
    else:
        number = media["analysisRuns"][0]["runNumber"]
        print(f"{media['id']}  {media['filename']}: run {number} is queued. Follow it: drishtiksha watch {media['id']}")


def cancel(media_id: Id, as_json: Json = False, api: Api = None) -> None:
    """End the run of a media; what its models have found stays."""
    media = logged_in(api).cancel(media_id)
    if as_json:
        print_json(media)
    else:
        print(f"{media['id']}  {media['filename']}: the run is being cancelled.")


def delete(
    media_ids: Ids,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")] = False,
    as_json: Json = False,
    api: Api = None,
) -> None:
    """Delete media with all their results. Asks first, on a terminal.

    What is being examined is cancelled. One that is not there does not keep the others from being deleted.
    """
    at = logged_in(api)
    if not yes and sys.stdin.isatty():
        for media_id in media_ids:
            typer.echo(f"{media_id}  {at.media(media_id)['filename']}", err=True)
        what = "this media" if len(media_ids) == 1 else f"these {len(media_ids)} media"
        if not typer.confirm(f"Delete {what} with all results?", err=True):
            raise CommandFailed("nothing was deleted")
    told = [_delete(at, media_id, quiet=as_json) for media_id in media_ids]
    if as_json:
        print_json(told)
    raise typer.Exit(OK if all(one["deleted"] for one in told) else REFUSED)


def _delete(at: Client, media_id: str, *, quiet: bool) -> dict[str, Any]:
    try:
        at.delete(media_id)
    except Refused as refused:
        if refused.status != 404:
            raise
        if not quiet:
            typer.echo(f"{media_id}: {refused}", err=True)
        return {"id": media_id, "deleted": False, "error": {"code": refused.error, "message": str(refused)}}
    if not quiet:
        print(f"{media_id}  deleted")
    return {"id": media_id, "deleted": True, "error": None}


def models(as_json: Json = False, api: Api = None) -> None:
    """The models of the ML service, loaded or not.

    A model that brings a pod of its own (DRISHTIKSHA_CONFIG) is declared there and not listed here.
    """
    status = logged_in(api).server_status()
    found = status.get("models_info") or []
    if as_json:
        print_json(found)
        return
    from . import view

    if not found:
        print("The ML service offers no model. Load one: ACTIVE_MODELS of the model service.")
    else:
        view.console.print(view.models(found))
