"""The runner and its door: what is repeated, what is resumed, what ends the attempt."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from drishtiksha_jobrunner.run import run

FENCED = '{"code": "FENCED"}'


@pytest.mark.parametrize("route", ["attempt", "media", "progress", "artifacts", "result"])
async def test_a_fenced_attempt_stops_at_whichever_route_says_so(route, environment, door, service, hasty, reply):
    door.script[route] = [reply(409, FENCED)]
    service.script["analyze"] = [reply(body=service.answer, after=1.0)] if route == "progress" else []
    assert await run(environment, hasty) == 77
    assert door.results == []
    assert door.failures == []
    stories = [call.path.split("/")[4:5] for call in door.calls if not call.path.endswith("progress")]
    assert len(door.asked(route)) == 1 or route == "progress"
    assert stories[-1:] == [[] if route == "attempt" else ["media" if route == "progress" else route]]


async def test_a_fenced_failure_leaves_as_fenced(environment, door, service, hasty, reply):
    service.script["analyze"] = [reply(415, '{"detail": "not a video"}')]
    door.script["failure"] = [reply(409, FENCED)]
    assert await run(environment, hasty) == 77


async def test_a_fence_during_a_silent_analysis_ends_it_before_the_model_answers(
    environment, door, service, hasty, reply
):
    service.script["analyze"] = [reply(body=service.answer, after=5.0)]
    door.script["progress"] = [None, None, reply(409, FENCED)]
    assert await run(environment, hasty) == 77
    assert door.results == []


async def test_a_cut_download_is_resumed_where_it_broke(environment, door, service, hasty, reply):
    door.script["media"] = [reply(body=door.media, cut=100_000), reply(503)]
    assert await run(environment, hasty) == 0
    first, _second, third = door.asked("media")
    assert "range" not in first.headers
    assert third.headers["range"] == "bytes=100000-"
    (asked,) = service.asked("analyze")
    assert door.media in asked.body


async def test_a_door_without_ranges_is_read_from_the_beginning_again(environment, door, service, hasty, reply):
    door.script["media"] = [reply(body=door.media, cut=100_000), reply(body=door.media)]
    assert await run(environment, hasty) == 0
    (asked,) = service.asked("analyze")
    assert asked.body.count(door.media) == 1


async def test_wrong_bytes_are_fetched_again_and_then_the_model_sees_the_right_ones(
    environment, door, service, hasty, reply
):
    door.script["media"] = [reply(body=b"x" * len(door.media))]
    assert await run(environment, hasty) == 0
    (asked,) = service.asked("analyze")
    assert door.media in asked.body


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"size": 17}, {"size": 10_000_000}])
async def test_bytes_that_stay_wrong_are_never_examined(wrong, environment, door, service, hasty):
    door.assignment["media"] |= wrong
    assert await run(environment, hasty) == 70
    assert service.asked("analyze") == []
    (failure,) = door.failures
    assert failure.error_class == "INTERNAL"
    assert "sha256" in failure.message


@pytest.mark.parametrize("route", ["attempt", "media", "artifacts", "result"])
async def test_a_door_that_restarts_costs_the_attempt_nothing(route, environment, door, service, hasty, reply):
    door.script[route] = [reply(503, headers={"retry-after": "0"}), reply(500), reply(429), reply(body=b"x", cut=0)]
    assert await run(environment, hasty) == 0
    assert len(door.results) == 1


async def test_a_result_whose_answer_was_lost_is_sent_again_and_a_refusal_to_take_it_twice_is_success(
    environment, door, service, hasty, reply
):
    door.script["result"] = [reply(body='{"accepted": true}', cut=3, executed=True)]
    assert await run(environment, hasty) == 0
    first, second = door.asked("result")
    assert first.body == second.body
    assert len(door.results) == len(service.asked("analyze")) == 1


@pytest.mark.parametrize(("route", "code"), [("result", 0), ("failure", 65)])
async def test_a_heartbeat_that_is_fenced_by_our_own_last_word_does_not_take_it_back(
    route, code, environment, door, service, hasty, reply
):
    service.script["analyze"] = [reply(415)] if route == "failure" else []
    door.script[route] = [reply(body='{"accepted": true}', executed=True, after=0.5)]
    assert await run(environment, hasty) == code
    assert len(door.asked("progress")) >= 1


async def test_a_door_that_stays_away_is_asked_until_the_deadline_and_then_exit_70(
    environment, door, service, hasty, reply
):
    door.assignment["secondsLeft"] = 1.0
    door.script["result"] = [reply(503)] * 1000
    assert await run(environment, hasty) == 70
    assert len(door.asked("result")) > 5
    assert door.failures == []


async def test_a_door_that_never_answers_at_all_ends_with_exit_70(environment, door, hasty, reply):
    door.script["attempt"] = [reply(503)] * 1000
    assert await run(environment, replace(hasty, before_assignment=0.5)) == 70


async def test_when_the_deadline_passes_nothing_more_is_handed_in(environment, door, service, hasty, reply, tmp_path):
    door.assignment["secondsLeft"] = 0.6
    service.script["analyze"] = [reply(body=service.answer, after=3.0)]
    assert await run(environment, hasty) == 70
    assert door.results == []
    assert door.failures == []
    assert list(tmp_path.iterdir()) == []


async def test_a_token_that_the_door_does_not_know_ends_at_once(environment, door, hasty):
    assert await run(replace(environment, token="v1.k1.other.x"), hasty) == 70
    assert len(door.calls) == 1


async def test_an_assignment_that_is_none_ends_with_exit_70(environment, door, hasty):
    del door.assignment["media"]["sha256"]
    assert await run(environment, hasty) == 70


async def test_an_artifact_that_the_door_refuses_is_left_out_of_the_result(environment, door, service, hasty, reply):
    door.script["artifacts"] = [reply(413)]
    assert await run(environment, hasty) == 0
    (result,) = door.results
    assert result.artifacts == []


async def test_a_result_that_the_door_refuses_is_a_fault_of_ours_and_says_so(environment, door, service, hasty, reply):
    door.script["result"] = [reply(422, '{"message": "unknown key"}')]
    assert await run(environment, hasty) == 70
    (failure,) = door.failures
    assert (failure.error_class, failure.server_response) == ("INTERNAL", '{"message": "unknown key"}')


async def test_a_heartbeat_is_heard_while_the_media_is_still_on_its_way(environment, door, service, hasty, reply):
    door.script["media"] = [reply(body=door.media, after=0.6)]
    assert await run(environment, hasty) == 0
    assert door.heartbeats >= 2


async def test_a_door_that_refuses_heartbeats_does_not_disturb_the_analysis(environment, door, service, hasty, reply):
    door.script["progress"] = [reply(500), reply(429), reply(422), reply(body=b"xx", cut=1)] * 5
    service.script["analyze"] = [reply(body=service.answer, after=0.6)]
    assert await run(environment, hasty) == 0


async def test_scratch_that_cannot_be_written_is_said(environment, door, hasty, tmp_path):
    assert await run(replace(environment, scratch=tmp_path / "absent"), hasty) == 70
    (failure,) = door.failures
    assert "scratch" in failure.message


async def test_a_door_that_cannot_store_pictures_for_long_gets_the_result_without_them(
    environment, door, service, hasty, reply
):
    door.script["artifacts"] = [reply(503, '{"details": {"what": "objects"}}')] * 10_000
    assert await run(environment, replace(hasty, artifact_patience=0.3)) == 0
    (result,) = door.results
    assert (result.artifacts, result.prediction) == ([], "FAKE")
    assert door.failures == []


async def test_a_door_that_can_store_again_gets_the_pictures(environment, door, service, hasty, reply):
    door.script["artifacts"] = [reply(503)] * 5
    assert await run(environment, hasty) == 0
    assert [result.artifacts for result in door.results] == [sorted(door.artifacts)]
    assert len(door.asked("artifacts")) == 6


@pytest.mark.parametrize("room", [0, 64, 296])
async def test_scratch_without_room_is_said_and_left_empty(environment, door, hasty, tmp_path, room):
    disk = tmp_path / "disk"
    disk.mkdir()
    options = f"size={room}k" if room else "size=64k,nr_inodes=2"  # room for the attempt's folder, not for a file
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a file system needs root")
    try:
        assert await run(replace(environment, scratch=disk), hasty) == 70
        (failure,) = door.failures
        assert failure.error_class == "INTERNAL"
        assert failure.message == "The media could not be written to scratch (No space left on device)."
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
