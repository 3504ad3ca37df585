"""Pictures that an answer points to, or only describes in numbers: fetched from the service alone, drawn, or a note."""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from older_ml import OlderService, audio, video
from PIL import Image
from starlette.responses import RedirectResponse, Response, StreamingResponse

from drishtiksha_jobrunner import drawing
from drishtiksha_jobrunner.body import MAX_PICTURE
from drishtiksha_jobrunner.pictures import Album, links
from drishtiksha_jobrunner.run import run

MODEL = "FACE-TEMPORAL-V1"
PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 40
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 " + b"w" * 40
VISUAL = "analyze/visualization/v 1.png"


@pytest.fixture
def older(sockets: Any, environment: Any) -> OlderService:
    sockets[1].app = service = OlderService((MODEL,), key=environment.server_key)
    service.answers["comprehensive"] = video(visualization_filename="v 1.png")
    return service


def kinds(door: Any) -> dict[str, tuple[str, str]]:
    """The pictures that the door was given: kind and type by name."""
    return {name: (kind, of) for name, (kind, of, _) in door.artifacts.items() if kind != "ml-response"}


async def test_a_visualization_is_fetched_at_once_and_once_and_with_the_key(environment, door, older, hasty):
    older.files[VISUAL] = PNG
    assert await run(environment, hasty) == 0
    ((path, headers),) = older.fetched
    assert (path, headers["x-api-key"]) == ("/analyze/visualization/v%201.png", environment.server_key)
    assert kinds(door) == {"visualization.png": ("visualization", "image/png")}
    assert door.artifacts["visualization.png"][2] == PNG
    assert door.results[0].artifacts == ["visualization.png", "ml-response.json.gz"]
    assert door.results[0].note is None


async def _dripping() -> AsyncIterator[bytes]:
    for _ in range(20):
        yield PNG
        await asyncio.sleep(0.1)


FAILING = {
    "absent": lambda _: Response(PNG, 404),
    "broken": lambda _: Response(PNG, 500),
    "moved": lambda environment: RedirectResponse(f"{environment.door_url}/internal/v1/attempt/media"),
    "too large": lambda _: PNG + b"x" * MAX_PICTURE,
    "a film": lambda _: b"\x00\x00\x00\x18ftypmp42",
    "a page": lambda _: b"<html></html>",
    "a sound": lambda _: b"RIFF\x00\x00\x00\x00WAVEfmt ",
    "empty": lambda _: b"",
    "slow": lambda _: StreamingResponse(_dripping()),
}


@pytest.mark.parametrize("how", FAILING)
async def test_a_picture_that_cannot_be_fetched_is_a_note_and_never_a_failed_analysis(
    how, environment, door, older, hasty
):
    older.files[VISUAL] = FAILING[how](environment)
    assert await run(environment, replace(hasty, picture_patience=0.3)) == 0
    assert kinds(door) == {}
    assert (door.results[0].note or "").startswith("Picture 'visualization' was left out: ")
    assert len(older.fetched) == 1
    assert len([call for call in door.calls if call.path.endswith("/media")]) == 1  # a redirect would be a second


@pytest.mark.parametrize(
    "name", ["../../stats", "..", ".", "a/b.png", "a\\b.png", "%2e%2e%2fstats", "a\x00.png", "x" * 256, "a\n.png"]
)
async def test_a_name_that_is_a_path_is_never_asked_for(name, environment, door, older, hasty):
    older.answers["comprehensive"] = video(visualization_filename=name)
    assert await run(environment, hasty) == 0
    assert older.fetched == []
    assert "file name" in (door.results[0].note or "")


async def test_an_address_of_somebody_else_is_never_asked_for(environment, door, older, hasty):
    door.assignment["media"] |= {"type": "AUDIO", "mimetype": "audio/mp4"}
    elsewhere = f"{environment.door_url}/internal/v1/attempt/media"
    drawn = [[0.0, 1.0], [2.0, 3.0]]
    older.answers["audio"] = audio(visualization={"spectrogram_url": elsewhere, "spectrogram_data": drawn})
    assert await run(environment, hasty) == 0
    assert len([call for call in door.calls if call.path.endswith("/media")]) == 1  # the runner's own
    assert "not one of the ML service" in (door.results[0].note or "")
    # Nobody has to do without a picture for that: what was sent as numbers is drawn.
    assert kinds(door) == {"spectrogram.png": ("spectrogram", "image/png")}
    assert Image.open(io.BytesIO(door.artifacts["spectrogram.png"][2])).size == (256, 256)


