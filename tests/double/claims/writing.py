"""Claims about changes: optimistic versions, merge patches, the two doors of an object, and server-side apply."""

from __future__ import annotations

import uuid

from drishtiksha import resources as r

from .server import ANALYSES, NAMESPACE, Api, refused, version

_A = {"name": "A", "phase": "PENDING", "attempt": 0}
_B = {"name": "B", "phase": "COMPLETED", "attempt": 1}


def _status(api: Api, made: dict) -> str:
    return f"{api.analyses.path(made['spec']['runId'])}/status"


async def a_patch_from_an_old_version_is_a_conflict(api: Api) -> None:
    made = await api.made()
    path = api.analyses.path(made["spec"]["runId"])
    await api.kube.merge(path, {"metadata": {"labels": {"a": "b"}}})
    with refused(409, "Conflict", "the object has been modified"):
        await api.kube.merge(
            path, {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"], "labels": {"a": "c"}}}
        )


async def a_patch_from_the_newest_version_is_taken(api: Api) -> None:
    made = await api.made()
    metadata = {"resourceVersion": made["metadata"]["resourceVersion"], "labels": {"a": "b"}}
    new = await api.kube.merge(api.analyses.path(made["spec"]["runId"]), {"metadata": metadata})
    assert version(new) > version(made)
    assert new["metadata"]["labels"]["a"] == "b"


async def a_patch_of_another_incarnation_is_refused(api: Api) -> None:
    made = await api.made()
    with refused(422, "Invalid", "field is immutable"):
        await api.kube.merge(api.analyses.path(made["spec"]["runId"]), {"metadata": {"uid": str(uuid.uuid4())}})


async def a_patch_that_changes_nothing_is_no_write(api: Api) -> None:
    made = await api.made()
    same = await api.kube.merge(
        api.analyses.path(made["spec"]["runId"]), {"metadata": {"labels": made["metadata"]["labels"]}}
    )
    assert version(same) == version(made)


async def a_null_in_a_merge_patch_takes_the_field_away(api: Api) -> None:
    made = await api.made()
    path = api.analyses.path(made["spec"]["runId"])
    new = await api.kube.merge(path, {"metadata": {"labels": {r.LABEL_MEDIA: None}}})
    assert r.LABEL_MEDIA not in new["metadata"]["labels"]
    assert r.LABEL_MEDIA_TYPE in new["metadata"]["labels"]


async def a_patch_of_what_is_not_there_is_not_found(api: Api) -> None:
    with refused(404, "NotFound"):
        await api.kube.merge(api.analyses.path(uuid.uuid4()), {"metadata": {"labels": {"a": "b"}}})


async def labels_do_not_change_the_generation(api: Api) -> None:
    made = await api.made()
    new = await api.kube.merge(api.analyses.path(made["spec"]["runId"]), {"metadata": {"labels": {"a": "b"}}})
    assert new["metadata"]["generation"] == 1


async def the_spec_is_immutable(api: Api) -> None:
    made = await api.made()
    path = api.analyses.path(made["spec"]["runId"])
    for change in ({"hasAudio": False}, {"models": ["A"]}, {"mediaId": str(uuid.uuid4())}):
        with refused(422, "Invalid", "the spec is immutable"):
            await api.kube.merge(path, {"spec": change})


async def a_patch_with_an_unknown_field_is_invalid(api: Api) -> None:
    made = await api.made()
    with refused(422, "Invalid", 'unknown field "spec.nonsense"'):
        await api.kube.merge(api.analyses.path(made["spec"]["runId"]), {"spec": {"nonsense": 1}})


async def the_objects_door_does_not_change_the_status(api: Api) -> None:
    made = await api.made()
    new = await api.kube.merge(api.analyses.path(made["spec"]["runId"]), {"status": {"phase": "ANALYZED"}})
    assert "status" not in new
    assert version(new) == version(made)


async def the_status_door_changes_nothing_else(api: Api) -> None:
    made = await api.made()
    change = {"metadata": {"labels": {"a": "b"}, "finalizers": None}, "status": {"phase": "QUEUED"}}
    new = await api.kube.merge(_status(api, made), change)
    assert new["status"] == {"phase": "QUEUED"}
    assert new["metadata"]["labels"] == made["metadata"]["labels"]
    assert new["metadata"]["finalizers"] == [r.FINALIZER]
    assert new["metadata"]["generation"] == 1


async def an_applied_status_comes_back_as_it_was(api: Api) -> None:
    made = await api.made()
    status = {"phase": "QUEUED", "summary": "0/2", "models": [_A, _B], "observedGeneration": 1}
    assert (await api.analyses.apply_status(made, status))["status"] == status


async def an_equal_apply_is_no_write(api: Api) -> None:
    made = await api.analyses.apply_status(await api.made(), {"phase": "QUEUED", "models": [_A]})
    again = await api.analyses.apply_status(made, {"phase": "QUEUED", "models": [_A]})
    assert version(again) == version(made)


async def an_apply_from_an_old_version_is_a_conflict(api: Api) -> None:
    made = await api.made()
    await api.analyses.apply_status(made, {"phase": "ANALYZED"})
    with refused(409, "Conflict"):
        await api.analyses.apply_status(made, {"phase": "QUEUED"})
    assert (await api.now(made))["status"]["phase"] == "ANALYZED"


async def what_is_no_longer_applied_goes(api: Api) -> None:
    made = await api.analyses.apply_status(await api.made(), {"phase": "QUEUED", "reason": "x", "models": [_A, _B]})
    new = await api.analyses.apply_status(made, {"phase": "PROCESSING", "models": [_B]})
    assert new["status"] == {"phase": "PROCESSING", "models": [_B]}


async def a_field_of_a_models_entry_that_is_no_longer_applied_goes(api: Api) -> None:
    made = await api.analyses.apply_status(await api.made(), {"models": [{**_A, "reason": "Waiting"}]})
    assert (await api.analyses.apply_status(made, {"models": [_A]}))["status"]["models"] == [_A]


async def what_somebody_else_wrote_stays(api: Api) -> None:
    made = await api.analyses.apply_status(await api.made(), {"phase": "QUEUED", "models": [_A]})
    other = await api.kube.merge(_status(api, made), {"status": {"summary": "theirs"}})
    new = await api.analyses.apply_status(other, {"phase": "PROCESSING", "models": [_A]})
    assert new["status"] == {"phase": "PROCESSING", "summary": "theirs", "models": [_A]}


async def an_apply_without_force_respects_other_managers(api: Api) -> None:
    made = await api.analyses.apply_status(await api.made(), {"phase": "QUEUED"})
    body = {"apiVersion": r.API_VERSION, "kind": r.KIND, "metadata": {"name": made["metadata"]["name"]}}
    query = {"fieldManager": "somebody-else"}
    with refused(409, "Conflict", "conflict"):
        await api.kube._call(
            "PATCH", _status(api, made), query, {**body, "status": {"phase": "FAILED"}},
            content_type="application/apply-patch+yaml",
        )  # fmt: skip


async def an_apply_with_force_takes_fields_over(api: Api) -> None:
    made = await api.analyses.apply_status(await api.made(), {"phase": "QUEUED", "summary": "-"})
    body = {"apiVersion": r.API_VERSION, "kind": r.KIND, "metadata": {"name": made["metadata"]["name"]}}
    new = await api.kube.apply(_status(api, made), {**body, "status": {"phase": "FAILED"}}, manager="somebody-else")
    assert new["status"] == {"phase": "FAILED", "summary": "-"}
    kept = await api.analyses.apply_status(new, {"summary": "-"})
    assert kept["status"] == {"phase": "FAILED", "summary": "-"}


async def an_apply_without_a_manager_is_refused(api: Api) -> None:
    made = await api.made()
    body = {"apiVersion": r.API_VERSION, "kind": r.KIND, "metadata": {"name": made["metadata"]["name"]}}
    with refused(422, "Invalid", "fieldManager: Required value"):
        await api.kube._call("PATCH", _status(api, made), {}, body, content_type="application/apply-patch+yaml")


async def a_status_that_the_schema_forbids_is_invalid(api: Api) -> None:
    made = await api.made()
    for wrong in (
        {"phase": "DONE"},
        {"score": 1.5},
        {"completionTime": "yesterday"},
        {"models": [{"name": "A", "phase": "PENDING", "attempt": -1}]},
        {"models": [{"phase": "PENDING"}]},
        {"conditions": [{"type": "Complete", "status": "True"}]},
        {"phase": "x" * 100},
    ):
        with refused(422, "Invalid"):
            await api.kube.merge(_status(api, made), {"status": wrong})


async def an_unknown_field_of_the_status_is_refused(api: Api) -> None:
    made = await api.made()
    with refused(422, "Invalid", "nonsense"):
        await api.kube.merge(_status(api, made), {"status": {"nonsense": 1}})


async def a_status_of_what_is_not_there_is_not_found(api: Api) -> None:
    made = await api.made()
    ghost = {"metadata": {**made["metadata"], "name": f"ma-{uuid.uuid4()}"}}
    with refused(404, "NotFound"):
        await api.analyses.apply_status(ghost, {"phase": "QUEUED"})


async def a_version_is_of_the_whole_server(api: Api) -> None:
    made = await api.made()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"s-{uuid.uuid4()}"}}
    other = await api.kube.create(f"/api/v1/namespaces/{NAMESPACE}/secrets", secret)
    assert version(other) > version(made)
    assert version(await api.kube.get(ANALYSES, {"limit": "1"})) >= version(other)
