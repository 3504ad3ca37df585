"""`drishtiksha`: the command line. The commands stand in `accounts`, `media`, `platform`, `configuration` and others.

Only typer is imported here: `--help` is quick, everything heavy comes with the command that needs it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from . import accounts, configuration, db, media, platform
from .dev import dev
from .doctor import doctor
from .errors import EXIT_CODES, CommandFailed
from .verify import verify

app = typer.Typer(
    name="drishtiksha",
    help="Deepfake analysis on Kubernetes: bring the platform up, upload media, watch them being examined.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def demo(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Yours instead of drawn ones")] = None,
    home: Annotated[Path | None, typer.Option("--home", help="State folder of the platform")] = None,
    everything: Annotated[bool, typer.Option("--all", help="More media: each kind of finding")] = False,
) -> None:
    """See a video, a picture and a recording being examined.

    Brings the platform up on this machine if needed; the media are drawn by code, or yours.
    """
    from . import demo as story

    sys.exit(story.run(files or [], home, everything=everything))


accounts.register(app)
media.register(app)
platform.register(app)
app.command()(dev)
app.command()(doctor)
app.command()(verify)
app.add_typer(db.app, name="db")
app.add_typer(configuration.app, name="config")


def main() -> None:
    """Run a command; errors are one sentence on standard error and an exit code. Ctrl-C is 130, which typer sees to."""
    spare_loopback()
    try:
        app()
    except CommandFailed as failed:
        print(f"drishtiksha: {failed}", file=sys.stderr)
        sys.exit(failed.code)


def spare_loopback() -> None:
    """A proxy of the person's environment is not asked for this machine's own platform."""
    spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if spared != "*":
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, (spared, "127.0.0.1", "localhost")))


if __name__ == "__main__":
    main()
