"""Which models a run gets: the pure choice, and the looks against a double of a service."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from older_ml import OlderService

from drishtiksha.domain.media import MediaType
from drishtiksha.settings import ML
from drishtiksha_operator.config import Config, parse
from drishtiksha_operator.discovery import Answer, Discovery, Look, Offer, choose, read_stats

VIDEO, AUDIO, IMAGE = MediaType.VIDEO, MediaType.AUDIO, MediaType.IMAGE
TWO = """
services: [{name: a, url: "http://a"}, {name: b, url: "http://b", required: false}]
models: {overrides: [{match: GPU-V1, execution: pod, image: i, version: "7", mediaTypes: [VIDEO]}]}
"""


def config(text: str = TWO) -> Config:
    return parse(text, ML.model_validate({}), {"SERVER_API_KEY": "x"})


def entry(name: str, *, loaded: bool = True, **more: Any) -> dict[str, Any]:
    return {"name": name, "loaded": loaded, "isVideo": True, "isAudio": False, **more}


def answer(service: str, *entries: dict[str, Any], uptime: float = 1000) -> Answer:
    described = next(s for s in config().services if s.name == service)
    return read_stats(described, {"uptime_seconds": uptime, "models_info": list(entries)})


def look(*answers: Answer) -> Look:
    return Look(0.0, answers)


def test_loaded_models_of_the_right_kind_are_chosen_and_declared_ones_with_them() -> None:
    seen = look(
        answer("a", entry("V", version="2"), entry("SOUND", isVideo=False, isAudio=True), entry("OFF", loaded=False)),
        answer("b"),
    )
    assert choose(config(), seen, VIDEO, False).offers == (
        Offer("GPU-V1", "7", "pod", "pod"),
        Offer("V", "2", "service", "a"),
    )


def test_an_absent_image_flag_means_no_images() -> None:
    assert choose(config(), look(answer("a", entry("V"))), IMAGE, False).offers == ()


def test_a_multimodal_model_needs_a_video_with_sound() -> None:
    seen = look(answer("a", entry("AV", isAudio=True, isMultiModal=True)))
    assert [o.name for o in choose(config(), seen, VIDEO, True).offers] == ["AV", "GPU-V1"]
    assert [o.name for o in choose(config(), seen, VIDEO, False).offers] == ["GPU-V1"]
    assert choose(config(), seen, AUDIO, True).offers == ()


def test_a_declared_name_wins_over_a_served_one_and_the_first_service_over_the_second() -> None:
    seen = look(answer("a", entry("X", version="a")), answer("b", entry("X", version="b"), entry("GPU-V1")))
    assert [(o.name, o.source, o.version) for o in choose(config(), seen, VIDEO, False).offers] == [
        ("GPU-V1", "pod", "7"),
        ("X", "a", "a"),
    ]


def test_a_required_service_that_is_away_is_waited_for_and_another_is_not() -> None:
    gone_a = Answer("a", True, error="it cannot be reached")
    gone_b = Answer("b", False, error="it cannot be reached")
    waiting = choose(config(), look(gone_a, answer("b", entry("X"))), VIDEO, False)
    assert waiting.offers == ()
    assert "a (it cannot be reached)" in str(waiting.waiting)
    assert choose(config(), look(answer("a", entry("X")), gone_b), VIDEO, False).waiting is None


def test_a_service_that_has_just_started_is_still_loading() -> None:
    young = look(answer("a", entry("X"), entry("SLOW", loaded=False), uptime=10))
    assert "still loading SLOW" in str(choose(config(), young, VIDEO, False).waiting)
    assert choose(config(), young, VIDEO, False, wanted=["X"]).waiting is None
    old = look(answer("a", entry("X"), entry("SLOW", loaded=False), uptime=61))
    assert [o.name for o in choose(config(), old, VIDEO, False).offers] == ["GPU-V1", "X"]


def test_a_model_that_says_why_it_is_not_loaded_is_not_waited_for() -> None:
    young = look(answer("a", entry("X"), entry("BROKEN", loaded=False, reason="no weights"), uptime=1))
    assert choose(config(), young, VIDEO, False).waiting is None


def test_only_wanted_models_are_chosen() -> None:
    seen = look(answer("a", entry("X"), entry("Y")))
    assert [o.name for o in choose(config(), seen, VIDEO, False, wanted=["Y", "NONE"]).offers] == ["Y"]


def test_nobody_to_ask_is_told_apart_from_an_empty_answer() -> None:
    nobody = choose(config("{}"), look(), VIDEO, False)
    assert nobody.nobody
    assert "SERVER_URL" in str(nobody.waiting)
    assert not choose(config(), look(answer("a")), AUDIO, False).nobody


def test_of_two_names_that_hash_alike_the_second_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drishtiksha_operator.discovery.model_digest", lambda name: name[:1])
    chosen = choose(config(), look(answer("a", entry("X1"), entry("X2"))), VIDEO, False)
    assert [o.name for o in chosen.offers] == ["GPU-V1", "X1"]
    assert "X2 is left out" in chosen.warnings[0]


def test_a_run_has_at_most_32_models() -> None:
    chosen = choose(config(), look(answer("a", *(entry(f"M{n:02}") for n in range(40)))), VIDEO, False)
    assert len(chosen.offers) == 32
    assert len(chosen.warnings) == 9


@pytest.mark.parametrize("body", [None, [], {}, {"models_info": 5}])
def test_a_stats_without_models_is_an_error_and_no_empty_list(body: object) -> None:
    assert read_stats(config().services[0], body).error is not None


def test_unusable_entries_are_left_out() -> None:
    entries: list[Any] = [5, {}, {"name": 3}, entry("bad name"), entry("x" * 64), entry("GOOD", version=3)]
    read = read_stats(config().services[0], {"models_info": entries, "uptime_seconds": "soon"})
    assert [(m.name, m.version) for m in read.models] == [("GOOD", "")]
    assert read.uptime is None


@pytest.mark.parametrize(
    ("dialect", "version", "pictures"),
    [
        ("auto", "2.9.9", False), ("auto", "1.0", False), ("auto", None, False), ("auto", "latest", False),
        ("auto", 3, False), ("auto", "3.0.0", True), ("auto", "v4", True), ("2", "3.0.0", False), ("3", None, True),
    ],
)  # fmt: skip
async def test_a_service_that_speaks_dialect_2_has_no_model_for_a_picture(
    dialect: str, version: Any, pictures: bool
) -> None:
    service = OlderService(("A",), version=version)
    there = config(f'services: [{{name: a, url: "http://a", dialect: "{dialect}"}}]')
    async with httpx.AsyncClient(transport=httpx.ASGITransport(service)) as asking:
        seen = await Discovery(there, asking).look()
    for media_type, found in ((IMAGE, pictures), (VIDEO, True), (AUDIO, True)):
        chosen = choose(there, seen, media_type, True)
        assert ([o.name for o in chosen.offers], chosen.waiting) == (["A"] if found else [], None)


def client(handler: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(handler), timeout=1)


ONE = 'services: [{name: a, url: "http://a"}]'


async def test_all_who_ask_at_once_share_one_look_and_it_is_kept_for_seconds() -> None:
    asked, now = 0, [100.0]

    async def stats(_request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return httpx.Response(200, json={"models_info": [entry("X")]})

    discovery = Discovery(config(ONE), client(stats), clock=lambda: now[0])
    looks = await asyncio.gather(*(discovery.look() for _ in range(5)))
    assert asked == 1
    assert looks[0].answers[0].models[0].name == "X"
    now[0] += 0.9
    await discovery.look()
    assert asked == 1
    await discovery.look(after=now[0])
    assert asked == 2
    now[0] += 1.1
    await discovery.look()
    assert asked == 3


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (httpx.Response(401), "refuses our key"),
        (httpx.Response(503), "HTTP 503"),
        (httpx.Response(302, headers={"Location": "http://evil"}), "HTTP 302"),
        (httpx.Response(200, text="<html>"), "no JSON"),
        (httpx.Response(200, text="x" * 3_000_000), "too large"),
        (httpx.ConnectTimeout("slow"), "in time"),
        (httpx.ConnectError("no"), "cannot be reached"),
    ],
)
async def test_a_service_that_cannot_be_read_is_away_with_its_reason(reply: Any, error: str) -> None:
    def stats(_request: httpx.Request) -> httpx.Response:
        if isinstance(reply, Exception):
            raise reply
        return reply

    seen = await Discovery(config(ONE), client(stats)).look()
    assert error in str(seen.answers[0].error)


async def test_the_key_travels_in_its_header_only() -> None:
    seen: list[httpx.Request] = []

    def stats(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"models_info": []})

    with_key = parse(ONE, ML.model_validate({"SERVER_API_KEY": "s3cret"}), {})
    await Discovery(with_key, client(stats)).look()
    assert seen[0].headers["X-API-Key"] == "s3cret"
    assert str(seen[0].url) == "http://a/stats"


async def test_i15_a_service_whose_answer_drips_does_not_hold_up_the_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drishtiksha_operator.discovery.PATIENCE", 0.5)

    async def drip() -> Any:
        while True:
            yield b" "
            await asyncio.sleep(0.1)

    async def answers(request: httpx.Request) -> httpx.Response:
        body = drip() if request.url.host == "a" else b'{"models_info": []}'
        return httpx.Response(200, content=body)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answers)) as client, asyncio.timeout(60):
        seen = await Discovery(config(), client).look()
    assert [(a.service, a.error) for a in seen.answers] == [("a", "it does not answer in time"), ("b", None)]
