"""curl against a running platform, sentence by sentence of what the platform promises to its clients.

Stands beside test_stock_javascript.py. The clients are in `clients/` and know nothing of our code; docs/first-client.md
tells people how to write one, and test_first_client.py runs its blocks as they stand there.
"""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from world import Person, World

sys.path.insert(0, str(Path(__file__).parent / "clients"))

from contract import ANALYSIS, FULL, MEDIA, MOMENT, RUN, USER, refused, told
from curl import Curl

ORIGIN, STRANGE_ORIGIN = "http://localhost:5173", "https://evil.example"
LIMIT = 2_000_000
GOOD = {"image": True, "video": False, "audio": False, "fake": 0.9}
TWO_MODELS = {"GOOD-V1": GOOD, "OTHER-V1": {**GOOD, "fake": 0.7}}


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World]) -> World:
    settings = {"FRONTEND_URL": f"{ORIGIN},https://app.example.org/", "MAX_UPLOAD_BYTES": str(LIMIT)}
    made = new_world(script=TWO_MODELS, settings=settings)
    made.start()
    return made


@pytest.fixture(scope="module")
def ada(world: World) -> Person:
    return world.person()


@pytest.fixture(scope="module")
def curl(world: World, ada: Person) -> Curl:
    return Curl(world.wiring.base_url, ada.token)


@pytest.fixture(scope="module")
def picture(demo_media: dict[str, Any]) -> Path:
    return demo_media["picture"].path


@pytest.fixture(scope="module")
def uploaded(curl: Curl, ada: Person, picture: Path) -> dict[str, Any]:
    """A picture under an awkward name, sent by curl and analyzed to its end: what the upload answered."""
    form = ("-F", "description=before", "-F", f'file=@{picture};filename="नमस्ते \\"q\\" 100%; x.png"', "-F", "more=x")
    answer = curl("/media/", *form)
    assert answer.status == 202, answer.body
    ada.wait(answer.data["id"])
    return {"answer": answer, **answer.data}


def test_curl_takes_an_account_from_signup_to_logout(curl: Curl) -> None:
    new = {
        "email": f"{uuid.uuid4().hex}@example.org",
        "password": "correct horse",
        "firstName": " Ada ",
        "lastName": "L",
    }
    made = told(curl.send("/auth/signup", new, token=None), 201, "User created successfully")
    assert made.keys() == {"user", "token"}
    assert made["user"].keys() == USER
    assert (made["user"]["firstName"], made["user"]["role"]) == ("Ada", "USER")
    assert MOMENT.match(made["user"]["createdAt"])
    taken = curl.send("/auth/signup", new | {"email": new["email"].upper()}, token=None)
    refused(taken, 409, "EMAIL_TAKEN", "User with this email already exists")
    login = curl.send("/auth/login", {"email": new["email"], "password": new["password"]}, token=None)
    token = told(login, 200, "Login successful")["token"]
    assert login.headers["cache-control"] == "no-store"
    for other in ({"password": "wrong horse"}, {"email": "nobody@example.org"}):
        wrong = curl.send("/auth/login", new | other, token=None)
        refused(wrong, 401, "BAD_CREDENTIALS", "Invalid email or password")
    raw = curl("/auth/profile", "-H", f"Authorization: {token}", token=None)
    assert told(raw, 200, "Profile retrieved successfully").keys() == USER
    changed = curl.send("/auth/profile", {"bio": "at sea", "phone": None}, method="PUT", token=token)
    assert told(changed, 200, "Profile updated successfully")["bio"] == "at sea"
    raised = curl.send("/auth/profile", {"role": "ADMIN"}, method="PUT", token=token)
    refused(raised, 400, "VALIDATION", "Validation failed")
    logout = curl("/auth/logout", "-X", "POST", "-H", "Content-Type: application/json", token=token)
    assert told(logout, 200, "Logout successful") is None
    refused(curl("/auth/profile", token=token), 401, "TOKEN_INVALID", "Invalid token")


def test_curl_without_a_good_token_gets_no_further(curl: Curl) -> None:
    for path in ("/media", "/media/x", "/auth/profile", "/monitoring/server-status", "/monitoring/queue-status"):
        refused(curl(path, token=None), 401, "TOKEN_MISSING", "Access token is required")
        refused(curl(path, token="x.y.z"), 401, "TOKEN_INVALID", "Invalid token")
    other_keys = curl.token.rsplit(".", 1)[0] + "." + "A" * 43 if curl.token else ""
    refused(curl("/media", token=other_keys), 401, "TOKEN_INVALID", "Invalid token")


