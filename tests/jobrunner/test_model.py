"""The runner and its ML service: waiting, giving up, and never believing a broken answer."""

from __future__ import annotations

import gzip
import json
import time
from dataclasses import replace

import pytest

from drishtiksha_jobrunner.run import run

ND = {"content-type": "application/x-ndjson"}


def lines(*objects: object) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in objects)


async def failed(environment, door, hasty) -> tuple[int, str, str]:
    """Run; the exit code, class and message of the one failure handed in."""
    code = await run(environment, hasty)
    (failure,) = door.failures
    assert door.results == []
    return code, failure.error_class, failure.message


async def test_progress_lines_reach_the_door_and_the_result_line_is_the_answer(
    environment, door, service, hasty, reply
):
    body = lines(
        {"progress": {"event": "FRAME_ANALYSIS_PROGRESS", "message": "3 of 9", "data": {"progress": 3, "total": 9}}},
        {"progress": {"event": "ANALYSIS_COMPLETED", "message": "said too early"}},
        {"progress": {"event": "FACE_FOUND", "message": "one\x00", "data": {"n": 1, "nested": {"a": 1}}}},
        {"progress": "nonsense"},
        {"something": "new"},
        {"result": service.answer},
    )
    service.script["analyze"] = [reply(body=body, headers=ND, pieces=((40, 0.1), (200, 0.3)))]
    assert await run(environment, hasty) == 0
    assert [p.event for p in door.progress] == ["FRAME_ANALYSIS_PROGRESS", "FACE_FOUND"]
    assert door.progress[0].data == {"progress": 3, "total": 9}
    assert (door.progress[1].message, door.progress[1].data) == ("one", {"n": 1})
    assert "application/x-ndjson" in service.asked("analyze")[0].headers["accept"]


async def test_ticks_in_a_flood_are_thinned_to_the_newest(environment, door, service, hasty, reply):
    ticks = [{"progress": {"event": "FRAME_ANALYSIS_PROGRESS", "data": {"progress": n}}} for n in range(500)]
    service.script["analyze"] = [
        reply(body=lines(*ticks, {"result": service.answer}), headers=ND, pieces=((30_000, 0.5),))
    ]
    assert await run(environment, replace(hasty, progress_gap=0.2)) == 0
    assert 1 <= len(door.progress) <= 5


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"status": 422, "detail": {"code": "BAD_MEDIA", "message": "no face in it"}}, 65),
        ({"status": 500, "detail": "out of memory"}, 69),
        ({"status": 422, "detail": [{"loc": ["model"]}]}, 76),
        ({"detail": "no status"}, 69),
    ],
)
async def test_an_error_line_means_what_the_same_status_means(error, code, environment, door, service, hasty, reply):
    service.script["analyze"] = [reply(body=lines({"error": error}), headers=ND)]
    assert (await failed(environment, door, hasty))[0] == code


async def test_a_busy_error_line_is_waited_for_like_a_busy_status(environment, door, service, hasty, reply):
    service.script["analyze"] = [reply(body=lines({"error": {"status": 503, "detail": "full"}}), headers=ND)]
    assert await run(environment, hasty) == 0
    assert len(service.asked("analyze")) == 2


@pytest.mark.parametrize("status", [408, 429, 503])
async def test_retry_after_is_waited_for_without_failing(status, environment, door, service, hasty, reply):
    service.script["analyze"] = [reply(status, headers={"retry-after": "1"})]
    assert await run(environment, hasty) == 0
    first, second = service.asked("analyze")
    assert second.at - first.at >= 1.0
    assert door.heartbeats >= 2


async def test_a_service_that_stays_busy_until_the_deadline_is_handed_in_as_unavailable(
    environment, door, service, hasty, reply
):
    door.assignment["secondsLeft"] = 1.0
    service.script["analyze"] = [reply(503, headers={"retry-after": "30"})]
    code, error_class, message = await failed(environment, door, hasty)
    assert (code, error_class) == (69, "ML_UNAVAILABLE")
    assert "busy" in message


async def test_a_service_that_cannot_be_reached_is_tried_for_a_while_and_then_unavailable(
    environment, door, service, hasty
):
    dead = replace(environment, server_url="http://127.0.0.1:1")
    began = time.monotonic()
    code, error_class, _ = await failed(dead, door, hasty)
    assert (code, error_class) == (69, "ML_UNAVAILABLE")
    assert time.monotonic() - began >= hasty.ml_patience / 2


async def test_a_look_at_the_service_that_breaks_is_taken_again(environment, door, service, hasty, reply):
    service.script["stats"] = [reply(body=service.stats, cut=10)]
    assert await run(environment, hasty) == 0
    assert len(service.asked("stats")) == 2


@pytest.mark.parametrize("after", [0.0, 1.2])
async def test_an_analysis_that_breaks_is_one_try_for_the_file_may_have_killed_the_service(
    after, environment, door, service, hasty, reply
):
    service.script["analyze"] = [reply(body=service.answer, cut=10, after=after)]
    code, error_class, _ = await failed(environment, door, hasty)
    assert (code, error_class) == (69, "ML_UNAVAILABLE")
    assert len(service.asked("analyze")) == 1


async def test_an_error_of_the_service_is_not_repeated_here_and_its_words_are_kept(
    environment, door, service, hasty, reply
):
    service.script["analyze"] = [reply(500, '{"detail": "CUDA out of memory"}')]
    code, _, message = await failed(environment, door, hasty)
    assert code == 69
    assert "CUDA out of memory" in message
    assert door.failures[0].server_response == '{"detail": "CUDA out of memory"}'
    assert len(service.asked("analyze")) == 1


