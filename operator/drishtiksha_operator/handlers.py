"""The ear: Kopf watches MediaAnalyses and Jobs, and each event that is worth a look puts its run into the queue.

Events carry keys only; bodies are dropped here. Kopf is used for nothing else: no state, no finalizers, no patches,
no Events of its own, so nothing here may raise (Kopf would log and forget it).
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Mapping
from typing import Any

from drishtiksha.kubeconfig import Connection, connect
from drishtiksha.resources import FINALIZER, GROUP, LABEL_RUN, PLURAL, VERSION, run_of

from .lean_kopf import kopf
from .seen import has_ended

Add = Callable[[str], None]
Echo = Callable[[str, str], bool]


def run_of_resource(body: Mapping[str, Any], is_echo: Echo) -> str | None:
    """The run to look at after an event about its resource; None when the event tells nothing new.

    A resource without our finalizer is settled: its run is final and told. Our own status write comes back as an echo.
    """
    metadata = body.get("metadata") or {}
    if FINALIZER not in (metadata.get("finalizers") or []):
        return None
    run = run_of(metadata.get("name", ""))
    return None if run is None or is_echo(run, metadata.get("resourceVersion", "")) else run


def run_of_job(body: Mapping[str, Any], kind: str | None) -> str | None:
    """The run to look at after an event about a Job: when it has ended or gone. Nothing else of a Job decides."""
    if kind != "DELETED" and not has_ended(body):
        return None
    return ((body.get("metadata") or {}).get("labels") or {}).get(LABEL_RUN)


def registry(add: Add, is_echo: Echo) -> kopf.OperatorRegistry:
    """Kopf's handlers: two events and the login."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**_: Any) -> kopf.ConnectionInfo:
        return connection_info(connect())

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)
    async def resource_event(body: Mapping[str, Any], **_: Any) -> None:
        if run := run_of_resource(body, is_echo):
            add(run)

    @kopf.on.event("batch", "v1", "jobs", registry=handlers)
    async def job_event(body: Mapping[str, Any], type: str | None, **_: Any) -> None:
        if run := run_of_job(body, type):
            add(run)

    return handlers


def settings(*, streaming: bool) -> kopf.OperatorSettings:
    """Kopf as an ear and nothing more. `streaming`: the server can stream the initial list (Kubernetes 1.34 on)."""
    made = kopf.OperatorSettings()
    made.watching.label_selectors["batch", "v1", "jobs"] = LABEL_RUN
    made.watching.chunk_size = 500
    made.watching.initial_streaming = streaming
    made.watching.connect_timeout = 5.0
    made.networking.request_timeout = 30.0
    made.networking.connect_timeout = 5.0
    made.scanning.disabled = True
    made.posting.enabled = False
    made.peering.standalone = True
    made.persistence.progress_storage = _NoProgress()
    made.persistence.diffbase_storage = _NoDiffBase()
    made.process.ultimate_exiting_timeout = 20.0
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    return made


def connection_info(connection: Connection) -> kopf.ConnectionInfo:
    """The same identity as our own client's."""
    ca = connection.ca_data
    return kopf.ConnectionInfo(
        server=connection.server,
        ca_data=base64.b64encode(ca.encode()).decode() if ca else None,
        insecure=connection.insecure,
        token=connection.bearer(),
        certificate_path=str(connection.certificate_file) if connection.certificate_file else None,
        private_key_path=str(connection.key_file) if connection.key_file else None,
        default_namespace=connection.namespace,
    )


class _NoProgress(kopf.ProgressStorage):
    """No handler of ours has progress to store."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None: ...

    def purge(self, **_: Any) -> None: ...

    def touch(self, **_: Any) -> None: ...

    def clear(self, *, essence: Any) -> Any:
        return essence


class _NoDiffBase(kopf.DiffBaseStorage):
    """No handler of ours asks what has changed."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None: ...
