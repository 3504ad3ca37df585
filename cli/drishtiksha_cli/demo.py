"""`drishtiksha demo`: the whole product in a few minutes, on this machine, with real detectors in Kubernetes Jobs."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from . import demo_media, tokens, view, watching, words
from .client import Client
from .errors import NOT_ANALYZED, OK, Refused

ACCOUNT = "demo/account.json"


def run(files: Sequence[Path], home: Path | None, *, everything: bool = False) -> int:
    """Platform up, media drawn, uploaded, followed, told. Returns the exit code."""
    watching.check(files)
    from .platform import plainly

    with plainly():
        return _story(files, home, demo_media.ALL if everything else demo_media.USUAL)


def _story(files: Sequence[Path], home: Path | None, names: Sequence[str]) -> int:
    from drishtiksha_devcluster import cluster, platform, state

    from .platform import steps

    folder = state.find_home(home)
    say = view.console.print
    say("[bold]Drishtiksha demo[/]: real Kubernetes, PostgreSQL and Valkey on this machine, nothing else installed.")
    with steps(view.console) as report:
        found = platform.up(folder, report=report)

    say()
    drawn = [] if files else demo_media.draw_all(folder / "demo", names=names)
    if drawn:
        say("The demo's media are drawn by code from a fixed seed; nothing is downloaded, nobody is shown:")
        say(_pairs(((one.path.name, one.made) for one in drawn), "bold"))
    expected = {one.path.name: one.expected for one in drawn}
    say(
        "The video's detector runs in a container of its own in its Job's pod and asks for a GPU; the GPU of node "
        "gpu-0 is [bold]simulated[/]: pods run as local processes, and the detector computes on the CPU."
    )

    with _demo_user(found.base_url, folder) as client:
        uploaded = watching.upload(client, list(files) or [one.path for one in drawn])
        each = "Uploaded 1 file; it" if len(uploaded) == 1 else f"Uploaded {len(uploaded)} files; each"
        say(f"\n{each} became a MediaAnalysis resource, and one Kubernetes Job per model:")
        ended = watching.observe(client, uploaded, kubectl=cluster.kubectl_command(folder))

    for media in ended:
        say()
        say(view.result(media))
        if media["filename"] in expected:
            say(Text(f"  expected: {expected[media['filename']]}", style="dim"))
        for link in view.pictures(media):
            say(link, soft_wrap=True)
    say("\n[bold]Look further[/]")
    if folder != state.find_home():
        say(Text(f"  export DRISHTIKSHA_HOME={folder}   # so that these commands mean this platform"), soft_wrap=True)
    say(_pairs(_places(found.base_url, folder, more=bool(files) or len(names) < len(demo_media.ALL))))
    if {m["status"] for m in ended} <= watching.GOOD:
        return OK
    failed_ones = ", ".join(
        f"{m['filename']}: {words.STATUS_WORDS[m['status']]}" for m in ended if m["status"] not in watching.GOOD
    )
    view.errors.print(Text(f"\nNot everything was examined by all models ({failed_ones}).", style="red"))
    return NOT_ANALYZED


def _demo_user(base_url: str, folder: Path) -> Client:
    """Log the demo's user in, or make it: its random password is kept in the state folder, readable by you only."""
    path = folder / ACCOUNT
    path.parent.mkdir(exist_ok=True)
    client = Client(base_url)
    try:
        account = json.loads(path.read_text())
        return _with(client, account["email"], client.login(account["email"], account["password"]))
    except (OSError, ValueError, KeyError):
        path.unlink(missing_ok=True)
    except Refused as refused:
        if refused.status != 401:
            raise
        path.unlink()  # it was made for another database than this one
    account = {"email": f"demo-{secrets.token_hex(4)}@example.org", "password": secrets.token_urlsafe(18)}
    token = client.signup(account["email"], account["password"], "Demo", "User")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(account, file)
    return _with(client, account["email"], token)


def _with(client: Client, email: str, token: str) -> Client:
    """The demo's client. A terminal that nobody has logged in is the demo user's: list, show and watch work at once."""
    client.close()
    if not _is_good(client.base_url, tokens.load(client.base_url)):
        tokens.save(client.base_url, email, token)
    return Client(client.base_url, token)


def _is_good(base_url: str, token: str | None) -> bool:
    if token is None:
        return False
    with Client(base_url, token) as client:
        try:
            client.profile()
        except Refused as refused:
            return refused.status != 401
    return True


def _places(base_url: str, folder: Path, *, more: bool) -> list[tuple[str, str]]:
    """Where to go on; `more`: there is more than was shown."""
    every = (
        "drishtiksha demo --all",
        "all nine: altered after signing, a face and its twin drawn anew per frame, a voice",
    )
    return [
        ("drishtiksha list", "your media; this terminal is logged in"),
        ("drishtiksha show ID", "one of them, with all facts, pictures and limits"),
        ("drishtiksha kubectl get ma -o wide", "the resources, as cluster people see them"),
        ("drishtiksha kubectl get jobs,pods -o wide", "one Job per model; the video's on gpu-0"),
        ("drishtiksha kubectl describe ma", "each resource with its conditions"),
        ("drishtiksha status", "what runs, and where"),
        ("drishtiksha logs operator", "what a process says"),
        (f"{base_url}/docs", f"the REST API; the demo's account stands in {folder / ACCOUNT}"),
        *([every] if more else []),
        ("drishtiksha demo FILE…", "your own video, picture or recording"),
        ("drishtiksha down", "ends it all; data stay until --data"),
    ]


def _pairs(rows: Iterable[tuple[str, str]], style: str = "") -> RenderableType:
    """Two columns, the second wrapped inside itself."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for first, second in rows:
        grid.add_row(Text("  ").append(first, style=style), Text(second))
    return grid