def test_curl_learns_what_is_wrong_with_a_request(curl: Curl, picture: Path) -> None:
    half = curl("/auth/login", "-H", "Content-Type: application/json", "-d", '{"email": ', token=None)
    refused(half, 400, "MALFORMED_JSON", "The body is not valid JSON.")
    refused(curl("/media?limit=many"), 400, "VALIDATION", "Validation failed")
    refused(curl("/nope/"), 404, "NOT_FOUND", "Not found")
    refused(curl("/nope", root=True), 404, "NOT_FOUND", "Not found")
    method = curl("/media", "-X", "PUT")
    refused(method, 405, "METHOD_NOT_ALLOWED", "Method not allowed")
    assert method.headers["allow"] == "GET, POST, HEAD, OPTIONS"
    refused(curl("/media", "-F", "description=x"), 400, "FILE_REQUIRED", "A file is required.")
    refused(curl("/media", "-X", "POST"), 400, "FILE_REQUIRED", "A file is required.")
    refused(curl("/media", "-F", "file=@/dev/null;filename=a.png"), 400, "EMPTY_FILE", "The file is empty.")
    two = curl("/media", "-F", f"file=@{picture}", "-F", f"media=@{picture}")
    refused(two, 400, "TOO_MANY_FILES", "Only one file can be uploaded at a time.")
    text = curl("/media", "-F", f"file=@{__file__};type=video/mp4;filename=a.mp4")
    assert (text.status, text.json["code"]) == (415, "UNSUPPORTED_TYPE")
    sentence = r"Unsupported file type: '\S+'. Please upload a valid video, image, or audio file."
    assert re.fullmatch(sentence, text.json["message"])


def test_curl_finds_the_same_with_a_slash_at_the_end_and_heads_without_bodies(curl: Curl) -> None:
    for path in ("/media", "/auth/profile", "/monitoring/queue-status"):
        bare, slashed, head = curl(path), curl(path + "/"), curl(path, "-I")
        assert (bare.status, slashed.status, head.status) == (200, 200, 200)
        assert bare.json == slashed.json
        assert head.headers["content-length"] == str(len(bare.body))
    for path in ("/", "/api/health"):
        told(curl(path, root=True, token=None), 200, "Drishtiksha API is alive and running!")


def test_a_page_of_our_front_end_may_patch_and_a_strange_one_may_not(curl: Curl) -> None:
    asked = ("-X", "OPTIONS", "-H", "Access-Control-Request-Method: PATCH")
    wanted = ("-H", "Access-Control-Request-Headers: authorization,content-type,idempotency-key")
    allowed = curl("/media/x", *asked, *wanted, "-H", f"Origin: {ORIGIN}", token=None)
    assert (allowed.status, allowed.body) == (204, b"")
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert allowed.headers["access-control-allow-credentials"] == "true"
    assert "PATCH" in allowed.headers["access-control-allow-methods"]
    assert {"authorization", "idempotency-key"} <= set(
        allowed.headers["access-control-allow-headers"].lower().split(", ")
    )
    strange = curl("/media/x", *asked, "-H", f"Origin: {STRANGE_ORIGIN}", token=None)
    assert not [name for name in strange.headers if name.startswith("access-control")]
    read = curl("/media", "-H", f"Origin: {ORIGIN}")
    exposed = read.headers["access-control-expose-headers"].lower()
    assert all(name in exposed for name in ("content-disposition", "etag", "location", "x-next-cursor", "x-request-id"))
    for name in ("content-security-policy", "strict-transport-security", "x-content-type-options", "x-frame-options"):
        assert name in read.headers


def test_a_large_body_is_refused_before_it_is_read(curl: Curl, tmp_path: Path) -> None:
    large = tmp_path / "large.mp4"
    with large.open("wb") as file:
        file.truncate(50 * LIMIT)
    upload = ("-F", f"file=@{large}")
    waits = ("-H", "Expect: 100-continue")
    nobody = curl("/media", *upload, *waits, token=None)
    refused(nobody, 401, "TOKEN_MISSING", "Access token is required")
    assert (nobody.interim, nobody.sent) == ([], 0)
    too_large = curl("/media", *upload, *waits)
    refused(too_large, 413, "TOO_LARGE", f"The file is larger than the limit of {LIMIT} bytes.")
    assert (too_large.interim, too_large.sent) == ([], 0)
    slow = curl("/media", *upload, "-H", "Expect:", "--limit-rate", "100k", token=None)
    refused(slow, 401, "TOKEN_MISSING", "Access token is required")
    assert slow.sent < LIMIT
    counted = curl("/media", *upload, "-H", "Expect:", "-H", "Transfer-Encoding: chunked")
    assert counted.status == 413
    assert counted.sent < 50 * LIMIT


