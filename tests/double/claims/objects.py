"""Claims about creating and reading: what the server adds, what it refuses, how it selects and pages."""

from __future__ import annotations

import base64
import datetime as dt
import json
import uuid

from drishtiksha import resources as r
from drishtiksha_operator import manifests
from drishtiksha_operator.config import Profile

from .server import ANALYSES, EVENTS, JOBS, NAMESPACE, SECRETS, Api, body, refused, spec, version


async def a_new_object_gets_uid_version_generation_and_time(api: Api) -> None:
    made = (await api.made())["metadata"]
    assert uuid.UUID(made["uid"])
    assert int(made["resourceVersion"]) > 0
    assert made["generation"] == 1
    assert made["creationTimestamp"].endswith("Z")
    assert made["finalizers"] == [r.FINALIZER]


async def a_status_that_comes_with_a_new_object_is_dropped(api: Api) -> None:
    made = await api.kube.create(ANALYSES, body() | {"status": {"phase": "ANALYZED"}})
    assert "status" not in made


async def a_deletion_time_that_comes_with_a_new_object_is_dropped(api: Api) -> None:
    asked = body()
    asked["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "uid": str(uuid.uuid4())}
    made = await api.kube.create(ANALYSES, asked)
    assert "deletionTimestamp" not in made["metadata"]
    assert made["metadata"]["uid"] != asked["metadata"]["uid"]


async def a_second_create_says_already_exists(api: Api) -> None:
    asked = body()
    await api.kube.create(ANALYSES, asked)
    with refused(409, "AlreadyExists", "already exists"):
        await api.kube.create(ANALYSES, asked)


async def a_second_create_of_our_run_is_the_first(api: Api) -> None:
    asked = spec()
    first = await api.analyses.create(asked, 1)
    assert (await api.analyses.create(asked, 1))["metadata"]["uid"] == first["metadata"]["uid"]


async def an_unknown_field_is_refused_by_name(api: Api) -> None:
    asked = body()
    asked["spec"]["filename"] = "secret.mp4"
    with refused(400, "BadRequest", 'unknown field "spec.filename"'):
        await api.kube.create(ANALYSES, asked)


async def without_strict_validation_an_unknown_field_is_pruned(api: Api) -> None:
    asked = body()
    asked["spec"]["filename"] = "secret.mp4"
    made = await api.kube._call("POST", ANALYSES, {"fieldValidation": "Ignore"}, asked)
    assert "filename" not in made["spec"]


async def what_the_schema_forbids_is_invalid(api: Api) -> None:
    for change in (
        {"runId": "not-a-uuid"},
        {"mediaType": "DOCUMENT"},
        {"models": []},
        {"models": ["bad name"]},
        {"models": ["A", "A"]},
        {"hasAudio": "yes"},
    ):
        asked = body()
        asked["spec"] |= change
        with refused(422, "Invalid"):
            await api.kube.create(ANALYSES, asked)
    asked = body()
    del asked["spec"]["mediaId"]
    with refused(422, "Invalid", "spec.mediaId: Required value"):
        await api.kube.create(ANALYSES, asked)


async def a_name_that_is_not_the_runs_is_invalid(api: Api) -> None:
    asked = body()
    asked["metadata"]["name"] = "another-name"
    with refused(422, "Invalid", "the name must be 'ma-' followed by spec.runId"):
        await api.kube.create(ANALYSES, asked)


async def a_name_with_capitals_is_invalid(api: Api) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "Capital"}}
    with refused(422, "Invalid", "metadata.name"):
        await api.kube.create(SECRETS, secret)


async def a_namespace_that_is_not_there_is_not_found(api: Api) -> None:
    asked = body()
    asked["metadata"]["namespace"] = "nowhere"
    with refused(404, "NotFound", "nowhere"):
        await api.kube.create(ANALYSES.replace(NAMESPACE + "/", "nowhere/"), asked)


async def another_namespace_than_that_of_the_path_is_refused(api: Api) -> None:
    asked = body()
    asked["metadata"]["namespace"] = "default"
    with refused(400, "BadRequest", "namespace"):
        await api.kube.create(ANALYSES, asked)