async def test_a_spectrogram_that_came_is_not_drawn_as_well(environment, door, older, hasty):
    door.assignment["media"] |= {"type": "AUDIO", "mimetype": "audio/mp4"}
    where = f"{environment.server_url}/out/s.webp?size=2"
    older.answers["audio"] = audio(visualization={"spectrogram_url": where, "spectrogram_data": [[1.0, 2.0]]})
    older.files["out/s.webp"] = WEBP
    assert await run(environment, hasty) == 0
    assert [path for path, _ in older.fetched] == ["/out/s.webp"]
    assert kinds(door) == {"spectrogram.webp": ("spectrogram", "image/webp")}


async def test_pictures_of_the_extension_may_be_pointed_to_and_are_sixteen_at_most(
    environment, door, service, hasty, reply
):
    stated = hashlib.sha256(PNG).hexdigest()
    images = [{"name": f"p{n}", "kind": "heatmap", "url": f"/p{n}.png", "sha256": stated} for n in range(18)]
    images[1]["sha256"] = "0" * 64
    service.data["evidence"] = {"images": images}
    service.script |= {f"p{n}.png": [reply(body=PNG)] for n in range(18)}
    assert await run(environment, hasty) == 0
    asked = [call for call in service.calls if call.path.startswith("/p")]
    assert (len(asked), {call.headers["x-api-key"] for call in asked}) == (16, {environment.server_key})
    assert len(kinds(door)) == 15
    note = door.results[0].note or ""
    assert ("sha256 differs" in note, note.count("may send 16")) == (True, 2)


async def test_what_another_model_points_to_is_not_fetched(environment, door, older, hasty):
    older.wrapping = {"model_used": "OTHER-V1"}
    assert await run(environment, hasty) == 76
    assert older.fetched == []


async def test_a_path_on_the_services_disk_is_never_opened(environment, door, service, hasty):
    door.assignment["media"] |= {"type": "IMAGE", "mimetype": "image/png"}
    service.data["visualization_path"] = f"{environment.server_url}/v.png"
    assert await run(environment, hasty) == 0
    assert [call.path for call in service.calls] == ["/stats", "/analyze"]
    service.data["visualization_path"] = "/etc/hostname"
    assert links(service.data) == []
    assert kinds(door) == {}


def album(**data: Any) -> Album:
    made = Album()
    made.draw(data)
    return made


def test_a_heat_map_is_drawn_lighter_where_the_score_is_higher():
    (made,) = album(heatmap_scores=[[0.0, 0.5], [1.0, None]]).pictures
    assert (made.name, made.kind) == ("heatmap.png", "heatmap")
    picture = Image.open(io.BytesIO(made.content)).convert("L")
    assert picture.size == (256, 256)
    corners = [picture.getpixel(at) for at in ((0, 0), (255, 0), (0, 255), (255, 255))]
    assert corners[0] == corners[3] == 0
    assert 0 < corners[1] < corners[2]


def test_the_lowest_frequency_lies_at_the_bottom():
    (made,) = album(visualization={"spectrogram_data": [[-80.0, -80.0], [0.0, 0.0]]}).pictures
    picture = Image.open(io.BytesIO(made.content)).convert("L")
    assert picture.getpixel((0, 0)) > picture.getpixel((0, 255)) == 0


@pytest.mark.parametrize(
    "matrix", [[[1.0], [1.0, 2.0]], [[]], ["ab"], [["a"]], "text", {"a": 1}, [[None]], [1.0], [[[1.0]]], 7, [[True]]]
)
def test_numbers_that_cannot_be_drawn_are_a_note(matrix: Any):
    for data in ({"heatmap_scores": matrix}, {"visualization": {"spectrogram_data": matrix}}):
        made = album(**data)
        assert (made.pictures, len(made.notes)) == ([], 1)


def test_a_picture_under_the_name_of_the_numbers_is_taken():
    import base64

    data = {"visualization": {"spectrogram_data": "data:image/webp;base64," + base64.b64encode(WEBP).decode()}}
    (made,) = album(**data).pictures
    assert (made.name, made.content) == ("spectrogram.webp", WEBP)
    assert data == {"visualization": {}}


@pytest.mark.parametrize(
    ("across", "down", "size"),
    [(3000, 2, (1024, 2)), (1, 1, (256, 256)), (100, 40, (200, 80)), (300, 1500, (300, 1024))],
)
def test_any_numbers_become_a_picture_of_a_bounded_size(across, down, size):
    chance = random.Random(across)
    odd = [1e308, -1e308, 0, -5, 10**400 if across == 1 else 3, None]
    matrix = [
        [chance.choice(odd) if chance.random() < 0.1 else chance.random() for _ in range(across)] for _ in range(down)
    ]
    matrix[0][0] = 0.5
    made = drawing.png(matrix)
    picture = Image.open(io.BytesIO(made))
    picture.load()
    assert picture.size == size
    assert len(made) < MAX_PICTURE