def test_an_upload_by_curl_answers_the_media_and_where_it_is(
    curl: Curl, uploaded: dict[str, Any], picture: Path
) -> None:
    media = told(uploaded["answer"], 202, "Media uploaded and queued for analysis.")
    assert media.keys() == MEDIA
    assert media["filename"] == 'नमस्ते "q" 100%; x.png'
    assert (media["status"], media["mediaType"], media["mimetype"]) == ("QUEUED", "IMAGE", "image/png")
    assert (media["size"], media["description"]) == (picture.stat().st_size, "before")
    assert media["latestAnalysisRunId"] == media["latestRunId"]
    assert media["publicId"].startswith("images/")
    assert MOMENT.match(media["createdAt"])
    location = uploaded["answer"].headers["location"]
    assert location == f"{curl.base}/api/v1/media/{media['id']}"
    assert curl(location).data["id"] == media["id"]


def test_curl_reads_every_key_of_the_full_object(curl: Curl, uploaded: dict[str, Any]) -> None:
    answer = curl(f"/media/{uploaded['id']}")
    media = told(answer, 200, "Success")
    assert media.keys() >= FULL
    assert media["user"].keys() == {"id", "firstName", "lastName", "email"}
    assert media["verdict"] == {"label": "FAKE", "basis": "CLAIMED", "score": 0.8, "models": ["GOOD-V1", "OTHER-V1"]}
    assert (media["videoMetadata"], media["audioMetadata"]) == (None, None)
    assert {"width", "height", "format", "colorSpace", "fileSize"} <= media["imageMetadata"].keys()
    (run,) = media["analysisRuns"]
    assert run.keys() >= RUN
    assert [a["model"] for a in media["analyses"]] == ["GOOD-V1", "OTHER-V1"]
    for one in media["analyses"]:
        assert one.keys() >= ANALYSIS
        assert (one["status"], one["prediction"], one["confidence"]) == ("COMPLETED", "FAKE", one["score"])
        assert (one["modelName"], one["runId"]) == (one["model"], media["latestRunId"])
    for one in run["analyses"]:
        payload = one["resultPayload"]
        assert (payload["media_type"], payload["model_name"]) == ("image", one["model"])
        assert {"prediction", "confidence", "processing_time", "note", "dimensions", "system_info"} <= payload.keys()
    again = curl(f"/media/{uploaded['id']}", "-H", f"If-None-Match: {answer.headers['etag']}")
    assert answer.headers["etag"].startswith('W/"')
    assert (again.status, again.body) == (304, b"")


def test_curl_pages_through_its_list_and_a_stranger_sees_nothing(
    world: World, curl: Curl, uploaded: dict[str, Any], picture: Path
) -> None:
    second = curl("/media", "-F", f"media=@{picture}")
    first_page = curl("/media?limit=1&unknown=1")
    (newest,) = told(first_page, 200, "Success")
    assert newest["id"] == second.data["id"]
    assert newest.keys() >= FULL
    (older,) = curl(f"/media?limit=1&cursor={first_page.headers['x-next-cursor']}").data
    assert older["id"] == uploaded["id"]
    assert "x-next-cursor" not in curl("/media").headers
    stranger = world.person()
    assert curl("/media", token=stranger.token).data == []
    for path in (uploaded["id"], str(uuid.uuid4()), "nonsense"):
        for words in ((), ("-X", "DELETE"), ("-X", "PATCH", "-d", '{"description": "x"}')):
            answer = curl(f"/media/{path}", *words, token=stranger.token)
            refused(answer, 404, "NOT_FOUND", "Media not found or you do not have permission.")
    told(curl(f"/media/{second.data['id']}", "-X", "DELETE"), 200, "Media deleted successfully.")


def test_curl_changes_what_may_be_changed(curl: Curl, uploaded: dict[str, Any]) -> None:
    path = f"/media/{uploaded['id']}"
    changed = curl.send(path, {"description": None, "filename": "../../etc/new name.png"}, method="PATCH")
    assert (changed.status, changed.data["description"], changed.data["filename"]) == (200, None, "new name.png")
    other = curl.send(path, {"status": "ANALYZED"}, method="PATCH")
    refused(other, 400, "VALIDATION", "Field 'status' is not updatable.")
    back = curl.send(path, {"description": "before", "filename": uploaded["filename"]}, method="PATCH")
    assert (back.data["description"], back.data["filename"]) == ("before", uploaded["filename"])


