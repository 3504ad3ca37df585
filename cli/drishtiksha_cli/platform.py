"""The commands of the one-machine platform: up, down, restart, status, logs, kubectl.

They stand on `drishtiksha_devcluster`, which is imported inside the functions only: the other commands work without it,
and `--help` is quick. `steps()` shows what `up` says while it works; `demo` uses it too.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from .terminal import print_json

if TYPE_CHECKING:
    from rich.console import Console

    from drishtiksha_devcluster.steps import Report, Said

Home = Annotated[
    Path | None,
    typer.Option("--home", help="State folder [default: DRISHTIKSHA_HOME, or .drishtiksha/ in the checkout]"),
]
Json = Annotated[bool, typer.Option("--json", help="For programs; what is being done is told on standard error")]
Names = Annotated[list[str] | None, typer.Argument(metavar="[PROCESS]...", help="Only these [default: all]")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    app.command()(up)
    app.command()(down)
    app.command()(restart)
    app.command()(status)
    app.command()(logs)
    passing_through = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(context_settings=passing_through, add_help_option=False)(kubectl)


def up(
    names: Names = None,
    home: Home = None,
    gpus: Annotated[int, typer.Option(min=1, help="GPUs that node gpu-0 simulates")] = 1,
    stock_qps: Annotated[bool, typer.Option(help="Leave the job controller its stock request rate")] = False,
    audit_log: Annotated[Path | None, typer.Option(help="Have the API server write each request there")] = None,
    as_json: Json = False,
) -> None:
    """Bring the platform up on this machine. Safe to repeat.

    That is PostgreSQL, Valkey, Kubernetes, and all services; with names only these and what they need.
    """
    from drishtiksha_devcluster import platform, state

    with plainly(), steps(_console(as_json)) as report:
        options = platform.Options(gpus=gpus, stock_qps=stock_qps, audit_log=audit_log and audit_log.absolute())
        found = platform.up(state.find_home(home), names or (), report=report, options=options)
    console = _console()
    if as_json:
        print_json(
            {"home": str(found.home), "baseUrl": found.base_url, "docs": f"{found.base_url}/docs"}
            | {"kubeconfig": str(found.kubeconfig), "namespace": found.namespace, "ports": dict(found.ports)}
        )
    elif not names:
        console.print(
            f"[bold green]The platform is up.[/]  API: {found.base_url}  docs: {found.base_url}/docs", soft_wrap=True
        )
        console.print(
            "Next: drishtiksha demo · drishtiksha status · drishtiksha kubectl get ma · drishtiksha down",
            soft_wrap=True,
        )


def down(
    names: Names = None,
    home: Home = None,
    data: Annotated[bool, typer.Option("--data", help="Delete the state folder: accounts, media, results")] = False,
    as_json: Json = False,
) -> None:
    """Stop everything, or only these processes. Finds what a killed platform left behind, too."""
    from drishtiksha_devcluster import platform, state

    if data and names:
        _fail("--data deletes the whole platform's data: it goes with no process name")
    with plainly(), steps(_console(as_json)) as report:
        stopped = platform.down(state.find_home(home), names or (), data=data, report=report)
    if as_json:
        print_json({"stopped": stopped})


def restart(names: Names = None, home: Home = None, as_json: Json = False) -> None:
    """Stop and start everything or these, until all are ready."""
    from drishtiksha_devcluster import platform, state

    with plainly(), steps(_console(as_json)) as report:
        platform.restart(state.find_home(home), names or (), report=report)
    if as_json:
        print_json({"restarted": names or list(platform.NAMES)})


def status(
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False,
) -> None:
    """Show what runs, where, and whether it is ready.

    With the last words of what is not. Exit 1 unless all are ready.
    """
    from drishtiksha_devcluster import platform, state

    folder = state.find_home(home)
    with plainly():
        found = platform.status(folder)
    if as_json:
        print_json(found)
    elif not found:
        typer.echo(f"No platform runs in {folder}. Start it with: drishtiksha up")
    else:
        _print_status(folder, found)
    raise typer.Exit(0 if found and all(p["state"] == "ready" for p in found) else 1)


def logs(
    names: Annotated[list[str] | None, typer.Argument(metavar="[PROCESS]...", help="Of these [default: all]")] = None,
    home: Home = None,
    lines: Annotated[
        int | None, typer.Option("-n", "--lines", help="Last lines of each [default: 50, of all: 5]")
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line, with the process")] = False,
) -> None:
    """Print the logs of the platform's processes. Those of pods: drishtiksha kubectl logs job/…"""
    from drishtiksha_devcluster import logs as files
    from drishtiksha_devcluster import state

    folder, wanted = state.find_home(home), names or []
    several = len(wanted) != 1
    count = lines if lines is not None else (5 if not wanted else 50)

    def show(name: str, line: str) -> None:
        if as_json:
            typer.echo(json.dumps({"process": name, "line": line}, ensure_ascii=False))
        else:
            typer.echo(f"{name}: {line}" if several else line)

    with plainly():
        for name, line in files.read(folder, wanted, count):
            show(name, line)
        try:
            while follow:
                for name, line in files.follow(folder, wanted):
                    show(name, line)
        except KeyboardInterrupt:
            return


