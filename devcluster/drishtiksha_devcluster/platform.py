"""The platform of one state folder, as stories: up, down, restart, status.

`up` decides what runs (postgres, valkey, cluster, apps) and hands it to the supervisor through `control`; it may be
repeated at any time and goes on from whatever it finds. The command line and the end-to-end tests call it.
"""

from __future__ import annotations

import importlib.resources
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import apps, binary, cluster, database, dotenv, postgres, state
from .control import Control, ControlFailed
from .plan import KUBERNETES, NAMES, Addresses, Options, Plan, PlatformFailed, choose_ports
from .process import ProcessSpec, end
from .steps import Report, silent, step

__all__ = ["NAMES", "Addresses", "Options", "PlatformFailed", "addresses", "down", "restart", "status", "up"]

EARLY = ("valkey", *KUBERNETES, "modelserver")
"""What needs neither a schema nor our resource; a process that is handed in again and is the same is left alone."""


def up(home: Path, names: Iterable[str] = (), *, report: Report = silent, options: Options | None = None) -> Addresses:
    """Bring the platform up, or only these processes and what they need; returns when they are ready.

    Raises PlatformFailed, BadSettings and other DrishtikshaErrors; what already runs keeps running then.
    """
    options = options or Options()
    home = home.absolute()
    state.prepare(home)
    with state.alone(home):
        control = Control(home)

        # What a killed supervisor left is ended first: it would hold the ports.
        left = [] if control.running() else control.end_leftovers()

        # The settings, and where everything listens.
        with step("settings", report) as now:
            if left:
                now.note(f"ended what an earlier supervisor left: {', '.join(left)}")
            file = state.settings_file(home)
            if dotenv.make(file):
                now.note(f"made {file} with fresh secrets")
            settings, warnings = dotenv.read(file)
            for warning in warnings:
                now.note(warning)
            plan = Plan(home, settings, choose_ports(home, settings, running=control.running()), options)
            wanted = plan.closure(names)
            if "api" in wanted and plan.ports["api"] != plan.ports["wished"]:
                now.note(f"port {plan.ports['wished']} is taken: the api listens on {plan.ports['api']}")
            now.end(str(file))

        # The programs of the control plane: from the cache, or made once.
        if wanted & set(KUBERNETES):
            with step("control plane", report) as now:
                plan.programs = binary.control_plane(now.going)
                cluster.prepare(home, plan.cluster_ports)
                now.end(str(plan.programs))

        # One parent for all; what needs neither schema nor resource starts beside PostgreSQL.
        specs = plan.specs(wanted)
        with step("supervisor", report) as now:
            control.start_supervisor()
            state.write_private(home / "images.json", apps.images_file())
            state.write_private(home / "config.yaml", _config_text())
            for name in EARLY:
                if name in specs:
                    control.add(specs[name])
            now.end(f"pid {control.call('status')['pid']}")

        # The database, since all else begins with its schema.
        if wanted & {"postgres", "api", "door", "operator"}:
            with step("database", report) as now:
                if "postgres" in specs:
                    now.going("making a PostgreSQL of its own")
                    postgres.initialise(postgres.data_folder(home), settings[dotenv.DATABASE_PASSWORD])
                    control.add(specs["postgres"])
                    _wait(control, ["postgres"], options.patience)
                    database.create(plan.server_url_of_postgres, change_password=lambda: _new_password(control, plan))
                if wanted & {"api", "door", "operator"}:
                    now.going("bringing the schema to its newest revision")
                    database.migrate(plan.wiring.database_url)
                now.end("PostgreSQL of its own" if "postgres" in specs else "the one of DATABASE_URL")

        # Kubernetes, with our resource and rights in it.
        if "kube-apiserver" in specs:
            with step("Kubernetes", report) as now:
                if _etcd_is_broken(control):
                    now.note(
                        "etcd does not start from its files: they are wiped (PostgreSQL makes the resources again)"
                    )
                    _wipe_etcd(control, home, specs["etcd"])
                _wait(control, [name for name in KUBERNETES if name in specs], options.patience)
                now.going("installing the resource and the rights")
                cluster.install(home, namespace=plan.wiring.namespace)
                now.end(cluster.server(plan.cluster_ports))

        # The product.
        with step("services", report) as now:
            for name in NAMES:
                if name in specs:
                    control.add(specs[name])
            _wait(control, list(specs), options.patience, now.going)
            now.end(", ".join(name for name in NAMES if name in specs))
        addresses = plan.addresses
        state.write_private(home / "env", _env_text(addresses))
        return addresses


