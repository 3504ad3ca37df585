"""Claims about ends: finalizers, preconditions, and what goes with its owner."""

from __future__ import annotations

import uuid

from drishtiksha import resources as r
from drishtiksha_operator import manifests

from .server import ANALYSES, NAMESPACE, SECRETS, Api, refused, version


async def _free(api: Api) -> dict:
    """A resource that nothing holds."""
    made = await api.made()
    assert await api.analyses.release(made)
    return await api.now(made)


async def _secret_of(api: Api, made: dict, uid: str | None = None) -> str:
    owner = manifests.Owner(made["metadata"]["name"], uid or made["metadata"]["uid"])
    place = manifests.Place(NAMESPACE, "http://door", "drishtiksha/jobrunner", 600)
    body = manifests.secret(made["spec"]["runId"], owner, place, {"a": "b"})
    await api.jobs.create_secret(body)
    return f"{SECRETS}/{body['metadata']['name']}"


async def what_nothing_holds_is_gone_at_once(api: Api) -> None:
    made = await _free(api)
    assert await api.analyses.delete(made["spec"]["runId"]) is True
    assert await api.analyses.get(made["spec"]["runId"]) is None


async def deleting_what_is_not_there_is_not_found(api: Api) -> None:
    assert await api.analyses.delete(uuid.uuid4()) is False


async def what_a_finalizer_holds_stays_with_a_deletion_time(api: Api) -> None:
    made = await api.made()
    assert await api.analyses.delete(made["spec"]["runId"]) is True
    held = await api.now(made)
    assert held["metadata"]["deletionTimestamp"].endswith("Z")
    assert held["metadata"]["generation"] == 2
    assert version(held) > version(made)


async def a_second_deletion_of_what_is_held_changes_nothing(api: Api) -> None:
    made = await api.made()
    await api.analyses.delete(made["spec"]["runId"])
    held = await api.now(made)
    assert await api.analyses.delete(made["spec"]["runId"]) is True
    assert await api.now(made) == held


async def the_last_finalizer_lets_it_go(api: Api) -> None:
    made = await api.made()
    await api.analyses.delete(made["spec"]["runId"])
    assert await api.analyses.release(await api.now(made)) is True
    assert await api.analyses.get(made["spec"]["runId"]) is None
    assert await api.analyses.release(made) is False


async def taking_one_of_two_finalizers_off_lets_nothing_go(api: Api) -> None:
    made = await api.made()
    path = api.analyses.path(made["spec"]["runId"])
    await api.kube.merge(path, {"metadata": {"finalizers": [r.FINALIZER, "example.org/other"]}})
    await api.analyses.delete(made["spec"]["runId"])
    assert await api.analyses.release(await api.now(made))
    assert (await api.now(made))["metadata"]["finalizers"] == ["example.org/other"]
    await api.kube.merge(path, {"metadata": {"finalizers": None}})
    assert await api.analyses.get(made["spec"]["runId"]) is None


async def letting_go_from_an_old_version_is_a_conflict(api: Api) -> None:
    made = await api.made()
    await api.analyses.delete(made["spec"]["runId"])
    with refused(409, "Conflict"):
        await api.analyses.release(made)


async def no_finalizer_comes_onto_what_is_being_deleted(api: Api) -> None:
    made = await api.made()
    await api.analyses.delete(made["spec"]["runId"])
    with refused(422, "Invalid", "finalizers"):
        await api.kube.merge(
            api.analyses.path(made["spec"]["runId"]), {"metadata": {"finalizers": [r.FINALIZER, "example.org/late"]}}
        )


async def a_status_is_told_while_it_is_being_deleted(api: Api) -> None:
    made = await api.made()
    await api.analyses.delete(made["spec"]["runId"])
    new = await api.analyses.apply_status(await api.now(made), {"phase": "FAILED"})
    assert new["status"]["phase"] == "FAILED"


async def another_incarnation_is_not_deleted(api: Api) -> None:
    made = await api.made()
    with refused(409, "Conflict", "UID"):
        await api.analyses.delete(made["spec"]["runId"], uid=str(uuid.uuid4()))
    assert "deletionTimestamp" not in (await api.now(made))["metadata"]
    assert await api.analyses.delete(made["spec"]["runId"], uid=made["metadata"]["uid"])


async def a_name_that_is_free_again_is_another_object(api: Api) -> None:
    made = await _free(api)
    await api.analyses.delete(made["spec"]["runId"])
    asked = {k: v for k, v in made.items() if k != "metadata"}
    metadata = {key: made["metadata"][key] for key in ("name", "namespace", "labels")}
    again = await api.kube.create(ANALYSES, {**asked, "metadata": metadata})
    assert again["metadata"]["uid"] != made["metadata"]["uid"]
    assert again["metadata"]["generation"] == 1


async def what_an_owner_had_goes_with_it(api: Api) -> None:
    made = await _free(api)
    secret = await _secret_of(api, made)
    await api.analyses.delete(made["spec"]["runId"])
    await api.gone(secret)


async def what_an_owner_has_stays_while_it_is_held(api: Api) -> None:
    made = await api.made()
    secret = await _secret_of(api, made)
    gone = await _free(api)
    canary = await _secret_of(api, gone)
    await api.analyses.delete(made["spec"]["runId"])
    await api.analyses.delete(gone["spec"]["runId"])
    await api.gone(canary)  # the collector has come by since
    assert await api.kube.get(secret)


async def what_belongs_to_another_incarnation_is_collected(api: Api) -> None:
    made = await api.made()
    await api.gone(await _secret_of(api, made, uid=str(uuid.uuid4())))
    assert await api.now(made)
