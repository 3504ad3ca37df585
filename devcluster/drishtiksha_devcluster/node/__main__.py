"""`python -m drishtiksha_devcluster.node`: reads the command line, builds the node, runs it until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import aiohttp

from drishtiksha import logs
from drishtiksha.domain.errors import BadSettings
from drishtiksha.kubeconfig import from_file

from . import quantity
from .client import KubeClient
from .faults import Faults, default_path
from .memory import MemoryWatch
from .node import Credentials, ProcessNode
from .pod import Ground
from .records import Records
from .registration import NodeShape, machine_memory

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main() -> int:
    """Run the node; 0 after SIGTERM or SIGINT, 2 when the command line or a file it names is wrong."""
    arguments = _parser().parse_args()
    logs.configure(arguments.name)
    try:
        asyncio.run(_run(arguments))
    except (BadSettings, OSError) as error:
        print(f"the node {arguments.name} cannot start: {error}", file=sys.stderr)
        return 2
    return 0


async def _run(arguments: argparse.Namespace) -> None:
    home: Path = arguments.home.resolve()
    shape = NodeShape(
        name=arguments.name,
        address=arguments.address,
        logs_port=arguments.port,
        cpus=arguments.cpu or os.cpu_count() or 1,
        memory=int(arguments.memory or machine_memory()),
        disk=shutil.disk_usage(home).free,
        gpus=arguments.gpu,
        labels=dict(arguments.label),
        taints=arguments.taint,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = KubeClient(from_file(arguments.kubeconfig))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as probes:
        ground = Ground(
            node=shape.name,
            host=shape.address,
            home=home,
            images=arguments.images or home / "images.json",
            path=f"{Path(sys.executable).parent}:{_SYSTEM_PATH}",
            client=client,
            probes=probes,
            memory=MemoryWatch(),
            faults=Faults(arguments.faults or default_path(home), shape.name),
            records=Records(home, shape.name),
        )
        pki = home / "pki"
        credentials = Credentials(pki / f"{shape.name}.crt", pki / f"{shape.name}.key", pki / "ca.crt")
        try:
            await ProcessNode(shape, ground, credentials).run(stop)
        finally:
            await client.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m drishtiksha_devcluster.node", description=__doc__)
    parser.add_argument("--name", required=True, help="name of the node")
    parser.add_argument("--home", required=True, type=Path, help="state folder: pki/, pods/, logs/pods/, run/")
    parser.add_argument("--kubeconfig", required=True, type=Path, help="identity of the node (system:node:<name>)")
    parser.add_argument("--port", required=True, type=int, help="HTTPS port of the logs endpoint")
    parser.add_argument("--address", default="127.0.0.1", help="address of the node on this machine")
    parser.add_argument("--images", type=Path, help="JSON file: image name -> command (default: <home>/images.json)")
    parser.add_argument("--gpu", type=int, default=0, metavar="N", help="how many simulated nvidia.com/gpu to offer")
    parser.add_argument("--cpu", type=quantity.parse, help="cores to offer (default: those of the machine)")
    parser.add_argument("--memory", type=quantity.parse, help="memory to offer (default: that of the machine)")
    parser.add_argument("--label", type=_label, action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--taint", type=_taint, action="append", default=[], metavar="KEY=VALUE:EFFECT")
    parser.add_argument("--faults", type=Path, help="fault file for tests (default: <home>/faults.json)")
    return parser


def _label(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _taint(text: str) -> dict[str, str]:
    pair, separator, effect = text.rpartition(":")
    if not separator or effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE:EFFECT with a taint effect")
    key, value = _label(pair) if "=" in pair else (pair, "")
    return {"key": key, "effect": effect} | ({"value": value} if value else {})


if __name__ == "__main__":
    sys.exit(main())
