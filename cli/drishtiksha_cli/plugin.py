"""`kubectl drishtiksha`: the analyses of a cluster for the people who run it: list, describe, watch, logs, retry, cancel.

The resource is a mirror and carries one wish only, that it be deleted, which cancels its run. A new run can be made by
the API alone, so `retry` asks there, as the person that `drishtiksha login` knows.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from .errors import EXIT_CODES, NOT_ANALYZED, NOT_LOGGED_IN, OK, REFUSED, CommandFailed, Refused
from .kubectl import RESOURCE, find
from .terminal import Api, Json, client, print_json

app = typer.Typer(
    name="kubectl drishtiksha",
    help="The deepfake analyses of this cluster. An ID is ma-…, a run's id, or a media's (its latest run).",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="ma-…, a run's id, or a media's")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="[default: the context's]")]
Context = Annotated[str | None, typer.Option("--context", help="Of the kubeconfig [default: its current one]")]
Kubeconfig = Annotated[str | None, typer.Option("--kubeconfig", help="[default: as kubectl]")]


@app.command(name="list")
def list_(
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces")] = False,
    selector: Annotated[str | None, typer.Option("--selector", "-l", help="Only with these labels")] = None,
    as_json: Json = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """All analyses, the newest last."""
    words = ["get", RESOURCE, "--sort-by=.metadata.creationTimestamp", "-o", "json" if as_json else "wide"]
    words += ["--all-namespaces"] if everywhere else []
    words += [f"--selector={selector}"] if selector else []
    sys.stdout.write(find(namespace, context, kubeconfig).run(*words))


@app.command()
def describe(
    run: Id, as_json: Json = False, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """One analysis: its end, its conditions, each of its models."""
    found = find(namespace, context, kubeconfig).analysis(run)
    if as_json:
        print_json(found)
        return
    for line in lines(found):
        print(line)


@app.command()
def watch(
    run: Annotated[str | None, typer.Argument(metavar="[ID]", help="[default: all, for ever]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per state")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Follow an analysis to its end, or all.

    Exit 1 when the one that is followed does not end ANALYZED.
    """
    kube = find(namespace, context, kubeconfig)
    if run is None:
        sys.stdout.flush()
        kube.hand_over("get", RESOURCE, "--watch", "-o", "json" if as_json else "wide")
    name = str(kube.analysis(run)["metadata"]["name"])
    said: set[str] = set()
    for state in kube.follow("get", RESOURCE, name):
        if as_json:
            import json

            print(json.dumps(state, ensure_ascii=False), flush=True)
        else:
            new = [line for line in (*_head(state), *_models(state)) if line not in said]
            print(*new, sep="\n", end="\n" if new else "", flush=True)
            said.update(new)
        if _complete(state):
            raise typer.Exit(OK if (state.get("status") or {}).get("phase") == "ANALYZED" else NOT_ANALYZED)
    raise CommandFailed(f"the watch of {name} has ended before its run; look again: kubectl drishtiksha watch {name}")