def test_curl_fetches_bytes_by_the_signed_link_alone(curl: Curl, uploaded: dict[str, Any], picture: Path) -> None:
    url, etag = uploaded["url"], f'"{uploaded["sha256"]}"'
    assert curl(f"/media/{uploaded['id']}").data["url"] == url
    whole = curl(url, token=None)
    assert (whole.status, whole.body) == (200, picture.read_bytes())
    assert (whole.headers["etag"], whole.headers["cache-control"]) == (etag, "private, max-age=3600")
    assert (whole.headers["x-content-type-options"], whole.headers["content-type"]) == ("nosniff", "image/png")
    assert whole.headers["cross-origin-resource-policy"] == "cross-origin"
    assert whole.headers["content-disposition"] == (
        'inline; filename="______ _q_ 100_; x.png"; '
        "filename*=UTF-8''%E0%A4%A8%E0%A4%AE%E0%A4%B8%E0%A5%8D%E0%A4%A4%E0%A5%87%20%22q%22%20100%25%3B%20x.png"
    )
    saved = curl(f"{url}&download=1", "-I", token=None)
    assert saved.status == 200
    assert saved.headers["content-disposition"].startswith("attachment; ")
    assert saved.headers["content-length"] == str(uploaded["size"])
    part = curl(url, "-r", "10-19", "-H", f"If-Range: {etag}", token=None)
    assert (part.status, part.body) == (206, picture.read_bytes()[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{uploaded['size']}"
    assert curl(url, "-r", "-5", token=None).body == picture.read_bytes()[-5:]
    assert curl(url, "-r", "10-19", "-H", 'If-Range: "older"', token=None).status == 200
    beyond = curl(url, "-r", f"{uploaded['size']}-", token=None)
    refused(beyond, 416, "RANGE_NOT_SATISFIABLE", "The range lies outside of the file.")
    assert curl(url, "-H", f"If-None-Match: {etag}", token=None).status == 304
    refused(curl(url[:-1], token=None), 401, "TOKEN_INVALID", "Invalid token")
    unsigned = url.split("?")[0]
    refused(curl(unsigned, token=None), 401, "TOKEN_MISSING", "Access token is required")
    assert curl(unsigned).body == picture.read_bytes()


def test_curl_reads_how_the_platform_is_doing(curl: Curl, uploaded: dict[str, Any]) -> None:
    status = told(curl("/monitoring/server-status"), 200, "Server status retrieved successfully")
    assert status["serviceName"] == "scripted"
    assert status["uptime_seconds"] == status["uptimeSeconds"]
    assert status["models_info"][0]["class_name"] == status["modelsInfo"][0]["className"]
    assert {"device_info", "deviceInfo", "system_info", "systemInfo", "cachedAt"} <= status.keys()
    assert status["responseTime"] == status["responseTimeMs"]
    sentence = "Video processing queue status retrieved successfully."
    queue = told(curl("/monitoring/queue-status"), 200, sentence)
    names = ("pending", "active", "completed", "failed", "delayed")
    assert {n: queue[n] for n in names} == {n: queue[f"{n}Jobs"] for n in names}
    assert queue["completed"] >= 2


def test_a_rerun_a_conflict_and_the_deletion_by_curl(world: World, curl: Curl, ada: Person, picture: Path) -> None:
    media = curl("/media", "-F", f"file=@{picture}").data
    again = f"/media/{media['id']}/analyze"
    busy = curl(again, "-X", "POST")
    refused(busy, 409, "RUN_ACTIVE", "An analysis run of this media is still active.")
    assert busy.json["details"] == {"runId": media["latestRunId"], "runNumber": 1}
    ada.wait(media["id"])
    sentence = "A new analysis run has been successfully queued for this media."
    second = told(curl(again, "-X", "POST", "-H", "Content-Type: multipart/form-data"), 202, sentence)
    assert [run["runNumber"] for run in second["analysisRuns"]] == [2, 1]
    assert (second["status"], second["verdict"]) == ("QUEUED", None)
    ada.wait(media["id"], run=2)
    assert told(curl(f"/media/{media['id']}", "-X", "DELETE"), 200, "Media deleted successfully.") == {}
    for words in (("-X", "DELETE"), (), ("-I",)):
        assert curl(f"/media/{media['id']}", *words).status == 404
    assert curl(media["url"], token=None).status == 404
