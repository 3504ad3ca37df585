"""The contract: each claim about an API server is asked of the double and of the real one. A difference is the double's fault."""

from __future__ import annotations

import contextlib
import functools
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from claims import CLAIMS
from claims.server import Api
from kubernetes_double import KubernetesDouble
from ledger import Ledger

from drishtiksha.kube import Kube
from drishtiksha.kubeconfig import from_file
from drishtiksha_devcluster.ephemeral import ThrowawayCluster


async def _compact_etcd(cluster: ThrowawayCluster) -> None:
    """Make etcd forget every revision but the last, over its JSON gateway."""
    keys = cluster.home / "pki"
    context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
    context.load_cert_chain(keys / "etcd-client.crt", keys / "etcd-client.key")
    base = f"https://127.0.0.1:{cluster.ports.etcd}/v3/kv"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), trust_env=False) as session:
        async with session.post(f"{base}/range", json={"key": "AA=="}) as found:
            revision = (await found.json())["header"]["revision"]
        async with session.post(f"{base}/compaction", json={"revision": revision, "physical": True}) as done:
            assert done.status == 200, await done.text()


@pytest.fixture(params=["double", "kubernetes"])
def real(request: pytest.FixtureRequest) -> ThrowawayCluster | None:
    """The real control plane, or None where the double is asked."""
    return request.getfixturevalue("cluster") if request.param == "kubernetes" else None


@pytest.fixture
async def api(real: ThrowawayCluster | None, tmp_path: Path) -> AsyncIterator[Api]:
    async with contextlib.AsyncExitStack() as stack:
        if real is not None:
            kubeconfig, compact = real.kubeconfig, functools.partial(_compact_etcd, real)
        else:
            double = await stack.enter_async_context(KubernetesDouble(tmp_path))
            kubeconfig, compact = double.kubeconfig, functools.partial(_compact_double, double)
        admin, operator, dispatcher = [
            await stack.enter_async_context(Kube(from_file(kubeconfig(name))))
            for name in ("admin", "drishtiksha-operator", "drishtiksha-api")
        ]
        yield Api(kubeconfig, compact, admin, operator, dispatcher)


async def _compact_double(double: KubernetesDouble) -> None:
    double.store.compact()


@pytest.mark.parametrize("claim", CLAIMS)
async def test_the_double_and_the_real_server_both_say_that(
    api: Api, real: ThrowawayCluster | None, claim: str, ledger: Ledger
) -> None:
    ledger.asked = len(CLAIMS)
    await CLAIMS[claim](api)
    ledger.claims["double" if real is None else "kubernetes"] += 1
