"""`drishtiksha verify`: ask every invariant of a platform, and say what is wrong. It changes nothing.

The questions stand in `drishtiksha.audit`. On one machine the platform of the state folder is asked; with DATABASE_URL
in the environment, whatever the settings there name.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import NOT_ANALYZED, OK, UNREACHABLE, USAGE, CommandFailed

if TYPE_CHECKING:
    from drishtiksha.audit.audit import Report

WITHOUT = ("kubernetes", "objects")


def verify(
    home: Annotated[Path | None, typer.Option("--home", help="State folder of the platform on this machine")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read all stored bytes and compare their sha256")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of words")] = False,
    patience: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="For what may heal by itself, in further looks")
    ] = 45.0,
    grace: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="How late mirrors may be [default: 60]")
    ] = None,
    without: Annotated[list[str] | None, typer.Option(help="Do not ask kubernetes, or objects; may repeat")] = None,
) -> None:
    """Audit the platform: do database, cluster and stored bytes agree?

    Read-only. Exit 0 when every check holds, 1 with a sentence for each violation.
    """
    unknown = [name for name in without or () if name not in WITHOUT]
    if unknown:
        raise CommandFailed(f"--without takes {' or '.join(WITHOUT)}, not {unknown[0]}", USAGE)
    if home is not None or "DATABASE_URL" not in os.environ:
        _as_this_platform(home)
    report = _ask(without or (), deep=deep, patience=patience, grace=grace)
    if as_json:
        import json

        from drishtiksha.audit.report import as_json as document

        print(json.dumps(document(report), indent=2, ensure_ascii=False))
    else:
        from drishtiksha.audit.report import lines

        for line in lines(report):
            print(line)
    raise typer.Exit(OK if report.clean else NOT_ANALYZED)


def _ask(without: Sequence[str], *, deep: bool, patience: float, grace: float | None) -> Report:
    from drishtiksha import logs
    from drishtiksha.audit.audit import verify as audit
    from drishtiksha.audit.places import open_places
    from drishtiksha.domain.errors import BadSettings, DrishtikshaError

    logs.configure("verify")

    async def ask() -> Report:
        async with open_places(without, grace=grace) as (places, limits):
            return await audit(places, limits, deep=deep, patience=patience)

    try:
        return asyncio.run(ask())
    except BadSettings as error:
        raise CommandFailed(str(error), USAGE) from None
    except DrishtikshaError as error:
        raise CommandFailed(f"the audit is not complete: {error}", UNREACHABLE) from None


def _as_this_platform(home: Path | None) -> None:
    """Put the settings and addresses of the one-machine platform into our own environment."""
    from drishtiksha.domain.errors import DrishtikshaError
    from drishtiksha_devcluster import dotenv, platform, state

    folder = state.find_home(home)
    if not (folder / "run" / "ports.json").is_file():
        raise CommandFailed(f"there is no platform in {folder}: drishtiksha up, or set DATABASE_URL and KUBECONFIG")
    try:
        settings, _ = dotenv.read(state.settings_file(folder))
        found = platform.addresses(folder)
    except DrishtikshaError as error:
        raise CommandFailed(str(error)) from None
    for name, value in settings.items():
        if value:
            os.environ[name] = value
    config, objects = settings.get("DRISHTIKSHA_CONFIG"), settings.get("LOCAL_STORAGE_PATH")
    os.environ |= {
        "DATABASE_URL": found.database_url,
        "KUBECONFIG": str(found.kubeconfig),
        "DRISHTIKSHA_NAMESPACE": found.namespace,
        "DRISHTIKSHA_CONFIG": str(folder / (config or "config.yaml")),
        "LOCAL_STORAGE_PATH": str(folder / (objects or "objects")),
    }
