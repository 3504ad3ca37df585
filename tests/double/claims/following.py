"""Claims about watches, as Kopf follows our resources and Jobs."""

from __future__ import annotations

import uuid

from drishtiksha import resources as r
from drishtiksha.kube import Object

from .server import ANALYSES, Api, refused, spec, version

_INITIAL = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}


async def _since(api: Api) -> str:
    return str((await api.kube.get(ANALYSES, {"limit": "1"}))["metadata"]["resourceVersion"])


def _of(made: Object) -> str:
    return f"{r.LABEL_MEDIA}={made['spec']['mediaId']}"


async def every_change_is_told_in_order_with_growing_versions(api: Api) -> None:
    since, media = await _since(api), str(uuid.uuid4())
    async with api.follow(ANALYSES, labelSelector=f"{r.LABEL_MEDIA}={media}", resourceVersion=since) as stream:
        made = await api.analyses.create(spec(media_id=media), 1)
        new = await api.analyses.apply_status(made, {"phase": "QUEUED"})
        await api.analyses.release(new)
        await api.analyses.delete(made["spec"]["runId"])
        told = [await stream.next() for _ in range(4)]
    assert [type for type, _ in told] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    versions = [version(found) for _, found in told]
    assert versions == sorted(set(versions))
    assert versions[:2] == [version(made), version(new)]


async def what_was_missed_since_a_version_is_told(api: Api) -> None:
    since = await _since(api)
    made = await api.made()
    new = await api.analyses.apply_status(made, {"phase": "QUEUED"})
    async with api.follow(ANALYSES, labelSelector=_of(made), resourceVersion=since) as stream:
        assert [(type, version(found)) for type, found in [await stream.next(), await stream.next()]] == [
            ("ADDED", version(made)),
            ("MODIFIED", version(new)),
        ]


async def a_watch_goes_on_where_another_ended(api: Api) -> None:
    made = await api.made()
    async with api.follow(
        ANALYSES, labelSelector=_of(made), resourceVersion=made["metadata"]["resourceVersion"]
    ) as stream:
        new = await api.analyses.apply_status(made, {"phase": "QUEUED"})
        assert version((await stream.next())[1]) == version(new)


async def a_deletion_that_is_held_is_a_modification_and_its_end_a_deletion(api: Api) -> None:
    made = await api.made()
    async with api.follow(
        ANALYSES, labelSelector=_of(made), resourceVersion=made["metadata"]["resourceVersion"]
    ) as stream:
        await api.analyses.delete(made["spec"]["runId"])
        type, held = await stream.next()
        assert type == "MODIFIED"
        assert "deletionTimestamp" in held["metadata"]
        await api.analyses.release(held)
        type, last = await stream.next()
        assert type == "DELETED"
        assert version(last) > version(held)


async def a_deletion_tells_the_last_state_that_was_kept(api: Api) -> None:
    made = await api.analyses.apply_status(await api.made(), {"phase": "QUEUED"})
    await api.analyses.delete(made["spec"]["runId"])
    held = await api.now(made)
    async with api.follow(
        ANALYSES, labelSelector=_of(made), resourceVersion=held["metadata"]["resourceVersion"]
    ) as stream:
        await api.analyses.release(held)
        type, last = await stream.next()
    assert type == "DELETED"
    assert last["status"] == {"phase": "QUEUED"}
    assert last["metadata"]["finalizers"] == [r.FINALIZER]


async def a_write_that_changes_nothing_is_not_told(api: Api) -> None:
    made = await api.made()
    path = api.analyses.path(made["spec"]["runId"])
    async with api.follow(
        ANALYSES, labelSelector=_of(made), resourceVersion=made["metadata"]["resourceVersion"]
    ) as stream:
        await api.kube.merge(path, {"metadata": {"labels": made["metadata"]["labels"]}})
        new = await api.kube.merge(path, {"metadata": {"labels": {"a": "b"}}})
        assert version((await stream.next())[1]) == version(new)


