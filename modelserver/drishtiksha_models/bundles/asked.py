"""A bundle's network in a process of its own, asked by all workers: its weights are held once, and runs are shared.

`networks` starts it as `python -m drishtiksha_models.bundles.asked`; workers ask it by `remote`, over a socket that only
this user can open. It holds no secret and reads no media, only numbers. A network that kills it costs whoever asked.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import structlog

from drishtiksha import logs

from .. import process
from ..detector import Deadline, DeadlinePassed
from . import arrays
from .batches import Asked, Batches
from .folder import open_bundle
from .manifest import GRAPH, BadBundle
from .network import Network, accelerators

log = structlog.get_logger()


def main() -> None:
    """Load, listen, say so, then serve connections until standard input ends."""
    tell = process.wire()
    logs.configure("models")
    orders: SimpleQueue[dict[str, Any]] = SimpleQueue()
    process.follow(orders.put)
    order = orders.get()
    batches, hello = _loaded(Path(order["bundle"]), tell)
    place = Path(order["socket"])
    place.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(arrays.address(place))
        listener.listen(128)
        tell({"ready": True})
        while True:
            end, _ = listener.accept()
            threading.Thread(target=_serve, args=(end, batches, hello), daemon=True).start()


def _loaded(folder: Path, tell: Any) -> tuple[Batches | None, dict[str, Any]]:
    """The network before its queue, and what each caller is told first: what it takes, or why it is refused."""
    try:
        bundle = open_bundle(folder)
        tell({"loading": bundle.manifest.name})
        process.restrict(memory=not accelerators(bundle.manifest))
        network = Network(bundle.read(GRAPH), bundle.manifest)
    except BadBundle as error:
        return None, {"refused": str(error)}
    except (ImportError, MemoryError) as error:
        return None, {"refused": f"{GRAPH}: cannot be loaded: {type(error).__name__}: {error}"}
    batches = Batches(network, lambda requests, samples: tell({"batch": [requests, samples]}), _give_up)
    threading.Thread(target=batches.serve, daemon=True).start()
    hello = {"device": network.device, "sizes": network.sizes, "most": network.most, "memory_mb": process.memory_mb()}
    return batches, hello


def _give_up() -> None:
    """A run does not end: this process does, and the next one takes its place."""
    log.error("a network's run does not end; its process does")
    os._exit(75)


def _serve(end: socket.socket, batches: Batches | None, hello: dict[str, Any]) -> None:
    """One worker, as long as it is there."""
    with end, contextlib.suppress(OSError):
        arrays.send(end, hello)
        while batches is not None:
            said, samples = arrays.receive(end)
            if samples is None:
                raise arrays.Garbled("a question without numbers")
            asked = Asked(
                samples,
                Deadline(float(said["seconds"])),
                alone=bool(said["alone"]),
                begins=lambda: _begins(end),
            )
            try:
                rows = batches.ask(asked)
            except DeadlinePassed as error:
                arrays.send(end, {"late": str(error)})
            except BadBundle as error:
                arrays.send(end, {"refused": str(error)})
            except Exception as error:
                log.exception("a network could not be asked")
                arrays.send(end, {"refused": f"{GRAPH}: cannot be asked: {type(error).__name__}"})
            else:
                arrays.send(end, {}, rows)


def _begins(end: socket.socket) -> None:
    """Tell a worker that its samples are run now, and no other's."""
    with contextlib.suppress(OSError):
        arrays.send(end, {"begins": True})


if __name__ == "__main__":
    main()