def kubectl(context: typer.Context) -> None:
    """Run kubectl as the administrator: drishtiksha kubectl get ma -w"""
    from drishtiksha_devcluster import cluster, state

    words = list(context.args)
    home = None
    if words[:1] == ["--home"] and len(words) > 1:
        home, words = words[1], words[2:]
    folder = state.find_home(home)
    if not (folder / "kubeconfig" / "admin.yaml").is_file():
        _fail(f"there is no Kubernetes in {folder} yet: drishtiksha up")
    with plainly():
        command = cluster.kubectl_command(folder)
    sys.stdout.flush()
    if words[:1] == ["drishtiksha"]:  # kubectl takes no flag before a plugin's name
        from . import plugin

        with plugin.sentences():
            plugin.app(
                [*words[1:], *(command[1:] if words[1:2] and "--help" not in words else [])],
                prog_name="drishtiksha kubectl drishtiksha",
            )
    os.execv(command[0], [*command, *words])  # noqa: S606  kubectl takes over: signals, terminal and exit code are its own


@contextmanager
def steps(console: Console | None = None) -> Iterator[Report]:
    """A report for `platform.up` and `down` that prints a line per step with its time; on a terminal it moves."""
    console = console or _console()
    with _moving(console) if console.is_terminal else _lines(console) as report:
        yield report


@contextmanager
def _moving(console: Console) -> Iterator[Report]:
    from rich.markup import escape

    with console.status("") as live:

        def report(said: Said) -> None:
            if said.state == "note":
                console.print(f"  [yellow]·[/] {escape(said.text)}", highlight=False)
            elif said.state == "done":
                line = f"[green]✓[/] {said.step:<15}[dim]{said.seconds:6.1f} s  {escape(said.text)}[/]"
                console.print(line, highlight=False, no_wrap=True, overflow="ellipsis")
            elif said.state == "failed":
                console.print(f"[red]✗[/] {said.step:<15}[dim]{said.seconds:6.1f} s[/]", highlight=False)
            else:
                part = f" {said.fraction:4.0%}" if said.fraction is not None else ""
                live.update(f"{said.step}{part}  [dim]{escape(said.text)}[/]")

        yield report


@contextmanager
def _lines(console: Console) -> Iterator[Report]:
    """Without a terminal: a line when something is done, and every few seconds of a long step."""
    last = time.monotonic()

    def report(said: Said) -> None:
        nonlocal last
        now = time.monotonic()
        if said.state in ("note", "done", "failed") or (said.state == "going" and now - last > 10):
            part = f" ({said.fraction:.0%})" if said.fraction is not None else ""
            how = {"done": "done", "failed": "failed", "note": "note"}.get(said.state, "…")
            text = f"{said.step:<15} {how:<6} {said.seconds:6.1f} s  {said.text}{part}"
            console.print(text.rstrip(), highlight=False, markup=False, soft_wrap=True)
            last = now

    yield report


def _print_status(folder: Path, found: list[dict[str, Any]]) -> None:
    from rich.table import Table

    console = _console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("PROCESS", "STATE", "PID", "RESTARTS", "SINCE", "ADDRESS"):
        table.add_column(title, no_wrap=True, justify="right" if title in ("PID", "RESTARTS") else "left")
    colours = {"ready": "green", "down": "red", "not ready": "red", "stopped": "dim"}
    for p in found:
        colour = colours.get(p["state"], "yellow")
        since = _age(time.time() - p["since"])
        state = f"[{colour}]{p['state']}[/]"
        table.add_row(p["name"], state, str(p["pid"] or "-"), str(p["restarts"]), since, _address(p["ready"]))
    console.print(f"[dim]{folder}[/]", highlight=False, soft_wrap=True)
    console.print(table)
    for p in found:
        if p["state"] not in ("ready", "stopped"):
            console.print(f"\n[bold]{p['name']}[/]: {p['reason'] or 'does not answer'}", highlight=False)
            for line in p["last_lines"]:
                console.print(f"    {line}", highlight=False, markup=False, style="dim", soft_wrap=True)


def _address(ready: str | None) -> str:
    """Host and port of a readiness address."""
    return ready.partition("://")[2].split("/")[0] if ready else "-"


def _age(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(0, seconds):.0f}s"


def _console(aside: bool = False) -> Console:
    """Standard output; `aside`: standard error, since standard output is for JSON alone."""
    from rich.console import Console

    return Console(stderr=aside)


@contextmanager
def plainly() -> Iterator[None]:
    """Errors of ours as a sentence and exit 1, Ctrl-C as exit 130; a bug keeps its traceback."""
    from drishtiksha.domain.errors import DrishtikshaError

    try:
        yield
    except DrishtikshaError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        typer.echo(
            "\nInterrupted. What has been started keeps running: drishtiksha status · drishtiksha down", err=True
        )
        raise typer.Exit(130) from None


def _fail(sentence: str) -> NoReturn:
    typer.echo(f"drishtiksha: {sentence}", err=True)
    raise typer.Exit(1)