async def another_kind_than_that_of_the_path_is_refused(api: Api) -> None:
    with refused(400, "BadRequest"):
        await api.kube.create(ANALYSES, body() | {"kind": "Job", "apiVersion": "batch/v1"})


async def a_patch_of_a_foreign_type_is_refused(api: Api) -> None:
    made = await api.made()
    with refused(415, "UnsupportedMediaType"):
        await api.kube._call("PATCH", api.analyses.path(made["spec"]["runId"]), None, {}, content_type="text/plain")


async def an_unknown_field_deep_in_a_job_is_refused_by_name(api: Api) -> None:
    job = _job()
    job["spec"]["template"]["spec"]["nonsense"] = 1
    with refused(400, "BadRequest", 'unknown field "spec.template.spec.nonsense"'):
        await api.kube.create(JOBS, job)


async def what_is_not_there_is_not_found(api: Api) -> None:
    with refused(404, "NotFound", "not found"):
        await api.kube.get(api.analyses.path(uuid.uuid4()))
    assert await api.analyses.get(uuid.uuid4()) is None


async def a_path_that_is_no_collection_is_not_found(api: Api) -> None:
    with refused(404, "NotFound", "could not find the requested resource"):
        await api.kube.get(f"/apis/batch/v1/namespaces/{NAMESPACE}/nothings")
    with refused(404, "Unknown", "404 page not found"):  # no Status: so it is while our resource is not installed
        await api.kube.get(f"/apis/{r.GROUP}/{r.VERSION}/namespaces/{NAMESPACE}/nothings")


async def labels_select_by_value_set_and_presence(api: Api) -> None:
    media = str(uuid.uuid4())
    one, two = [await api.analyses.create(spec(media_id=media), number) for number in (1, 2)]
    base = f"{r.LABEL_MEDIA}={media}"
    for more, found in (
        ("", {one["metadata"]["name"], two["metadata"]["name"]}),
        (f",{r.LABEL_RUN_NUMBER}=2", {two["metadata"]["name"]}),
        (f",{r.LABEL_RUN_NUMBER}!=2", {one["metadata"]["name"]}),
        (f",{r.LABEL_RUN_NUMBER} in (1,7)", {one["metadata"]["name"]}),
        (f",{r.LABEL_RUN_NUMBER} notin (1,7)", {two["metadata"]["name"]}),
        (f",{r.LABEL_RUN_NUMBER}", {one["metadata"]["name"], two["metadata"]["name"]}),
        (f",!{r.LABEL_RUN_NUMBER}", set()),
    ):
        assert {b["metadata"]["name"] for b in await api.kube.list(ANALYSES, labels=base + more)} == found, more


async def fields_select_our_resource_by_media_and_phase(api: Api) -> None:
    media = str(uuid.uuid4())
    made = await api.analyses.create(spec(media_id=media), 1)
    await api.analyses.apply_status(made, {"phase": "ANALYZED"})
    name = made["metadata"]["name"]
    for fields, count in (
        (f"spec.mediaId={media}", 1),
        (f"spec.mediaId={media},status.phase=ANALYZED", 1),
        (f"spec.mediaId={media},status.phase!=ANALYZED", 0),
        (f"metadata.name={name}", 1),
        (f"metadata.name={name},metadata.namespace={NAMESPACE}", 1),
    ):
        assert len(await api.kube.list(ANALYSES, fields=fields)) == count, fields


async def a_field_that_is_not_selectable_is_refused(api: Api) -> None:
    with refused(400, "BadRequest", "field label not supported"):
        await api.kube.list(ANALYSES, fields="spec.hasAudio=true")


async def a_list_is_told_by_name_and_in_pages(api: Api) -> None:
    media = str(uuid.uuid4())
    names = sorted([(await api.analyses.create(spec(media_id=media), 1))["metadata"]["name"] for _ in range(5)])
    pages = [p async for p in api.kube.pages(ANALYSES, labels=f"{r.LABEL_MEDIA}={media}", page=2)]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [item["metadata"]["name"] for page in pages for item in page] == names