async def what_leaves_the_selection_is_told_as_deleted_and_what_enters_as_added(api: Api) -> None:
    made = await api.made()
    path, chosen = api.analyses.path(made["spec"]["runId"]), str(uuid.uuid4())
    since = made["metadata"]["resourceVersion"]
    async with api.follow(ANALYSES, labelSelector=f"chosen={chosen}", resourceVersion=since) as stream:
        await api.kube.merge(path, {"metadata": {"labels": {"chosen": chosen}}})
        await api.kube.merge(path, {"metadata": {"labels": {"more": "x"}}})
        await api.kube.merge(path, {"metadata": {"labels": {"chosen": "no"}}})
        told = [await stream.next() for _ in range(3)]
    assert [type for type, _ in told] == ["ADDED", "MODIFIED", "DELETED"]
    assert told[2][1]["metadata"]["labels"]["chosen"] == chosen


async def a_version_that_is_too_old_is_answered_by_an_error_in_the_stream(api: Api) -> None:
    await api.made()
    await api.compact()
    async with api.follow(ANALYSES, resourceVersion="1") as stream:
        assert stream.response.status == 200
        type, said = await stream.next()
        assert type == "ERROR"
        assert (said["kind"], said["code"], said["reason"]) == ("Status", 410, "Expired")
        assert await stream.ended()


async def a_watch_without_a_version_tells_what_is_there_first_and_where_that_ends(api: Api) -> None:
    made = await api.made()
    async with api.follow(ANALYSES, labelSelector=_of(made)) as stream:
        type, found = await stream.next()
        assert (type, version(found)) == ("ADDED", version(made))
        type, mark = await stream.next()
        assert (type, mark["metadata"]["annotations"]) == ("BOOKMARK", {"k8s.io/initial-events-end": "true"})
        new = await api.analyses.apply_status(made, {"phase": "QUEUED"})
        type, found = await stream.next()
        assert (type, version(found)) == ("MODIFIED", version(new))


async def a_streamed_list_ends_with_a_bookmark_that_says_so(api: Api) -> None:
    media = str(uuid.uuid4())
    names = {(await api.analyses.create(spec(media_id=media), 1))["metadata"]["name"] for _ in range(3)}
    async with api.follow(ANALYSES, labelSelector=f"{r.LABEL_MEDIA}={media}", **_INITIAL) as stream:
        told = [await stream.next() for _ in range(3)]
        assert {type for type, _ in told} == {"ADDED"}
        assert {found["metadata"]["name"] for _, found in told} == names
        type, mark = await stream.next()
        assert type == "BOOKMARK"
        assert mark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert version(mark) >= max(version(found) for _, found in told)
        made = await api.analyses.create(spec(media_id=media), 1)
        type, found = await stream.next()
        assert (type, version(found)) == ("ADDED", version(made))


async def a_streamed_list_of_nothing_ends_with_the_bookmark(api: Api) -> None:
    async with api.follow(ANALYSES, labelSelector=f"{r.LABEL_MEDIA}={uuid.uuid4()}", **_INITIAL) as stream:
        assert (await stream.next())[0] == "BOOKMARK"


async def a_watch_may_go_on_from_the_bookmark(api: Api) -> None:
    made = await api.made()
    async with api.follow(ANALYSES, labelSelector=_of(made), **_INITIAL) as stream:
        await stream.next()
        _, mark = await stream.next()
    new = await api.analyses.apply_status(made, {"phase": "QUEUED"})
    since = mark["metadata"]["resourceVersion"]
    async with api.follow(ANALYSES, labelSelector=_of(made), resourceVersion=since) as stream:
        assert version((await stream.next())[1]) == version(new)


async def initial_events_want_a_version_match(api: Api) -> None:
    async with api.follow(ANALYSES, sendInitialEvents="true") as stream:
        assert stream.response.status == 422


async def a_watch_ends_when_its_time_is_over(api: Api) -> None:
    async with api.follow(
        ANALYSES, labelSelector=f"a={uuid.uuid4()}", timeoutSeconds="1", resourceVersion=await _since(api)
    ) as s:
        assert await s.ended()


async def a_watch_selects_as_strictly_as_a_list(api: Api) -> None:
    with refused(400, "BadRequest", "field label not supported"):
        await api.kube.get(ANALYSES, {"watch": "true", "fieldSelector": "spec.hasAudio=true"})