def down(home: Path, names: Iterable[str] = (), *, data: bool = False, report: Report = silent) -> list[str]:
    """Stop these processes, or all and the supervisor; `data` deletes the state folder's content. Names of the stopped.

    Finds what a killed supervisor left, too. Raises ControlFailed for a name that is not there.
    """
    home, names = home.absolute(), list(names)
    control = Control(home)
    if names:
        for name in names:
            with step(name, report) as now:
                control.call("stop", name=name, patience=120)
                now.end("stopped")
        return names
    if not home.is_dir():
        return []
    state.prepare(home)
    with state.alone(home):
        with step("stopping", report) as now:
            running = control.running()
            stopped = [p["name"] for p in _quietly(control)] if running else []
            if running:
                control.shut_down()
            else:
                stopped = control.end_leftovers()
            server = postgres.running(postgres.data_folder(home))
            if server is not None:
                end([server], first=signal.SIGINT, grace=15.0)
                stopped.append("postgres")
            now.end(", ".join(stopped) or "nothing was running")
        if data:
            with step("deleting data", report) as now:
                postgres.remove(postgres.data_folder(home))
                now.end(str(home))
    if data:
        state.erase(home)
    return stopped


def restart(
    home: Path, names: Iterable[str] = (), *, report: Report = silent, options: Options | None = None
) -> Addresses | None:
    """Stop and start these processes and wait for them; without names all: then the addresses."""
    names = list(names)
    if not names:
        down(home, report=report)
        return up(home, report=report, options=options)
    control = Control(home.absolute())
    for name in names:
        with step(name, report) as now:
            control.call("restart", name=name, patience=120)
            _wait(control, [name], (options or Options()).patience)
            now.end("ready")
    return None


def status(home: Path, *, lines: int = 5) -> list[dict[str, Any]]:
    """All processes in the order of NAMES, asked anew whether they are ready; [] when no platform runs here."""
    control = Control(home.absolute())
    if not control.running():
        return []
    found = control.status(probe=True, lines=lines)
    order = {name: number for number, name in enumerate(NAMES)}
    return sorted(found, key=lambda process: (order.get(process["name"], len(order)), process["name"]))


def addresses(home: Path) -> Addresses:
    """Where the platform of this state folder is found, as far as its settings and ports tell; it need not run."""
    home = home.absolute()
    settings, _ = dotenv.read(state.settings_file(home))
    return Plan(home, settings, choose_ports(home, settings, running=Control(home).running()), Options()).addresses


def _wait(control: Control, names: list[str], patience: float, going: Any = None) -> None:
    """Until all of these are ready. Raises PlatformFailed with the last words of the one that is not."""
    waited = 0.0
    while waited < patience:
        found = control.wait(names, min(2.0, patience))
        late = [p for p in found if p["state"] != "ready"]
        if not late:
            return
        if going is not None:
            going(f"waiting for {', '.join(p['name'] for p in late)}", 1 - len(late) / len(names))
        if any(p["state"] == "down" for p in late):
            break
        waited += 2.0
    raise PlatformFailed(_why(late))


def _why(late: list[dict[str, Any]]) -> str:
    """Cause and cure: the one that is down, else the first that nobody else is waiting for."""
    names = {p["name"] for p in late}
    first = next((p for p in late if p["state"] == "down"), None) or next(
        (p for p in late if not names & set(p["needs"])), late[0]
    )
    said = "\n".join(f"    {line}" for line in first["last_lines"][-8:]) or "    (it said nothing)"
    how = first["reason"] or f"it is {first['state']} and does not answer at {first['ready']}"
    return (
        f"{first['name']} did not become ready: {how}\n  its last lines:\n{said}\n"
        f"  more: drishtiksha logs {first['name']}; when the cause is gone: drishtiksha up"
    )


def _new_password(control: Control, plan: Plan) -> None:
    control.call("stop", name="postgres", patience=60)
    postgres.set_password(postgres.data_folder(plan.home), plan.settings[dotenv.DATABASE_PASSWORD])
    control.call("start", name="postgres")
    _wait(control, ["postgres"], 60)


def _etcd_is_broken(control: Control) -> bool:
    return any(p["name"] == "etcd" and p["state"] == "down" for p in control.wait(["etcd"], 30))


def _wipe_etcd(control: Control, home: Path, spec: ProcessSpec) -> None:
    for name in reversed(KUBERNETES):
        control.call("stop", name=name, patience=60)
    shutil.rmtree(home / "etcd", ignore_errors=True)
    control.add(spec)
    for name in KUBERNETES[1:]:
        control.call("start", name=name)


def _quietly(control: Control) -> list[dict[str, Any]]:
    try:
        return control.status()
    except ControlFailed:
        return []


def _config_text() -> str:
    return (importlib.resources.files(__package__ or "") / "config.yaml").read_text(encoding="utf-8")


def _env_text(a: Addresses) -> str:
    """`env` of the state folder: what a person or a tool needs to look into the running platform."""
    values = {
        "DATABASE_URL": a.database_url,
        "REDIS_URL": a.redis_url,
        "SERVER_URL": a.server_url,
        "BASE_URL": a.base_url,
        "DRISHTIKSHA_DOOR_URL": a.door_url,
        "DRISHTIKSHA_NAMESPACE": a.namespace,
        "KUBECONFIG": str(a.kubeconfig),
    }
    head = "# Where this platform is found. Written by `drishtiksha up`; for people and tools, read by no process.\n"
    return head + "".join(f"{name}='{value}'\n" for name, value in values.items())
