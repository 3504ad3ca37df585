"""Claims about who may do what, and what the server tells about itself, as the operator and Kopf ask at their start."""

from __future__ import annotations

import uuid

from drishtiksha import resources as r
from drishtiksha.kube import Kube
from drishtiksha.kubeconfig import Connection, from_file
from drishtiksha_operator import manifests, rbac
from drishtiksha_operator.main import _can_stream
from drishtiksha_operator.starting import NO_RIGHT

from .server import ANALYSES, JOBS, NAMESPACE, PODS, SECRETS, Api, body, refused


async def what_a_role_does_not_hold_is_forbidden(api: Api) -> None:
    with refused(403, "Forbidden", 'User "drishtiksha-api" cannot list resource "jobs"'):
        await api.api.list(JOBS)
    with refused(403, "Forbidden", 'cannot list resource "secrets"'):
        await api.operator.list(SECRETS)
    with refused(403, "Forbidden", 'cannot create resource "mediaanalyses"'):
        await api.operator.create(ANALYSES, body())


async def a_denial_is_told_in_the_words_that_the_operator_knows(api: Api) -> None:
    place = manifests.Place(NAMESPACE, "http://door", "i", 600)
    secret = manifests.secret(str(uuid.uuid4()), manifests.Owner("ma-x", str(uuid.uuid4())), place, {})
    with refused(403, "Forbidden", NO_RIGHT):
        await api.api.create(SECRETS, secret)


async def what_a_role_holds_is_allowed(api: Api) -> None:
    made = await r.MediaAnalyses(api.api, NAMESPACE).create(
        r.AnalysisSpec(str(uuid.uuid4()), str(uuid.uuid4()), "IMAGE", False), 1
    )
    operator = r.MediaAnalyses(api.operator, NAMESPACE)
    new = await operator.apply_status(made, {"phase": "QUEUED"})
    assert await operator.release(new)
    assert await api.operator.list(PODS, labels=f"a={uuid.uuid4()}") == []


async def an_object_and_its_status_are_two_rights(api: Api) -> None:
    made = await api.made()
    with refused(403, "Forbidden", "mediaanalyses/status"):
        await r.MediaAnalyses(api.api, NAMESPACE).apply_status(made, {"phase": "ANALYZED"})


async def a_token_that_nobody_gave_is_unauthorized(api: Api) -> None:
    known = from_file(api.kubeconfig("admin"))
    async with Kube(Connection(known.server, ca_data=known.ca_data, token="nobody")) as stranger:
        with refused(401, "Unauthorized"):
            await stranger.list(ANALYSES)


async def the_question_what_one_may_is_answered(api: Api) -> None:
    assert await rbac.missing(api.operator, NAMESPACE) is None
    told = await rbac.missing(api.api, NAMESPACE)
    assert told is not None
    assert "create, get, list, watch, delete jobs.batch" in told
    assert "watch, patch mediaanalyses.drishtiksha.io" in told


async def the_server_is_new_enough_to_stream_lists(api: Api) -> None:
    assert await _can_stream(api.operator)


async def kopf_finds_what_it_follows(api: Api) -> None:
    groups = {g["name"]: g for g in (await api.operator.get("/apis"))["groups"]}
    for group, version, plural, kind in ((r.GROUP, r.VERSION, r.PLURAL, r.KIND), ("batch", "v1", "jobs", "Job")):
        assert groups[group]["preferredVersion"]["version"] == version
        found = (await api.operator.get(f"/apis/{group}/{version}"))["resources"]
        mine = next(resource for resource in found if resource["name"] == plural)
        assert (mine["kind"], mine["namespaced"]) == (kind, True)
        assert {"create", "delete", "get", "list", "patch", "watch"} <= set(mine["verbs"])
        assert f"{plural}/status" in {resource["name"] for resource in found}
    core = (await api.operator.get("/api"))["versions"]
    assert core == ["v1"]
    names = {resource["name"] for resource in (await api.operator.get("/api/v1"))["resources"]}
    assert {"pods", "secrets", "events", "namespaces"} <= names
    definitions = (await api.operator.get("/apis/apiextensions.k8s.io/v1"))["resources"]
    assert "customresourcedefinitions" in {resource["name"] for resource in definitions}