BROKEN = {
    "html": b"<html><body>It works!</body></html>",
    "empty": b"",
    "truncated": b'{"success": true, "model_used": "FACE-',
    "list": b"[]",
    "nan": b'{"success": true, "model_used": "FACE-TEMPORAL-V1", "data": {"prediction": "REAL", "confidence": NaN}}',
    "infinite": b'{"success": true, "model_used": "FACE-TEMPORAL-V1", "data": '
    b'{"prediction": "REAL", "confidence": 0.5, "metrics": {"x": 1e999}}}',
    "deep": b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "many": b'{"data": [' + b"[]," * 600_000 + b"[]]}",
    "twice": b'{"success": true, "model_used": "FACE-TEMPORAL-V1", "data": '
    b'{"prediction": "FAKE", "confidence": 0.9, "prediction": "REAL"}}',
    "digits": b'{"success": true, "data": {"frame_count": ' + b"9" * 5000 + b"}}",
    "latin": '{"success": true, "note": "é"}'.encode("latin-1"),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
async def test_a_body_that_is_no_good_json_is_a_broken_contract(body, environment, door, service, hasty, reply):
    service.script["analyze"] = [reply(body=body)]
    assert (await failed(environment, door, hasty))[:2] == (76, "ML_CONTRACT")


async def test_a_gzip_bomb_is_given_up_before_it_unfolds(environment, door, service, hasty, reply):
    bomb = gzip.compress(b'{"note": "' + b"\x00" * (64 * 1024 * 1024), 6)
    assert len(bomb) < 200_000
    service.script["analyze"] = [reply(body=bomb, headers={"content-encoding": "gzip"})]
    code, _, message = await failed(environment, door, hasty)
    assert code == 76
    assert "larger" in message


async def test_a_packed_answer_is_unpacked(environment, door, service, hasty, reply):
    packed = gzip.compress(json.dumps(service.answer).encode())
    service.script["analyze"] = [reply(body=packed, headers={"content-encoding": "gzip"})]
    assert await run(environment, hasty) == 0


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(b"no gzip", "gzip"), (gzip.compress(b"{}" * 500)[:-9], "gzip"), (b"{}", "br")],
    ids=["not packed", "cut", "unknown packing"],
)
async def test_a_broken_or_unknown_packing_is_a_broken_contract(
    body, encoding, environment, door, service, hasty, reply
):
    service.script["analyze"] = [reply(body=body, headers={"content-encoding": encoding})]
    assert (await failed(environment, door, hasty))[0] == 76


async def test_lines_that_end_without_a_result_are_a_broken_contract(environment, door, service, hasty, reply):
    service.script["analyze"] = [reply(body=lines({"progress": {"event": "FACE_X"}}), headers=ND)]
    code, _, message = await failed(environment, door, hasty)
    assert (code, "without a result" in message) == (76, True)


async def test_a_redirect_is_not_followed(environment, door, service, hasty, reply):
    service.script["analyze"] = [reply(307, headers={"location": environment.door_url + "/elsewhere"})]
    assert (await failed(environment, door, hasty))[0] == 76
    assert all("elsewhere" not in call.path for call in door.calls)


async def test_proxies_of_the_environment_are_not_used(environment, door, service, hasty, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await run(environment, hasty) == 0


async def test_a_set_dialect_beats_the_services_version(environment, door, service, hasty):
    service.stats["version"] = None
    assert await run(replace(environment, dialect="3"), hasty) == 0
    assert [call.path for call in service.asked("analyze")] == ["/analyze"]


async def test_a_starting_service_is_waited_for(environment, door, service, hasty, reply):
    loading = json.loads(json.dumps(service.stats)) | {"uptime_seconds": 2.0}
    loading["models_info"][0]["loaded"] = False
    empty = loading | {"models_info": []}
    service.script["stats"] = [reply(body=empty), reply(503, headers={"retry-after": "0"}), reply(body=loading)]
    assert await run(environment, hasty) == 0
    assert len(service.asked("stats")) == 4


async def test_a_model_that_is_not_served_is_a_broken_contract_and_never_asked(environment, door, service, hasty):
    service.stats["models_info"][0]["name"] = "OTHER-V1"
    code, _, message = await failed(environment, door, hasty)
    assert (code, "FACE-TEMPORAL-V1" in message) == (76, True)
    assert service.asked("analyze") == []


async def test_a_model_that_could_not_be_loaded_is_unavailable_with_its_reason(environment, door, service, hasty):
    service.stats["uptime_seconds"] = 1.0  # young, but it says why: there is nothing to wait for
    service.stats["models_info"][0] |= {"loaded": False, "reason": "weights are missing"}
    assert (await failed(environment, door, hasty))[0] == 69
    assert len(service.asked("stats")) == 1
    assert door.failures[0].server_response == "weights are missing"


async def test_a_heartbeat_is_heard_while_the_model_is_silent(environment, door, service, hasty, reply):
    service.script["analyze"] = [reply(body=service.answer, after=1.2)]
    assert await run(environment, hasty) == 0
    assert door.heartbeats >= 3


async def test_a_refusal_sent_before_the_upload_was_read_is_understood(environment, door, service, hasty, reply):
    door.media = b"y" * 4_000_000
    import hashlib

    door.assignment["media"] |= {"size": len(door.media), "sha256": hashlib.sha256(door.media).hexdigest()}
    service.script["analyze"] = [reply(413, '{"detail": "too large"}', unread=True)]
    assert (await failed(environment, door, hasty))[:2] == (65, "BAD_MEDIA")


async def test_a_key_that_the_service_echoes_is_struck_out(environment, door, service, hasty, reply):
    service.script["analyze"] = [reply(401, {"detail": f"bad key {environment.server_key}"})]
    await failed(environment, door, hasty)
    assert environment.server_key not in door.failures[0].model_dump_json()