@app.command()
def logs(
    run: Id,
    model: Annotated[list[str] | None, typer.Option(help="Only of this one; may repeat [default: all]")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the pods have ended")] = False,
    tail: Annotated[int, typer.Option(help="Last lines of each container; -1: all")] = -1,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """The logs of all models of an analysis.

    Each line begins with its model and attempt. Pods are kept for some minutes after their end (DRISHTIKSHA_JOB_TTL).
    """
    kube = find(namespace, context, kubeconfig)
    found = kube.analysis(run)
    pods = kube.read("get", "pods", "-l", f"drishtiksha.io/run={found['spec']['runId']}")["items"]
    named = [(_model_of(pod), pod["metadata"]["name"]) for pod in pods]
    if model:
        named = [(name, pod) for name, pod in named if name.partition(" ")[0] in model]
    if not named:
        raise CommandFailed("there is no pod of it: not yet, or no longer; look: kubectl drishtiksha describe " + run)
    width, lock, failed = max(len(name) for name, _ in named), threading.Lock(), []
    words = ("--all-containers", f"--tail={tail}", *(["--follow"] if follow else []))

    def tell(name: str, pod: str) -> None:
        command = kube.words("logs", pod, *words)
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(command, text=True, errors="replace", **pipes) as running:
            for line in running.stdout or ():
                with lock:
                    print(f"{name:<{width}}  {line}", end="", flush=True)
        if running.returncode:
            failed.append(name)

    threads = [threading.Thread(target=tell, args=one, daemon=True) for one in sorted(named)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    raise typer.Exit(REFUSED if failed else OK)


@app.command()
def cancel(
    run: Id, as_json: Json = False, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """End an analysis that is running.

    What its models have found stays. The same as kubectl delete of one that is not complete; one that is complete is
    left alone.
    """
    kube = find(namespace, context, kubeconfig)
    found = kube.analysis(run)
    name = str(found["metadata"]["name"])
    if _complete(found):
        raise CommandFailed(f"{name} is {found['status']['phase']} already: there is nothing to cancel", REFUSED)
    kube.run("delete", RESOURCE, name, "--wait=false")
    if as_json:
        print_json({"name": name, "runId": found["spec"]["runId"], "cancelling": True})
    else:
        print(f"{name} is being cancelled. Follow it: kubectl drishtiksha watch {name}")


@app.command()
def retry(
    run: Id,
    model: Annotated[list[str] | None, typer.Option(help="Only this one; may repeat [default: all]")] = None,
    reason: Annotated[str | None, typer.Option(help="Why, kept with the run")] = None,
    as_json: Json = False,
    api: Api = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Have the media of an analysis examined once more.

    A new run is made by the API, not by the cluster: this asks it as the owner of the media who is logged in here
    (drishtiksha login), and is the same as drishtiksha rerun.
    """
    media_id = find(namespace, context, kubeconfig).analysis(run)["spec"]["mediaId"]
    at = client(api)
    how = f"drishtiksha rerun {media_id}"
    if at.token is None:
        raise CommandFailed(f"A new run is made by the API. Log in there as the owner, then: {how}", NOT_LOGGED_IN)
    try:
        media = at.rerun(media_id, models=model or None, reason=reason)
    except Refused as refused:
        refused.args = (f"{at.base_url}: {refused} ({how}, as the owner)",)
        raise
    if as_json:
        print_json(media)
    else:
        number = media["analysisRuns"][0]["runNumber"]
        print(f"Run {number} of media {media_id} is queued: kubectl drishtiksha watch ma-{media['latestRunId']}")


def lines(found: dict[str, Any]) -> Iterator[str]:
    """A MediaAnalysis for people."""
    spec, status = found["spec"], found.get("status") or {}
    yield from _head(found)
    yield f"media        {spec['mediaId']} ({spec['mediaType']}{', with sound' if spec['hasAudio'] else ''})"
    for title, key in (
        ("verdict", "verdict"),
        ("score", "score"),
        ("started", "startTime"),
        ("ended", "completionTime"),
    ):
        if status.get(key) is not None:
            yield f"{title:<12} {status[key]}"
    if "deletionTimestamp" in found["metadata"]:
        yield f"deleted      {found['metadata']['deletionTimestamp']}: it is being cancelled, if it was not complete"
    yield ""
    for condition in status.get("conditions") or []:
        yield f"{condition['type']:<17} {condition['status']:<6} {condition['reason']}: {condition['message']}"
    yield ""
    yield from _models(found)


def _head(found: dict[str, Any]) -> Iterator[str]:
    status = found.get("status") or {}
    reason = f", {status['reason']}" if status.get("reason") else ""
    yield f"{found['metadata']['name']}  {status.get('phase') or 'new'} {status.get('summary') or ''}{reason}".rstrip()


def _models(found: dict[str, Any]) -> Iterator[str]:
    models = (found.get("status") or {}).get("models") or []
    width = max((len(model["name"]) for model in models), default=0)
    for model in models:
        parts = [f"  {model['name']:<{width}}  {model['phase']:<10}", f"attempt {model.get('attempt', 0)}"]
        parts += [f"on {model['node']}"] if model.get("node") else []
        why = ": ".join(text for text in (model.get("reason"), model.get("message")) if text)
        yield "  ".join([*parts, why]).rstrip()


def _model_of(pod: dict[str, Any]) -> str:
    labels = pod["metadata"].get("labels") or {}
    return f"{labels.get('drishtiksha.io/model', '?')} a{labels.get('drishtiksha.io/attempt', '?')}"


def _complete(found: dict[str, Any]) -> bool:
    conditions = (found.get("status") or {}).get("conditions") or []
    return any(one["type"] == "Complete" and one["status"] == "True" for one in conditions)


@contextmanager
def sentences() -> Iterator[None]:
    """An error is one sentence on standard error and an exit code."""
    try:
        yield
    except CommandFailed as failed:
        print(f"kubectl drishtiksha: {failed}", file=sys.stderr)
        sys.exit(failed.code)


def main() -> None:
    """Entry point of `kubectl-drishtiksha`, which kubectl finds in PATH."""
    from .main import spare_loopback

    spare_loopback()
    with sentences():
        app(prog_name="kubectl drishtiksha")


if __name__ == "__main__":
    main()
