"""`drishtiksha demo`: the whole product in a few minutes, on this machine, with real detectors in Kubernetes Jobs."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from . import demo_media, view, watching, words
from .client import Client
from .errors import INTERRUPTED, NOT_ANALYZED, OK, CommandFailed, Refused

ACCOUNT = "demo-account.json"


def run(files: Sequence[Path], home: Path | None) -> int:
    """Platform up, media drawn, uploaded, followed, told. Returns the exit code."""
    for path in files:
        if not path.is_file():
            raise CommandFailed(f"{path}: there is no such file", 2)
    from drishtiksha_devcluster import cluster, platform, state
    from drishtiksha_devcluster.plan import PlatformFailed

    from .platform import steps

    folder = state.find_home(home)
    say = view.console.print
    say("[bold]Drishtiksha demo[/]: real Kubernetes, PostgreSQL and Valkey on this machine, nothing else installed.")
    try:
        with steps() as report:
            found = platform.up(folder, report=report)
    except PlatformFailed as failed:
        raise CommandFailed(str(failed)) from None

    expected: dict[str, str] = {}
    if files:
        paths = list(files)
    else:
        say("\nThe demo's media are drawn by code from a fixed seed; nothing is downloaded, nobody is shown:")
        drawn = demo_media.draw_all(folder / "demo")
        for one in drawn:
            say(f"  [bold]{one.path.name}[/]: {one.made}")
            expected[one.path.name] = one.expected
        paths = [one.path for one in drawn]
    say(
        "The video's detector runs in a container of its own in its Job's pod and asks for a GPU; the GPU of node "
        "gpu-0 is [bold]simulated[/]: pods run as local processes, and the detector computes on the CPU."
    )

    client = _demo_user(found.base_url, folder)
    uploaded = watching.upload(client, paths)
    say(f"\nUploaded {len(uploaded)} files; each became a MediaAnalysis resource, and one Kubernetes Job per model:")
    kubectl = cluster.kubectl_command(folder)
    try:
        ended = watching.observe(client, uploaded, kubectl=kubectl)
    except KeyboardInterrupt:
        watching.still_going(uploaded)
        return INTERRUPTED
    finally:
        client.close()

    for media in ended:
        say()
        say(view.result(media))
        if media["filename"] in expected:
            say(f"  [dim]what an honest platform says here: {expected[media['filename']]}[/]")
    _where_to_look(found.base_url, ended[0]["id"], ended[0]["latestRunId"], folder)
    if {m["status"] for m in ended} <= watching.GOOD:
        return OK
    failed_ones = ", ".join(
        f"{m['filename']}: {words.STATUS_WORDS[m['status']]}" for m in ended if m["status"] != "ANALYZED"
    )
    view.errors.print(f"\n[red]Not everything was examined by all models ({failed_ones}).[/]")
    return NOT_ANALYZED


def _demo_user(base_url: str, folder: Path) -> Client:
    """Log the demo's user in, or make it: its random password is kept in the state folder, readable by you only."""
    path = folder / ACCOUNT
    client = Client(base_url)
    if path.is_file():
        account = json.loads(path.read_text())
        try:
            return _with(client, client.login(account["email"], account["password"]))
        except Refused:
            path.unlink()  # another database than the one it was made for
    account = {"email": f"demo-{secrets.token_hex(4)}@example.org", "password": secrets.token_urlsafe(18)}
    token = client.signup(account["email"], account["password"], "Demo", "User")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(account, file)
    return _with(client, token)


def _with(client: Client, token: str) -> Client:
    client.close()
    return Client(client.base_url, token)


def _where_to_look(base_url: str, media_id: str, run_id: str, folder: Path) -> None:
    view.console.print(
        f"\n[bold]Look further[/]\n"
        f"  drishtiksha kubectl get ma -o wide              the resources, as cluster people see them\n"
        f"  drishtiksha kubectl describe ma ma-{run_id}\n"
        f"  drishtiksha kubectl get jobs,pods -o wide       one Job per model; the video's on gpu-0\n"
        f"  drishtiksha status · drishtiksha logs operator  what runs, and what it says\n"
        f"  {base_url}/docs   the REST API; the demo's account stands in {folder / ACCOUNT}\n"
        f"  drishtiksha demo FILE…                          your own video, picture or recording\n"
        f"  drishtiksha down                                ends it all; data stay until --data"
    )
