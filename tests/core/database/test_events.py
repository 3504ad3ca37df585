"""What goes when events have been kept long enough: the first ones of each user, without a gap."""

from __future__ import annotations

from sqlalchemy import text
from stores import Stores

from drishtiksha.database.events import Events

DAY = 86400.0


async def test_old_events_go_from_the_first_one_on_and_leave_no_gap(stores: Stores) -> None:
    users = [await stores.user(name) for name in ("ada", "bob")]
    for user in users:
        for _ in range(3):
            await stores.upload(user)
    events = Events(stores.database)
    async with stores.database.engine.begin() as connection:
        # The second began before the first, and took its number later; the third is young.
        for seq, age in ((1, 29), (2, 31), (3, 1)):
            aged = text(
                f"UPDATE events SET created_at = now() - interval '{age} days' WHERE user_id = :u AND seq = {seq}"
            )
            await connection.execute(aged, {"u": users[0]})
    assert await events.prune(30 * DAY) == 2
    assert [event.seq for event in await events.after(users[0], 0, 10)] == [3]
    assert [event.seq for event in await events.after(users[1], 0, 10)] == [1, 2, 3]
    assert await events.last_seq(users) == {users[0]: 3, users[1]: 3}
    assert await events.prune(30 * DAY) == 0
