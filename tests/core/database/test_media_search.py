"""Lists of media: each filter keeps what it says and no more; a walk page by page meets everything once."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from shelves import Shelf
from sqlalchemy import event, text
from stores import Stores

from drishtiksha.database.children import Depth
from drishtiksha.database.media_search import Filters, Library, Order, Place, place_of
from drishtiksha.domain.analysis import Prediction
from drishtiksha.domain.errors import NotFound
from drishtiksha.domain.media import MediaType
from drishtiksha.domain.status import RunStatus

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def names(library: Library, user: uuid.UUID, **filters: object) -> list[str]:
    views = await library.page(user, limit=50, filters=Filters(**filters), order=Order.FILENAME)  # type: ignore[arg-type]
    return [view.media.filename for view in views]


async def test_each_filter_keeps_what_it_says_and_no_more(stores: Stores) -> None:
    ada, eve = await stores.user("ada"), await stores.user("eve")
    shelf, library = Shelf(stores.database, ada), Library(stores.database)
    await shelf.put("1.png", created_at=NOON - HOUR)
    await shelf.put("2_a.mp4", kind="VIDEO", status="ANALYZED", verdict="FAKE", created_at=NOON)
    await shelf.put("3xa.wav", kind="AUDIO", status="FAILED", created_at=NOON + HOUR)
    await shelf.put("4.png", status="ANALYZED", verdict="REAL", sha256="cd" * 32, description="100% At\\Sea")
    gone = await shelf.put("5.png", status="ANALYZED", verdict="FAKE")
    await stores.media.remove(ada, gone.id)
    await Shelf(stores.database, eve).put("6.png", status="ANALYZED", verdict="FAKE", description="100% At\\Sea")
    table: list[tuple[dict[str, object], list[str]]] = [
        ({}, ["1.png", "2_a.mp4", "3xa.wav", "4.png"]),
        ({"status": RunStatus.ANALYZED}, ["2_a.mp4", "4.png"]),
        ({"status": RunStatus.PROCESSING}, []),
        ({"media_type": MediaType.AUDIO}, ["3xa.wav"]),
        ({"verdict": Prediction.FAKE}, ["2_a.mp4"]),
        ({"verdict": Prediction.INCONCLUSIVE}, []),
        ({"since": NOON}, ["2_a.mp4", "3xa.wav", "4.png"]),
        ({"until": NOON}, ["1.png"]),
        ({"since": NOON, "until": NOON + HOUR}, ["2_a.mp4"]),
        ({"since": NOON, "until": NOON}, []),
        ({"sha256": "cd" * 32}, ["4.png"]),
        ({"words": "PNG"}, ["1.png", "4.png"]),
        ({"words": "_a"}, ["2_a.mp4"]),
        ({"words": "at\\s"}, ["4.png"]),
        ({"words": "0%"}, ["4.png"]),
        ({"words": "1%n"}, []),
        ({"words": ""}, ["1.png", "2_a.mp4", "3xa.wav", "4.png"]),
        ({"status": RunStatus.ANALYZED, "verdict": Prediction.REAL, "words": "sea"}, ["4.png"]),
    ]
    for filters, expected in table:
        assert await names(library, ada, **filters) == expected, filters


@pytest.mark.parametrize("order", list(Order))
async def test_a_walk_meets_everything_once_while_others_come_and_go(stores: Stores, order: Order) -> None:
    user = await stores.user()
    shelf, library = Shelf(stores.database, user), Library(stores.database)
    # Equal names, sizes and times: only the id tells some of them apart.
    made = [
        await shelf.put(f"{i % 3}.png", size=1 + i % 2, created_at=NOON + timedelta(hours=i % 4)) for i in range(12)
    ]
    seen: list[uuid.UUID] = []
    keys: list[object] = []
    after: Place | None = None
    while page := await library.page(user, limit=2, order=order, after=after):
        seen += [view.media.id for view in page]
        keys += [place_of(view.media, order) for view in page]
        after = place_of(page[-1].media, order)
        for hour in (-9, 2, 9):  # before, beside and behind the place
            await shelf.put(f"{hour % 4}.png", size=1 + hour % 2, created_at=NOON + timedelta(hours=hour))
        await stores.media.remove(user, page[0].media.id)
        assert len(seen) < 60
        if {m.id for m in made} <= set(seen):
            break
    assert len(set(seen)) == len(seen)
    assert {m.id for m in made} <= set(seen)
    assert keys == sorted(keys, reverse=order is Order.NEWEST)  # type: ignore[type-var]


async def test_every_order_is_read_from_its_index(stores: Stores) -> None:
    user = await stores.user()
    shelf, library = Shelf(stores.database, user), Library(stores.database)
    for number in range(3):
        await shelf.put(f"{number}.png", size=1 + number)
    asked: list[tuple[str, dict[str, object]]] = []

    @event.listens_for(stores.database.engine.sync_engine, "before_cursor_execute")
    def remember(_c: object, _k: object, statement: str, values: dict[str, object], *_more: object) -> None:
        if "FROM media" in statement:
            asked.append((statement, values))

    for order in Order:
        asked.clear()
        (first, *_) = await library.page(user, limit=2, order=order)
        await library.page(user, limit=2, order=order, after=place_of(first.media, order))
        async with stores.database.engine.connect() as connection:
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
            await connection.execute(text("SET LOCAL enable_sort = off"))
            for statement, values in list(asked):
                found = await connection.exec_driver_sql(f"EXPLAIN {statement}", values)
                plan = "\n".join(found.scalars())
                assert "Index Scan" in plan, plan
                assert "Sort" not in plan, plan


async def test_a_summary_reads_no_children_and_a_full_list_all_of_them(stores: Stores) -> None:
    user = await stores.user()
    shelf, library = Shelf(stores.database, user), Library(stores.database)
    video = await shelf.put("a.mp4", kind="VIDEO", status="ANALYZED", verdict="FAKE")
    analysis = await shelf.examined(video, "M1", [0.1, 0.9])
    asked: list[str] = []

    @event.listens_for(stores.database.engine.sync_engine, "before_cursor_execute")
    def remember(_c: object, _k: object, statement: str, *_more: object) -> None:
        asked.append(statement)

    for depth, facts, series, frames in (
        (Depth.SUMMARY, False, False, 0),
        (Depth.LIST, True, False, 0),
        (Depth.FULL, True, True, 2),
    ):
        asked.clear()
        (view,) = await library.page(user, limit=5, depth=depth)
        assert len(view.frames.get(analysis, [])) == frames
        assert any("FROM analysis_facts" in statement for statement in asked) == facts
        assert any("FROM evidence_series" in statement for statement in asked) == series


async def test_where_a_media_stands_is_told_to_its_owner_only(stores: Stores) -> None:
    ada, eve = await stores.user("ada"), await stores.user("eve")
    library, media = Library(stores.database), await stores.upload(ada)
    standing = await library.standing(ada, media.id)
    assert (standing.run_id, standing.status, standing.final) == (media.run_id, "QUEUED", False)
    for who, which in ((eve, media.id), (ada, uuid.uuid4())):
        with pytest.raises(NotFound):
            await library.standing(who, which)
    await stores.media.remove(ada, media.id)
    with pytest.raises(NotFound):
        await library.standing(ada, media.id)