async def the_pages_of_a_list_are_of_one_moment(api: Api) -> None:
    media = str(uuid.uuid4())
    made = sorted([(await api.analyses.create(spec(media_id=media), 1))["metadata"]["name"] for _ in range(3)])
    pages = api.kube.pages(ANALYSES, labels=f"{r.LABEL_MEDIA}={media}", page=1)
    seen = [item["metadata"]["name"] for item in await anext(pages)]
    late = spec(media_id=media, run_id="ffffffff-ffff-4fff-bfff-" + uuid.uuid4().hex[:12])
    await api.analyses.create(late, 1)
    async for page in pages:
        seen += [item["metadata"]["name"] for item in page]
    assert seen == made


async def a_page_of_a_moment_that_is_no_longer_kept_is_expired(api: Api) -> None:
    media = str(uuid.uuid4())
    for _ in range(2):
        await api.analyses.create(spec(media_id=media), 1)
    query = {"labelSelector": f"{r.LABEL_MEDIA}={media}", "limit": "1"}
    token = (await api.kube.get(ANALYSES, query))["metadata"]["continue"]
    await api.compact()
    told = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))) | {"rv": 1}
    older = base64.urlsafe_b64encode(json.dumps(told, separators=(",", ":")).encode()).decode().rstrip("=")
    with refused(410, "Expired"):
        await api.kube.get(ANALYSES, query | {"continue": older})


async def a_continue_token_that_is_none_is_refused(api: Api) -> None:
    with refused(400, "BadRequest"):
        await api.kube.get(ANALYSES, {"limit": "1", "continue": "nonsense"})


async def a_list_may_tell_metadata_only(api: Api) -> None:
    media = str(uuid.uuid4())
    await api.analyses.create(spec(media_id=media), 1)
    ((found,),) = [p async for p in api.analyses.pages(labels=f"{r.LABEL_MEDIA}={media}")]
    assert found["kind"] == "PartialObjectMetadata"
    assert found["metadata"]["labels"][r.LABEL_MEDIA] == media
    assert "spec" not in found


async def a_list_is_at_least_as_new_as_the_last_write(api: Api) -> None:
    for _ in range(5):
        made = await api.made()
        name = made["metadata"]["name"]
        found = await api.kube.get(ANALYSES, {"fieldSelector": f"metadata.name={name}"})
        assert [item["metadata"]["name"] for item in found["items"]] == [name]
        assert version(found) >= version(made)


async def events_are_told_once_and_selected_by_whom_they_concern(api: Api) -> None:
    made = await api.made()
    told = manifests.final_event(made, "Analyzed", "All answered.", good=True, now=dt.datetime.now(dt.UTC))
    assert await api.jobs.create_event(told) is True
    assert await api.jobs.create_event(told) is False
    found = await api.kube.list(EVENTS, fields=f"involvedObject.uid={made['metadata']['uid']}")
    assert [event["reason"] for event in found] == ["Analyzed"]


async def an_immutable_secret_does_not_change(api: Api) -> None:
    made = await api.made()
    owner = manifests.Owner(made["metadata"]["name"], made["metadata"]["uid"])
    secret = manifests.secret(made["spec"]["runId"], owner, _PLACE, {"a": "b"})
    await api.jobs.create_secret(secret)
    await api.jobs.create_secret(secret)  # there, with our owner: success
    with refused(422, "Invalid", "immutable"):
        await api.kube.merge(f"{SECRETS}/{secret['metadata']['name']}", {"data": {"a": "YQ=="}})


_PLACE = manifests.Place(NAMESPACE, "http://door", "drishtiksha/jobrunner", 600)


def _job() -> dict[str, object]:
    owner = manifests.Owner("ma-x", str(uuid.uuid4()))
    work = manifests.Work(str(uuid.uuid4()), str(uuid.uuid4()), "A", 1, Profile(), 60, 60, "http://ml")
    return manifests.job(work, owner, _PLACE)
